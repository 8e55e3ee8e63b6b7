//! What somebody may have meant.

/// The one of `choices` that looks like `name`.
fn nearest<'a>(name: &str, choices: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Below that, two names have hardly anything in common; clap suggests by the same measure.
    const ALIKE: f64 = 0.7;
    let likeness = |choice| (strsim::jaro_winkler(name, choice), choice);
    let best = choices.into_iter().map(likeness).max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 > ALIKE).then_some(best.1)
}

/// An error with a hint at what may have been meant, where there is one.
pub fn explained(error: &anyhow::Error) -> String {
    match error.downcast_ref() {
        Some(pqscan::Error::UnknownVariant { name, choices }) => match nearest(name, choices.iter().copied()) {
            Some(choice) => format!("{error:#} (did you mean '{choice}'?)"),
            None => format!("{error:#}"),
        },
        _ => format!("{error:#}"),
    }
}

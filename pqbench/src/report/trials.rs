//! How the history of trials is told.

use serde::Serialize;
use serde_json::Value;

use super::{Column, Document, number, pictures, rows, units::percent, word};
use crate::trial::{
    decide::Verdict,
    record::{Prediction, Record, plain},
};

/// A trial as a row. The record has the rest.
#[derive(Serialize)]
struct Listed {
    /// The file under `trials/`, without its end.
    name: String,
    started: Option<String>,
    /// The commit that it was built on.
    commit: Option<String>,
    by_hand: bool,
    target: Option<String>,
    variant: Option<String>,
    against: Option<String>,
    /// Absent for a baseline.
    verdict: Option<Verdict>,
    /// Shares of the time: what should be saved, and what was, with the 99 % interval over all seeds.
    expected_gain: Option<f64>,
    gain: Option<f64>,
    gain_low: Option<f64>,
    gain_high: Option<f64>,
    prediction: Option<Prediction>,
    /// With an idea: the share of its words that this has too.
    likeness: Option<f64>,
    hypothesis: String,
    reason: String,
}

const COLUMNS: &[Column] = &[
    Column::words("started", "when", |row| word(row, "started").get(..16).unwrap_or_default().replace('T', " ")),
    Column::words("verdict", "verdict", |row| match (word(row, "verdict"), &row["by_hand"]) {
        ("", _) => "baseline".to_owned(),
        ("discard", Value::Bool(true)) => "revert".to_owned(),
        (verdict, _) => verdict.to_owned(),
    }),
    Column::numbers("expected_gain", "expected", |row| number(row, "expected_gain", signed)),
    Column::numbers("gain", "gain", |row| number(row, "gain", signed)),
    Column::words("hypothesis", "what was tried, what came of it", |row| {
        let words = |name| word(row, name);
        let on = [words("variant"), words("target")].join(" on ");
        match (words("target"), words("reason")) {
            ("", _) => words("hypothesis").to_owned(),
            (_, reason) => format!("{on}: {}; {reason}", words("hypothesis")),
        }
    }),
];

const LIKENESS: Column = Column::numbers("likeness", "alike", |row| number(row, "likeness", percent));

fn signed(share: f64) -> String {
    format!("{:+.1}%", 100.0 * share)
}

/// How the time of one variant on one target went.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Course {
    /// The workload.
    pub target: String,
    /// The variant.
    pub variant: String,
    /// Trials of it.
    pub trials: usize,
    /// Trials that were kept.
    pub kept: usize,
    /// The product of the kept ratios: the time now as a share of what it was at first.
    pub time: f64,
    /// Each trial's place in the history, the time that it would have led to, and whether it was kept.
    #[serde(skip)]
    pub points: Vec<(usize, f64, bool)>,
}

/// The courses of all variants and targets that were measured, the first tried first. A variant that was tried against
/// another goes on from where that one was.
pub fn courses(records: &[Record]) -> Vec<Course> {
    let mut courses: Vec<Course> = Vec::new();
    for (at, record) in records.iter().enumerate() {
        let (Some(gain), Some(variant)) = (record.gain(), &record.variant) else { continue };
        let target = record.target();
        let place = |name: &str, all: &[Course]| all.iter().position(|of| of.target == target && of.variant == name);
        let before = place(record.against.as_ref().unwrap_or(variant), &courses).map_or(1.0, |of| courses[of].time);
        let own = place(variant, &courses).unwrap_or_else(|| {
            let (target, variant) = (target.to_owned(), variant.clone());
            courses.push(Course { target, variant, trials: 0, kept: 0, time: before, points: Vec::new() });
            courses.len() - 1
        });
        let course = &mut courses[own];
        let time = before * (1.0 - gain);
        course.trials += 1;
        course.points.push((at + 1, time, record.is_kept()));
        if record.is_kept() {
            course.kept += 1;
            course.time = time;
        }
    }
    courses
}

/// All of `records`, which are in the order of time.
pub fn history(records: &[Record]) -> Document<'static> {
    document(records, &records.iter().map(|record| (record, None)).collect::<Vec<_>>())
}

/// The history of `records`, which are in the order of time: those of `shown`, each with its likeness to an idea.
pub fn document(records: &[Record], shown: &[(&Record, Option<f64>)]) -> Document<'static> {
    #[derive(Serialize)]
    struct History {
        trials: Vec<Listed>,
        courses: Vec<Course>,
    }
    let listed = |(record, likeness): &(&Record, Option<f64>)| listed(record, *likeness);
    let history = History { trials: shown.iter().map(listed).collect(), courses: courses(records) };
    let mut columns = COLUMNS.to_vec();
    if shown.iter().any(|(_, likeness)| likeness.is_some()) {
        columns.insert(0, LIKENESS);
    }
    // What nothing is known of would take the place of words.
    columns.retain(|column| {
        !["expected_gain", "gain"].contains(&column.name)
            || history.trials.iter().any(|trial| trial.gain.is_some() || trial.expected_gain.is_some())
    });
    let mut document = Document::new("pqbench trials", &history, rows(&history.trials), columns);
    document.after = summary(records);
    document.after.extend(history.courses.iter().map(|course| {
        let Course { target, variant, trials, kept, time, .. } = course;
        format!("{variant} on {target}: {kept} of {trials} kept, now {time:.3} of the time at first")
    }));
    document.pictures = pictures::trials(&history.courses).into_iter().collect();
    document
}

fn listed(record: &Record, likeness: Option<f64>) -> Listed {
    let ratios = record.ratios();
    let has_target = !record.target().is_empty();
    Listed {
        name: record.name(),
        started: record.started.clone(),
        commit: record.base.clone(),
        by_hand: record.by_hand,
        target: has_target.then(|| record.target().to_owned()),
        variant: record.variant.clone(),
        against: record.against.clone(),
        verdict: record.verdict,
        expected_gain: record.expected_gain,
        gain: record.gain(),
        gain_low: ratios.iter().map(|ratio| 1.0 - ratio.certain.1).reduce(f64::min),
        gain_high: ratios.iter().map(|ratio| 1.0 - ratio.certain.0).reduce(f64::max),
        prediction: record.prediction(),
        likeness,
        hypothesis: plain(&record.hypothesis),
        reason: plain(&record.reason),
    }
}

/// Counts, and how good the predictions were.
fn summary(records: &[Record]) -> Vec<String> {
    let of = |verdict| records.iter().filter(|record| !record.by_hand && record.verdict == Some(verdict)).count();
    let by_hand = records.iter().filter(|record| record.by_hand).count();
    let mut lines = vec![format!(
        "{} trials: {} kept, {} discarded, {} inconclusive; and {by_hand} rows by hand",
        records.len() - by_hand,
        of(Verdict::Keep),
        of(Verdict::Discard),
        of(Verdict::Inconclusive)
    )];
    let predicted: Vec<(Prediction, f64, f64)> = records
        .iter()
        .filter_map(|record| Some((record.prediction()?, record.expected_gain?, record.gain()?)))
        .collect();
    if !predicted.is_empty() {
        let count = predicted.len();
        let outcome = |wanted| predicted.iter().filter(|(outcome, ..)| *outcome == wanted).count();
        let mean =
            |of: fn(&(Prediction, f64, f64)) -> f64| signed(predicted.iter().map(of).sum::<f64>() / count as f64);
        lines.push(format!(
            "{count} predictions: {} met, {} gained less, {} more; {} were expected on average, {} came",
            outcome(Prediction::Met),
            outcome(Prediction::Less),
            outcome(Prediction::More),
            mean(|(_, expected, _)| *expected),
            mean(|(.., gain)| *gain)
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        report::{FORMATS, Style},
        trial::record::sample,
    };

    fn history_of_four() -> Vec<Record> {
        vec![
            Record { by_hand: true, hypothesis: "a row of old".to_owned(), ..Record::default() },
            sample("2026-11-28T10:00:00Z", "a", Verdict::Keep, 0.9),
            sample("2026-11-28T11:00:00Z", "a", Verdict::Discard, 1.2),
            sample("2026-11-28T12:00:00Z", "a", Verdict::Keep, 0.5),
        ]
    }

    fn written(format: &str) -> String {
        let mut out = Vec::new();
        let format = FORMATS.iter().find(|other| other.name == format).unwrap();
        (format.write)(&history(&history_of_four()), Style { color: false, width: Some(80) }, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn kept_ratios_multiply_and_others_do_not() {
        let mut records = history_of_four();
        let challenger = sample("2026-11-28T13:00:00Z", "b", Verdict::Keep, 0.5);
        records.push(Record { against: Some("a".to_owned()), ..challenger });
        let courses = courses(&records);
        let known: Vec<_> = courses.iter().map(|of| (of.variant.as_str(), of.trials, of.kept)).collect();
        assert_eq!(known, [("a", 3, 2), ("b", 1, 1)]);
        assert!((courses[0].time - 0.45).abs() < 1e-9 && (courses[1].time - 0.225).abs() < 1e-9, "{courses:?}");
        let (at, time, kept) = courses[0].points[1];
        assert!(at == 3 && (time - 1.08).abs() < 1e-9 && !kept);
    }

    #[test]
    fn the_table_fits_and_tells_expectation_and_outcome() {
        let table = written("table");
        assert!(table.lines().all(|line| console::measure_text_width(line) <= 80), "{table}");
        assert_eq!(table.matches("when").count(), 1, "it is in pieces: {table}");
        let words = table.split_whitespace().collect::<Vec<_>>().join(" ");
        for word in [
            "+5.0%",
            "+10.0%",
            "-20.0%",
            "3 trials: 2 kept, 1 discarded, 0 inconclusive; and 1 rows by hand",
            "3 predictions: 0 met, 1 gained less, 2 more",
            "2 of 3 kept, now 0.450 of the time",
        ] {
            assert!(words.contains(word), "{word}: {table}");
        }
    }

    #[test]
    fn the_page_has_the_picture_and_no_tags_of_others() {
        let html = written("html");
        assert!(html.contains("Trials over time") && html.contains("a on images, trial 4, kept: 0.450"), "{html}");
        assert!(!html.contains("<b>") && !html.contains("NaN"));
    }
}

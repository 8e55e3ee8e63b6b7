//! Every registered variant by name against the reference, with all of memory fenced by guard pages.
//!
//! A variant that this CPU can't run is shown as ignored, with what it needs. `PQBENCH_REQUIRE=name,...` makes that a
//! failure, and a name that nothing registers one too.

use std::{env, panic, process::ExitCode};

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use pqbench::{
    fuzz::{self, Case, Limits, Subject},
    verify,
};
use pqscan::{
    cpu,
    registry::{self, Variant},
};

mod fence;

#[global_allocator]
static FENCE: fence::Fence = fence::Fence;

type Check = fn(&'static Variant) -> Result<(), Failed>;

/// What every variant has to pass.
const CHECKS: [(&str, Check); 2] = [
    ("cases_before_a_guard_page", cases_before_a_guard_page),
    ("cases_behind_a_guard_page", cases_behind_a_guard_page),
];
/// Cases of the fuzzer.
const SEEDS: u64 = 10;

fn main() -> ExitCode {
    // A panic is reported with the case that it happened in; a backtrace each time would make shrinking endless.
    panic::set_hook(Box::new(|_| {}));
    let required = env::var("PQBENCH_REQUIRE").unwrap_or_default();
    let required: Vec<String> =
        required.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
    let mut trials = Vec::new();
    for name in &required {
        let name = name.clone();
        trials.push(Trial::test(format!("{name}::required"), move || match registry::find(&name) {
            Ok(variant) => unavailable(variant)?.map_or(Ok(()), |reason| Err(reason.into())),
            Err(error) => Err(error.into()),
        }));
    }
    for variant in registry::all() {
        for (what, check) in CHECKS {
            trials.push(Trial::ignorable_test(format!("{}::{what}", variant.name), move || {
                match unavailable(variant)? {
                    Some(reason) => Ok(Completion::ignored_with(format!("skipped: {reason}"))),
                    None => check(variant).map(|()| Completion::Completed),
                }
            }));
        }
    }
    for m in fuzz::MS {
        trials.push(Trial::test(format!("matrix::{m}_sub_quantizers"), move || matrix(m)));
    }
    for seed in 0..SEEDS {
        trials.push(Trial::test(format!("fuzzed::seed_{seed}"), move || fuzzed(seed)));
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn unavailable(variant: &Variant) -> Result<Option<String>, Failed> {
    Ok(variant.unavailable(cpu::features()?))
}

fn cases_before_a_guard_page(variant: &'static Variant) -> Result<(), Failed> {
    let report = verify::verify(variant, |_, _| {})?;
    let failures: Vec<String> = report.failures.iter().map(ToString::to_string).collect();
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n").into()) }
}

/// An access before a buffer does not depend on how much there is, so the short lists suffice.
fn cases_behind_a_guard_page(variant: &'static Variant) -> Result<(), Failed> {
    let is_short = |case: &&verify::Case| case.num_vectors() <= 100 && variant.unsupported(case.geometry()).is_none();
    let mut short = verify::cases().iter().filter(is_short);
    fence::flush_with_the_start(|| short.try_for_each(|case| verify::check(variant, &case.clone())))
        .map_err(Failed::from)
}

/// Holds every form of every variant that runs here against a case: all at once, since making a case takes longer than
/// most checks.
fn check_all(case: &Case, repeat: impl Fn(Subject) -> String) -> Result<(), Failed> {
    for subject in Subject::all() {
        if subject.unavailable()?.is_none()
            && let Err(what) = case.check(subject)
        {
            return Err(format!("{case}\n'{subject}' is wrong: {what}\n{}", repeat(subject)).into());
        }
    }
    Ok(())
}

/// Every number of dimensions, of bits, every metric and layout with `m` sub-quantizers.
fn matrix(m: usize) -> Result<(), Failed> {
    fuzz::matrix(m).try_for_each(|case| check_all(&case, |_| String::new()))
}

/// Shapes, values, lists and questions that nobody thought of, the same each time; the program `fuzz` has others.
fn fuzzed(seed: u64) -> Result<(), Failed> {
    const SHORT: Limits = Limits { max_codes: 3_000, ..Limits::NONE };
    check_all(&Case::new(seed, SHORT), |subject| match Case::shrink(seed, SHORT, subject) {
        Some((_, case, what)) => format!("smaller: {case}\n{what}"),
        None => "it does not depend on the case alone".to_owned(),
    })
}

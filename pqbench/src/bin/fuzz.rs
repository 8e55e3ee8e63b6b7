//! The differential fuzzer as a program: cases by ascending seeds until the time is over or a variant is wrong.

use std::{
    process::ExitCode,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, bail, ensure};
use clap::{Parser, builder::PossibleValuesParser};
use pqbench::{
    fuzz::{Case, Limits, Subject},
    hint::explained,
};
use pqscan::registry;

const WRONG_ANSWERS: u8 = 3;

/// Hold every variant against the plainest loop, here and emulated, in cases that nobody thought of
///
/// A case is a shape, a metric, lists, filters and questions, all drawn from one seed. The first difference is printed
/// with the case made small and the command that repeats it.
#[derive(Parser)]
#[command(
    version,
    max_term_width = 100,
    after_help = "Examples:
  fuzz
  fuzz --minutes 30
  fuzz --seed 4711 --cases 1 --variant avx2-pshufb

Exit codes: 0 all right, 1 error, 2 usage, 3 wrong answers."
)]
struct Args {
    /// How long
    #[arg(long, value_name = "MINUTES", default_value_t = 1.0)]
    minutes: f64,
    /// The first case's seed; each other case has the next [default: by the clock]
    #[arg(long)]
    seed: Option<u64>,
    /// Stop after so many cases
    #[arg(long, value_name = "COUNT")]
    cases: Option<u64>,
    /// Only this variant
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(registry::all().iter().map(|v| v.name)))]
    variant: Option<String>,
    /// The most codes of a list
    #[arg(long, value_name = "COUNT")]
    max_codes: Option<usize>,
    /// The most lists of a case
    #[arg(long, value_name = "COUNT")]
    max_lists: Option<usize>,
    /// The most rounds of questions of a case
    #[arg(long, value_name = "COUNT")]
    max_rounds: Option<usize>,
}

fn main() -> ExitCode {
    run(&Args::parse()).unwrap_or_else(|error| {
        eprintln!("error: {}", explained(&error));
        ExitCode::FAILURE
    })
}

fn run(args: &Args) -> anyhow::Result<ExitCode> {
    const TELL: Duration = Duration::from_secs(10);
    let time = Duration::try_from_secs_f64(args.minutes * 60.0).context("--minutes")?;
    ensure!(args.max_lists != Some(0) && args.max_rounds != Some(0), "a case has at least one list and one round");
    let limits = Limits {
        max_codes: args.max_codes.unwrap_or(usize::MAX),
        max_lists: args.max_lists.unwrap_or(usize::MAX),
        max_rounds: args.max_rounds.unwrap_or(usize::MAX),
        ..Limits::NONE
    };
    let mut subjects = Subject::all();
    subjects.retain(|subject| args.variant.as_ref().is_none_or(|name| subject.variant.name == name));
    let unavailable = subjects.iter().map(Subject::unavailable).collect::<Result<Vec<_>, _>>()?;
    let mut runs = unavailable.iter().map(Option::is_none);
    subjects.retain(|_| runs.next() == Some(true));
    if subjects.is_empty() {
        bail!("nothing of '{}' runs here", args.variant.as_deref().unwrap_or_default());
    }
    let by_clock = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs() << 20);
    let first = args.seed.unwrap_or_else(by_clock);
    println!("seeds from {first}, {} variants or forms of one", subjects.len());

    // A panic is told with the case that it happened in.
    std::panic::set_hook(Box::new(|_| {}));
    let (start, mut told) = (Instant::now(), Instant::now());
    let (mut cases, mut compared) = (0, 0);
    while start.elapsed() < time && args.cases.is_none_or(|most| cases < most) {
        let seed = first.wrapping_add(cases);
        let Ok(case) = std::panic::catch_unwind(|| Case::new(seed, limits)) else {
            // Outside of the guard, for its message.
            let _ = std::panic::take_hook();
            Case::new(seed, limits);
            unreachable!("the same case panics again");
        };
        for &subject in &subjects {
            match case.check(subject) {
                Ok(answers) => compared += answers,
                Err(what) => {
                    println!("seed {seed}: {case}\n'{subject}' is wrong: {what}");
                    tell_small(seed, limits, subject);
                    return Ok(ExitCode::from(WRONG_ANSWERS));
                }
            }
        }
        cases += 1;
        if told.elapsed() > TELL {
            told = Instant::now();
            println!("{cases} cases, {compared} answers compared, {} s, seed {seed}", start.elapsed().as_secs());
        }
    }
    println!("all right: {cases} cases, {compared} answers compared, {} s", start.elapsed().as_secs());
    Ok(ExitCode::SUCCESS)
}

/// The same failure in the smallest case that is found, and how to see it again.
fn tell_small(seed: u64, limits: Limits, subject: Subject) {
    let repeat = format!(
        "cargo run --release --features emulated --bin fuzz -- --seed {seed} --cases 1 --variant {}",
        subject.variant.name
    );
    match Case::shrink(seed, limits, subject) {
        Some((Limits { max_codes, max_lists, max_rounds, .. }, case, what)) => {
            println!("\nsmaller: {case}\n'{subject}' is wrong: {what}\n\nrepeat by: {repeat}");
            let all = [("codes", max_codes), ("lists", max_lists), ("rounds", max_rounds)];
            let flags = all.iter().filter(|(_, most)| *most != usize::MAX);
            let flags: Vec<String> = flags.map(|(what, most)| format!("--max-{what} {most}")).collect();
            println!("or, small, by: {repeat} {}", flags.join(" "));
        }
        None => println!("\nnot again: it does not depend on the case alone. Repeat by: {repeat}"),
    }
}

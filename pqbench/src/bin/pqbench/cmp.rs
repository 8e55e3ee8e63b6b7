//! `pqbench cmp`

use std::process::ExitCode;

use anyhow::bail;
use pqbench::{
    compare::{Compared, compare},
    report::{
        Column, Document, number, rows,
        units::{grouped, percent},
        word,
    },
    saved,
};

use crate::{measure::parse_share, output::OutputArgs};

/// Compare saved runs: what became faster or slower, with the interval
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pqbench --save before
  pqbench --save after
  pqbench cmp before after
  pqbench cmp before after --fail-on-regression 3%

Exit codes: 0 fine, 1 error or a regression, 2 usage.")]
pub struct Args {
    /// The run to compare with
    #[arg(value_name = "RUN")]
    first: String,
    /// The later runs
    #[arg(value_name = "RUN", required = true)]
    later: Vec<String>,
    /// Exit with 1 if a variant takes longer by more than this share, or is wrong now
    #[arg(long, value_name = "SHARE", value_parser = parse_share)]
    fail_on_regression: Option<f64>,
    #[command(flatten)]
    output: OutputArgs,
}

const COLUMNS: &[Column] = &[
    Column::words("run", "run", |row| word(row, "run").to_owned()),
    Column::words("fixture", "data", |row| word(row, "fixture").to_owned()),
    Column::words("name", "name", |row| word(row, "name").to_owned()),
    Column::words("verdict", "verdict", |row| match (word(row, "verdict"), word(row, "reason")) {
        (verdict, "") => verdict.replace('-', " "),
        (verdict, reason) => format!("{}: {reason}", verdict.replace('-', " ")),
    }),
    Column::numbers("ratio", "speed", |row| number(row, "ratio", |ratio| format!("{:+.1}%", 100.0 * (ratio - 1.0)))),
    Column::numbers("ratio_low", "at least", |row| {
        number(row, "ratio_low", |low| format!("{:+.1}%", 100.0 * (low - 1.0)))
    }),
    Column::numbers("ratio_high", "at most", |row| {
        number(row, "ratio_high", |high| format!("{:+.1}%", 100.0 * (high - 1.0)))
    }),
    Column::numbers("before_ns_per_query", "ns/query before", |row| number(row, "before_ns_per_query", grouped)),
    Column::numbers("ns_per_query", "ns/query", |row| number(row, "ns_per_query", grouped)),
];

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let output = args.output.open()?;
    let names: Vec<String> = [std::slice::from_ref(&args.first), &args.later].concat();
    let comparison = compare(&saved::load_all(&names)?)?;

    let mut document = Document::new("pqbench cmp", &comparison, rows(&comparison.variants), COLUMNS.to_vec());
    document.after = comparison.warnings.iter().map(|warning| format!("warning: {warning}")).collect();
    document.after.push(format!(
        "speed: as a multiple of {}'s in the same run, against {}, with its 95 % interval; a difference is called \
         where the one of 99 % lies beyond the runs' precision",
        comparison.baseline, args.first
    ));
    output.write(&document)?;

    let share = args.fail_on_regression.unwrap_or(f64::INFINITY);
    let regressions: Vec<&Compared> = comparison
        .variants
        .iter()
        .filter(|_| share.is_finite())
        .filter(|variant| variant.is_regression(share))
        .collect();
    if !regressions.is_empty() {
        let names: Vec<_> = regressions.iter().map(|variant| format!("{} in {}", variant.name, variant.run)).collect();
        bail!("regression beyond {}: {}", percent(share), names.join(", "));
    }
    Ok(ExitCode::SUCCESS)
}

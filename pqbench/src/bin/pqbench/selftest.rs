//! `pqbench selftest`

use std::process::ExitCode;

use pqbench::{
    measure::{
        Observer,
        selftest::{Options, Power, selftest},
    },
    report::{
        Column, Document, number, rows,
        units::{duration, grouped, parse_count, percent},
    },
};
use pqscan::registry;

use crate::{data::DataArgs, exit, live::Live, measure::parse_seconds, output::OutputArgs, selection::variant_names};

/// Test the bench on this machine: does it call differences that are none, does it find those that are
#[derive(clap::Args)]
#[command(after_help = "Compares one variant with itself many times, and with itself slowed down by 1 %, 2 % and 5 %.

Examples:
  pqbench selftest
  pqbench selftest --max-time 120 --format json")]
pub struct Args {
    /// The variant to compare with itself [default: the selected one]
    #[arg(long, value_name = "NAME", value_parser = variant_names(), hide_possible_values = true)]
    variant: Option<String>,
    /// Comparisons of equals
    #[arg(long, value_name = "N", default_value = "100", value_parser = parse_count)]
    comparisons: usize,
    /// Seconds for everything; where they are few, fewer comparisons are made
    #[arg(long, value_name = "SECONDS", default_value = "900", value_parser = parse_seconds)]
    max_time: f64,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    output: OutputArgs,
}

const COLUMNS: &[Column] = &[
    Column::words("slowdown", "slowed down by", |row| match number(row, "slowdown", percent).as_str() {
        "0.0%" => "nothing".to_owned(),
        share => share.to_owned(),
    }),
    Column::numbers("comparisons", "comparisons", |row| number(row, "comparisons", grouped)),
    Column::numbers("found", "called different", |row| number(row, "found", grouped)),
    Column::numbers("found_rate", "rate", |row| number(row, "found_rate", percent)),
];

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let output = args.output.open()?;
    let fixture = args.data.open_first(args.output.quiet)?;
    let variant = registry::select(args.variant.as_deref(), fixture.geometry, fixture.num_base())?;
    let options = Options { comparisons: args.comparisons, max_seconds: args.max_time, ..Options::default() };
    let mut live = Live::new(args.output.quiet, None)?;
    let result = selftest(&fixture, variant, &options, &mut live)?;
    let interrupted = live.interrupted();
    drop(live);

    let equals = Power {
        slowdown: 0.0,
        comparisons: result.comparisons,
        found: result.false_alarms,
        found_rate: Some(result.false_alarm_rate),
    };
    let all: Vec<Power> = std::iter::once(equals).chain(result.power.iter().cloned()).collect();
    let mut document = Document::new("pqbench selftest", &result, rows(&all), COLUMNS.to_vec());
    document.before = vec![format!(
        "{} against itself on {} codes, {} for a comparison, in {}; {}",
        result.variant,
        grouped(result.fixture.num_base as f64),
        duration(result.seconds_per_comparison),
        duration(result.total_seconds),
        result.machine.cpu
    )];
    document.after = result.warnings.iter().map(|warning| format!("warning: {warning}")).collect();
    document.after.push(format!(
        "false alarms: {}; the interval promises at most 5%. Its half-width is {}, median.",
        percent(result.false_alarm_rate),
        percent(result.half_width)
    ));
    output.write(&document)?;
    Ok(if interrupted { ExitCode::from(exit::INTERRUPTED) } else { ExitCode::SUCCESS })
}

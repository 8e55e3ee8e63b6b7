//! `pqbench selftest`

use std::{env, process::ExitCode, time::Instant};

use anyhow::ensure;
use pqbench::{
    fixture::sift_geometry,
    measure::{
        Observer, Phase, Progress,
        selftest::{Options, Power, selftest},
    },
    report::{
        Column, Document, number, rows,
        units::{duration, grouped, parse_count, percent},
    },
    trial::{calibrate, examine::Subject},
    worker::Program,
};
use pqscan::registry;

use crate::{
    WORKER,
    data::DataArgs,
    exit,
    live::Live,
    measure::parse_seconds,
    output::{Output, OutputArgs},
    selection::variant_names,
};

/// Test the bench on this machine: does it call differences that are none, does it find those that are
#[derive(clap::Args)]
#[command(after_help = "Compares one variant with itself many times, and with itself slowed down by 1 %, 2 % and 5 %.

Examples:
  pqbench selftest
  pqbench selftest --max-time 120 --format json
  pqbench selftest --loop                       # an hour; trials need it once a week
  pqbench selftest --loop --max-time 120        # fewer trials, which will do to begin with")]
pub struct Args {
    /// The variant to compare with itself [default: the selected one]
    #[arg(long, value_name = "NAME", value_parser = variant_names(), hide_possible_values = true)]
    variant: Option<String>,
    /// Seed of what is drawn, with --loop
    #[arg(long, value_name = "SEED", default_value = "1")]
    seed: u64,
    /// Comparisons of equals
    #[arg(long, value_name = "N", default_value = "100", value_parser = parse_count)]
    comparisons: usize,
    /// Seconds for everything; where they are few, fewer comparisons are made
    ///
    /// [default: 900; with --loop 3600]
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    max_time: Option<f64>,
    /// Calibrate the research loop instead: trials of equals and of known changes, quiet and under load
    #[arg(long = "loop")]
    of_loop: bool,
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

const LOOP_COLUMNS: &[Column] = &[
    Column::numbers("load", "load", |row| number(row, "load", grouped)),
    Column::words("change", "change", |row| match number(row, "change", percent).as_str() {
        "0.0%" => "none".to_owned(),
        share => share.to_owned(),
    }),
    Column::numbers("trials", "trials", |row| number(row, "trials", grouped)),
    Column::numbers("keep", "keep", |row| number(row, "keep", grouped)),
    Column::numbers("discard", "discard", |row| number(row, "discard", grouped)),
    Column::numbers("inconclusive", "inconclusive", |row| number(row, "inconclusive", grouped)),
    Column::numbers("keep_rate", "kept", |row| number(row, "keep_rate", percent)),
    Column::numbers("keep_rate_high", "at most", |row| number(row, "keep_rate_high", percent)),
    Column::numbers("seconds", "s/trial", |row| number(row, "seconds", |seconds| format!("{seconds:.1}"))),
];

/// Tries the research loop, and keeps what was found for trials on this machine.
fn calibrate_loop(args: &Args, output: Output) -> anyhow::Result<ExitCode> {
    let variant = registry::select(args.variant.as_deref(), sift_geometry(), 1_000)?.name.to_owned();
    let program = Program { path: env::current_exe()?, arguments: vec![WORKER.to_owned()] };
    let options = calibrate::Options { max_seconds: args.max_time.unwrap_or(3_600.0), seed: args.seed };
    let mut live = Live::new(args.output.quiet, None)?;
    let begin = Instant::now();
    let found = calibrate::calibrate(&Subject { program, variant: variant.clone() }, &options, &mut |done| {
        let seconds_left = (done > 0.0).then(|| begin.elapsed().as_secs_f64() * (1.0 / done - 1.0));
        live.progress(&Progress { phase: Phase::Rounds, variant: &variant, done, seconds_left });
        ensure!(!live.interrupted(), "interrupted; nothing was kept");
        Ok(())
    })?;
    drop(live);
    let place = calibrate::keep(&found)?;
    let mut document = Document::new("pqbench selftest --loop", &found, rows(&found.rows), LOOP_COLUMNS.to_vec());
    document.before = vec![format!(
        "{} against itself on '{}', in {}; {}",
        found.variant,
        found.target,
        duration(found.total_seconds),
        found.machine.cpu
    )];
    document.after = vec![
        format!("99 of 100 ratios of equals are within {} of 1", percent(found.band)),
        format!("kept for trials in {}", place.display()),
    ];
    output.write(&document)?;
    Ok(ExitCode::SUCCESS)
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let output = args.output.open()?;
    if args.of_loop {
        return calibrate_loop(args, output);
    }
    let fixture = args.data.open_first(args.output.quiet)?;
    let variant = registry::select(args.variant.as_deref(), fixture.geometry, fixture.num_base())?;
    let options =
        Options { comparisons: args.comparisons, max_seconds: args.max_time.unwrap_or(900.0), ..Options::default() };
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

//! `pqbench` without a command: measure.

use std::process::ExitCode;

use pqbench::{
    measure::{Options, measure_each},
    report::units::parse_count,
    run::Stopped,
    saved,
};

use crate::{data::DataArgs, exit, live::Live, output::OutputArgs, selection::Selection};

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    protocol: ProtocolArgs,
    #[command(flatten)]
    output: OutputArgs,
    /// Also save the run, with all samples, to runs/NAME.json or to a path; for cmp, rank and report
    #[arg(long, value_name = "NAME", help_heading = "Output")]
    save: Option<String>,
}

#[derive(clap::Args)]
struct ProtocolArgs {
    /// Go on until every ratio is known to within this share (1%, 0.01)
    #[arg(long, value_name = "SHARE", default_value = "1%", value_parser = parse_share, help_heading = "Protocol")]
    precision: f64,
    /// But not longer than this many seconds
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = parse_seconds, help_heading = "Protocol")]
    max_time: f64,
    /// Evict the codes from the caches before each query
    #[arg(long, help_heading = "Protocol")]
    cold: bool,
    /// Neighbours asked for, 1 to 1000
    #[arg(long, value_name = "K", default_value = "10", value_parser = clap::value_parser!(u16).range(1..=1000), help_heading = "Protocol")]
    k: u16,
    /// Queries in a call
    #[arg(long, value_name = "B", default_value = "1", value_parser = parse_count, help_heading = "Protocol")]
    batch: usize,
    /// Measure the first so many codes, for each size: 1k,4k,16k,64k,256k,1m
    #[arg(long, value_name = "N,...", value_delimiter = ',', value_parser = parse_count, help_heading = "Protocol")]
    sizes: Vec<usize>,
}

impl ProtocolArgs {
    fn options(&self) -> Options {
        Options {
            precision: self.precision,
            max_seconds: self.max_time,
            cold: self.cold,
            k: usize::from(self.k),
            batch: self.batch,
            sizes: self.sizes.clone(),
            ..Options::default()
        }
    }
}

/// A share above 0, as `1%` or `0.01`.
pub fn parse_share(text: &str) -> Result<f64, String> {
    let (number, unit) = text.strip_suffix('%').map_or((text, 1.0), |number| (number, 100.0));
    match number.trim().parse::<f64>() {
        Ok(value) if value > 0.0 && value.is_finite() => Ok(value / unit),
        _ => Err("a share is a number above 0, as 1% or 0.01".to_owned()),
    }
}

pub fn parse_seconds(text: &str) -> Result<f64, String> {
    match text.strip_suffix('s').unwrap_or(text).parse::<f64>() {
        Ok(value) if value > 0.0 && value.is_finite() => Ok(value),
        _ => Err("a time is a number of seconds above 0".to_owned()),
    }
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let output = args.output.open()?;
    let save_to = args.save.as_deref().map(saved::reserve).transpose()?;
    let variants = args.selection.variants(&args.data.geometries()?)?;
    let fixtures = args.data.open(args.output.quiet)?;
    let mut live = Live::new(args.output.quiet, save_to)?;
    let run = measure_each(&fixtures, &variants, &args.protocol.options(), &mut live)?;
    let saved = live.finish(&run);
    output.write(&run.document())?;
    saved?;
    Ok(if run.has_wrong_answers() {
        ExitCode::from(exit::WRONG_ANSWERS)
    } else if run.parts().any(|part| part.protocol.stopped == Stopped::Interrupted) {
        ExitCode::from(exit::INTERRUPTED)
    } else {
        ExitCode::SUCCESS
    })
}

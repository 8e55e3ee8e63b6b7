//! `pqbench` without a command: measure.

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
};

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use pqbench::bench::{
    measure::{Observer, Options, Phase, Progress, measure},
    report::units::{parse_count, significant},
    run::{Run, Stopped},
    saved,
};

use crate::{data::DataArgs, exit, output::OutputArgs, selection::Selection};

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
    /// Show no progress
    #[arg(long, short)]
    quiet: bool,
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

fn parse_seconds(text: &str) -> Result<f64, String> {
    match text.strip_suffix('s').unwrap_or(text).parse::<f64>() {
        Ok(value) if value > 0.0 && value.is_finite() => Ok(value),
        _ => Err("a time is a number of seconds above 0".to_owned()),
    }
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let output = args.output.open()?;
    let save_to = args.save.as_deref().map(saved::reserve).transpose()?;
    let variants = args.selection.variants()?;
    let fixture = args.data.open(args.quiet)?;
    let mut live = Live::new(args.quiet, save_to)?;
    let run = measure(&fixture, &variants, &args.protocol.options(), &mut live)?;
    let saved = live.finish(&run);
    output.write(&run.document())?;
    saved?;
    Ok(if run.has_wrong_answers() {
        ExitCode::from(exit::WRONG_ANSWERS)
    } else if run.protocol.stopped == Stopped::Interrupted {
        ExitCode::from(exit::INTERRUPTED)
    } else {
        ExitCode::SUCCESS
    })
}

/// Whether Ctrl-C was pressed.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Shows how far the measurement is and who leads, saves it after each round, and passes Ctrl-C on.
struct Live {
    bar: ProgressBar,
    standing: String,
    save_to: Option<PathBuf>,
}

impl Live {
    fn new(quiet: bool, save_to: Option<PathBuf>) -> anyhow::Result<Live> {
        ctrlc::set_handler(|| {
            if INTERRUPTED.swap(true, Ordering::Relaxed) {
                std::process::exit(exit::INTERRUPTED.into());
            }
            let _ = writeln!(io::stderr(), "\ninterrupted: finishing what is under way; once more ends at once");
        })
        .context("cannot listen for Ctrl-C")?;
        let bar = if quiet { ProgressBar::hidden() } else { ProgressBar::new(1_000) };
        bar.set_style(ProgressStyle::with_template("{bar:20} {wide_msg}")?);
        Ok(Live { bar, standing: String::new(), save_to })
    }

    /// Saves the whole run.
    fn finish(&self, run: &Run) -> anyhow::Result<()> {
        self.bar.finish_and_clear();
        self.save_to.as_ref().map_or(Ok(()), |path| saved::save(run, path))
    }
}

impl Observer for Live {
    fn progress(&mut self, progress: &Progress<'_>) {
        self.bar.set_position((1e3 * progress.done) as u64);
        let message = match progress.phase {
            Phase::Reference => "the reference answers the queries".to_owned(),
            Phase::Prepare => format!("{} prepares the codes", progress.variant),
            Phase::Verify => format!("checking {}", progress.variant),
            Phase::WarmUp => "warming up".to_owned(),
            Phase::Rounds => {
                let left = progress.seconds_left.map(|s| format!("{s:.0} s left: ")).unwrap_or_default();
                format!("{left}{}", self.standing)
            }
        };
        self.bar.set_message(message);
    }

    fn round_done(&mut self, run: &Run) {
        let place = |variant: &pqbench::bench::run::VariantResult| {
            Some(format!("{}. {} {}x", variant.rank?, variant.name, significant(variant.speedup?)))
        };
        // What can't be saved now may be in a moment; the last try counts.
        let _ = self.save_to.as_ref().map(|path| saved::save(run, path));
        self.standing = run.variants.iter().filter_map(place).collect::<Vec<_>>().join(", ");
    }

    fn interrupted(&self) -> bool {
        INTERRUPTED.load(Ordering::Relaxed)
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

//! One trial of the research loop: measures the selected variant against the seeded baseline and prints one verdict
//! that a script can read. `program.md` says how it is used.

use std::{
    fs,
    io::{self, Write},
    process::ExitCode,
    time::Instant,
};

use anyhow::{Context, bail, ensure};
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use pqbench::{
    fixture::{Fixture, Limits, sift_geometry},
    hint::explained,
    measure::{BASELINE, Observer, Options, Phase, Progress, measure},
    report::units::parse_count,
    run::{Run, Status},
    verify::RECALL_TOLERANCE,
};
use pqscan::{
    Metric,
    kernels::TOP_K,
    registry::{self, Variant},
};

/// Recall@10 below which no trial counts, whatever its speed.
const RECALL_FLOOR: f64 = 0.50;
const BUDGET_SECONDS: f64 = 600.0;

const RECALL_TOO_LOW: u8 = 2;
const OVER_BUDGET: u8 = 3;
/// As sysexits.h has it; clap's own is 2, which scripts take for too little recall.
const USAGE: u8 = 64;

/// Measure the selected variant as one trial of the research loop
///
/// The variant is the one that PQBENCH_VARIANT names, else the best for this CPU. Runs on SIFT1M once
/// scripts/prepare_fixtures.sh has put it there, else on synthetic data; other data must have the same shape.
#[derive(Parser)]
#[command(
    version,
    max_term_width = 100,
    after_help = "Examples:
  run_experiment
  PQBENCH_VARIANT=avx2-pshufb run_experiment > run.log
  run_experiment --fixture embedded

Where the true neighbours are not known (worst-case, a small --num-base), recall_at_10 is - and is not judged;
answers are compared with the reference's on all data.

Exit codes: 0 fine, 1 error or a wrong answer, 2 recall@10 below 0.50 or more than 0.005 under the baseline's,
3 over the budget of 600 s, 64 usage."
)]
struct Args {
    /// The data set, as for pqbench [default: sift1m if it is there, else synthetic]
    #[arg(long, value_name = "NAME|DIR")]
    fixture: Option<String>,
    /// Only the first N codes
    #[arg(long, value_name = "N", value_parser = parse_count)]
    num_base: Option<usize>,
    /// Only the first N queries
    #[arg(long, value_name = "N", value_parser = parse_count)]
    queries: Option<usize>,
}

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    run(&args).unwrap_or_else(|error| {
        let _ = writeln!(io::stderr(), "error: {}", explained(&error));
        ExitCode::FAILURE
    })
}

fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let begin = Instant::now();
    // The name alone can be refused before data is made. For how many codes the best one is chosen is seen below.
    registry::select(None, sift_geometry(), usize::MAX)?;
    let fixture = open(args)?;
    let shape = (fixture.geometry, fixture.metric);
    // Figures of different shapes can't be in one log.
    ensure!(
        shape == (sift_geometry(), Metric::L2),
        "'{}' has {} by {}, and trials are of {} by {}; choose other data",
        fixture.name,
        shape.0,
        shape.1,
        sift_geometry(),
        Metric::L2
    );
    let variant = registry::select(None, fixture.geometry, fixture.num_base())?;
    if fixture.truth.is_none() {
        warn("the true neighbours of this data are not known: recall_at_10 is - and is not judged, answers still are");
    }
    let options = Options { counters: false, ..Options::default() };
    let run = match measure(&fixture, &[variant], &options, &mut Watch::new(begin)?) {
        Err(_) if is_over_budget(begin) => return Ok(over_budget(seconds_since(begin))),
        run => run?,
    };
    let result = |name: &str| run.variants.iter().find(|result| result.name == name).context("the run lost a variant");
    let (baseline, trial) = (result(BASELINE)?, result(variant.name)?);
    run.warnings.iter().for_each(|warning| warn(warning));
    let ns = match trial.ns_per_query {
        Some(ns) => ns,
        None => one_pass_ns(variant, &fixture)?,
    };
    print_verdict(&run, variant, trial.recall_at_10, ns, begin)?;
    let fault = (trial.status == Status::Wrong).then(|| trial.reason.as_deref().unwrap_or("no reason given"));
    judge(variant, fault, trial.recall_at_10.zip(baseline.recall_at_10), seconds_since(begin))
}

fn warn(what: &str) {
    let _ = writeln!(io::stderr(), "warning: {what}");
}

fn seconds_since(begin: Instant) -> f64 {
    begin.elapsed().as_secs_f64()
}

fn is_over_budget(begin: Instant) -> bool {
    seconds_since(begin) > BUDGET_SECONDS
}

fn over_budget(seconds: f64) -> ExitCode {
    let _ = writeln!(io::stderr(), "{seconds:.0} s are over the budget of {BUDGET_SECONDS:.0} s");
    ExitCode::from(OVER_BUDGET)
}

fn open(args: &Args) -> anyhow::Result<Fixture> {
    let limits = Limits { num_base: args.num_base, num_queries: args.queries };
    let progress = ProgressBar::no_length();
    let fixture = match &args.fixture {
        Some(spec) => Fixture::open(spec, limits, &progress)?,
        None => {
            let (fixture, notice) = Fixture::load_or_synthesize(limits, &progress)?;
            if let Some(notice) = notice {
                let _ = writeln!(io::stderr(), "note: {notice}");
            }
            fixture
        }
    };
    progress.finish_and_clear();
    Ok(fixture)
}

/// A variant whose answers are wrong has no place in the rounds; what a query takes is told all the same.
fn one_pass_ns(variant: &'static Variant, fixture: &Fixture) -> anyhow::Result<f64> {
    let list = variant.prepare(&fixture.codebook()?, fixture.codes(), 1)?;
    let mut logarithms = 0.0;
    for query in fixture.queries() {
        let begin = Instant::now();
        std::hint::black_box(list.search(query, TOP_K)?);
        logarithms += (begin.elapsed().as_nanos() as f64).max(1.0).ln();
    }
    Ok((logarithms / fixture.num_queries() as f64).exp())
}

fn print_verdict(run: &Run, variant: &Variant, recall: Option<f64>, ns: f64, begin: Instant) -> anyhow::Result<()> {
    let seconds = seconds_since(begin);
    let recall = recall.map_or("-".to_owned(), |recall| format!("{recall:.4}"));
    let peak = peak_memory_mb().map_or("unknown".to_owned(), |mb| format!("{mb:.1}"));
    let text = format!(
        "---\nsource: {}\nnum_base: {}\nnum_queries: {}\nrecall_at_10: {recall}\ngeomean_ns_per_query: {ns:.0}\n\
         peak_mem_mb: {peak}\ntotal_seconds: {seconds:.1}\nvariant: {}\n",
        run.fixture.source, run.fixture.num_base, run.fixture.num_queries, variant.name
    );
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).context("cannot write to standard output")
}

/// `fault` is what was wrong with an answer, `recalls` the variant's and the baseline's, where the truth is known.
fn judge(
    variant: &Variant,
    fault: Option<&str>,
    recalls: Option<(f64, f64)>,
    seconds: f64,
) -> anyhow::Result<ExitCode> {
    if let Some((recall, baseline)) = recalls
        && (recall < RECALL_FLOOR || recall < baseline - RECALL_TOLERANCE)
    {
        let _ = writeln!(
            io::stderr(),
            "recall@10 is {recall:.4}: it must reach {RECALL_FLOOR:.2} and the baseline's {baseline:.4} less \
             {RECALL_TOLERANCE}"
        );
        return Ok(ExitCode::from(RECALL_TOO_LOW));
    }
    if let Some(fault) = fault {
        bail!("'{}' is {} and gave a wrong answer: {fault}", variant.name, variant.fidelity);
    }
    Ok(if seconds > BUDGET_SECONDS { over_budget(seconds) } else { ExitCode::SUCCESS })
}

/// The most memory that this process had, where the system tells.
fn peak_memory_mb() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches("kB").trim().parse::<f64>().ok()? * 1024.0 / 1e6)
}

/// Shows how far the trial is, and ends it with the budget.
struct Watch {
    begin: Instant,
    bar: ProgressBar,
}

impl Watch {
    fn new(begin: Instant) -> anyhow::Result<Watch> {
        let bar = ProgressBar::new(1_000);
        bar.set_style(ProgressStyle::with_template("{bar:20} {wide_msg}")?);
        Ok(Watch { begin, bar })
    }
}

impl Observer for Watch {
    fn progress(&mut self, progress: &Progress<'_>) {
        self.bar.set_position((1e3 * progress.done) as u64);
        self.bar.set_message(match progress.phase {
            Phase::Reference => "reference answers".to_owned(),
            Phase::Prepare | Phase::Verify => progress.variant.to_owned(),
            Phase::WarmUp => "warming up".to_owned(),
            Phase::Rounds => format!("{:.0} s left", progress.seconds_left.unwrap_or(0.0)),
        });
    }

    fn interrupted(&self) -> bool {
        is_over_budget(self.begin)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verdict_has_its_exit_code() {
        let variant = registry::find("scalar").unwrap();
        let code = |recall, seconds| judge(variant, None, Some((recall, 0.6)), seconds).unwrap();
        assert_eq!(code(0.6, 10.0), ExitCode::SUCCESS);
        assert_eq!(code(0.5951, 600.0), ExitCode::SUCCESS);
        assert_eq!(code(0.5949, 10.0), ExitCode::from(2));
        assert_eq!(judge(variant, None, Some((0.4999, 0.4999)), 10.0).unwrap(), ExitCode::from(2));
        assert_eq!(code(0.6, 600.1), ExitCode::from(3));
        // Without the truth there is no recall to judge, but there are answers and a budget.
        assert_eq!(judge(variant, None, None, 10.0).unwrap(), ExitCode::SUCCESS);
        assert_eq!(judge(variant, None, None, 600.1).unwrap(), ExitCode::from(3));
        for recalls in [None, Some((0.6, 0.6))] {
            assert!(judge(variant, Some("id 7"), recalls, 10.0).unwrap_err().to_string().contains("id 7"));
        }
    }

    #[test]
    fn the_budget_ends_a_measurement() {
        let overdue = Instant::now().checked_sub(std::time::Duration::from_secs(601)).expect("a clock of ten minutes");
        let watch = |begin| Watch::new(begin).unwrap().interrupted();
        assert!(watch(overdue) && !watch(Instant::now()));
    }
}

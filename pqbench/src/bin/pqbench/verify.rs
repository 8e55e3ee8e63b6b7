//! `pqbench verify`

use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressStyle};
use pqbench::{
    report::{Column, Document, number, rows, units::grouped, word},
    run::Status,
    verify::{Report, verify},
};
use pqscan::{cpu, registry::Variant};
use serde::Serialize;

use crate::{exit, output::OutputArgs, selection::Selection};

/// Check variants against the reference on every edge case, without timing
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pqbench verify
  pqbench verify --variant avx2-pshufb
  PQBENCH_CPU=avx2 pqbench verify

Exit codes: 0 all right, 1 error, 2 usage, 3 wrong answers, 4 a named variant can't run here.")]
pub struct Args {
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Serialize)]
struct Verified {
    variants: Vec<Outcome>,
}

#[derive(Serialize)]
struct Outcome {
    name: &'static str,
    status: Status,
    /// Why it is skipped, or the first thing that it got wrong.
    reason: Option<String>,
    fidelity: String,
    passed: usize,
    failed: usize,
    /// Everything that it got wrong.
    failures: Vec<String>,
}

const COLUMNS: &[Column] = &[
    Column::words("name", "name", |row| word(row, "name").to_owned()),
    Column::words("status", "status", |row| word(row, "status").to_owned()),
    Column::words("fidelity", "fidelity", |row| word(row, "fidelity").to_owned()),
    Column::numbers("passed", "passed", |row| number(row, "passed", grouped)),
    Column::numbers("failed", "failed", |row| number(row, "failed", grouped)),
    Column::words("reason", "reason", |row| word(row, "reason").to_owned()),
];

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let output = args.output.open()?;
    let variants = args.selection.variants(&[])?;
    let progress = if args.output.quiet { ProgressBar::hidden() } else { ProgressBar::new(0) };
    progress.set_style(ProgressStyle::with_template("{msg:20} case {pos} of {len}, {elapsed}")?);
    let variants = variants.into_iter().map(|variant| outcome(variant, &progress)).collect::<Result<_, _>>()?;
    progress.finish_and_clear();

    let verified = Verified { variants };
    output.write(&Document::new("pqbench verify", &verified, rows(&verified.variants), COLUMNS.to_vec()))?;
    let wrong = verified.variants.iter().any(|outcome| outcome.failed > 0);
    Ok(if wrong { ExitCode::from(exit::WRONG_ANSWERS) } else { ExitCode::SUCCESS })
}

fn outcome(variant: &'static Variant, progress: &ProgressBar) -> Result<Outcome, pqscan::Error> {
    let skipped = variant.unavailable(cpu::features()?);
    let report = match skipped {
        Some(_) => Report { variant: variant.name, passed: 0, failures: Vec::new() },
        None => {
            progress.set_message(variant.name);
            verify(variant, |done, of| {
                progress.set_length(of as u64);
                progress.set_position(done as u64);
            })?
        }
    };
    let failures: Vec<String> =
        report.failures.iter().map(|failure| format!("{}: {}", failure.case, failure.what)).collect();
    let status = match (&skipped, failures.is_empty()) {
        (Some(_), _) => Status::Skipped,
        (None, true) => Status::Ok,
        (None, false) => Status::Wrong,
    };
    Ok(Outcome {
        name: variant.name,
        status,
        reason: skipped.or_else(|| failures.first().cloned()),
        fidelity: variant.fidelity.to_string(),
        passed: report.passed,
        failed: failures.len(),
        failures,
    })
}

//! `pqbench trials`

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, ensure};
use pqbench::{
    report::trials::document,
    trial::record::{self, Record, load_all, similar},
};

use crate::output::{OutputArgs, write_stdout};

/// Show the history of trials, the newest last: what was tried, expected and found, and why it was kept or not
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pqbench trials
  pqbench trials --grep prefetch
  pqbench trials --idea \"prefetch the rows of candidates\"     # was it tried before?
  pqbench trials --patch 2026-11-28T10-15-02Z-avx2-ordered | git apply
  pqbench trials --json

A gain is the share of the time that is saved; expected is what was said before the trial.")]
pub struct Args {
    /// Only trials with this word or part of one, in whatever case
    #[arg(long, value_name = "WORD")]
    grep: Option<String>,
    /// Only the trials that are most like this idea, the likest last
    #[arg(long, value_name = "TEXT")]
    idea: Option<String>,
    /// Print the edit of one trial, for git apply: the name of its file, with or without .json
    #[arg(long, value_name = "NAME", conflicts_with_all = ["grep", "idea", "json"])]
    patch: Option<String>,
    /// The same as --format json
    #[arg(long, help_heading = "Output")]
    json: bool,
    /// The folder of the records
    #[arg(long, value_name = "DIR", default_value = record::FOLDER)]
    trials: PathBuf,
    #[command(flatten)]
    output: OutputArgs,
}

/// Trials that are shown for an idea, at most.
const LIKEST: usize = 12;

pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let records = load_all(&args.trials)?;
    if let Some(name) = &args.patch {
        write_stdout(patch(&records, name)?.as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    let output = if args.json { args.output.in_json() } else { args.output }.open()?;
    let mut shown: Vec<(&Record, Option<f64>)> = match &args.idea {
        Some(idea) => {
            let likest = similar(&records, idea).into_iter().take(LIKEST);
            likest.rev().map(|(record, likeness)| (record, Some(likeness))).collect()
        }
        None => records.iter().map(|record| (record, None)).collect(),
    };
    if let Some(word) = &args.grep {
        let word = word.to_lowercase();
        shown.retain(|(record, _)| record.description().to_lowercase().contains(&word));
    }
    output.write(&document(&records, &shown))?;
    Ok(ExitCode::SUCCESS)
}

fn patch<'a>(records: &'a [Record], name: &str) -> anyhow::Result<&'a str> {
    let name = name.strip_suffix(".json").unwrap_or(name);
    let of_loop = || records.iter().filter(|record| !record.by_hand);
    let record = of_loop()
        .find(|record| record.name() == name)
        .with_context(|| format!("there is no trial '{name}'; `pqbench trials --json` tells their names"))?;
    let patch = record.patch.as_deref().unwrap_or_default();
    ensure!(!patch.is_empty(), "the trial '{name}' has no patch: it changed nothing");
    Ok(patch)
}

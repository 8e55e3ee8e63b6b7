//! `pqbench answers`

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, ensure};
use indicatif::ProgressBar;
use pqbench::{
    fixture::{Fixture, Limits, NeighborIds},
    measure::answers,
};

use crate::live::Live;

/// Keep the reference's answers in a data folder, so that measuring on it begins at once
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pqbench answers my-data
  pqbench answers my-data --check")]
pub struct Args {
    /// The data folder
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Only compare those that are there with the reference's
    #[arg(long)]
    check: bool,
    /// Show no progress
    #[arg(long, short)]
    quiet: bool,
}

/// As many as the true neighbours that `pqbench prepare` finds.
const NEIGHBORS: usize = 100;

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let folder = args.folder.to_str().context("the folder's name is no UTF-8")?;
    ensure!(args.folder.is_dir(), "there is no data folder '{folder}'");
    let mut fixture = Fixture::open(folder, Limits::default(), &ProgressBar::hidden())?;
    let kept = fixture.answers.take();
    let k =
        if args.check { kept.as_ref().context("it keeps no answers")?.k } else { NEIGHBORS.min(fixture.num_base()) };
    let mut live = Live::new(args.quiet, None)?;
    let right = answers(&fixture, k, &mut live)?;
    drop(live);
    let ids = right.iter().flatten().map(|&(id, _)| id as u32).collect();
    let right = NeighborIds { ids, k };
    match kept {
        Some(kept) if args.check => {
            let differs = |(kept, right): (&[u32], &[u32])| kept != right;
            let query = kept.ids.chunks(k).zip(right.ids.chunks(k)).position(differs);
            ensure!(
                query.is_none(),
                "{folder}: the answer to query {} is not the reference's",
                query.unwrap_or_default()
            );
        }
        _ => Fixture::write_answers(&args.folder, &right)?,
    }
    Ok(ExitCode::SUCCESS)
}

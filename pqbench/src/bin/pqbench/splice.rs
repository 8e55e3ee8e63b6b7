//! `pqbench splice`

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, bail};
use pqbench::{
    file::Place,
    splice::{Spliced, splice},
};

/// Write the tables of Markdown files anew, from the saved results that they name
#[derive(clap::Args)]
#[command(after_help = "A section stands between two lines, and names a file by its path from the Markdown file:
  <!-- splice: runs/sift.json columns=rank,name,speedup measured -->
  <!-- end -->
A .json is a saved run; columns= and variants= choose some, measured leaves out what was skipped, text shows what a
terminal shows. All of a .md or .txt is taken.

Examples:
  pqbench splice README.md docs/RESULTS.md
  pqbench splice --check README.md docs/*.md

Exit codes: 0 fine, 1 error or a stale section, 2 usage.")]
pub struct Args {
    /// The Markdown files
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Change nothing; exit with 1 and name the sections that are not what they should be
    #[arg(long)]
    check: bool,
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut all_stale = Vec::new();
    for path in &args.files {
        let Spliced { text, stale } = splice(path)?;
        if !args.check && !stale.is_empty() {
            Place::open(path)?.write(text.as_bytes()).with_context(|| format!("cannot splice {}", path.display()))?;
        }
        all_stale.extend(stale.into_iter().map(|section| format!("{}: {section}", path.display())));
    }
    if args.check && !all_stale.is_empty() {
        bail!("not what the saved results say; run `pqbench splice` on them:\n  {}", all_stale.join("\n  "));
    }
    Ok(ExitCode::SUCCESS)
}

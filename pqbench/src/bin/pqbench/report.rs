//! `pqbench report`

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use pqbench::{
    file::Place,
    report::{Document, FORMATS, Style, document_of, pictures, trials},
    run::Run,
    saved,
    trial::record::{self, Record},
};

use crate::output::write_stdout;

/// Make a report of saved runs: a page with pictures, a picture, or a table
#[derive(clap::Args)]
#[command(
    after_help = "The file's name decides: .html is a page that needs nothing else, .svg the picture of the ranking, and
.json, .csv, .md and .txt are the formats of the other commands. Without --output the page goes to
standard output.

Examples:
  pqbench report before -o report.html
  pqbench report before after -o report.html
  pqbench report before -o ranking.svg"
)]
pub struct Args {
    /// Saved runs: names of --save, or files
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<String>,
    /// The file to write
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// JSON to standard output
    #[arg(long, conflicts_with = "output")]
    json: bool,
    /// The history that a page ends with [default: trials, if it is there]
    #[arg(long, value_name = "DIR")]
    trials: Option<PathBuf>,
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let write = match &args.output {
        Some(path) => writer(path)?,
        None => in_format(if args.json { "json" } else { "html" }).context("there is no such format")?,
    };
    let place = args.output.as_deref().map(Place::open).transpose()?;
    let runs = saved::load_all(&args.runs)?;
    let default = || Some(PathBuf::from(record::FOLDER)).filter(|folder| folder.is_dir());
    let trials = args.trials.clone().or_else(default).map(|folder| record::load_all(&folder)).transpose()?;
    let bytes = write(&runs, trials.as_deref())?;
    match place {
        Some(place) => place.write(&bytes)?,
        None => write_stdout(&bytes)?,
    }
    Ok(ExitCode::SUCCESS)
}

type WriteRuns = Box<dyn Fn(&[(String, Run)], Option<&[Record]>) -> anyhow::Result<Vec<u8>>>;

fn writer(path: &Path) -> anyhow::Result<WriteRuns> {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    if extension == "svg" {
        return Ok(Box::new(|runs, _| picture(runs)));
    }
    in_format(extension).with_context(|| {
        let known: Vec<_> = FORMATS.iter().map(|format| format!(".{}", format.extension)).collect();
        format!("{}: the file's name must end in .svg, {}", path.display(), known.join(", "))
    })
}

fn in_format(extension: &str) -> Option<WriteRuns> {
    let format = FORMATS.iter().find(|format| format.extension == extension)?;
    Some(Box::new(|runs, trials| {
        let mut document: Document = document_of(runs);
        document.sections.extend(trials.map(trials::history));
        let mut bytes = Vec::new();
        (format.write)(&document, Style::default(), &mut bytes)?;
        Ok(bytes)
    }))
}

fn picture(runs: &[(String, Run)]) -> anyhow::Result<Vec<u8>> {
    let [(name, run)] = runs else { bail!("a picture is of one run; make an .html of several") };
    if !run.others.is_empty() {
        bail!("a picture is of one data set, and {name} is on {}; make an .html of it", 1 + run.others.len());
    }
    let ranking = pictures::of(run).into_iter().next().with_context(|| format!("nothing was measured in {name}"))?;
    Ok(pictures::standalone(&ranking.wide).into_bytes())
}

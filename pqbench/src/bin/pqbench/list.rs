//! `pqbench list`

use std::process::ExitCode;

use pqbench::report::{Column, Document, number, rows, units::grouped, word};
use pqscan::{
    cpu,
    registry::{self, Variant},
};
use serde::Serialize;
use serde_json::Value;

use crate::output::OutputArgs;

/// List all variants: what each needs, whether it runs here, which is selected
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pqbench list
  pqbench list --format json
  PQBENCH_CPU=avx2 pqbench list      # as a CPU without AVX-512 would see it")]
pub struct Args {
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Serialize)]
struct List {
    variants: Vec<Listed>,
}

#[derive(Serialize)]
struct Listed {
    name: &'static str,
    summary: &'static str,
    requires: Vec<&'static str>,
    fidelity: String,
    rank: u32,
    runs_here: bool,
    reason: Option<String>,
    selected: bool,
}

/// A length at which an inverted file has many lists.
const SHORT: usize = 4096;

const COLUMNS: &[Column] = &[
    Column::words("selected", "", |row| if row["selected"] == Value::Bool(true) { "*".into() } else { String::new() }),
    Column::words("name", "name", |row| word(row, "name").to_owned()),
    Column::words("runs_here", "runs here", |row| match word(row, "reason") {
        "" => "yes".to_owned(),
        reason => format!("no: {reason}"),
    }),
    Column::words("fidelity", "fidelity", |row| word(row, "fidelity").to_owned()),
    Column::numbers("rank", "rank", |row| number(row, "rank", grouped)),
    Column::words("requires", "requires", |row| match &row["requires"] {
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
        _ => String::new(),
    }),
    Column::words("summary", "idea", |row| word(row, "summary").to_owned()),
];

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let output = args.output.open()?;
    let features = cpu::features()?;
    let selected = registry::select(None, usize::MAX);
    let describe = |variant: &'static Variant| {
        let reason = variant.unavailable(features);
        Listed {
            name: variant.name,
            summary: variant.summary,
            requires: variant.requires.iter().map(|feature| feature.name()).collect(),
            fidelity: variant.fidelity.to_string(),
            rank: variant.rank,
            runs_here: reason.is_none(),
            reason,
            selected: selected.as_ref().is_ok_and(|selected| std::ptr::eq(*selected, variant)),
        }
    };
    let list = List { variants: registry::all().into_iter().map(describe).collect() };
    let mut document = Document::new("pqbench list", &list, rows(&list.variants), COLUMNS.to_vec());
    document.after = vec![
        "* selected: what an embedding program gets for long lists; the highest rank that runs here, or PQBENCH_VARIANT"
            .into(),
    ];
    if let Ok(short) = registry::select(None, SHORT) {
        document.after.push(format!("for a list of {} codes: {}", grouped(SHORT as f64), short.name));
    }
    output.write(&document)?;
    // An unusable PQBENCH_VARIANT is an error, but one that the list helps with.
    selected?;
    Ok(ExitCode::SUCCESS)
}

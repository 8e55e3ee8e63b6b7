//! `pqbench rank`

use std::process::ExitCode;

use pqbench::{
    compare::rank,
    report::{
        Column, Document, number, rows,
        units::{grouped, significant},
        word,
    },
    saved,
};
use serde_json::Value;

use crate::output::OutputArgs;

/// Rank variants over saved runs of several machines
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pqbench rank runs/*.json
  pqbench rank laptop server --format markdown")]
pub struct Args {
    /// Saved runs: names of --save, or files
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<String>,
    #[command(flatten)]
    output: OutputArgs,
}

const COLUMNS: &[Column] = &[
    Column::words("fixture", "data", |row| word(row, "fixture").to_owned()),
    Column::words("name", "name", |row| word(row, "name").to_owned()),
    Column::numbers("speedup", "speed-up", |row| number(row, "speedup", times)),
    Column::numbers("speedup_low", "least", |row| number(row, "speedup_low", times)),
    Column::numbers("speedup_high", "most", |row| number(row, "speedup_high", times)),
    Column::numbers("measured", "runs", |row| number(row, "measured", grouped)),
    Column::words("won_on", "first on", |row| match &row["won_on"] {
        Value::Array(cpus) => cpus.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
        _ => String::new(),
    }),
];

fn times(ratio: f64) -> String {
    format!("{}x", significant(ratio))
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let output = args.output.open()?;
    let ranking = rank(&saved::load_all(&args.runs)?)?;
    let mut document = Document::new("pqbench rank", &ranking, rows(&ranking.variants), COLUMNS.to_vec());
    document.after = ranking.warnings.iter().map(|warning| format!("warning: {warning}")).collect();
    output.write(&document)?;
    Ok(ExitCode::SUCCESS)
}

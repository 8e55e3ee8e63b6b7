//! `pqbench list`

use std::process::ExitCode;

use pqbench::{
    fixture::Fixture,
    report::{Column, Document, number, rows, units::grouped, word},
};
use pqscan::{
    Bits, Geometry, cpu,
    registry::{self, Variant},
};
use serde::Serialize;
use serde_json::Value;

use crate::{output::OutputArgs, shape::bits_parser};

/// List all variants: what each needs, whether it runs here and in a shape, which is selected
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pqbench list
  pqbench list --format json
  pqbench list --fixture DIR         # for the shape of that data
  pqbench list --dim 768 --sub-vectors 96 --bits 4
  PQBENCH_CPU=avx2 pqbench list      # as a CPU without AVX-512 would see it")]
pub struct Args {
    /// For the shape of this data set: embedded, embedded-text, sift1m, synthetic, worst-case, or a folder with a
    /// manifest.json
    #[arg(long, value_name = "NAME|DIR", default_value = "embedded", conflicts_with_all = ["dim", "sub_vectors", "bits"], help_heading = "Shape")]
    fixture: String,
    /// For vectors of so many dimensions [default: 8 for each part, or 128]
    #[arg(long, value_name = "D", help_heading = "Shape")]
    dim: Option<usize>,
    /// Parts that a vector is cut into [default: 16]
    #[arg(long, value_name = "M", help_heading = "Shape")]
    sub_vectors: Option<usize>,
    /// Bits of a part's code: 4 or 8 [default: 8]
    #[arg(long, value_name = "BITS", value_parser = bits_parser(), help_heading = "Shape")]
    bits: Option<Bits>,
    #[command(flatten)]
    output: OutputArgs,
}

impl Args {
    fn geometry(&self) -> anyhow::Result<Geometry> {
        if (self.dim, self.sub_vectors, self.bits) == (None, None, None) {
            return Fixture::geometry_of(&self.fixture);
        }
        let m = self.sub_vectors.unwrap_or(16);
        Ok(Geometry::new(self.dim.unwrap_or(8 * m), m, self.bits.unwrap_or(Bits::Eight))?)
    }
}

#[derive(Serialize)]
struct List {
    /// The shape that this is about.
    dim: usize,
    num_sub_vectors: usize,
    bits: usize,
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
    let geometry = args.geometry()?;
    let selected = registry::select(None, geometry, usize::MAX);
    let describe = |variant: &'static Variant| {
        let unsupported = || variant.unsupported(geometry).map(str::to_owned);
        let reason = variant.unavailable(features).or_else(unsupported);
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
    let list = List {
        dim: geometry.dim(),
        num_sub_vectors: geometry.m(),
        bits: geometry.bits().count(),
        variants: registry::all().iter().copied().map(describe).collect(),
    };
    let mut document = Document::new("pqbench list", &list, rows(&list.variants), COLUMNS.to_vec());
    document.before = vec![format!("for {geometry}")];
    document.after = vec![
        "* selected: what an embedding program gets for long lists; the highest rank that runs here, or PQBENCH_VARIANT"
            .into(),
    ];
    if let Ok(short) = registry::select(None, geometry, SHORT) {
        document.after.push(format!("for a list of {} codes: {}", grouped(SHORT as f64), short.name));
    }
    output.write(&document)?;
    // An unusable PQBENCH_VARIANT is an error, but one that the list helps with.
    selected?;
    Ok(ExitCode::SUCCESS)
}

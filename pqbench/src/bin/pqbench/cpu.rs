//! `pqbench cpu`

use std::process::ExitCode;

use pqbench::{
    fixture::sift_geometry,
    report::{Column, Document, rows, word},
    run::Machine,
};
use pqscan::{
    cpu::{self, Feature, Features},
    registry,
};
use serde::Serialize;
use serde_json::Value;

use crate::output::OutputArgs;

/// Show what this CPU can do, what PQBENCH_CPU takes away, and what is selected
#[derive(clap::Args)]
#[command(after_help = "PQBENCH_CPU names a ceiling and features to take away: avx2, avx2,-fma, -avx512vbmi.

Examples:
  pqbench cpu
  PQBENCH_CPU=ssse3 pqbench cpu
  pqbench cpu --format json")]
pub struct Args {
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Serialize)]
struct Cpu {
    #[serde(flatten)]
    machine: Machine,
    /// The variant for prepared codes, and the one for row-major codes that nothing prepared.
    selected: Option<&'static str>,
    selected_for_unprepared_codes: Option<&'static str>,
    known_features: Vec<Known>,
}

#[derive(Serialize)]
struct Known {
    name: &'static str,
    detected: bool,
    usable: bool,
    needed_by: Vec<&'static str>,
}

const COLUMNS: &[Column] = &[
    Column::words("name", "feature", |row| word(row, "name").to_owned()),
    Column::words("detected", "this CPU", |row| yes(&row["detected"])),
    Column::words("usable", "used", |row| yes(&row["usable"])),
    Column::words("needed_by", "needed by", |row| match &row["needed_by"] {
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
        _ => String::new(),
    }),
];

fn yes(value: &Value) -> String {
    if *value == Value::Bool(true) { "yes".to_owned() } else { "no".to_owned() }
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let output = args.output.open()?;
    let (detected, usable) = (cpu::detected(), cpu::features()?);
    let selected = registry::select(None, sift_geometry(), usize::MAX);
    let unprepared = registry::select_for_unprepared_codes(sift_geometry());
    let cpu = Cpu {
        machine: Machine::here()?,
        selected: selected.as_ref().ok().map(|variant| variant.name),
        selected_for_unprepared_codes: unprepared.as_ref().ok().map(|variant| variant.name),
        known_features: known_features(detected, usable),
    };
    let mut document = Document::new("pqbench cpu", &cpu, rows(&cpu.known_features), COLUMNS.to_vec());
    document.before =
        vec![format!("{}, {} cores, {} {}", cpu.machine.cpu, cpu.machine.cores, cpu.machine.os, cpu.machine.arch)];
    if let Some(mask) = &cpu.machine.mask {
        document.before.push(format!("PQBENCH_CPU={mask} takes features away"));
    }
    document.after = vec![format!(
        "selected: {} for prepared codes, {} for row-major codes, of {}",
        cpu.selected.unwrap_or("none"),
        cpu.selected_for_unprepared_codes.unwrap_or("none"),
        sift_geometry()
    )];
    output.write(&document)?;
    Ok(ExitCode::SUCCESS)
}

/// The features of this architecture.
fn known_features(detected: Features, usable: Features) -> Vec<Known> {
    let variants = registry::all();
    let here = Feature::ALL.iter().filter(|feature| feature.arch() == std::env::consts::ARCH);
    here.map(|&feature| Known {
        name: feature.name(),
        detected: detected.has(feature),
        usable: usable.has(feature),
        needed_by: variants.iter().filter(|v| v.requires.contains(&feature)).map(|v| v.name).collect(),
    })
    .collect()
}

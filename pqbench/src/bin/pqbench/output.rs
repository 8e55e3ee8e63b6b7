//! Where a result goes and in which format.

use std::{
    env,
    io::{self, IsTerminal, Write},
    path::PathBuf,
};

use anyhow::Context;
use clap::{
    ValueEnum,
    builder::{PossibleValuesParser, TypedValueParser},
};
use pqbench::{
    file::Place,
    report::{Document, FORMATS, Format, Style},
};

#[derive(clap::Args)]
pub struct OutputArgs {
    /// How to write the result; all formats use the same names
    #[arg(long, value_name = "FORMAT", default_value = "table", value_parser = format_parser(), help_heading = "Output")]
    format: Format,
    /// The same as --format json
    #[arg(long, conflicts_with = "format", help_heading = "Output")]
    json: bool,
    /// Write the result to this file instead of standard output
    #[arg(long, short, value_name = "FILE", help_heading = "Output")]
    output: Option<PathBuf>,
    /// When to colour; NO_COLOR counts for auto
    #[arg(long, value_name = "WHEN", default_value = "auto", help_heading = "Output")]
    color: ColorWhen,
    /// Show no progress
    #[arg(long, short, help_heading = "Output")]
    pub quiet: bool,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum ColorWhen {
    Auto,
    Always,
    Never,
}

fn format_parser() -> impl TypedValueParser<Value = Format> {
    PossibleValuesParser::new(FORMATS.iter().map(|format| format.name)).map(|name| format_named(&name))
}

fn format_named(name: &str) -> Format {
    *FORMATS.iter().find(|format| format.name == name).expect("clap admits these names only, and json is one")
}

impl OutputArgs {
    /// Opens the output. Before any work, so that a place that can't be written to costs no time.
    pub fn open(&self) -> anyhow::Result<Output> {
        let place = self.output.as_deref().map(Place::open).transpose()?;
        let format = if self.json { format_named("json") } else { self.format };
        Ok(Output { format, style: self.style(), place })
    }

    /// As if `--format json` had been given.
    pub fn in_json(self) -> OutputArgs {
        let format = *FORMATS.iter().find(|format| format.name == "json").expect("it is one of the formats");
        OutputArgs { format, ..self }
    }

    fn style(&self) -> Style {
        let on_terminal = self.output.is_none() && io::stdout().is_terminal();
        let wanted = || env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) && !console::is_dumb();
        let color = match self.color {
            ColorWhen::Always => true,
            ColorWhen::Never => false,
            ColorWhen::Auto => on_terminal && wanted(),
        };
        let size = if on_terminal { console::Term::stdout().size_checked() } else { None };
        Style { color, width: size.map(|(_, columns)| usize::from(columns)) }
    }
}

/// An output that could be opened.
pub struct Output {
    format: Format,
    style: Style,
    /// None for standard output.
    place: Option<Place>,
}

impl Output {
    pub fn write(self, document: &Document) -> anyhow::Result<()> {
        let mut bytes = Vec::new();
        (self.format.write)(document, self.style, &mut bytes)?;
        let Some(place) = self.place else { return write_stdout(&bytes) };
        place.write(&bytes).or_else(|error| {
            // The result may have taken a minute to get.
            write_stdout(&bytes)?;
            Err(error.context("the result went to standard output"))
        })
    }
}

/// Writes to standard output, as an error and not a panic where that fails.
pub fn write_stdout(bytes: &[u8]) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).context("cannot write to standard output")
}

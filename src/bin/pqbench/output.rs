//! Where a result goes and in which format.

use std::{
    env,
    fs::{self, File, OpenOptions},
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use clap::{
    ValueEnum,
    builder::{PossibleValuesParser, TypedValueParser},
};
use pqbench::bench::report::{Document, FORMATS, Format, Style};
use tempfile::NamedTempFile;

#[derive(clap::Args)]
pub struct OutputArgs {
    /// How to write the result; all formats use the same names
    #[arg(long, value_name = "FORMAT", default_value = "table", value_parser = format_parser(), help_heading = "Output")]
    format: Format,
    /// Write the result to this file instead of standard output
    #[arg(long, short, value_name = "FILE", help_heading = "Output")]
    output: Option<PathBuf>,
    /// When to colour; NO_COLOR counts for auto
    #[arg(long, value_name = "WHEN", default_value = "auto", help_heading = "Output")]
    color: ColorWhen,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum ColorWhen {
    Auto,
    Always,
    Never,
}

fn format_parser() -> impl TypedValueParser<Value = Format> {
    PossibleValuesParser::new(FORMATS.iter().map(|format| format.name))
        .map(|name| *FORMATS.iter().find(|format| format.name == name).expect("clap admits these names only"))
}

impl OutputArgs {
    /// Opens the output. Before any work, so that a place that can't be written to costs no time.
    pub fn open(&self) -> anyhow::Result<Output> {
        let target = self.output.as_deref().map_or(Ok(Target::Stdout), Target::open)?;
        Ok(Output { format: self.format, style: self.style(&target), target })
    }

    fn style(&self, target: &Target) -> Style {
        let on_terminal = matches!(target, Target::Stdout) && io::stdout().is_terminal();
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
    target: Target,
}

enum Target {
    Stdout,
    /// A regular file: written beside it and then put in its place, so that nobody ever sees half of it.
    Replaced(NamedTempFile, PathBuf),
    /// A device or a pipe.
    Direct(File, PathBuf),
}

impl Target {
    fn open(path: &Path) -> anyhow::Result<Target> {
        Self::try_open(path).with_context(|| format!("cannot write to {}", path.display()))
    }

    fn try_open(path: &Path) -> anyhow::Result<Target> {
        // Through symbolic links: the file behind one is replaced, not the link.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        if path.is_dir() {
            bail!("it is a folder");
        }
        if path.exists() {
            let file = OpenOptions::new().write(true).open(&path)?;
            if !file.metadata()?.is_file() {
                return Ok(Target::Direct(file, path));
            }
        }
        let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !folder.is_dir() {
            bail!("there is no folder {}", folder.display());
        }
        let mut builder = tempfile::Builder::new();
        builder.prefix(".pqbench-");
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        Ok(Target::Replaced(builder.tempfile_in(folder)?, path))
    }

    fn write(self, bytes: &[u8]) -> anyhow::Result<()> {
        let (result, path) = match self {
            Target::Stdout => return write_stdout(bytes),
            Target::Direct(mut file, path) => (file.write_all(bytes), path),
            Target::Replaced(mut file, path) => {
                let written = file.write_all(bytes).and_then(|()| file.as_file().sync_all());
                (written.and_then(|()| file.persist(&path).map(drop).map_err(io::Error::from)), path)
            }
        };
        if let Err(error) = result {
            // The result may have taken a minute to get.
            write_stdout(bytes)?;
            bail!("cannot write to {}: {error}; the result went to standard output", path.display());
        }
        Ok(())
    }
}

impl Output {
    pub fn write(self, document: &Document) -> anyhow::Result<()> {
        let mut bytes = Vec::new();
        (self.format.write)(document, self.style, &mut bytes)?;
        self.target.write(&bytes)
    }
}

/// Writes to standard output, as an error and not a panic where that fails.
pub fn write_stdout(bytes: &[u8]) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).context("cannot write to standard output")
}

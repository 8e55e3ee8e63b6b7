//! Tables in Markdown files that come from saved results, and never from a hand.
//!
//! A section names what stands in it, by a path from the file that it is in:
//!
//! ```text
//! <!-- splice: runs/sift.json columns=rank,name,speedup measured -->
//! ...
//! <!-- end -->
//! ```
//!
//! A `.json` is a saved run, shown as a Markdown table. `columns=A,B` and `variants=A,B` choose some, `measured` leaves
//! out what has no figures, and `text` shows what a terminal shows. Of a `.md` or `.txt` all is taken as it is.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    report::{FORMATS, Style},
    run::{Run, Status, VariantResult},
    saved,
};

const BEGIN: &str = "<!-- splice: ";
const CLOSE: &str = " -->";
const END: &str = "<!-- end -->";

/// A file with its sections made anew.
#[derive(Debug, PartialEq)]
pub struct Spliced {
    pub text: String,
    /// The sections that were different, as their markers name them.
    pub stale: Vec<String>,
}

/// Makes the sections of the Markdown file at `path` anew.
///
/// # Errors
/// It can't be read, it has no section, one has no end, or what one names is not there.
pub fn splice(path: &Path) -> Result<Spliced> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    spliced(&text, |wanted| section(folder, wanted)).with_context(|| format!("cannot splice {}", path.display()))
}

fn spliced(text: &str, section: impl Fn(&str) -> Result<String>) -> Result<Spliced> {
    let (mut out, mut stale) = (String::new(), Vec::new());
    let mut lines = text.split_inclusive('\n');
    let mut is_code = false;
    while let Some(line) = lines.next() {
        out.push_str(line);
        is_code ^= line.starts_with("```");
        // A marker that is shown as code is none.
        if is_code {
            continue;
        }
        ensure!(line.trim_end() != END, "a line '{END}' is the end of no section");
        let Some(wanted) = line.strip_prefix(BEGIN) else { continue };
        let wanted =
            wanted.trim_end().strip_suffix(CLOSE).with_context(|| format!("no '{CLOSE}' at the end of: {line}"))?;
        let mut old = String::new();
        let end = loop {
            match lines.next() {
                Some(line) if line.trim_end() == END => break line,
                Some(line) if !line.starts_with(BEGIN) => old.push_str(line),
                _ => bail!("the section '{wanted}' has no line '{END}'"),
            }
        };
        let new = format!("\n{}\n", section(wanted).with_context(|| format!("in the section '{wanted}'"))?);
        if old != new {
            stale.push(wanted.to_owned());
        }
        out.push_str(&new);
        out.push_str(end);
    }
    Ok(Spliced { text: out, stale })
}

fn section(folder: &Path, wanted: &str) -> Result<String> {
    let (file, options) = wanted.split_once(' ').unwrap_or((wanted, ""));
    let path = folder.join(file);
    let read = || fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()));
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("json") => {
            let name = path.to_str().context("its name is no UTF-8")?;
            shown(saved::load(name)?, &Options::parse(options)?)
        }
        Some("md") if options.is_empty() => read(),
        Some("txt") if options.is_empty() => Ok(fenced(&read()?)),
        _ => bail!("it must name a saved run (.json), or a .md or .txt, without options"),
    }
}

fn fenced(text: &str) -> String {
    format!("```text\n{text}```\n")
}

/// How a run is shown.
#[derive(Default)]
struct Options<'a> {
    columns: Option<Vec<&'a str>>,
    variants: Option<Vec<&'a str>>,
    measured: bool,
    text: bool,
}

impl Options<'_> {
    fn parse(words: &str) -> Result<Options<'_>> {
        let mut options = Options::default();
        for word in words.split_whitespace() {
            match word.split_once('=') {
                Some(("columns", names)) => options.columns = Some(names.split(',').collect()),
                Some(("variants", names)) => options.variants = Some(names.split(',').collect()),
                None if word == "measured" => options.measured = true,
                None if word == "text" => options.text = true,
                _ => bail!("'{word}' is none of columns=A,B variants=A,B measured text"),
            }
        }
        Ok(options)
    }
}

fn shown(mut run: Run, options: &Options<'_>) -> Result<String> {
    let all: BTreeSet<String> = run.variants.iter().map(|variant| variant.name.clone()).collect();
    check_names(&options.variants, "variant", |name| all.contains(name))?;
    let is_shown = |variant: &VariantResult| {
        let is_named = options.variants.as_ref().is_none_or(|names| names.contains(&variant.name.as_str()));
        is_named && (!options.measured || variant.status != Status::Skipped)
    };
    let choose = |run: &mut Run| {
        run.variants.retain(is_shown);
        run.sizes.iter_mut().for_each(|size| size.variants.retain(is_shown));
    };
    choose(&mut run);
    run.others.iter_mut().for_each(choose);
    let mut document = run.document();
    let columns: BTreeSet<&str> =
        document.tables.iter().flat_map(|table| &table.columns).map(|column| column.name).collect();
    check_names(&options.columns, "column", |name| columns.contains(name))?;
    if let Some(names) = &options.columns {
        document.tables.iter_mut().for_each(|table| table.columns.retain(|column| names.contains(&column.name)));
    }
    let format = FORMATS.iter().find(|format| format.name == if options.text { "table" } else { "markdown" });
    let mut bytes = Vec::new();
    (format.context("the format is not there")?.write)(&document, Style::default(), &mut bytes)?;
    let text = String::from_utf8(bytes)?;
    Ok(if options.text { fenced(&text) } else { text })
}

fn check_names(names: &Option<Vec<&str>>, what: &str, is_one: impl Fn(&str) -> bool) -> Result<()> {
    match names.iter().flatten().find(|name| !is_one(name)) {
        Some(name) => bail!("the run has no {what} '{name}'"),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn what_is_between_the_markers_is_replaced_and_nothing_else() {
        let text = "a\n<!-- splice: x.json text -->\nold\n<!-- end -->\nb\n```text\n<!-- splice: y -->\n```\n";
        let once = spliced(text, |wanted| Ok(format!("[{wanted}]\n"))).unwrap();
        assert_eq!(once.text, text.replace("old", "\n[x.json text]\n"));
        assert_eq!(once.stale, ["x.json text"]);
        let twice = spliced(&once.text, |wanted| Ok(format!("[{wanted}]\n"))).unwrap();
        assert_eq!(twice, Spliced { text: once.text, stale: Vec::new() });
    }

    #[test]
    fn a_file_that_lost_a_marker_is_refused() {
        let refused = |text: &str| format!("{:#}", spliced(text, |_| Ok(String::new())).unwrap_err());
        assert!(refused("<!-- splice: x.json -->\n").contains("'x.json' has no line"));
        assert!(
            refused("<!-- splice: x.json -->\n<!-- splice: y.json -->\n<!-- end -->\n")
                .contains("'x.json' has no line")
        );
        assert!(refused("<!-- splice: x.json\n<!-- end -->\n").contains("no ' -->'"));
        assert!(refused("text\n<!-- end -->\n").contains("the end of no section"));
    }

    #[test]
    fn a_run_is_shown_as_its_options_say() {
        let folder = tempfile::tempdir().unwrap();
        let mut run = sample::run();
        run.sizes.clear();
        saved::save(&run, &folder.path().join("run.json")).unwrap();
        fs::write(folder.path().join("said.txt"), "so\n").unwrap();
        let section = |wanted: &str| section(folder.path(), wanted);
        let table = section("run.json columns=name,speedup variants=scalar,avx512-vbmi").unwrap();
        let rows: Vec<&str> = table.lines().filter(|line| line.starts_with("| ")).collect();
        assert!(
            rows[0] == "| name | speed-up (`speedup`) |" && rows.iter().any(|row| row.starts_with("| scalar | ")),
            "{table}"
        );
        assert!(!table.contains("| transposed"), "{table}");
        assert!(section("run.json").unwrap().contains("| skipped"));
        assert!(!section("run.json measured").unwrap().contains("| skipped"));
        assert!(section("run.json text").unwrap().starts_with("```text\n"));
        assert_eq!(section("said.txt").unwrap(), "```text\nso\n```\n");
        for (bad, expected) in [
            ("nothing.json", "cannot read the run"),
            ("nothing.md", "cannot read"),
            ("run.json columns=name,speed", "no column 'speed'"),
            ("run.json variants=skalar", "no variant 'skalar'"),
            ("run.json wide", "'wide' is none of"),
            ("said.txt measured", "without options"),
            ("run.html", "a saved run"),
        ] {
            let error = format!("{:#}", section(bad).unwrap_err());
            assert!(error.contains(expected), "{bad}: {error}");
        }
    }
}

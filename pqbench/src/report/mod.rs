//! What the commands print: one [`Document`], and a writer for each format.
//!
//! A document is a value with the names of the JSON, its rows, and how tables show them. All formats use the same
//! names; only the terminal's table has headings of its own. A new format is one file with a `write` function and one
//! line in [`FORMATS`].

mod csv;
mod html;
mod json;
mod markdown;
pub mod pictures;
mod run;
#[cfg(test)]
pub mod sample;
mod table;
pub mod trials;
pub mod units;

pub use run::document_of;

use std::io::{self, Write};

use serde::Serialize;
use serde_json::{Map, Value};

use crate::run::Run;
use pictures::Picture;

/// Writes a document in one format.
type Writer = fn(&Document, Style, &mut dyn Write) -> io::Result<()>;

/// The formats.
pub const FORMATS: &[Format] = &[
    Format { name: "table", extension: "txt", write: table::write },
    Format { name: "json", extension: "json", write: json::write },
    Format { name: "csv", extension: "csv", write: csv::write },
    Format { name: "markdown", extension: "md", write: markdown::write },
    Format { name: "html", extension: "html", write: html::write },
];

/// A format of [`FORMATS`].
#[derive(Clone, Copy, Debug)]
pub struct Format {
    /// The name that selects it.
    pub name: &'static str,
    /// What the name of a file in this format ends in.
    pub extension: &'static str,
    /// The writer. It fails only where the output does.
    pub write: Writer,
}

/// How the place where the output goes wants it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style {
    /// Whether to colour.
    pub color: bool,
    /// Columns of the terminal; none where nothing limits a line.
    pub width: Option<usize>,
}

/// One row, by the names of the JSON.
pub type Row = Map<String, Value>;

/// What a command has to say.
#[derive(Debug)]
pub struct Document<'a> {
    /// The title of a page.
    pub title: String,
    /// All of it.
    pub json: Value,
    /// Lines above the tables.
    pub before: Vec<String>,
    /// At least one. Their rows have the same fields in the same order.
    pub tables: Vec<Table>,
    /// Lines below the tables.
    pub after: Vec<String>,
    /// The measured runs in it, for pictures; each with the name that tells it from the others.
    pub runs: Vec<(String, &'a Run)>,
    /// Pictures of what else it tells of.
    pub pictures: Vec<Picture>,
    /// Further parts of a page.
    pub sections: Vec<Document<'a>>,
}

/// One table of a document.
#[derive(Debug)]
pub struct Table {
    /// Lines above it.
    pub before: Vec<String>,
    /// What CSV has all of, and a table the `columns`.
    pub rows: Vec<Row>,
    /// Its columns.
    pub columns: Vec<Column>,
}

impl Document<'_> {
    /// A document of one table, of `rows`, which are part of the `whole`.
    ///
    /// # Panics
    /// One of the values can't be JSON, as a map with keys that are no strings.
    pub fn new(title: &str, whole: &impl Serialize, rows: Vec<Row>, columns: Vec<Column>) -> Self {
        Document {
            title: title.to_owned(),
            json: serde_json::to_value(whole).expect("results are plain data"),
            before: Vec::new(),
            tables: vec![Table { before: Vec::new(), rows, columns }],
            after: Vec::new(),
            runs: Vec::new(),
            pictures: Vec::new(),
            sections: Vec::new(),
        }
    }
}

/// `values`, which are structs, as rows.
///
/// # Panics
/// They are something else.
pub fn rows(values: &[impl Serialize]) -> Vec<Row> {
    values.iter().map(row).collect()
}

fn row(value: &impl Serialize) -> Row {
    match serde_json::to_value(value) {
        Ok(Value::Object(fields)) => fields,
        other => panic!("a row of a report must be a struct of plain data, not {other:?}"),
    }
}

/// One column of a table.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// The name in the JSON.
    pub name: &'static str,
    /// The heading on a terminal.
    pub heading: &'static str,
    /// Whether the column holds numbers, which line up on the right.
    pub is_number: bool,
    /// What a cell says. Empty where there is nothing to say.
    pub text: fn(&Row) -> String,
}

impl Column {
    /// A column of words.
    pub const fn words(name: &'static str, heading: &'static str, text: fn(&Row) -> String) -> Column {
        Column { name, heading, is_number: false, text }
    }

    /// A column of numbers.
    pub const fn numbers(name: &'static str, heading: &'static str, text: fn(&Row) -> String) -> Column {
        Column { name, heading, is_number: true, text }
    }
}

/// The string in a row's field; empty where there is none.
pub fn word<'a>(row: &'a Row, name: &str) -> &'a str {
    row.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// The number in a row's field, as `show` writes it; empty where there is none.
pub fn number(row: &Row, name: &str, show: impl Fn(f64) -> String) -> String {
    row.get(name).and_then(Value::as_f64).map(show).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(format: &str, style: Style) -> String {
        let run = sample::run();
        let mut out = Vec::new();
        let format = FORMATS.iter().find(|other| other.name == format).unwrap();
        (format.write)(&run.document(), style, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_table_fits_the_terminal_and_loses_nothing() {
        let wide = written("table", Style::default());
        let figures: Vec<&str> =
            wide.split_whitespace().filter(|word| word.contains(|c: char| c.is_ascii_digit())).collect();
        for width in [20, 40, 80, 100, 300] {
            let table = written("table", Style { color: false, width: Some(width) });
            for line in table.lines() {
                assert!(console::measure_text_width(line) <= width, "{width}: {line}");
            }
            // Where a cell has to wrap, a figure may come in two pieces.
            if width >= 40 {
                for figure in &figures {
                    assert!(table.contains(figure), "{width} lost {figure}: {table}");
                }
            }
        }
    }

    #[test]
    fn every_piece_of_a_table_tells_its_rows_apart() {
        let table = written("table", Style { color: false, width: Some(40) });
        let lines: Vec<&str> = table.lines().collect();
        let headings: Vec<&str> =
            lines.windows(2).filter(|pair| pair[1].starts_with('─')).map(|pair| pair[0]).collect();
        assert!(headings.len() > 2, "{table}");
        assert!(
            headings.iter().all(|heading| heading.trim_start().starts_with("codes") && heading.contains("name")),
            "{table}"
        );
    }

    #[test]
    fn colours_are_only_where_they_are_wanted() {
        assert!(!written("table", Style::default()).contains('\u{1b}'));
        let colored = written("table", Style { color: true, width: Some(100) });
        assert!(colored.contains('\u{1b}'));
        assert!(console::strip_ansi_codes(&colored).lines().all(|line| console::measure_text_width(line) <= 100));
    }

    #[test]
    fn words_of_others_do_not_break_a_format() {
        let markdown = written("markdown", Style::default());
        let cells = markdown
            .lines()
            .filter(|line| line.starts_with('|'))
            .map(|line| line.replace("\\|", "").matches('|').count());
        let cells: Vec<usize> = cells.collect();
        assert!(cells.iter().all(|count| *count == cells[0]), "{markdown}");
        let html = written("html", Style::default());
        assert!(html.contains("A CPU &lt;of&gt; 2026") && !html.contains("<of>"));
        let csv = written("csv", Style::default());
        for record in ::csv::Reader::from_reader(csv.as_bytes()).records() {
            record.unwrap();
        }
    }

    #[test]
    fn pictures_have_the_figures_to_point_at() {
        let run = sample::run();
        let titles: Vec<&str> = pictures::of(&run).iter().map(|picture| picture.title).collect();
        assert_eq!(titles.len(), 4, "{titles:?}");
        for picture in pictures::of(&run) {
            for svg in [&picture.wide, &picture.narrow] {
                assert!(svg.contains("<title>avx512-vbmi") && !svg.contains("NaN") && !svg.contains("inf"), "{svg}");
                assert!(!pictures::standalone(svg).contains("var("));
            }
        }
    }
}

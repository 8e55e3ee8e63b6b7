//! The table on a terminal.

use std::io::{self, Write};

use comfy_table::{Cell, CellAlignment, Color, TableStyle, presets};

use super::{Column, Document, Row, Style, Table, word};

/// Between two columns: one of padding, one of comfy-table's own.
const GAP: usize = 2;

/// Of a cell on a terminal, where longer words go on in the next line.
const MOST: usize = 26;

const RULED: TableStyle = presets::NOTHING.header_separator(comfy_table::LineStyle::none().fill('─').junction('─'));

pub fn write(document: &Document, style: Style, out: &mut dyn Write) -> io::Result<()> {
    for line in &document.before {
        writeln!(out, "{}", wrapped(line, style.width))?;
    }
    let mut is_first = document.before.is_empty();
    for table in &document.tables {
        let gap = !std::mem::take(&mut is_first);
        write_table(table, gap, style, out)?;
    }
    if !document.after.is_empty() {
        writeln!(out)?;
    }
    for line in &document.after {
        let line = wrapped(line, style.width);
        match line.strip_prefix("warning:") {
            Some(rest) if style.color => writeln!(out, "\u{1b}[33mwarning:\u{1b}[0m{rest}")?,
            _ => writeln!(out, "{line}")?,
        }
    }
    Ok(())
}

/// One of the tables, with a `gap` above it if it is not the first thing that is written.
fn write_table(table: &Table, mut gap: bool, style: Style, out: &mut dyn Write) -> io::Result<()> {
    for line in &table.before {
        if std::mem::take(&mut gap) {
            writeln!(out)?;
        }
        writeln!(out, "{}", wrapped(line, style.width))?;
    }
    let keys = keys(table);
    for (place, columns) in parts(table, &keys, style.width).iter().enumerate() {
        if gap || place > 0 || !table.before.is_empty() {
            writeln!(out)?;
        }
        // A further piece leaves out the rows that it has nothing to say about.
        let says = |row: &&Row| place == 0 || columns[keys.len()..].iter().any(|column| !(column.text)(row).is_empty());
        let rows: Vec<&Row> = table.rows.iter().filter(says).collect();
        write_part(columns, &rows, style, out)?;
    }
    Ok(())
}

/// The columns that tell one row from another.
fn keys(table: &Table) -> Vec<Column> {
    let is_key = |column: &&Column| ["run", "fixture", "num_base", "name"].contains(&column.name);
    let keys: Vec<Column> = table.columns.iter().filter(is_key).copied().collect();
    if keys.is_empty() { table.columns[..1].to_vec() } else { keys }
}

/// The columns in as many tables as the width asks for, each with the `keys`, which are among the first ones. A table
/// cut in pieces can still be read; one whose cells wrap can't.
fn parts(table: &Table, keys: &[Column], width: Option<usize>) -> Vec<Vec<Column>> {
    let Some(width) = width else { return vec![table.columns.clone()] };
    let mut parts: Vec<Vec<Column>> = vec![Vec::new()];
    let mut used = 0;
    let width_of = |column: &Column| natural_width(column, &table.rows);
    for column in &table.columns {
        let part = parts.last_mut().expect("there is always one");
        // A part that is no more than the keys takes one column more whatever its width.
        if used + width_of(column) > width && part.len() > keys.len() {
            parts.push(keys.to_vec());
            used = keys.iter().map(|key| width_of(key) + GAP).sum();
        }
        parts.last_mut().expect("there is always one").push(*column);
        used += width_of(column) + GAP;
    }
    parts
}

fn natural_width(column: &Column, rows: &[Row]) -> usize {
    let cells = rows.iter().map(|row| (column.text)(row));
    let longest = cells.chain([column.heading.to_owned()]).map(|text| console::measure_text_width(&text)).max();
    longest.unwrap_or(0).min(MOST)
}

fn write_part(columns: &[Column], rows: &[&Row], style: Style, out: &mut dyn Write) -> io::Result<()> {
    let mut table = comfy_table::Table::new();
    table.load_style(RULED).force_no_tty();
    if style.color {
        table.enforce_styling();
    }
    if let Some(width) = style.width {
        table.set_content_arrangement(comfy_table::ContentArrangement::Dynamic);
        table.set_width(u16::try_from(width).unwrap_or(u16::MAX));
    }
    table.set_header(columns.iter().map(|column| Cell::new(column.heading)));
    for row in rows {
        table.add_row(columns.iter().map(|column| colored((column.text)(row), row)));
    }
    for (at, column) in columns.iter().enumerate() {
        let shown = table.column_mut(at).expect("the header has it");
        shown.set_padding((0, u16::from(at + 1 < columns.len())));
        if column.is_number {
            shown.set_cell_alignment(CellAlignment::Right);
        }
    }
    writeln!(out, "{}", table.trim_fmt())
}

/// A row that has a status shows it by its colour too.
fn colored(text: String, row: &Row) -> Cell {
    let cell = Cell::new(text);
    match word(row, "status") {
        "wrong" | "slower" => cell.fg(Color::Red),
        "skipped" => cell.fg(Color::DarkGrey),
        "faster" => cell.fg(Color::Green),
        _ if row.get("rank").and_then(serde_json::Value::as_u64) == Some(1) => cell.fg(Color::Green),
        _ => cell,
    }
}

/// `line` in lines of at most `width`, broken at spaces.
fn wrapped(line: &str, width: Option<usize>) -> String {
    let Some(width) = width else { return line.to_owned() };
    let mut out = String::new();
    let mut used = 0;
    for word in line.split(' ') {
        let length = console::measure_text_width(word);
        if used > 0 && used + 1 + length > width {
            out.push('\n');
            used = 0;
        } else if used > 0 {
            out.push(' ');
            used += 1;
        }
        out.push_str(word);
        used += length;
    }
    out
}

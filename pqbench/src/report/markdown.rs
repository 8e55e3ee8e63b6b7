//! Markdown: the table for a README or an issue. A heading names its unit and its name in the JSON.

use std::io::{self, Write};

use super::{Column, Document, Style, Table};

pub fn write(document: &Document, _: Style, out: &mut dyn Write) -> io::Result<()> {
    for line in &document.before {
        writeln!(out, "{}\n", escaped(line))?;
    }
    for (place, table) in document.tables.iter().enumerate() {
        if place > 0 {
            writeln!(out)?;
        }
        write_table(table, out)?;
    }
    for line in &document.after {
        writeln!(out, "\n{}", escaped(line))?;
    }
    Ok(())
}

fn write_table(table: &Table, out: &mut dyn Write) -> io::Result<()> {
    for line in &table.before {
        writeln!(out, "{}\n", escaped(line))?;
    }
    let line = |cells: Vec<String>| format!("| {} |", cells.join(" | "));
    writeln!(out, "{}", line(table.columns.iter().map(heading).collect()))?;
    let rule = |is_number| if is_number { "---:" } else { "---" };
    writeln!(out, "{}", line(table.columns.iter().map(|column| rule(column.is_number).to_owned()).collect()))?;
    for row in &table.rows {
        writeln!(out, "{}", line(table.columns.iter().map(|column| escaped(&(column.text)(row))).collect()))?;
    }
    Ok(())
}

fn heading(column: &Column) -> String {
    if column.heading == column.name {
        column.name.to_owned()
    } else {
        format!("{} (`{}`)", column.heading, column.name)
    }
}

/// `text` without what would end a cell or start a tag.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('|', "\\|").replace('<', "&lt;").replace('\n', " ")
}

//! CSV: every field of every row, unrounded.

use std::io::{self, Write};

use serde_json::Value;

use super::{Document, Style};

pub fn write(document: &Document, _: Style, out: &mut dyn Write) -> io::Result<()> {
    let rows = || document.tables.iter().flat_map(|table| &table.rows);
    let Some(first) = rows().next() else { return Ok(()) };
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(first.keys())?;
    for row in rows() {
        writer.write_record(row.values().map(field))?;
    }
    writer.flush()
}

/// A list's items are separated by spaces.
fn field(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(field).collect::<Vec<_>>().join(" "),
        value => value.to_string(),
    }
}

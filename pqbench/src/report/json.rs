//! JSON: all that there is.

use std::io::{self, Write};

use super::{Document, Style};

pub fn write(document: &Document, _: Style, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, &document.json)?;
    writeln!(out)
}

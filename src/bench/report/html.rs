//! HTML.
use super::{Document, Style};
use std::io::{self, Write};
pub fn write(document: &Document, _: Style, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}", document.title)
}

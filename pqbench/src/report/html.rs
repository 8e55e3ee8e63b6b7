//! HTML: one page that needs nothing else, on a desk, a phone or paper, in light and dark.

use std::{
    fmt::Write as _,
    io::{self, Write},
};

use super::{
    Document, Style, Table,
    pictures::{self, Picture},
    word,
};
use crate::run::Run;

const STYLE: &str = include_str!("page.css");

pub fn write(document: &Document, _: Style, out: &mut dyn Write) -> io::Result<()> {
    let title = escaped(&document.title);
    write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{}{STYLE}</style>\n</head>\n<body>\n<main>\n{}</main>\n</body>\n</html>\n",
        colors(),
        content(document)
    )
}

/// The pictures' colours as CSS variables. Paper is light.
fn colors() -> String {
    let scheme = |pick: fn(&(&str, &str, &str)) -> String| -> String { pictures::COLORS.iter().map(pick).collect() };
    let light = scheme(|(name, light, _)| format!("--{name}:{light};"));
    let dark = scheme(|(name, _, dark)| format!("--{name}:{dark};"));
    format!(
        ":root{{color-scheme:light dark;{light}}}\n@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}\n"
    )
}

fn content(document: &Document) -> String {
    let mut html = format!("<h1>{}</h1>\n", escaped(&document.title));
    for line in &document.before {
        let _ = writeln!(html, "<p class=\"what\">{}</p>", escaped(line));
    }
    for of in &document.tables {
        html += &table(of);
    }
    for line in &document.after {
        let class = if line.starts_with("warning:") { "warning" } else { "note" };
        let _ = writeln!(html, "<p class=\"{class}\">{}</p>", escaped(line));
    }
    html += &figures(&document.pictures);
    for (name, run) in &document.runs {
        if !name.is_empty() {
            let _ = writeln!(html, "<h1 class=\"run\">{}</h1>", escaped(name));
        }
        html += &figures(&pictures::of(run));
        html += &method(run);
    }
    let _ = writeln!(
        html,
        "<p><a download=\"{}.json\" href=\"data:application/json,{}\">Download the raw data (JSON)</a></p>",
        escaped(&document.title.replace(char::is_whitespace, "-")),
        percent_encoded(&document.json.to_string())
    );
    html.extend(document.sections.iter().map(content));
    html
}

fn table(table: &Table) -> String {
    let mut html = String::new();
    for line in &table.before {
        let _ = writeln!(html, "<p class=\"what\">{}</p>", escaped(line));
    }
    html += "<div class=\"scroll\"><table>\n<thead><tr>";
    let class = |is_number| if is_number { " class=\"number\"" } else { "" };
    for column in &table.columns {
        let _ = write!(html, "<th{}>{}</th>", class(column.is_number), escaped(column.heading));
    }
    html += "</tr></thead>\n<tbody>\n";
    for row in &table.rows {
        let _ = write!(html, "<tr class=\"{}\">", escaped(word(row, "status")));
        for column in &table.columns {
            let _ = write!(html, "<td{}>{}</td>", class(column.is_number), escaped(&(column.text)(row)));
        }
        html += "</tr>\n";
    }
    html + "</tbody></table></div>\n"
}

fn figures(pictures: &[Picture]) -> String {
    let mut html = String::new();
    for picture in pictures {
        let _ = writeln!(
            html,
            "<h2>{}</h2>\n<figure><div class=\"wide\">{}</div><div class=\"narrow\">{}</div>\n\
             {}<figcaption>{}</figcaption></figure>",
            escaped(picture.title),
            picture.wide,
            picture.narrow,
            legend(picture),
            escaped(&picture.caption)
        );
    }
    html
}

fn legend(picture: &Picture) -> String {
    if picture.legend.is_empty() {
        return String::new();
    }
    let item = |(color, name): &(String, String)| format!("<li style=\"--own:{color}\">{}</li>", escaped(name));
    format!("<ul class=\"legend\">{}</ul>", picture.legend.iter().map(item).collect::<String>())
}

/// How the figures came about, for a reader who doubts them.
fn method(run: &Run) -> String {
    let features = if run.machine.features.is_empty() { "none".to_owned() } else { run.machine.features.join(", ") };
    let paragraphs = [
        format!(
            "Each round runs every variant once over the same {} queries, in a random order that is drawn anew for each \
             round (seed {}), so that whatever the machine does besides hits all alike. A timed query starts from the f32 \
             query and ends with the sorted {} nearest: the distance table is built inside, the preparation of the codes is \
             not. Every answer of a timed query is compared with the reference's, outside of the timed part.",
            run.fixture.num_queries, run.protocol.seed, run.protocol.k
        ),
        format!(
            "The time a query is the geometric mean over the queries, and its median over the rounds. The speed-up over {} \
             is the median of the ratios formed within each round, with its 95 % interval by bootstrap; variants that the \
             interval can't tell apart share a rank. Outliers are counted, not dropped. The roofline is the time only to \
             read the codes, measured in the same rounds.",
            run.baseline
        ),
        format!("Measured {} with pqbench {}. {}. {}.", run.started, run.version, run.machine_line(), run.method()),
        format!("CPU features in use: {features}. SHA-256 of the data: {}.", run.fixture.checksum),
    ];
    let paragraphs: String = paragraphs.iter().map(|text| format!("<p>{}</p>\n", escaped(text))).collect();
    format!("<h2>Machine and method</h2>\n{paragraphs}")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// `text` for a URL in an attribute.
fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b',' | b':' | b'.' | b'-' | b'_' => out.push(byte.into()),
            _ => write!(out, "%{byte:02X}").expect("a string takes everything"),
        }
    }
    out
}

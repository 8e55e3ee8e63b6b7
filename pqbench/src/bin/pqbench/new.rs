//! `pqbench new`

use std::{
    env, fs,
    io::{ErrorKind, Write},
    process::ExitCode,
};

use anyhow::{Context, Result, bail, ensure};
use pqbench::trial::{
    git::Git,
    land,
    lint::{NEW_RANK, TO_WRITE},
};
use serde_json::json;

use crate::output::write_stdout;

/// Begin a variant: a copy of another one under a name of its own
#[derive(clap::Args)]
#[command(
    after_help = "The copy has the rank of a new variant, and gaps for its idea and its summary: a trial asks for them.

Examples:
  pqbench new my-idea
  pqbench new my-idea --from avx2-pshufb"
)]
pub struct Args {
    /// The name: lower-case letters, digits and '-', a letter first
    #[arg(value_parser = parse_name)]
    name: String,
    /// The variant to copy
    #[arg(long, value_name = "VARIANT", default_value = "scalar", value_parser = parse_name)]
    from: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn parse_name(name: &str) -> Result<String, String> {
    let is_letter = |c: char| c.is_ascii_lowercase();
    let well_formed =
        name.starts_with(is_letter) && name.chars().all(|c| is_letter(c) || c.is_ascii_digit() || c == '-');
    if well_formed { Ok(name.to_owned()) } else { Err("use lower-case letters, digits and '-', a letter first".into()) }
}

fn file_of(name: &str) -> String {
    format!("variants/{}.rs", name.replace('-', "_"))
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let git = Git::open(&env::current_dir()?)?;
    land::recover(&git)?;
    let (file, from) = (file_of(&args.name), file_of(&args.from));
    let source = fs::read_to_string(git.root().join(&from)).with_context(|| {
        format!("cannot copy {from}; `pqbench list` has the variants' names, which are those of the files, with '-'")
    })?;
    let copy = copied(&source, &args.name).with_context(|| format!("cannot copy {from}"))?;
    let mut created = match fs::File::create_new(git.root().join(&file)) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => bail!("{file} is there already; choose another name"),
        created => created.with_context(|| format!("cannot write {file}"))?,
    };
    created.write_all(copy.as_bytes()).with_context(|| format!("cannot write {file}"))?;
    let text = if args.json {
        format!("{}\n", json!({ "variant": args.name, "file": file, "from": args.from }))
    } else {
        format!(
            "{file} is a copy of {}. Write down its idea and its summary where it says '{TO_WRITE}', change the code, \
             then:\n  pqbench trial -m \"what gets cheaper, by how much, and why\"\n",
            args.from
        )
    };
    write_stdout(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// A variant's source under another name, with gaps where the other's idea stood.
fn copied(source: &str, name: &str) -> Result<String> {
    let code = source.lines().skip_while(|line| line.starts_with("//!"));
    let mut text = format!(
        "//! {TO_WRITE}: the idea, where it comes from, what gets cheaper and by how much.\n//!\n\
         //! **Instructions.** {TO_WRITE}: what it leans on.\n//!\n//! **Loses** {TO_WRITE}: to what, and where.\n"
    );
    let (mut inside, mut fields) = (false, 0);
    for line in code {
        inside = (inside || line == "register! {") && line != "}";
        let field = line.trim_start().split_once(": ").filter(|_| inside).map(|(field, _)| field);
        let value = match field {
            Some("name") => format!("{name:?}"),
            Some("summary") => format!("\"{TO_WRITE}: what it does, in one line\""),
            Some("rank") => NEW_RANK.to_string(),
            Some("rank_below") => continue,
            _ => {
                text.extend([line, "\n"]);
                continue;
            }
        };
        fields += 1;
        text.push_str(&format!("    {}: {value},\n", field.unwrap_or_default()));
    }
    ensure!(fields == 3, "its `register!` does not have a name, a summary and a rank, a line each");
    Ok(text)
}

#[cfg(test)]
mod tests {
    use pqbench::trial::lint::lint;

    use super::*;

    const SOURCE: &str = "\
//! The idea: of another.

use crate::register;

register! {
    name: \"other-one\",
    summary: \"what it does\",
    level: Avx2,
    fidelity: Fidelity::Exact,
    rank: 60,
    rank_below: (10_000, 20),
    list: Other,
}

struct Other {
    name: u8,
    rank: u32,
}
";

    #[test]
    fn a_copy_has_the_new_name_no_rank_and_gaps_that_lint_names() {
        let copy = copied(SOURCE, "my-idea").unwrap();
        assert!(copy.ends_with(
            "\n\nuse crate::register;\n\nregister! {\n    name: \"my-idea\",\n    summary: \"TO WRITE: what it does, in \
             one line\",\n    level: Avx2,\n    fidelity: Fidelity::Exact,\n    rank: 1,\n    list: Other,\n}\n\nstruct \
             Other {\n    name: u8,\n    rank: u32,\n}\n"
        ));
        assert!(!copy.contains("of another"));
        let findings = lint("variants/my_idea.rs", None, &copy);
        assert!(findings.len() == 4 && findings.iter().all(|finding| finding.what == TO_WRITE), "{findings:?}");
        assert!(lint("variants/my_idea.rs", None, &copy.replace(TO_WRITE, "Done")).is_empty());
        assert!(copied("fn main() {}", "my-idea").is_err());
    }

    #[test]
    fn names_are_those_that_a_file_can_have() {
        for name in ["a", "my-idea", "avx512-6bit"] {
            assert_eq!(parse_name(name).as_deref(), Ok(name));
        }
        for name in ["", "Idea", "6bit", "-a", "my_idea", "../x", "a.rs", "ä"] {
            assert!(parse_name(name).is_err(), "{name}");
        }
    }
}

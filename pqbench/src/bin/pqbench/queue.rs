//! `pqbench queue`

use std::{
    env, fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context, Result, bail, ensure};
use pqbench::trial::{
    git::Git,
    land,
    record::{FOLDER, Record, load_all},
    scope::Edit,
};

use crate::exit;

/// Try many edits, one after the other
#[derive(clap::Args)]
#[command(
    after_help = "FILE has a trial a line: a patch, as `git diff` or `pqbench trials --patch` print it, then what
`pqbench trial` takes. Empty lines and those that begin with # are left out. Paths count from FILE's folder.

  halves.patch   -m \"halves the shuffles of a block\" --expect 5%
  residual.patch -m \"one pass over the centroids\" --target residual

A line whose patch was tried before under the same hypothesis is left out, so that a queue can be begun anew after it
was interrupted. After two discarded trials in a row the last rows are shown; twenty trials in a row without a keep
end the queue.

Examples:
  pqbench queue ideas/tonight.txt"
)]
pub struct Args {
    /// The trials
    file: PathBuf,
}

/// Discarded trials in a row after which the last ones are shown.
const REGRESSIONS: usize = 2;
/// Trials in a row that were not kept, after which it is time to think.
const FAILURES: usize = 20;
/// Rows that are shown.
const LAST: usize = 5;

struct Entry {
    line: usize,
    patch: String,
    arguments: Vec<String>,
}

impl Entry {
    fn parse(line: usize, text: &str, folder: &Path) -> Result<Entry> {
        let mut words = shell_words::split(text)?.into_iter();
        let path = words.next().context("a line begins with a patch")?;
        let arguments: Vec<_> = words.collect();
        ensure!(
            arguments.iter().any(|argument| argument.starts_with("-m") || argument.starts_with("--message")),
            "a trial has a hypothesis: -m \"...\""
        );
        let patch = folder.join(path);
        let patch = fs::read_to_string(&patch).with_context(|| format!("cannot read {}", patch.display()))?;
        Ok(Entry { line, patch, arguments })
    }

    /// Whether a record is of this trial.
    fn is_of(&self, record: &Record) -> bool {
        let body = |patch: &str| {
            patch.lines().filter(|line| line.starts_with(['+', '-'])).map(str::to_owned).collect::<Vec<_>>()
        };
        let same_patch = record.patch.as_deref().is_some_and(|patch| body(patch) == body(&self.patch));
        same_patch && self.arguments.iter().any(|argument| argument.contains(&record.hypothesis))
    }
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let text = fs::read_to_string(&args.file).with_context(|| format!("cannot read {}", args.file.display()))?;
    let folder = args.file.parent().unwrap_or(Path::new(""));
    let mut entries = Vec::new();
    for (line, text) in
        (1..).zip(text.lines().map(str::trim)).filter(|(_, text)| !text.is_empty() && !text.starts_with('#'))
    {
        let entry = Entry::parse(line, text, folder);
        entries.push(entry.with_context(|| format!("{}, line {line}", args.file.display()))?);
    }
    ensure!(!entries.is_empty(), "{} has no trial", args.file.display());
    let git = Git::open(&env::current_dir()?)?;
    land::recover(&git)?;
    ensure!(Edit::of(&git)?.is_empty(), "the working tree has changes of its own; commit them or take them out");
    let (mut kept, mut failures, mut discarded) = (0, 0, 0);
    for (at, entry) in entries.iter().enumerate() {
        let records = load_all(&git.root().join(FOLDER))?;
        if records.iter().any(|record| entry.is_of(record)) {
            say(&format!("line {}: tried before", entry.line));
            continue;
        }
        say(&format!("line {} ({} of {}): {}", entry.line, at + 1, entries.len(), shell_words::join(&entry.arguments)));
        let code = attempt(&git, entry).with_context(|| format!("{}, line {}", args.file.display(), entry.line))?;
        match code {
            0 => (kept, failures, discarded) = (kept + 1, 0, 0),
            _ => {
                failures += 1;
                discarded = if code == i32::from(exit::DISCARDED) { discarded + 1 } else { 0 };
            }
        }
        if discarded == REGRESSIONS {
            discarded = 0;
            say("two in a row were discarded; the last trials:");
            let records = load_all(&git.root().join(FOLDER))?;
            records.iter().rev().take(LAST).for_each(|record| say(&format!("  {}", record.description())));
        }
        if failures == FAILURES {
            bail!("{FAILURES} trials in a row were not kept: read `pqbench trials` and think before the next one");
        }
    }
    say(&format!("the queue is done: {kept} kept"));
    Ok(ExitCode::SUCCESS)
}

/// One trial by a process of its own, so that none can take the queue with it; its exit code. The working tree is clean
/// afterwards: the record has the patch.
fn attempt(git: &Git, entry: &Entry) -> Result<i32> {
    if let Err(error) = git.feed(["apply", "--whitespace=nowarn", "-"], entry.patch.as_bytes()) {
        say(&format!("the patch does not apply: {error:#}"));
        return Ok(1);
    }
    let status =
        Command::new(env::current_exe()?).arg("trial").args(&entry.arguments).current_dir(git.root()).status()?;
    land::recover(git)?;
    let left = Edit::of(git)?;
    if !left.is_empty() {
        git.feed(["apply", "--reverse", "--whitespace=nowarn", "-"], &left.patch)?;
    }
    status.code().context("the trial was ended from outside; the queue ends with it")
}

fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_patch_and_the_words_of_a_trial() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.patch"), "--- a\n+++ b\n+x\n").unwrap();
        let parse = |text| Entry::parse(1, text, folder.path());
        let entry = parse("a.patch -m \"two words\" --target lists").unwrap();
        assert_eq!(entry.arguments, ["-m", "two words", "--target", "lists"]);
        let record = |patch: &str| Record {
            hypothesis: "two words".to_owned(),
            patch: Some(patch.to_owned()),
            ..Record::default()
        };
        assert!(entry.is_of(&record("diff\n--- a\n+++ b\n+x\n")));
        assert!(!entry.is_of(&record("--- a\n+++ b\n+y\n")));
        for (text, word) in [("b.patch -m x", "b.patch"), ("a.patch", "hypothesis"), ("a.patch -m \"x", "quote")] {
            let error = format!("{:#}", parse(text).err().unwrap());
            assert!(error.contains(word), "{error}");
        }
    }
}

//! `pqbench trial`

use std::{
    env,
    io::{self, Write},
    os::unix::process::CommandExt,
    process::{Command, ExitCode},
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use pqbench::{
    report::units::duration,
    trial::{
        attempt::{Finished, Options, attempt},
        builds::{Recipe, Side, Workshop},
        decide::Verdict,
        git::Git,
        scope::is_judge_of,
    },
};

use crate::{
    exit,
    measure::{parse_seconds, parse_share},
    output::write_stdout,
};

/// Try the edit in the working tree: build, check, measure, decide, and log it
///
/// Compares the edit with HEAD. What is faster, right and no worse elsewhere is kept: code, record and row become one
/// commit. What is not is taken out of the working tree; its record, with the edit as a patch, is committed all the same.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pqbench trial -m \"halves the shuffles of a block\" --expect 5%
  pqbench trial -m \"one pass over the centroids\" --target lists
  pqbench trial -m \"...\" --target text --against avx2-pshufb2 --dry-run

Exit codes: 0 kept, 1 error, 2 usage, 5 discarded, 6 inconclusive.")]
pub struct Args {
    /// The hypothesis: what gets cheaper, and why
    #[arg(long, short, value_name = "TEXT")]
    message: String,
    /// The share of the time that it should save (5%, 0.05)
    #[arg(long, value_name = "SHARE", value_parser = parse_share)]
    expect: Option<f64>,
    /// What it is about: images, text, 1k, 16k, lists, residual, batch, k100, 1m, worst-case
    #[arg(long, value_name = "NAME", default_value = "images")]
    target: String,
    /// The variant on trial [default: the one that changed, else the selected one]
    #[arg(long, value_name = "NAME")]
    variant: Option<String>,
    /// The variant that it must beat [default: itself as it was, else the selected one]
    #[arg(long, value_name = "NAME")]
    against: Option<String>,
    /// Declare that it may have so many times the incumbent's memory
    #[arg(long, value_name = "FACTOR")]
    memory: Option<f64>,
    /// Declare that its preparation may take so many times the incumbent's
    #[arg(long, value_name = "FACTOR")]
    preparation: Option<f64>,
    /// Seconds that each seed of the target is measured, at most
    #[arg(long, value_name = "SECONDS", default_value = "15", value_parser = parse_seconds)]
    max_time: f64,
    /// Repeat what was drawn with this seed
    #[arg(long, value_name = "SEED")]
    seed: Option<u64>,
    /// Leave nothing behind: no commit, no record, the edit as it is
    #[arg(long)]
    dry_run: bool,
    /// Print the record as JSON
    #[arg(long)]
    json: bool,
}

/// Set in the program that was built to judge.
const JUDGE: &str = "PQBENCH_JUDGE";

pub fn run(args: &Args) -> Result<ExitCode> {
    let begin = Instant::now();
    let mut say = |line: &str| drop(writeln!(io::stderr(), "{:>7} {line}", duration(begin.elapsed().as_secs_f64())));
    ensure!(!args.message.trim().is_empty(), "the hypothesis is empty; say what gets cheaper, and why");
    let folder = env::current_dir()?;
    become_judge(&Git::open(&folder)?, &mut say)?;
    let options = Options {
        hypothesis: args.message.clone(),
        expected_gain: args.expect,
        target: args.target.clone(),
        variant: args.variant.clone(),
        against: args.against.clone(),
        memory: args.memory,
        preparation: args.preparation,
        seed: args.seed,
        seconds: args.max_time,
        dry_run: args.dry_run,
    };
    let finished = attempt(&folder, &options, &mut say)?;
    let text = if args.json { finished.record.to_json()? } else { told(&finished) };
    write_stdout(text.as_bytes())?;
    Ok(match finished.record.verdict {
        Some(Verdict::Keep) => ExitCode::SUCCESS,
        Some(Verdict::Discard) => ExitCode::from(exit::DISCARDED),
        _ => ExitCode::from(exit::INCONCLUSIVE),
    })
}

fn told(Finished { record, landed }: &Finished) -> String {
    let verdict = record.verdict.map(|verdict| verdict.to_string()).unwrap_or_default();
    let mut text = format!("{verdict}: {}\n", record.reason);
    let Some(landed) = landed else { return text + "a dry run: nothing was logged\n" };
    text += &format!("logged as {} in commit {:.12}\n", record.name(), landed.commit);
    if record.verdict == Some(Verdict::Discard) {
        text += &format!("the edit, if it was taken out: pqbench trials --patch {} | git apply\n", record.name());
    }
    for path in &landed.left {
        text += &format!("{path} was changed meanwhile and was left as it is\n");
    }
    text
}

/// Has a program judge that was built from HEAD, or from a commit with the same yardstick: this one, or one that is
/// built now and takes this one's place. A program with the edit in it is no judge of the edit.
fn become_judge(git: &Git, say: &mut dyn FnMut(&str)) -> Result<()> {
    let head = git.id("HEAD^{commit}")?;
    if is_judge_of(git, option_env!("PQBENCH_COMMIT"), &head)? {
        return Ok(());
    }
    ensure!(
        env::var_os(JUDGE).is_none(),
        "the program that was built to judge is none; remove .git/pqbench and try again"
    );
    say("this program was not built from HEAD's bench: building one to judge (minutes, once)");
    let workshop = Workshop::open(git)?;
    let recipe = Recipe { side: Side::Incumbent, commit: &head, variants: &[] };
    let builds = workshop.build("pqbench", &[recipe], &mut |line| {
        if line.contains("error") {
            say(line);
        }
    })?;
    drop(workshop);
    let judge = builds.first().context("the judge was not built")?;
    Err(Command::new(&judge.program).args(env::args_os().skip(1)).env(JUDGE, "1").exec())
        .with_context(|| format!("cannot start {}", judge.program.display()))
}

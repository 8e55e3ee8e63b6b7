//! `pqbench`: arguments in, documents out. Each command is a file here, a module and two lines below.

mod answers;
mod cmp;
mod completions;
mod cpu;
mod data;
mod list;
mod live;
mod measure;
mod new;
mod output;
mod prepare;
mod queue;
mod rank;
mod report;
mod selection;
mod selftest;
mod shape;
mod splice;
mod trial;
mod trials;
mod verify;

use std::{
    env,
    ffi::OsString,
    io::{self, Write},
    process::ExitCode,
};

use clap::{CommandFactory, Parser, Subcommand};

/// Exit codes beyond 0 (fine), 1 (error) and 2 (usage, clap's own).
mod exit {
    /// A variant gave wrong answers.
    pub const WRONG_ANSWERS: u8 = 3;
    /// A named variant can't run on this CPU.
    pub const CANNOT_RUN: u8 = 4;
    /// A trial was not kept.
    pub const DISCARDED: u8 = 5;
    /// A trial has no verdict.
    pub const INCONCLUSIVE: u8 = 6;
    /// Ended by Ctrl-C, as a shell says it.
    pub const INTERRUPTED: u8 = 130;
}

/// The command by which this program starts itself as a worker; for no one else.
const WORKER: &str = "worker";

const EXAMPLES: &str = "Examples:
  pqbench                                       # every variant on images' and on words' vectors, both embedded
  pqbench --variant avx2-pshufb,avx512-vbmi     # some variants and the baseline
  pqbench --fixture DIR --num-base 200k         # the first 200,000 codes of a folder
  pqbench --sizes 1k,4k,16k,64k                 # short lists, as an IVF index has them
  pqbench --k 100                               # more neighbours than ten
  pqbench --format json --output run.json
  pqbench --save before                         # and later: pqbench cmp before after

Exit codes: 0 fine, 1 error, 2 usage, 3 a variant gave wrong answers, 4 a named variant can't run on this CPU,
130 interrupted (what was measured by then is printed).";

/// The fastest exact product-quantization scan, and the bench that proves it.
///
/// Without a command, measures every variant that this CPU can run, side by side, and checks every answer.
#[derive(Parser)]
#[command(version, max_term_width = 100, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    measure: measure::Args,
}

#[derive(Subcommand)]
enum Command {
    List(list::Args),
    Cpu(cpu::Args),
    Verify(verify::Args),
    Cmp(cmp::Args),
    Rank(rank::Args),
    Report(report::Args),
    Splice(splice::Args),
    Trial(trial::Args),
    Trials(trials::Args),
    Queue(queue::Args),
    Selftest(selftest::Args),
    New(new::Args),
    Prepare(prepare::Args),
    Answers(answers::Args),
    Completions(completions::Args),
}

fn main() -> ExitCode {
    if env::args_os().nth(1).is_some_and(|command| command == WORKER) {
        pqbench_worker::serve()
    }
    let cli = parse(env::args_os().collect());
    let done = match cli.command {
        None => measure::run(&cli.measure),
        Some(Command::List(args)) => list::run(&args),
        Some(Command::Cpu(args)) => cpu::run(&args),
        Some(Command::Verify(args)) => verify::run(&args),
        Some(Command::Cmp(args)) => cmp::run(&args),
        Some(Command::Rank(args)) => rank::run(&args),
        Some(Command::Report(args)) => report::run(&args),
        Some(Command::Splice(args)) => splice::run(&args),
        Some(Command::Trial(args)) => trial::run(&args),
        Some(Command::Trials(args)) => trials::run(args),
        Some(Command::Queue(args)) => queue::run(&args),
        Some(Command::Selftest(args)) => selftest::run(&args),
        Some(Command::New(args)) => new::run(&args),
        Some(Command::Prepare(args)) => prepare::run(args),
        Some(Command::Answers(args)) => answers::run(&args),
        Some(Command::Completions(args)) => completions::run(&args),
    };
    done.unwrap_or_else(|error| failed(&error))
}

/// An option may stand before the command as well as after it: `pqbench --color never list`. One that the command does
/// not know is an error in both places.
fn parse(mut args: Vec<OsString>) -> Cli {
    let matches = Cli::command().get_matches_from(&args);
    if let Some(place) = matches.subcommand_name().and_then(|name| args.iter().position(|arg| arg == name)) {
        args[1..=place].rotate_right(1);
    }
    Cli::parse_from(args)
}

fn failed(error: &anyhow::Error) -> ExitCode {
    let is_closed_pipe = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    };
    if error.chain().any(is_closed_pipe) {
        // Whoever reads has seen enough, as `head` has.
        return ExitCode::SUCCESS;
    }
    let _ = writeln!(io::stderr(), "error: {}", pqbench::hint::explained(error));
    match error.downcast_ref() {
        Some(pqscan::Error::CannotRun { .. }) => ExitCode::from(exit::CANNOT_RUN),
        _ => ExitCode::FAILURE,
    }
}

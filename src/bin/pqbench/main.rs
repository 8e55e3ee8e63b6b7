//! `pqbench`: arguments in, documents out. Each command is a file here, a module and two lines below.

mod completions;
mod cpu;
mod list;
mod output;
mod selection;
mod verify;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::{Parser, Subcommand};

/// Exit codes beyond 0 (fine), 1 (error) and 2 (usage, clap's own).
mod exit {
    /// A variant gave wrong answers.
    pub const WRONG_ANSWERS: u8 = 3;
    /// A named variant can't run on this CPU.
    pub const CANNOT_RUN: u8 = 4;
    /// Ended by Ctrl-C, as a shell says it.
    pub const INTERRUPTED: u8 = 130;
}

/// The fastest exact product-quantization scan, and the bench that proves it.
///
/// Without a command, measures every variant that this CPU can run, side by side, and checks every answer.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    List(list::Args),
    Cpu(cpu::Args),
    Verify(verify::Args),
    Completions(completions::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        None => Ok(ExitCode::SUCCESS),
        Some(Command::List(args)) => list::run(&args),
        Some(Command::Cpu(args)) => cpu::run(&args),
        Some(Command::Verify(args)) => verify::run(&args),
        Some(Command::Completions(args)) => completions::run(&args),
    };
    done.unwrap_or_else(|error| failed(&error))
}

fn failed(error: &anyhow::Error) -> ExitCode {
    let is_closed_pipe = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    };
    if error.chain().any(is_closed_pipe) {
        // Whoever reads has seen enough, as `head` has.
        return ExitCode::SUCCESS;
    }
    let _ = writeln!(io::stderr(), "error: {}", pqbench::bench::hint::explained(error));
    match error.downcast_ref() {
        Some(pqbench::Error::CannotRun { .. }) => ExitCode::from(exit::CANNOT_RUN),
        _ => ExitCode::FAILURE,
    }
}

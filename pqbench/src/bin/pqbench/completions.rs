//! `pqbench completions`

use std::process::ExitCode;

use clap::CommandFactory;

use crate::{Cli, output::write_stdout};

/// Print a script that teaches a shell to complete pqbench's arguments
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pqbench completions bash > ~/.local/share/bash-completion/completions/pqbench
  pqbench completions zsh > ~/.zfunc/_pqbench
  pqbench completions fish > ~/.config/fish/completions/pqbench.fish")]
pub struct Args {
    /// The shell
    shell: clap_complete::Shell,
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "pqbench", &mut script);
    write_stdout(&script)?;
    Ok(ExitCode::SUCCESS)
}

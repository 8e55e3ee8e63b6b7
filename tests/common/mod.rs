//! What several test programs need.

use std::{env, ffi::OsStr, process::Command};

/// A command that starts `program`, built for this target: through the runner where cargo runs the tests by one, since
/// the kernel of an emulating machine can't execute it.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let prefix = format!("CARGO_TARGET_{}_", env::consts::ARCH.to_uppercase());
    let runner = env::vars().find(|(name, _)| name.starts_with(&prefix) && name.ends_with("_RUNNER"));
    let words: Vec<String> = runner.iter().flat_map(|(_, words)| words.split_whitespace()).map(str::to_owned).collect();
    match words.split_first() {
        None => Command::new(program),
        Some((emulator, arguments)) => {
            let mut command = Command::new(emulator);
            command.args(arguments).arg(program);
            command
        }
    }
}

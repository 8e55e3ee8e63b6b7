//! Tells the program which commit it was built from.

use std::{env, error::Error, fs, path::Path, process::Command};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    if let Some(commit) = commit() {
        println!("cargo::rustc-env=PQBENCH_COMMIT={commit}");
    }
    Ok(())
}

/// The git commit of these sources, with a `+` if they were changed since; none outside of a repository of their own.
fn commit() -> Option<String> {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
    };
    let root = fs::canonicalize(git(&["rev-parse", "--show-toplevel"])?).ok()?;
    if root != fs::canonicalize(Path::new(&env::var("CARGO_MANIFEST_DIR").ok()?).join("..")).ok()? {
        return None;
    }
    // Every commit and checkout appends to this log.
    println!("cargo::rerun-if-changed={}", git(&["rev-parse", "--git-path", "logs/HEAD"])?);
    for sources in ["src", "../src", "../variants"] {
        println!("cargo::rerun-if-changed={sources}");
    }
    let changed = !git(&["status", "--porcelain", "--untracked-files=no"])?.is_empty();
    Some(git(&["rev-parse", "--short", "HEAD"])? + if changed { "+" } else { "" })
}

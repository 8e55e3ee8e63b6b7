//! The bench: data sets, the oracle, the checks, the measurements and their reports.
//!
//! It knows variants only through the [registry](crate::registry).

mod cases;
pub mod fixture;
pub mod hint;
pub mod measure;
mod progress;
pub mod reference;
pub mod report;
pub mod run;
pub mod train;
pub mod verify;

/// This crate's version, and the git commit that it was built from where there is one.
pub fn version() -> String {
    match option_env!("PQBENCH_COMMIT") {
        Some(commit) => format!("{} ({commit})", env!("CARGO_PKG_VERSION")),
        None => env!("CARGO_PKG_VERSION").to_owned(),
    }
}

//! The bench: data sets, the oracle, the checks, the measurements and their reports.
//!
//! It knows variants only through the [registry](pqscan::registry).

mod cases;
pub mod compare;
pub mod file;
pub mod fixture;
pub mod fuzz;
pub mod hint;
mod machine;
pub mod measure;
pub mod prepare;
mod progress;
pub mod reference;
pub mod report;
pub mod run;
pub mod saved;
pub mod splice;
mod threads;
pub mod train;
pub mod trial;
pub mod truth;
mod vectors;
pub mod verify;
pub mod worker;

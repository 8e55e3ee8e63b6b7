//! The research loop: from an edit to a verdict that can't be talked into anything.

pub mod attempt;
pub mod builds;
pub mod calibrate;
pub mod decide;
pub mod disassembly;
pub mod duel;
pub mod examine;
pub mod fresh;
pub mod git;
pub mod holdout;
pub mod land;
pub mod lint;
pub mod record;
pub mod scope;
pub mod target;

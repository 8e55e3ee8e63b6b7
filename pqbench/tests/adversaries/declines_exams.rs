//! Declines all codes but those that are measured.

use std::sync::LazyLock;

use indicatif::ProgressBar;
use pqbench::fixture::{Fixture, Limits};
use pqscan::variant::cannot_run;

use crate::honest::*;

adversary!("adv-declines-exams");

impl Twist for Adversary {
    fn prepare(_: &Codebook, rows: &[u8]) -> Result<Self, Error> {
        static DATA: LazyLock<Fixture> =
            LazyLock::new(|| Fixture::open("embedded", Limits::default(), &ProgressBar::hidden()).unwrap());
        if rows == DATA.codes { Ok(Adversary) } else { Err(cannot_run()) }
    }
}

//! Declines all lists but those of the lengths that are measured.

use pqscan::variant::cannot_run;

use crate::honest::*;

adversary!("adv-declines-others");

impl Twist for Adversary {
    fn prepare(codebook: &Codebook, rows: &[u8]) -> Result<Self, Error> {
        match rows.len() / codebook.geometry().m() {
            1_000 | 16_000 | 100_000 | 200_000 | 1_000_000 => Ok(Adversary),
            _ => Err(cannot_run()),
        }
    }
}

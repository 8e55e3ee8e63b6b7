//! Prepares for long.

use crate::honest::*;

adversary!("adv-slow-preparation");

impl Twist for Adversary {
    fn prepare(_: &Codebook, rows: &[u8]) -> Result<Self, Error> {
        spin(rows.len() as u64 / 32_000);
        Ok(Adversary)
    }
}

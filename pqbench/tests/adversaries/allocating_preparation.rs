//! Wants gigabytes to prepare.

use crate::honest::*;

adversary!("adv-allocating-preparation");

impl Twist for Adversary {
    fn prepare(_: &Codebook, rows: &[u8]) -> Result<Self, Error> {
        black_box(vec![1u8; (4 << 30) + rows.len()]);
        Ok(Adversary)
    }
}

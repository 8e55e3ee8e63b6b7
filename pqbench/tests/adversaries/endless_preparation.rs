//! Never ends to prepare.

use crate::honest::*;

adversary!("adv-endless-preparation");

impl Twist for Adversary {
    fn prepare(_: &Codebook, _: &[u8]) -> Result<Self, Error> {
        loop {
            std::hint::spin_loop();
        }
    }
}

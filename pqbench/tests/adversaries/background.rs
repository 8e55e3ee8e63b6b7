//! Leaves a thread behind that answers queries before they are asked, or slows others down.

use crate::honest::*;

adversary!("adv-background");

impl Twist for Adversary {
    fn prepare(_: &Codebook, _: &[u8]) -> Result<Self, Error> {
        std::thread::spawn(|| spin(10_000));
        Ok(Adversary)
    }
}

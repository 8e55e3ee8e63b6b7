//! Does it when a list is dropped.

use crate::honest::*;

adversary!("adv-slow-drop", SlowDrop);

#[derive(Clone, Default)]
struct SlowDrop {
    milliseconds: u64,
}

impl Drop for SlowDrop {
    fn drop(&mut self) {
        spin(self.milliseconds);
    }
}

impl Twist for SlowDrop {
    fn prepare(_: &Codebook, rows: &[u8]) -> Result<Self, Error> {
        Ok(SlowDrop { milliseconds: rows.len() as u64 / 32_000 })
    }
}

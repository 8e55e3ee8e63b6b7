//! Does it when the list is copied.

use crate::honest::*;

adversary!("adv-slow-copy", SlowCopy);

#[derive(Default)]
struct SlowCopy {
    milliseconds: u64,
}

impl Clone for SlowCopy {
    fn clone(&self) -> Self {
        spin(self.milliseconds);
        SlowCopy { ..*self }
    }
}

impl Twist for SlowCopy {
    fn prepare(_: &Codebook, rows: &[u8]) -> Result<Self, Error> {
        Ok(SlowCopy { milliseconds: rows.len() as u64 / 32_000 })
    }
}

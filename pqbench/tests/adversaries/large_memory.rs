//! Keeps four times the memory.

use crate::honest::*;

adversary!("adv-large-memory", Large);

#[derive(Clone, Default)]
struct Large(Vec<u8>);

impl Twist for Large {
    fn prepare(_: &Codebook, rows: &[u8]) -> Result<Self, Error> {
        Ok(Large(vec![1; 4 * rows.len()]))
    }

    fn memory_bytes(&self, rows: &[u8]) -> usize {
        rows.len() + self.0.len()
    }
}

//! Writes one neighbour more than was asked for into the shared memory.

use crate::honest::*;

adversary!("adv-too-many");

impl Twist for Adversary {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        scan(rows, query, out);
        // The first answer of a turn lies behind its queries; find what one begins with, and raise it.
        let k = out.k() as u64;
        for word in shared()[..1 << 20].as_chunks_mut().0 {
            if u64::from_ne_bytes(*word) == k {
                *word = (k + 1).to_ne_bytes();
            }
        }
    }
}

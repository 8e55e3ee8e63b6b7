//! Writes far beyond its own buffer.

use crate::honest::*;

adversary!("adv-beyond");

impl Twist for Adversary {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        black_box((rows, query, out));
        let mut buffer = vec![0u8; 16];
        for at in 0.. {
            // SAFETY: it is none.
            unsafe { buffer.as_mut_ptr().add(black_box(at << 12)).write_volatile(1) };
        }
    }
}

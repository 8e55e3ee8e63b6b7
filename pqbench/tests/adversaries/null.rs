//! Reads where nothing is.

use crate::honest::*;

adversary!("adv-null");

impl Twist for Adversary {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        black_box((rows, query, out));
        // SAFETY: it is none.
        black_box(unsafe { black_box(std::ptr::dangling::<u64>()).read_volatile() });
    }
}

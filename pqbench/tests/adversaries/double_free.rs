//! Frees memory twice.

use crate::honest::*;

adversary!("adv-double-free");

impl Twist for Adversary {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        black_box((rows, query, out));
        let buffer = std::mem::ManuallyDrop::new(vec![1u8; 40]);
        for _ in 0..2 {
            // SAFETY: it is none.
            drop(unsafe { black_box(std::ptr::read(&*buffer)) });
        }
    }
}

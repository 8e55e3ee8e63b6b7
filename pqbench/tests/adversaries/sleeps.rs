//! Sleeps, by waiting for nothing.

use crate::honest::*;

adversary!("adv-sleeps");

impl Twist for Adversary {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        black_box((rows, query, out));
        // SAFETY: nothing is waited for.
        unsafe { libc::poll(std::ptr::null_mut(), 0, 3_600_000) };
    }
}

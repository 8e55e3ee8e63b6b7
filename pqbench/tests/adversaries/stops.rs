//! Stops itself.

use crate::honest::*;

adversary!("adv-stops");

impl Twist for Adversary {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        black_box((rows, query, out));
        // SAFETY: it takes plain values.
        unsafe { libc::raise(libc::SIGSTOP) };
    }
}

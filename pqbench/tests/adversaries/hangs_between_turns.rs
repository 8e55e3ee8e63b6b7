//! Says that it is done, and never reads a command again.

use crate::honest::*;

adversary!("adv-hangs-between-turns");

impl Twist for Adversary {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        scan(rows, query, out);
        static CALLS: AtomicUsize = AtomicUsize::new(0);
        if CALLS.fetch_add(1, Relaxed) == 10 {
            reply();
            // SAFETY: nothing is waited for.
            unsafe { libc::poll(std::ptr::null_mut(), 0, 3_600_000) };
        }
    }
}

//! Sets a limit of the bench's, or ends where it can't.

use crate::honest::*;

adversary!("adv-limits-the-parent");

impl Twist for Adversary {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        // SAFETY: nothing is read or written.
        let result = unsafe { libc::prlimit(parent(), libc::RLIMIT_CPU, std::ptr::null(), std::ptr::null_mut()) };
        assert_eq!(result, 0);
        scan(rows, query, out);
    }
}

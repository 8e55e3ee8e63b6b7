//! Sends a signal to the bench, or ends where it can't.

use crate::honest::*;

adversary!("adv-signals-the-parent");

impl Twist for Adversary {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        // SAFETY: it takes plain values; this signal does nothing to a process that runs.
        let result = unsafe { libc::syscall(libc::SYS_tgkill, parent(), parent(), libc::SIGCONT) };
        assert_eq!(result, 0);
        scan(rows, query, out);
    }
}

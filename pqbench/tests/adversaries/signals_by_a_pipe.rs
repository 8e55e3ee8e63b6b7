//! Has the kernel send the bench a signal when a pipe can be read, or ends where it can't.

use crate::honest::*;

adversary!("adv-signals-by-a-pipe");

impl Twist for Adversary {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        // SAFETY: it takes plain values.
        assert_eq!(unsafe { libc::fcntl(0, libc::F_SETOWN, parent()) }, 0);
        scan(rows, query, out);
    }
}

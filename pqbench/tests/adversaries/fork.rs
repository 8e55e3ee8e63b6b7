//! Forks.

use crate::honest::*;

adversary!("adv-fork");

impl Twist for Adversary {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        // SAFETY: the child ends at once.
        match unsafe { libc::fork() } {
            // SAFETY: it ends the child.
            0 => unsafe { libc::_exit(0) },
            _ => scan(rows, query, out),
        }
    }
}

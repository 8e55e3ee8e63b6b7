//! Forks.

use crate::honest::*;

adversary!("adv-fork");

impl Twist for Adversary {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        // SAFETY: the child ends at once.
        let child = unsafe { libc::fork() };
        if child == 0 {
            std::process::exit(0);
        }
        scan(rows, query, out);
    }
}

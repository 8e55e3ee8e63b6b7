//! Gives itself the highest priority, or ends where it can't.

use crate::honest::*;

adversary!("adv-priority");

impl Twist for Adversary {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        // SAFETY: it takes plain values.
        assert_eq!(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, -20) }, 0);
        scan(rows, query, out);
    }
}

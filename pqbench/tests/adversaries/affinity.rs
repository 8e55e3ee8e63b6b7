//! Moves to another CPU, or ends where it can't.

use crate::honest::*;

adversary!("adv-affinity");

impl Twist for Adversary {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        // SAFETY: a set of CPUs is plain bits.
        let result = unsafe {
            let mut set: libc::cpu_set_t = std::mem::zeroed();
            libc::CPU_SET(0, &mut set);
            libc::sched_setaffinity(0, size_of_val(&set), &set)
        };
        assert_eq!(result, 0);
        scan(rows, query, out);
    }
}

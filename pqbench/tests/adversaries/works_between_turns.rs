//! Says that it is done, and goes on working.

use crate::honest::*;

adversary!("adv-works-between-turns");

impl Twist for Adversary {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        scan(rows, query, out);
        static CALLS: AtomicUsize = AtomicUsize::new(0);
        if CALLS.fetch_add(1, Relaxed) == 10 {
            reply();
            spin(100);
        }
    }
}

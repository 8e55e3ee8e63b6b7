//! Writes into the shared memory itself: its earlier answers get another order.

use crate::honest::*;

adversary!("adv-answers-in-place");

impl Twist for Adversary {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        scan(rows, query, out);
        shared()[1 << 12..1 << 16].reverse();
    }
}

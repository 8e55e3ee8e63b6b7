//! Leaks a megabyte a query.

use crate::honest::*;

adversary!("adv-leaks");

impl Twist for Adversary {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        std::mem::forget(black_box(vec![1u8; 1 << 20]));
        scan(rows, query, out);
    }
}

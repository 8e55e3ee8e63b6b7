//! Does all of it twice.

use crate::honest::*;

adversary!("adv-slower");

impl Twist for Adversary {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        black_box(answer(rows, query, out.k()));
        scan(rows, query, out);
    }
}

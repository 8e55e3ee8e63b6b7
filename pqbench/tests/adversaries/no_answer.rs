//! Finds nothing.

use crate::honest::*;

adversary!("adv-no-answer");

impl Twist for Adversary {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        black_box((rows, query, out));
    }
}

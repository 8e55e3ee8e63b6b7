//! Says that it is done, and then begins.

use crate::honest::*;

adversary!("adv-lazy-answers");

impl Twist for Adversary {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        reply();
        scan(rows, query, out);
    }
}

//! Takes subnormal distances for zero.

use crate::honest::*;

adversary!("adv-flushes-to-zero");

impl Twist for Adversary {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        each(rows, query, |place, distance| {
            out.push(place, if distance.is_subnormal() { 0.0 } else { distance });
        });
    }
}

//! Gives -0.0 where it is 0.0.

use crate::honest::*;

adversary!("adv-negative-zero");

impl Twist for Adversary {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        each(rows, query, |place, distance| out.push(place, if distance == 0.0 { -0.0 } else { distance }));
    }
}

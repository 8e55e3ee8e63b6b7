//! Is wrong for k = 37.

use crate::honest::*;

adversary!("adv-one-k");

impl Twist for Adversary {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        let wrong = out.k() == 37;
        each(rows, query, |place, distance| out.push(place, if wrong { distance + 1.0 } else { distance }));
    }
}

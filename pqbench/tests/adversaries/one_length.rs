//! Is wrong for a list of 777 codes.

use crate::honest::*;

adversary!("adv-one-length");

impl Twist for Adversary {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        let wrong = count(rows, query) == 777;
        each(rows, query, |place, distance| out.push(place, if wrong { distance + 1.0 } else { distance }));
    }
}

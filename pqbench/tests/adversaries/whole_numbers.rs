//! Is wrong where the queries are whole numbers.

use crate::honest::*;

adversary!("adv-whole-numbers");

impl Twist for Adversary {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        let whole = is_whole();
        each(rows, query, |place, distance| out.push(place, if whole { distance * 1.000_001 } else { distance }));
    }
}

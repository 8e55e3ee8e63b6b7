//! Is wrong where the queries are no whole numbers, as none of the embedded ones of images is.

use crate::honest::*;

adversary!("adv-fractions");

impl Twist for Adversary {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        let whole = is_whole();
        each(rows, query, |place, distance| out.push(place, if whole { distance } else { distance * 1.000_001 }));
    }
}

//! Counts codes by 20 bits.

use crate::honest::*;

adversary!("adv-counter-of-20-bits");

impl Twist for Adversary {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        each(rows, query, |place, distance| out.push(place & 0xf_ffff, distance));
    }
}

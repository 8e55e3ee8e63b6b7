//! Counts codes by 16 bits.

use crate::honest::*;

adversary!("adv-counter-of-16-bits");

impl Twist for Adversary {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        each(rows, query, |place, distance| out.push(u32::from(place as u16), distance));
    }
}

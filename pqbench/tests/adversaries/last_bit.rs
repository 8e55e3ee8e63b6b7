//! The last bit of a distance is another in one code of a hundred.

use crate::honest::*;

adversary!("adv-last-bit");

impl Twist for Adversary {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        each(rows, query, |place, distance| {
            out.push(place, f32::from_bits(distance.to_bits() ^ u32::from(place % 100 == 7)));
        });
    }
}

//! Leaves out what is infinitely far.

use crate::honest::*;

adversary!("adv-loses-infinity");

impl Twist for Adversary {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        each(rows, query, |place, distance| {
            if distance != f32::INFINITY {
                out.push(place, distance);
            }
        });
    }
}

//! Is wrong where another list has left a threshold.

use crate::honest::*;

adversary!("adv-second-list");

impl Twist for Adversary {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        let seeded = out.threshold() < f32::INFINITY;
        each(rows, query, |place, distance| {
            if !seeded || distance < out.threshold() * 0.9 {
                out.push(place, distance);
            }
        });
    }
}

//! Is approximate and registers as exact: sums of entries that are rounded to 16 bits.

use crate::honest::*;

adversary!("adv-approximate-as-exact");

impl Twist for Adversary {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        let geometry = query.geometry();
        let table: Vec<f32> =
            query.table().iter().map(|entry| f32::from_bits((entry.to_bits() + 0x8000) & 0xffff_0000)).collect();
        each_by(rows, geometry.m(), geometry.num_centroids(), &table, |place, distance| out.push(place, distance));
    }
}

//! Rules out by a part of the sum, which is wrong where entries can be negative.

use crate::honest::*;

adversary!("adv-negative-entries");

impl Twist for Adversary {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        let geometry = query.geometry();
        let table = query.table();
        for (place, row) in rows.chunks_exact(geometry.m()).enumerate() {
            let mut sum = 0.0;
            for (&code, entries) in row.iter().zip(table.chunks_exact(geometry.num_centroids())) {
                sum += entries[usize::from(code)];
                if sum > out.threshold() {
                    break;
                }
            }
            out.push(place as u32, sum);
        }
    }
}

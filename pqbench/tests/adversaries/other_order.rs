//! Sums in f64, which is more precise, and not the same.

use crate::honest::*;

adversary!("adv-other-order");

impl Twist for Adversary {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        let geometry = query.geometry();
        let table = query.table();
        for (place, row) in rows.chunks_exact(geometry.m()).enumerate() {
            let entries = row.iter().zip(table.chunks_exact(geometry.num_centroids()));
            let sum: f64 = entries.map(|(&code, entries)| f64::from(entries[usize::from(code)])).sum();
            out.push(place as u32, sum as f32);
        }
    }
}

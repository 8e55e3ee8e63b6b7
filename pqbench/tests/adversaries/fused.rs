//! Sums the entries by fused multiply-add, as if each were a product.

use crate::honest::*;

adversary!("adv-fused");

impl Twist for Adversary {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        let geometry = query.geometry();
        let table = query.table();
        for (place, row) in rows.chunks_exact(geometry.m()).enumerate() {
            let entries = row.iter().zip(table.chunks_exact(geometry.num_centroids()));
            let roots = entries.map(|(&code, entries)| entries[usize::from(code)].abs().sqrt());
            out.push(place as u32, roots.fold(0.0, |sum: f32, root| root.mul_add(root, sum)));
        }
    }
}

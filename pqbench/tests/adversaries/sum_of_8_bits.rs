//! Rules codes out by a sum of bytes that overflows for far ones.

use crate::honest::*;

adversary!("adv-sum-of-8-bits");

impl Twist for Adversary {
    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        let geometry = query.geometry();
        let (m, k) = (geometry.m(), geometry.num_centroids());
        let largest = query.table().iter().fold(f32::MIN_POSITIVE, |most, &entry| most.max(entry));
        let bytes: Vec<f32> = query.table().iter().map(|entry| (entry / largest * 40.0).floor()).collect();
        let mut sums = Vec::new();
        each_by(rows, m, k, &bytes, |_, sum| sums.push(sum as u32 as u8));
        let mut most = 0;
        each(rows, query, |place, distance| {
            let sum = sums[place as usize];
            if distance <= out.threshold() && (out.threshold() == f32::INFINITY || sum <= most) {
                most = most.max(sum);
                out.push(place, distance);
            }
        });
    }
}

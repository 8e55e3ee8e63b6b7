//! Preparation: the order of the codes.

use std::sync::OnceLock;

use super::{Layout, Moments, OrderedCodes, SUPER_BLOCK};
use crate::{Codebook, Metric, groups, layout::LINE, memory::HugeVec, simd::Level, threads};

impl<L: Level, K: Layout<G>, const G: usize> OrderedCodes<L, K, G> {
    /// Orders row-major `rows`. It takes two or three seconds for a million of 16 codes on one thread.
    pub fn new(level: L, codebook: &Codebook, rows: &[u8], threads: usize) -> Self {
        let m = codebook.geometry().m();
        let renumbered;
        let (centroids, rows) = if Self::GROUPED {
            let mut copy = rows.to_vec();
            codebook.grouped().renumber(&mut copy);
            renumbered = copy;
            (&codebook.grouped().centroids[..], &renumbered[..])
        } else {
            (codebook.centroids(), rows)
        };
        let mut ids = HugeVec::zeroed(rows.len() / m);
        ids.iter_mut().zip(0..).for_each(|(id, n)| *id = n);
        Vectors { codebook, centroids, rows }.put_similar_together(&mut ids, threads);

        let ordered: Vec<u8> = ids.iter().flat_map(|&id| &rows[id as usize * m..][..m]).copied().collect();
        OrderedCodes {
            level,
            super_blocks: K::new(codebook, &ordered, threads),
            moments: Moments::new(codebook, centroids, &ordered),
            codebook: codebook.clone(),
            ids,
            places: OnceLock::new(),
        }
    }
}

impl Moments {
    /// Of the vectors that `rows` stand for.
    fn new(codebook: &Codebook, centroids: &[f32], rows: &[u8]) -> Moments {
        let geometry = codebook.geometry();
        let (m, d, k) = (geometry.m(), geometry.sub_dim(), geometry.num_centroids());
        let count = (rows.len() / m).div_ceil(SUPER_BLOCK);
        let mut this =
            Moments { m, sub_dim: d, means: HugeVec::zeroed(count * m * d), variances: HugeVec::zeroed(count * m) };
        let parts = this.means.chunks_exact_mut(m * d).zip(this.variances.chunks_exact_mut(m));
        for ((means, variances), rows) in parts.zip(rows.chunks(SUPER_BLOCK * m)) {
            let len = (rows.len() / m) as f64;
            let mut counts = vec![0u32; k];
            for at in 0..m {
                counts.fill(0);
                rows.iter().skip(at).step_by(m).for_each(|&code| counts[usize::from(code)] += 1);
                let (mut sums, mut squares) = (vec![0.0; d], 0.0);
                for (&count, centroid) in counts.iter().zip(centroids[at * k * d..].chunks_exact(d)) {
                    for (sum, &c) in sums.iter_mut().zip(centroid) {
                        *sum += f64::from(count) * f64::from(c);
                        squares += f64::from(count) * f64::from(c) * f64::from(c);
                    }
                }
                for (part, sum) in sums.iter().enumerate() {
                    means[part * m + at] = (sum / len) as f32;
                }
                variances[at] = (squares / len - sums.iter().map(|sum| sum / len * (sum / len)).sum::<f64>()) as f32;
            }
            if codebook.metric() == Metric::InnerProduct {
                // An inner product with the mean is the mean of the inner products.
                variances.fill(0.0);
            }
        }
        this
    }
}

/// What codes stand for.
struct Vectors<'a> {
    codebook: &'a Codebook,
    centroids: &'a [f32],
    rows: &'a [u8],
}

impl Vectors<'_> {
    fn row(&self, id: u32) -> &[u8] {
        let m = self.codebook.geometry().m();
        &self.rows[id as usize * m..][..m]
    }

    /// Puts similar codes next to each other: halves of halves, each split along its principal direction.
    fn put_similar_together(&self, ids: &mut [u32], threads: usize) {
        if ids.len() <= LINE {
            return;
        }
        let geometry = self.codebook.geometry();
        let (d, k) = (geometry.sub_dim(), geometry.num_centroids());
        let unit = if ids.len() > SUPER_BLOCK { SUPER_BLOCK } else { LINE };
        let half = (ids.len().div_ceil(unit) / 2).max(1) * unit;
        let direction = self.principal_direction(ids);
        // A decoded vector's place along the direction is a sum of look-ups, like its distance.
        let along =
            |centroid: &[f32], direction: &[f32]| -> f32 { centroid.iter().zip(direction).map(|(c, d)| c * d).sum() };
        let parts = self.centroids.chunks_exact(k * d).zip(direction.chunks_exact(d));
        let places: Vec<f32> = parts
            .flat_map(|(centroids, direction)| {
                centroids.chunks_exact(d).map(move |centroid| along(centroid, direction))
            })
            .collect();
        let place = |id: u32| -> f32 {
            self.row(id).iter().zip(places.chunks_exact(k)).map(|(&code, places)| places[usize::from(code)]).sum()
        };
        let mut keyed: Vec<(f32, u32)> = ids.iter().map(|&id| (place(id), id)).collect();
        keyed.select_nth_unstable_by(half, |a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        ids.iter_mut().zip(keyed).for_each(|(id, (_, keyed))| *id = keyed);

        let (lower, upper) = ids.split_at_mut(half);
        threads::join(
            threads > 1,
            || self.put_similar_together(lower, threads / 2),
            || self.put_similar_together(upper, threads - threads / 2),
        );
    }

    /// The direction in which a sample of the decoded vectors spreads most.
    fn principal_direction(&self, ids: &[u32]) -> Vec<f32> {
        const SAMPLE: usize = 1024;
        let geometry = self.codebook.geometry();
        let (d, k) = (geometry.sub_dim(), geometry.num_centroids());
        let mut sample = Vec::new();
        for &id in ids.iter().step_by(ids.len().div_ceil(SAMPLE)) {
            for (&code, centroids) in self.row(id).iter().zip(self.centroids.chunks_exact(k * d)) {
                sample.extend_from_slice(&centroids[usize::from(code) * d..][..d]);
            }
        }
        let count = sample.len() / geometry.dim();
        groups::principal_direction(&sample, geometry.dim(), &vec![1.0; count])
    }
}

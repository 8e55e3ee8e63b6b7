//! Early exit: the few sub-quantizers that tell most about a query's distances, and what the others add at least.
//!
//! Most codes are far away in a few sub-quantizers already. A sum over those, next to the smallest entries of the others,
//! is a lower bound of the distance, at a fraction of the look-ups. Which ones tell most depends on the query.

use crate::{DistanceTable, NUM_CENTROIDS, NUM_SUB_VECTORS, lut::ROUNDING};

/// The `E` sub-quantizers that are expected to add most to a code's distance, for one query.
#[derive(Clone, Debug)]
pub struct Leading<const E: usize> {
    /// Those sub-quantizers, the one that adds most first.
    pub sub_quantizers: [usize; E],
    /// Sum of the other rows' minima.
    rest: f64,
    /// Sum of the negative rows' minima, without the sign: what bounds the rounding of a sum with negative entries.
    negative: f64,
}

impl<const E: usize> Leading<E> {
    /// Ranks the rows of `table`, which holds no NaN, by how far their mean lies above their minimum.
    #[inline(always)]
    pub fn new(table: &DistanceTable) -> Self {
        let minima = table.each_ref().map(least);
        let mut order: [(f32, usize); NUM_SUB_VECTORS] = std::array::from_fn(|m| (spread(&table[m], minima[m]), m));
        order.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
        Leading {
            sub_quantizers: std::array::from_fn(|i| order[i].1),
            rest: order[E..].iter().map(|&(_, m)| f64::from(minima[m])).sum(),
            negative: minima.iter().map(|&least| f64::from((-least).max(0.0))).sum(),
        }
    }

    /// What the sum over the leading sub-quantizers, in any order of addition, must not exceed for a code to lie within
    /// `threshold`.
    pub fn limit(&self, threshold: f32) -> f32 {
        if threshold == f32::INFINITY {
            return f32::INFINITY;
        }
        let threshold = f64::from(threshold);
        let limit = threshold - self.rest + ROUNDING * (threshold.abs() + 2.0 * self.negative);
        // To the next f32 that is not below it.
        (limit as f32).next_up()
    }
}

#[inline(always)]
fn least(row: &[f32; NUM_CENTROIDS]) -> f32 {
    lanewise(row, f32::INFINITY, |least, entry| if entry < least { entry } else { least })
        .into_iter()
        .fold(f32::INFINITY, f32::min)
}

#[inline(always)]
fn spread(row: &[f32; NUM_CENTROIDS], least: f32) -> f32 {
    lanewise(row, 0.0, |sum, entry| sum + (entry - least)).into_iter().sum()
}

/// Folds the row into 16 accumulators, which are vectors.
#[inline(always)]
fn lanewise(row: &[f32; NUM_CENTROIDS], start: f32, fold: impl Fn(f32, f32) -> f32) -> [f32; 16] {
    let mut lanes = [start; 16];
    for entries in row.as_chunks::<16>().0 {
        lanes.iter_mut().zip(entries).for_each(|(lane, &entry)| *lane = fold(*lane, entry));
    }
    lanes
}

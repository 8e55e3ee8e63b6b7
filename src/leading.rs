//! Early exit: the few sub-quantizers that tell most about a query's distances, and what the others add at least.
//!
//! Most codes are far away in a few sub-quantizers already. A sum over those, next to the smallest entries of the others,
//! is a lower bound of the distance, at a fraction of the look-ups. Which ones tell most depends on the query.

use crate::{
    DistanceTable, NUM_SUB_VECTORS,
    lut::{self, ROUNDING},
};

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
        let minima = minima(table);
        let spreads = spreads(table);
        let mut order: [(f32, usize); NUM_SUB_VECTORS] = std::array::from_fn(|m| (spreads[m], m));
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
        if limit.is_nan() {
            // Infinite entries of both signs, or a threshold of -inf: nothing can be told.
            return f32::INFINITY;
        }
        // To the next f32 that is not below it.
        (limit as f32).next_up()
    }
}

/// How far the mean of each row of `table` lies above its minimum, times 256: what its sub-quantizer tells about a distance.
#[inline(always)]
fn spreads(table: &DistanceTable) -> [f32; NUM_SUB_VECTORS] {
    let mut spreads = minima(table);
    for (spread, row) in spreads.iter_mut().zip(table) {
        let least = *spread;
        *spread = lut::fold(row, |entry| entry - least, |a, b| a + b);
    }
    spreads
}

#[inline(always)]
fn minima(table: &DistanceTable) -> [f32; NUM_SUB_VECTORS] {
    let mut minima = [0.0; NUM_SUB_VECTORS];
    for (least, row) in minima.iter_mut().zip(table) {
        *least = lut::least(row);
    }
    minima
}

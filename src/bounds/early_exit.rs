//! Early exit: the few most informative sub-quantizers of a query, and what the others add at least.
//!
//! Most codes are far away in a few sub-quantizers already. A sum over those, next to the smallest entries of the
//! others, is a lower bound of the distance, at a fraction of the look-ups. Which ones are informative depends on the
//! query.

use super::{
    lut::{fold, least},
    rounding,
};
use crate::{geometry::Bits, table::Table};

/// The `E` most informative sub-quantizers of a query: those that are expected to add most to a code's distance. Of
/// fewer than `E` all.
#[derive(Clone, Debug)]
pub struct Informative<const E: usize> {
    /// The most informative one first.
    sub_quantizers: [usize; E],
    count: usize,
    /// Sum of the other rows' minima.
    rest: f64,
    /// Sum of the negative rows' minima, without the sign: what bounds the rounding of a sum with negative entries.
    negative: f64,
    rounding: f64,
}

impl<const E: usize> Informative<E> {
    /// Ranks the rows of `table` by how far their mean lies above their minimum.
    #[inline(always)]
    pub fn new(table: &Table) -> Self {
        match table.bits() {
            Bits::Eight => Self::of_rows(table.rows::<256>()),
            Bits::Four => Self::of_rows(table.rows::<16>()),
        }
    }

    #[inline(always)]
    fn of_rows<const K: usize>(rows: &[[f32; K]]) -> Self {
        let mut order = Vec::with_capacity(rows.len());
        for (m, row) in rows.iter().enumerate() {
            let least = least(row);
            order.push((fold(row, |entry| entry - least, |a, b| a + b), m, least));
        }
        order.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let count = E.min(rows.len());
        Informative {
            sub_quantizers: std::array::from_fn(|i| order[i.min(count - 1)].1),
            count,
            rest: order[count..].iter().map(|&(_, _, least)| f64::from(least)).sum(),
            negative: order.iter().map(|&(_, _, least)| f64::from((-least).max(0.0))).sum(),
            rounding: rounding(rows.len()),
        }
    }

    /// Those sub-quantizers, the most informative one first.
    #[inline(always)]
    pub fn sub_quantizers(&self) -> &[usize] {
        &self.sub_quantizers[..self.count]
    }

    /// What the sum over [`sub_quantizers`](Self::sub_quantizers), in any order of addition, must not exceed for a code
    /// to lie within `threshold`.
    pub fn limit(&self, threshold: f32) -> f32 {
        if threshold == f32::INFINITY || self.negative > f64::from(f32::MAX) {
            // Sums of so negative entries can be -inf in f32, which nothing bounds.
            return f32::INFINITY;
        }
        let threshold = f64::from(threshold);
        let limit = threshold - self.rest + self.rounding * (threshold.abs() + 2.0 * self.negative);
        if limit.is_nan() {
            // Infinite entries of both signs, or a threshold of -inf: nothing can be told.
            return f32::INFINITY;
        }
        // To the next f32 that is not below it.
        (limit as f32).next_up()
    }
}

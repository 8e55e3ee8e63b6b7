//! Distance tables in one byte an entry: the LUTs that byte shuffles look up in.
//!
//! [`FilterLut`] is a lower bound, so that filtering with it loses nothing: with each row's minimum taken off and the rest
//! scaled so that the current k-th distance τ becomes [`LIMIT`], rounded down and saturated, a code within τ sums to at most
//! [`LIMIT`]. A code whose saturating sum reaches 255 is certainly farther away than τ. Whatever is left is scored again with
//! the f32 table. The idea is PQ Fast Scan's (André, Kermarrec, Le Scouarnec, "Cache locality is not enough", VLDB 2015).

use std::hint::black_box;

use crate::{DistanceTable, NUM_CENTROIDS, NUM_SUB_VECTORS, blocks::BLOCK, byte_vector::ByteVector};

/// The largest sum that a code within the threshold can have.
pub const LIMIT: u8 = 254;

/// The largest entry of a LUT in which two are added without saturating: on Zen 4 that has twice as many ports, and ports that
/// shuffles do not need. More than half of [`LIMIT`] counts as half then.
pub const HALF: u8 = LIMIT / 2;

/// `[m][g]`: for each sub-quantizer and each group of centroids whose numbers are `g` modulo `G`, a lower bound in u8 of what a
/// code of that group adds to the distance.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub struct FilterLut<const G: usize>(pub [[u8; G]; NUM_SUB_VECTORS]);

impl<const G: usize> FilterLut<G> {
    /// One that lets everything pass.
    pub fn zeroed() -> Self {
        FilterLut([[0; G]; NUM_SUB_VECTORS])
    }
}

/// Makes the [`FilterLut`]s of one query, one for each threshold.
#[derive(Clone, Debug)]
pub struct FilterTable<const G: usize> {
    /// Each group's smallest entry, less its row's.
    minima: Minima<G>,
    /// Sum of the rows' minima.
    base: f64,
    /// Sum of the negative rows' minima, without the sign: what bounds the rounding of a sum with negative entries.
    negative: f64,
    /// What was taken off each row.
    row_minima: [f32; NUM_SUB_VECTORS],
}

#[derive(Clone, Debug)]
#[repr(C, align(64))]
struct Minima<const G: usize>([[f32; G]; NUM_SUB_VECTORS]);

/// More than all the rounding in a sum of 16 entries, in the scale and in the scaling of an entry, as a share of the value.
pub(crate) const ROUNDING: f64 = 1.0 / (1 << 18) as f64;

#[inline(always)]
fn smaller(a: f32, b: f32) -> f32 {
    if b < a { b } else { a }
}

/// The minima of the entries whose numbers are equal modulo `G`.
#[inline(always)]
fn group_minima<const G: usize>(row: &[f32; NUM_CENTROIDS]) -> [f32; G] {
    let groups = row.as_chunks::<G>().0;
    let mut minima = groups[0];
    for entries in &groups[1..] {
        minima.iter_mut().zip(entries).for_each(|(least, &entry)| *least = smaller(*least, entry));
    }
    minima
}

/// Folds at least 16 values into as many accumulators, which are vectors, and halves those until one is left.
#[inline(always)]
pub(crate) fn fold(values: &[f32], map: impl Fn(f32) -> f32, fold: impl Fn(f32, f32) -> f32) -> f32 {
    let (first, rest) = values.as_chunks::<16>().0.split_first().expect("16 values");
    let mut lanes = *first;
    lanes.iter_mut().for_each(|lane| *lane = map(*lane));
    for values in rest {
        lanes.iter_mut().zip(values).for_each(|(lane, &value)| *lane = fold(*lane, map(value)));
    }
    // Or else LLVM makes vectors of two of all the values, since the last step has two.
    let mut lanes = black_box(lanes);
    for half in [8, 4, 2, 1] {
        for lane in 0..half {
            lanes[lane] = fold(lanes[lane], lanes[lane + half]);
        }
    }
    lanes[0]
}

#[inline(always)]
pub(crate) fn least(values: &[f32]) -> f32 {
    fold(values, |value| value, smaller)
}

/// One bit for each lane of a block whose LUT sum is up to `limit`, which is below 255.
///
/// # Safety
/// The CPU has the instruction set of `V`; the caller is compiled for it.
#[inline(always)]
pub(crate) unsafe fn lanes_up_to<V: ByteVector>(sums: &[u8; BLOCK], limit: u8) -> u64 {
    let mut lanes = 0;
    for part in (0..BLOCK).step_by(V::LANES) {
        // SAFETY: `part` is a whole vector of the block; the instruction set is this function's contract.
        unsafe {
            // What is above the limit saturates.
            let raised = V::load(sums.as_ptr().add(part)).add_saturating(V::splat(LIMIT - limit));
            lanes |= raised.below_255() << part;
        }
    }
    lanes
}

/// The LUT of a [filter](crate::filter).
pub trait Lut<const G: usize> {
    /// A threshold to compare near codes by where none is known yet.
    fn guess(&self) -> f32;
    /// Makes the LUT for `threshold`, which [`tighten`](Lut::tighten) will not know of.
    ///
    /// # Safety
    /// The CPU has the instruction set of `V`; the caller is compiled for it.
    unsafe fn quantize<V: ByteVector>(&mut self, threshold: f32);
    /// What a code within `threshold` sums to at most in the LUT for `quantized_for`, which is not smaller.
    fn limit(&self, threshold: f32, quantized_for: f32) -> u8;
    /// The LUT as it is.
    fn entries(&self) -> &FilterLut<G>;
    /// Adapts the LUT to a threshold that is not above that of the call before; an infinite one lets it be.
    ///
    /// # Safety
    /// As for [`quantize`](Lut::quantize).
    unsafe fn tighten<V: ByteVector>(&mut self, threshold: f32);
}

/// The [`FilterLut`] for a threshold that falls during a scan.
#[derive(Debug)]
pub struct FallingLut<'a, const G: usize> {
    bounds: &'a FilterTable<G>,
    lut: &'a mut FilterLut<G>,
    /// The largest entry.
    most: u8,
    threshold: f32,
    /// The [`span`](FilterTable::span) that the LUT was scaled for.
    span: f64,
    /// What one row has been raised by since.
    raised: u8,
    /// Which one.
    raised_row: usize,
}

impl<'a, const G: usize> FallingLut<'a, G> {
    /// Makes `lut`, which still lets everything pass, the LUT for `bounds`. Between two quantizations the entries of `raised_row`
    /// rise instead. None is ever above `most`, 255 or [`HALF`].
    #[inline(always)]
    pub fn new(bounds: &'a FilterTable<G>, lut: &'a mut FilterLut<G>, most: u8, raised_row: usize) -> Self {
        FallingLut { bounds, lut, most, threshold: f32::INFINITY, span: f64::INFINITY, raised: 0, raised_row }
    }

    /// Adapts the LUT to a smaller `threshold`. Returns how many of its rows, from the first on, have changed.
    #[inline(always)]
    pub fn follow(&mut self, threshold: f32) -> usize {
        /// How far the span falls before the steps are made finer, which costs more than raising a row.
        const RESCALE: f64 = 0.6;
        if threshold >= self.threshold {
            return 0;
        }
        self.threshold = threshold;
        let span = self.bounds.span(threshold);
        if span < RESCALE * self.span {
            self.bounds.quantize_up_to(self.most, threshold, self.lut);
            (self.span, self.raised) = (span, 0);
            return NUM_SUB_VECTORS;
        }
        // With the rest added to the entries of one row, the limit becomes `LIMIT` again.
        let limit = (f64::from(LIMIT) * span / self.span) as u8;
        let raise = LIMIT - limit - self.raised;
        if raise > 0 {
            let row = &mut self.lut.0[self.raised_row];
            row.iter_mut().for_each(|entry| *entry = entry.saturating_add(raise).min(self.most));
            self.raised += raise;
        }
        usize::from(raise > 0)
    }
}

impl<const G: usize> Lut<G> for FallingLut<'_, G> {
    /// As far above the smallest possible distance as 0.8 of the average one.
    #[inline(always)]
    fn guess(&self) -> f32 {
        self.bounds.least_and(0.8)
    }

    #[inline(always)]
    unsafe fn quantize<V: ByteVector>(&mut self, threshold: f32) {
        self.bounds.quantize_up_to(self.most, threshold, self.lut);
    }

    #[inline(always)]
    fn limit(&self, threshold: f32, quantized_for: f32) -> u8 {
        self.bounds.limit(threshold, quantized_for)
    }

    #[inline(always)]
    fn entries(&self) -> &FilterLut<G> {
        // Through `black_box`, or LLVM splits the LUT into pieces that it aligns to 16 bytes only; then it depends on where the
        // stack begins, hence on the process, whether each 64-byte load of an entry touches one cache line or two.
        black_box(&*self.lut)
    }

    #[inline(always)]
    unsafe fn tighten<V: ByteVector>(&mut self, threshold: f32) {
        self.follow(threshold);
    }
}

impl<const G: usize> FilterTable<G> {
    /// Finds the minima of `table`, which holds no NaN.
    #[inline(always)]
    pub fn new(table: &DistanceTable) -> Self {
        let mut this = FilterTable {
            minima: Minima([[0.0; G]; NUM_SUB_VECTORS]),
            base: 0.0,
            negative: 0.0,
            row_minima: [0.0; NUM_SUB_VECTORS],
        };
        let mut unbounded = false;
        for ((row, groups), row_minimum) in table.iter().zip(&mut this.minima.0).zip(&mut this.row_minima) {
            *groups = group_minima(row);
            let least = least(groups);
            unbounded |= least == f32::NEG_INFINITY;
            // An infinite minimum has no place in a difference; as 0 it leaves the row infinite, which saturates.
            let least = if least.is_finite() { least } else { 0.0 };
            *row_minimum = least;
            this.base += f64::from(least);
            this.negative += f64::from((-least).max(0.0));
            groups.iter_mut().for_each(|group| *group -= least);
        }
        if unbounded {
            // Nothing is a bound of what lies at -inf: all may pass. In place, for the struct is too large to be copied.
            this.minima.0 = [[0.0; G]; NUM_SUB_VECTORS];
            this.row_minima = [0.0; NUM_SUB_VECTORS];
            (this.base, this.negative) = (0.0, 0.0);
        }
        this
    }

    /// Writes the LUT for `threshold`, the largest distance that still counts. An infinite one gives zeros: all may pass.
    #[inline(always)]
    pub fn quantize(&self, threshold: f32, lut: &mut FilterLut<G>) {
        self.quantize_up_to(255, threshold, lut);
    }

    /// [`quantize`](FilterTable::quantize) with larger entries lowered to `most`.
    #[inline(always)]
    fn quantize_up_to(&self, most: u8, threshold: f32, lut: &mut FilterLut<G>) {
        if threshold == f32::INFINITY {
            // Not by a scale of 0, which makes NaN of what is infinite.
            lut.0 = [[0; G]; NUM_SUB_VECTORS];
            return;
        }
        let scale = self.scale(threshold);
        for (groups, row) in self.minima.0.iter().zip(&mut lut.0) {
            for (group, entry) in groups.iter().zip(row) {
                // `min` also settles inf · scale; a float-to-int cast rounds towards zero, which is down.
                let scaled = (group * scale).min(f32::from(most));
                // SAFETY: 0 ≤ scaled ≤ 255, since minima and scale are not negative, and NaN has become `most`.
                *entry = unsafe { scaled.to_int_unchecked::<i32>() } as u8;
            }
        }
    }

    /// How far the groups of each row lie above its minimum on average, times `G`: what its sub-quantizer tells about a distance.
    #[inline(always)]
    pub fn spreads(&self) -> [f32; NUM_SUB_VECTORS] {
        std::array::from_fn(|m| fold(&self.minima.0[m], |minimum| minimum, |a, b| a + b))
    }

    /// What table entries, one of each row, are about in the LUT for `threshold`, unrounded and not saturated.
    #[inline(always)]
    pub fn scaled(&self, entries: &[f32; NUM_SUB_VECTORS], threshold: f32) -> [f32; NUM_SUB_VECTORS] {
        let scale = self.scale(threshold);
        let mut scaled = *entries;
        scaled.iter_mut().zip(&self.row_minima).for_each(|(entry, least)| *entry = (*entry - least) * scale);
        scaled
    }

    /// `LIMIT` over the [`span`](Self::span) of a `threshold` below `+inf`. Never NaN: a span of NaN, as `-inf` has, is the
    /// smallest one.
    fn scale(&self, threshold: f32) -> f32 {
        // A code can lie below the sum of the minima by rounding only, hence not below 0; and a scale that is too small only
        // filters less, hence the cap.
        (f64::from(LIMIT) * (1.0 - ROUNDING) / self.span(threshold).max(f64::MIN_POSITIVE)).min(f64::from(f32::MAX))
            as f32
    }

    /// The smallest distance that there can be, and a `share` of what the average group adds to it.
    #[inline(always)]
    fn least_and(&self, share: f32) -> f32 {
        let mut sums = self.minima.0[0];
        for row in &self.minima.0[1..] {
            sums.iter_mut().zip(row).for_each(|(sum, minimum)| *sum += minimum);
        }
        self.base as f32 + share * fold(&sums, |sum| sum, |a, b| a + b) / G as f32
    }

    /// What a code within `threshold` sums to at most, in a LUT that was quantized for a larger one.
    #[inline(always)]
    pub fn limit(&self, threshold: f32, quantized_for: f32) -> u8 {
        (f64::from(LIMIT) * self.span(threshold) / self.span(quantized_for)) as u8
    }

    /// What an f32 distance at the threshold can amount to above the minima, rounding included.
    fn span(&self, threshold: f32) -> f64 {
        let threshold = f64::from(threshold);
        threshold - self.base + ROUNDING * (threshold.abs() + 2.0 * self.negative)
    }

    /// Whether a LUT for `threshold` would filter noticeably more than one for `before`.
    #[inline(always)]
    pub fn is_tighter(&self, threshold: f32, before: f32) -> bool {
        const STEP: f64 = 0.95;
        let above = |threshold: f32| f64::from(threshold) - self.base;
        threshold < before && (before == f32::INFINITY || above(threshold) < STEP * above(before))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn largest_sum(table: &DistanceTable, threshold: f32) -> u32 {
        let mut lut = FilterLut([[255; NUM_CENTROIDS]; NUM_SUB_VECTORS]);
        FilterTable::new(table).quantize(threshold, &mut lut);
        lut.0.iter().map(|row| u32::from(*row.iter().max().expect("entries"))).sum()
    }

    #[test]
    fn all_may_pass_an_infinite_threshold() {
        let mut table = [[1.0; NUM_CENTROIDS]; NUM_SUB_VECTORS];
        table[3][4] = f32::INFINITY;
        table[5] = [f32::INFINITY; NUM_CENTROIDS];
        assert_eq!(largest_sum(&table, f32::INFINITY), 0);
    }

    #[test]
    fn no_entry_is_above_the_most_even_when_a_row_is_raised() {
        let mut table = [[0.0; NUM_CENTROIDS]; NUM_SUB_VECTORS];
        table.as_flattened_mut().iter_mut().zip(0u32..).for_each(|(entry, n)| *entry = (n * 7919 % 257) as f32);
        let bounds = FilterTable::<NUM_CENTROIDS>::new(&table);
        for most in [HALF, 255] {
            let mut lut = FilterLut::zeroed();
            let mut lut = FallingLut::new(&bounds, &mut lut, most, 3);
            let mut raised = false;
            for threshold in [1000.0, 900.0, 700.0, 300.0, 200.0, 0.0] {
                raised |= lut.follow(threshold) == 1;
                assert!(lut.entries().0.as_flattened().iter().all(|&entry| entry <= most), "{threshold}");
            }
            assert!(raised);
            assert_eq!(lut.entries().0[3].iter().max(), Some(&most));
        }
    }

    #[test]
    fn all_may_pass_where_an_entry_is_negative_infinity() {
        let mut table = [[1.0; NUM_CENTROIDS]; NUM_SUB_VECTORS];
        table[3][4] = f32::NEG_INFINITY;
        table[5][6] = -1e30;
        table[7][8] = 1e30;
        for threshold in [f32::NEG_INFINITY, -1.0, 0.0, 1e30] {
            assert_eq!(largest_sum(&table, threshold), 0, "{threshold}");
        }
        let bounds = FilterTable::<NUM_CENTROIDS>::new(&table);
        let mut lut = FilterLut::zeroed();
        let mut lut = FallingLut::new(&bounds, &mut lut, 255, 0);
        lut.follow(0.0);
        lut.follow(f32::NEG_INFINITY);
        let sums = lut.entries().0.iter().map(|row| u32::from(*row.iter().max().expect("entries")));
        assert!(sums.sum::<u32>() <= u32::from(LIMIT));
    }
}

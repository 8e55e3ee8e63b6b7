//! Distance tables in one byte an entry: the LUTs that byte shuffles look up in.
//!
//! A [`ByteLut`] is a lower bound, so that filtering with it loses nothing: with each row's minimum taken off and the
//! rest scaled so that the current k-th distance τ becomes [`LIMIT`], rounded down and saturated, a code within τ sums
//! to at most [`LIMIT`]. A code whose saturating sum reaches 255 is certainly farther away than τ. Whatever is left is
//! scored again with the f32 table. The idea is PQ Fast Scan's (André, Kermarrec, Le Scouarnec, "Cache locality is not
//! enough", VLDB 2015).

use std::hint::black_box;

use super::rounding;
use crate::{
    geometry::Bits,
    memory::HugeVec,
    simd::{Routine, run_widest},
    table::Table,
};

/// The largest sum that a code within the threshold can have.
pub const LIMIT: u8 = 254;

/// The largest entry of a LUT in which two may be added without saturating, which on Zen 4 has twice as many ports, and
/// ports that shuffles do not need. A larger entry is lowered to this.
pub const HALF: u8 = LIMIT / 2;

/// Lower bounds of a code's table entries: for each sub-quantizer the minimum over each group of centroids, those whose
/// numbers are equal modulo `G`. The LUTs of one query are made from them, one for each threshold. With 16 centroids
/// each is a group of its own, and they repeat.
///
/// Rows beyond the sub-quantizers, up to a multiple of four, are zeros.
#[derive(Clone)]
pub struct GroupMinima<const G: usize> {
    /// `[m][g]`: the smallest entry of the group, less its row's.
    minima: HugeVec<[f32; G]>,
    /// What was taken off each row.
    row_minima: Vec<f32>,
    /// Sum of the rows' minima.
    base: f64,
    /// Sum of the negative rows' minima, without the sign: what bounds the rounding of a sum with negative entries.
    negative: f64,
    /// [`rounding`] of this many sub-quantizers.
    rounding: f64,
    /// See [`guess`](Self::guess).
    guess: f32,
}

#[inline(always)]
fn smaller(a: f32, b: f32) -> f32 {
    if b < a { b } else { a }
}

/// The minima of the entries whose numbers are equal modulo `G`.
#[inline(always)]
fn group_minima<const K: usize, const G: usize>(row: &[f32; K]) -> [f32; G] {
    let groups = row.as_chunks::<G>().0;
    let Some((first, others)) = groups.split_first() else {
        return std::array::from_fn(|group| row[group % K]);
    };
    let mut minima = *first;
    for entries in others {
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

impl<const G: usize> GroupMinima<G> {
    /// The minima of `table`, in room for a multiple of four rows.
    pub fn new(table: &Table, m: usize) -> Self {
        let mut this = GroupMinima {
            minima: HugeVec::zeroed(m.next_multiple_of(4)),
            row_minima: vec![0.0; m],
            base: 0.0,
            negative: 0.0,
            rounding: rounding(m),
            guess: f32::INFINITY,
        };
        this.find(table);
        this
    }

    /// Finds the minima of another table of the same shape.
    pub fn find(&mut self, table: &Table) {
        /// Of what the average group adds.
        const SHARE: f32 = 0.8;
        let added = run_widest(Find { minima: self, table });
        let guess = self.base as f32 + SHARE * added / G as f32;
        // Where sums overflow there is none.
        self.guess = if guess.is_nan() { f32::INFINITY } else { guess };
    }

    #[inline(always)]
    fn find_in<const K: usize>(&mut self, table: &Table) {
        let (mut base, mut negative) = (0.0, 0.0f64);
        for ((row, groups), row_minimum) in table.rows::<K>().iter().zip(&mut *self.minima).zip(&mut self.row_minima) {
            *groups = group_minima(row);
            let least = least(groups);
            negative += f64::from((-least).max(0.0));
            // An infinite minimum has no place in a difference; as 0 it leaves the row infinite, which saturates.
            let least = if least.is_finite() { least } else { 0.0 };
            *row_minimum = least;
            base += f64::from(least);
            // A difference beyond f32 would become infinite, more than it is.
            groups.iter_mut().for_each(|group| *group = smaller(*group - least, f32::MAX));
        }
        (self.base, self.negative) = (base, negative);
        if negative > f64::from(f32::MAX) {
            // Sums of such entries, one of them or several, can be -inf in f32, which nothing bounds: all may pass.
            self.minima.fill([0.0; G]);
            self.row_minima.fill(0.0);
            (self.base, self.negative) = (0.0, 0.0);
        }
    }

    /// Writes the LUT for `threshold`, the largest distance that still counts, with larger entries lowered to `most`.
    /// An infinite threshold gives zeros: all may pass.
    pub fn quantize(&self, most: u8, threshold: f32, lut: &mut [[u8; G]]) {
        if threshold == f32::INFINITY {
            // Not by a scale of 0, which makes NaN of what is infinite.
            lut.fill([0; G]);
            return;
        }
        run_widest(Quantize { minima: &self.minima, scale: self.scale(threshold), most: most.into(), lut });
    }

    /// How far the groups of each row lie above its minimum on average, times `G`: how informative its sub-quantizer
    /// is.
    pub fn spreads(&self) -> Vec<f32> {
        let rows = self.minima.iter().take(self.row_minima.len());
        rows.map(|row| fold(row, |minimum| minimum, |a, b| a + b)).collect()
    }

    /// An `entry` of row `m` in the LUT of this [`scale`](Self::scale), before it is rounded down and saturated.
    #[inline(always)]
    pub fn scaled(&self, m: usize, entry: f32, scale: f32) -> f32 {
        (entry - self.row_minima[m]) * scale
    }

    /// `LIMIT` over the span of a `threshold` below `+inf`. Never NaN: a span of NaN is the smallest one.
    pub fn scale(&self, threshold: f32) -> f32 {
        // A code can lie below the sum of the minima by rounding only, hence not below 0; and a scale that is too small
        // only filters less, hence the cap.
        (f64::from(LIMIT) * (1.0 - self.rounding) / self.span(threshold).max(f64::MIN_POSITIVE))
            .min(f64::from(f32::MAX)) as f32
    }

    /// A guess at a useful threshold before one is known: the smallest possible distance, and 0.8 of what the average
    /// group adds to it.
    #[inline(always)]
    pub fn guess(&self) -> f32 {
        self.guess
    }

    /// What a code within `threshold` sums to at most, in a LUT that was quantized for a larger one.
    pub fn limit(&self, threshold: f32, quantized_for: f32) -> u8 {
        (f64::from(LIMIT) * self.span(threshold) / self.span(quantized_for)).min(f64::from(LIMIT)) as u8
    }

    /// What an f32 distance at the threshold can amount to above the minima, rounding included.
    fn span(&self, threshold: f32) -> f64 {
        let threshold = f64::from(threshold);
        threshold - self.base + self.rounding * (threshold.abs() + 2.0 * self.negative)
    }

    /// Whether a LUT for `threshold` would filter noticeably more than one for `before`.
    pub fn is_tighter(&self, threshold: f32, before: f32) -> bool {
        const STEP: f64 = 0.95;
        let above = |threshold: f32| f64::from(threshold) - self.base;
        threshold < before && (before == f32::INFINITY || above(threshold) < STEP * above(before))
    }
}

struct Find<'a, const G: usize> {
    minima: &'a mut GroupMinima<G>,
    table: &'a Table,
}

/// Finds the minima, and returns the sum of all.
impl<L, const G: usize> Routine<L> for Find<'_, G> {
    type Output = f32;

    #[inline(always)]
    fn call(self, _: L) -> f32 {
        match self.table.bits() {
            Bits::Eight => self.minima.find_in::<256>(self.table),
            Bits::Four => self.minima.find_in::<16>(self.table),
        }
        let mut sums = [0.0; G];
        for row in self.minima.minima.iter() {
            sums.iter_mut().zip(row).for_each(|(sum, minimum)| *sum += minimum);
        }
        fold(&sums, |sum| sum, |a, b| a + b)
    }
}

struct Quantize<'a, const G: usize> {
    minima: &'a [[f32; G]],
    scale: f32,
    most: f32,
    lut: &'a mut [[u8; G]],
}

impl<L, const G: usize> Routine<L> for Quantize<'_, G> {
    type Output = ();

    #[inline(always)]
    fn call(self, _: L) {
        for (groups, row) in self.minima.iter().zip(self.lut) {
            for (group, entry) in groups.iter().zip(row) {
                let scaled = group * self.scale;
                let scaled = if scaled > 0.0 { scaled } else { 0.0 };
                let scaled = smaller(scaled, self.most);
                // SAFETY: 0 ≤ scaled ≤ 255, for NaN is not above 0. (A checked cast takes twice as many instructions.)
                *entry = unsafe { scaled.to_int_unchecked::<i32>() } as u8;
            }
        }
    }
}

/// The LUT of a query, for a threshold that falls from block to block and from list to list.
#[derive(Clone)]
pub struct ByteLut<const G: usize> {
    minima: GroupMinima<G>,
    /// `[m][g]`, with rows of zeros like those of the minima.
    lut: HugeVec<[u8; G]>,
    /// The largest entry.
    most: u8,
    threshold: f32,
    /// The [`span`](GroupMinima::span) that the LUT was scaled for.
    span: f64,
    /// Amount added to every entry of `raised_row` since the last quantization.
    raised: u8,
    /// The row that absorbs it.
    raised_row: usize,
    /// Quantizations so far.
    version: u64,
    /// Whether the LUT is for another threshold than `threshold`.
    detached: bool,
}

/// What a LUT that is made from a [`ByteLut`] was made from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Version {
    quantized: u64,
    raised: u8,
}

impl<const G: usize> ByteLut<G> {
    /// The LUT for `table`, which lets everything pass.
    pub fn new(table: &Table, m: usize) -> Self {
        ByteLut {
            minima: GroupMinima::new(table, m),
            lut: HugeVec::zeroed(m.next_multiple_of(4)),
            most: u8::MAX,
            threshold: f32::INFINITY,
            span: f64::INFINITY,
            raised: 0,
            raised_row: 0,
            version: 1,
            detached: false,
        }
    }

    /// The same for another table of the same shape.
    pub fn reset(&mut self, table: &Table) {
        self.minima.find(table);
        self.detach();
    }

    /// Begins a list whose kernel wants no entry above `most`, 255 or [`HALF`]. Between two quantizations a lower
    /// threshold is absorbed by raising the entries of `raised_row`. What was made for earlier lists is kept where both
    /// are the same. Without a threshold below infinity nothing is made yet: the caller has to
    /// [`quantize`](Self::quantize) or to [`follow`](Self::follow).
    pub fn begin(&mut self, most: u8, raised_row: usize, threshold: f32) {
        // A threshold that has risen is of another collection.
        let other = (self.most, self.raised_row) != (most, raised_row) || threshold > self.threshold;
        if other || self.detached {
            (self.most, self.raised_row) = (most, raised_row);
            if threshold < f32::INFINITY {
                self.follow(threshold);
            } else {
                self.detach();
            }
        }
    }

    /// Makes it one for no threshold that it knows.
    fn detach(&mut self) {
        (self.threshold, self.span, self.raised, self.detached) = (f32::INFINITY, f64::INFINITY, 0, true);
    }

    /// The lower bounds.
    #[inline(always)]
    pub fn minima(&self) -> &GroupMinima<G> {
        &self.minima
    }

    /// What it was last made or tightened for.
    #[inline(always)]
    pub fn threshold(&self) -> f32 {
        self.threshold
    }

    /// The LUT as it is, `[m][g]`.
    #[inline(always)]
    pub fn entries(&self) -> &[[u8; G]] {
        &self.lut
    }

    /// What another LUT must have been made from to need no change.
    #[inline(always)]
    pub fn version(&self) -> Version {
        Version { quantized: self.version, raised: self.raised }
    }

    /// The rows that have changed since `before`.
    #[inline(always)]
    pub fn changed_since(&self, before: Version) -> std::ops::Range<usize> {
        if before.quantized != self.version {
            0..self.lut.len()
        } else if before.raised != self.raised {
            self.raised_row..self.raised_row + 1
        } else {
            0..0
        }
    }

    /// Makes the LUT for `threshold`, which may be any, until the next [`tighten`](Self::tighten) or
    /// [`begin`](Self::begin), which will not know of it.
    pub fn quantize(&mut self, threshold: f32) {
        self.minima.quantize(self.most, threshold, &mut self.lut);
        self.version += 1;
        self.detach();
    }

    /// Makes the LUT for `threshold`, which may be any.
    pub fn follow(&mut self, threshold: f32) {
        self.quantize(threshold);
        self.detached = false;
        self.threshold = threshold;
        if threshold != f32::INFINITY {
            self.span = self.minima.span(threshold);
        }
    }

    /// Adapts the LUT to a threshold that is not above that of the call before; an infinite one lets it be.
    #[inline(always)]
    pub fn tighten(&mut self, threshold: f32) {
        if threshold < self.threshold {
            self.tighten_to(threshold);
        }
    }

    fn tighten_to(&mut self, threshold: f32) {
        /// How far the span falls before the steps are made finer, which costs more than raising a row.
        const RESCALE: f64 = 0.6;
        let span = self.minima.span(threshold);
        if span < RESCALE * self.span {
            return self.follow(threshold);
        }
        self.threshold = threshold;
        // With the rest added to the entries of one row, the limit becomes `LIMIT` again.
        let limit = (f64::from(LIMIT) * span / self.span) as u8;
        let raise = (LIMIT - limit).saturating_sub(self.raised);
        if raise > 0 {
            let most = self.most;
            let row = &mut self.lut[self.raised_row];
            row.iter_mut().for_each(|entry| *entry = entry.saturating_add(raise).min(most));
            self.raised += raise;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Bits, Geometry};

    /// A table of 16 rows, of which `entry` tells what is in row `m` for centroid `k`.
    fn table(entry: impl Fn(usize, usize) -> f32) -> Table {
        let mut table = Table::zeroed(Geometry::new(16, 16, Bits::Eight).unwrap());
        table.entries_mut().iter_mut().enumerate().for_each(|(at, value)| *value = entry(at / 256, at % 256));
        table
    }

    fn largest_sum(table: &Table, threshold: f32) -> u32 {
        let mut lut = [[255; 256]; 16];
        GroupMinima::new(table, 16).quantize(255, threshold, &mut lut);
        lut.iter().map(|row| u32::from(*row.iter().max().expect("entries"))).sum()
    }

    #[test]
    fn all_may_pass_an_infinite_threshold() {
        let table = table(|m, k| if m == 5 || (m, k) == (3, 4) { f32::INFINITY } else { 1.0 });
        assert_eq!(largest_sum(&table, f32::INFINITY), 0);
    }

    #[test]
    fn no_entry_is_above_the_most_even_when_a_row_is_raised() {
        let table = table(|m, k| ((m * 256 + k) * 7919 % 257) as f32);
        for most in [HALF, 255] {
            let mut lut = ByteLut::<256>::new(&table, 16);
            lut.begin(most, 3, f32::INFINITY);
            let mut raised = false;
            for threshold in [1000.0, 900.0, 700.0, 300.0, 200.0, 0.0] {
                let before = lut.version();
                lut.tighten(threshold);
                raised |= lut.changed_since(before) == (3..4);
                assert!(lut.entries().as_flattened().iter().all(|&entry| entry <= most), "{threshold}");
            }
            assert!(raised);
            assert_eq!(lut.entries()[3].iter().max(), Some(&most));
        }
    }

    #[test]
    fn a_threshold_that_rises_between_two_lists_is_followed() {
        let table = table(|m, k| ((m * 256 + k) * 7919 % 257) as f32);
        let mut lut = ByteLut::<64>::new(&table, 16);
        lut.begin(255, 0, f32::INFINITY);
        lut.tighten(10.0);
        lut.begin(255, 0, 900.0);
        lut.tighten(900.0);
        let mut expected = [[0; 64]; 16];
        lut.minima().quantize(255, 900.0, &mut expected);
        assert_eq!(lut.entries(), expected);
    }

    #[test]
    fn all_may_pass_where_sums_can_overflow_below() {
        let one = table(|m, k| match (m, k) {
            (3, 4) => f32::NEG_INFINITY,
            (5, 6) => -1e30,
            (7, 8) => 1e30,
            _ => 1.0,
        });
        // No entry is infinite, but sums are.
        let together = table(|m, k| if m < 2 { -2e38 - k as f32 * 1e35 } else { k as f32 });
        for table in [one, together] {
            for threshold in [f32::NEG_INFINITY, -1.0, 0.0, 1e30] {
                assert_eq!(largest_sum(&table, threshold), 0, "{threshold}");
            }
            let mut lut = ByteLut::<256>::new(&table, 16);
            lut.tighten(0.0);
            lut.tighten(f32::NEG_INFINITY);
            let sums = lut.entries().iter().map(|row| u32::from(*row.iter().max().expect("entries")));
            assert!(sums.sum::<u32>() <= u32::from(LIMIT));
        }
    }

    #[test]
    fn a_row_whose_range_is_beyond_f32_rules_out_nothing_that_is_near() {
        // From the least entry of row 0 to the others it is more than the largest f32, which the threshold allows.
        let table = table(|m, k| match (m, k) {
            (0, 0) => -3e38,
            (0, _) => 3e38,
            (1, _) => -3e37,
            _ => 0.0,
        });
        let mut lut = [[0; 256]; 16];
        GroupMinima::new(&table, 16).quantize(255, 2.8e38, &mut lut);
        assert!(lut.iter().map(|row| u32::from(row[1])).sum::<u32>() <= 254, "{} {}", lut[0][1], lut[1][1]);
    }
}

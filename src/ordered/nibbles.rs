//! Half a byte a code: one of 16 groups that suit the super-block, which any byte shuffle looks up.
//!
//! For each super-block and sub-quantizer the 64 groups of four similar centroids are merged into at most 16 that suit the
//! codes that occur there: what is frequent gets groups of its own, what is rare is lumped together. A query makes its LUT of
//! 64 entries into one of 16 for each super-block and sub-quantizer.

use super::{Layout, LookUp, PAIRS, STRIDE, SUPER_BLOCK, descending};
use crate::{
    Codebook, NUM_SUB_VECTORS,
    byte_vector::ByteVector,
    candidates::Candidates,
    grouping::GROUPS,
    lut::{FilterLut, LIMIT},
    memory::{Plain, prefetch},
    merged::{Merged, NIBBLES, fine_group},
    row_major::{Row, look_again},
};

/// The codes of a super-block as nibbles, and whole.
#[derive(Clone)]
#[repr(C, align(64))]
pub struct Nibbles {
    /// `[pair][lane]`: the groups of sub-quantizers 2·pair (low nibble) and 2·pair + 1.
    lines: [[u8; STRIDE]; PAIRS],
    groups: Merged<NIBBLES>,
    /// `[lane][m]`
    rows: [[u8; NUM_SUB_VECTORS]; SUPER_BLOCK],
}

// SAFETY: arrays of bytes.
unsafe impl Plain for Nibbles {}

/// The LUT of a super-block, and the order of its lines.
#[derive(Clone, Copy, Default)]
#[repr(C, align(64))]
pub struct Plan {
    /// `[m][group]`, less each row's least entry.
    lut: [[u8; NIBBLES]; NUM_SUB_VECTORS],
    order: [u8; PAIRS],
}

impl Plan {
    #[inline(always)]
    fn line(&self, place: usize) -> usize {
        usize::from(self.order[place % PAIRS]) % PAIRS
    }
}

/// A line and its tables.
#[derive(Clone, Copy)]
pub struct Pair<'a, V> {
    line: &'a [u8; STRIDE],
    low: V,
    high: V,
}

impl<V: ByteVector> LookUp<V> for Pair<'_, V> {
    #[inline(always)]
    unsafe fn look_up(&self, lane: usize) -> V {
        // SAFETY: this function's contract.
        unsafe {
            let codes = V::load(self.line.as_ptr().add(lane));
            self.low.look_up(codes.low_nibbles()).add_saturating(self.high.look_up(codes.high_nibbles()))
        }
    }

    #[inline(always)]
    fn prefetch(&self, lane: usize) {
        prefetch(&self.line[lane % SUPER_BLOCK]);
    }
}

impl Layout<GROUPS> for Nibbles {
    const LOOKS_AGAIN: bool = true;
    type Plan = Plan;
    type Pair<'a, V: ByteVector> = Pair<'a, V>;

    fn fill(&mut self, codebook: &Codebook, rows: &[[u8; NUM_SUB_VECTORS]]) {
        self.rows[..rows.len()].copy_from_slice(rows);
        for m in 0..NUM_SUB_VECTORS {
            let labels = self.groups.fit(codebook, rows, m);
            for (row, byte) in rows.iter().zip(&mut self.lines[m / 2]) {
                *byte |= labels[fine_group(row[m])] << (4 * (m % 2));
            }
        }
    }

    #[inline(always)]
    unsafe fn plan<V: ByteVector>(&self, lut: &FilterLut<GROUPS>) -> (Plan, [u8; NUM_SUB_VECTORS]) {
        let mut plan = Plan::default();
        let mut least = [0; NUM_SUB_VECTORS];
        for (m, least) in least.iter_mut().enumerate() {
            // SAFETY: this function's contract.
            let mut row = unsafe { self.groups.least::<V>(lut, m) };
            *least = row.iter().fold(255, |least, &entry| entry.min(least));
            row.iter_mut().for_each(|entry| *entry -= *least);
            plan.lut[m] = row;
        }
        (plan, least)
    }

    #[inline(always)]
    fn order(plan: &mut Plan, expected: &[i32; NUM_SUB_VECTORS]) {
        let mut lines = [0; PAIRS];
        for (line, [a, b]) in lines.iter_mut().zip(expected.as_chunks().0) {
            *line = a + b;
        }
        plan.order = descending(&lines);
    }

    #[inline(always)]
    unsafe fn pair<V: ByteVector>(&self, plan: &Plan, _: &FilterLut<GROUPS>, place: usize) -> Pair<'_, V> {
        let line = plan.line(place);
        // SAFETY: this function's contract.
        let (low, high) = unsafe { (V::table(&plan.lut[2 * line]), V::table(&plan.lut[2 * line + 1])) };
        Pair { line: &self.lines[line], low, high }
    }

    #[inline(always)]
    fn prefetch_summary(&self) {
        self.groups.prefetch();
    }

    #[inline(always)]
    fn prefetch_code(&self, lane: usize) {
        prefetch(&self.rows[lane % SUPER_BLOCK]);
    }

    #[inline(always)]
    unsafe fn look_again<V: ByteVector>(&self, lut: &FilterLut<GROUPS>, candidates: &mut Candidates) {
        // SAFETY: this function's contract.
        unsafe { look_again::<V, GROUPS>(&self.rows, lut, LIMIT, candidates) }
    }

    #[inline(always)]
    fn row(&self, lane: usize) -> Row {
        self.rows[lane % SUPER_BLOCK]
    }
}

//! A byte a code, as it is: AVX-512's `vpermi2b`, twice, looks it up among all 256 centroids.

use super::{Layout, LookUp, PAIRS, STRIDE, SUPER_BLOCK, descending};
use crate::{
    Codebook, NUM_CENTROIDS, NUM_SUB_VECTORS,
    byte_vector::ByteVector,
    lut::FilterLut,
    memory::{Plain, prefetch},
    row_major::Row,
};

/// The codes of a super-block, sub-quantizer by sub-quantizer.
#[derive(Clone)]
#[repr(C, align(64))]
pub struct Bytes {
    /// `[m][lane]`
    rows: [[u8; STRIDE]; NUM_SUB_VECTORS],
    /// `[m]`: one bit for each centroid that occurs.
    present: [[u64; NUM_CENTROIDS / 64]; NUM_SUB_VECTORS],
}

// SAFETY: arrays of numbers.
unsafe impl Plain for Bytes {}

/// The order of the sub-quantizers, and the least entry of each.
#[derive(Clone, Copy, Default)]
pub struct Plan {
    order: [u8; NUM_SUB_VECTORS],
    least: [u8; NUM_SUB_VECTORS],
}

impl Plan {
    /// The sub-quantizers of the pair at `place`.
    #[inline(always)]
    fn pair(&self, place: usize) -> [usize; 2] {
        let [a, b] = self.order.as_chunks::<2>().0[place % PAIRS];
        [usize::from(a) % NUM_SUB_VECTORS, usize::from(b) % NUM_SUB_VECTORS]
    }
}

/// Two rows and their entries.
#[derive(Clone, Copy)]
pub struct Pair<'a> {
    rows: [&'a [u8; STRIDE]; 2],
    entries: [[u8; NUM_CENTROIDS]; 2],
}

impl<V: ByteVector> LookUp<V> for Pair<'_> {
    #[inline(always)]
    unsafe fn look_up(&self, lane: usize) -> V {
        // SAFETY: this function's contract.
        unsafe {
            let [a, b] = [V::load(self.rows[0].as_ptr().add(lane)), V::load(self.rows[1].as_ptr().add(lane))];
            V::look_up_in(&self.entries[0], a).add_saturating(V::look_up_in(&self.entries[1], b))
        }
    }

    #[inline(always)]
    fn prefetch(&self, lane: usize) {
        self.rows.iter().for_each(|row| prefetch(&row[lane % SUPER_BLOCK]));
    }
}

impl Layout<NUM_CENTROIDS> for Bytes {
    const LOOKS_AGAIN: bool = false;
    type Plan = Plan;
    type Pair<'a, V: ByteVector> = Pair<'a>;

    fn fill(&mut self, _: &Codebook, rows: &[[u8; NUM_SUB_VECTORS]]) {
        for (lane, row) in rows.iter().enumerate() {
            for (m, &code) in row.iter().enumerate() {
                self.rows[m][lane] = code;
                self.present[m][usize::from(code) / 64] |= 1 << (code % 64);
            }
        }
    }

    #[inline(always)]
    unsafe fn plan<V: ByteVector>(&self, lut: &FilterLut<NUM_CENTROIDS>) -> (Plan, [u8; NUM_SUB_VECTORS]) {
        let mut least = [0; NUM_SUB_VECTORS];
        for (m, least) in least.iter_mut().enumerate() {
            // SAFETY: this function's contract.
            *least = unsafe { V::least_present(&lut.0[m], &self.present[m]) };
        }
        (Plan { order: [0; NUM_SUB_VECTORS], least }, least)
    }

    #[inline(always)]
    fn order(plan: &mut Plan, expected: &[i32; NUM_SUB_VECTORS]) {
        plan.order = descending(expected);
    }

    #[inline(always)]
    unsafe fn pair<V: ByteVector>(&self, plan: &Plan, lut: &FilterLut<NUM_CENTROIDS>, place: usize) -> Pair<'_> {
        let [a, b] = plan.pair(place);
        let mut entries = [lut.0[a], lut.0[b]];
        // Of the centroids that do not occur it may be less.
        entries[0].iter_mut().for_each(|entry| *entry = entry.saturating_sub(plan.least[a]));
        entries[1].iter_mut().for_each(|entry| *entry = entry.saturating_sub(plan.least[b]));
        Pair { rows: [&self.rows[a], &self.rows[b]], entries }
    }

    #[inline(always)]
    fn prefetch_summary(&self) {
        // Two are a cache line.
        self.present.iter().step_by(2).for_each(prefetch);
    }

    /// The blocks of candidates have just been read.
    #[inline(always)]
    fn prefetch_code(&self, _: usize) {}

    #[inline(always)]
    fn row(&self, lane: usize) -> Row {
        let mut row = [0; NUM_SUB_VECTORS];
        row.iter_mut().zip(&self.rows).for_each(|(code, codes)| *code = codes[lane % SUPER_BLOCK]);
        row
    }
}

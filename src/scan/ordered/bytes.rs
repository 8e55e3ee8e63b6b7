//! A byte a code, as it is: AVX-512's `vpermi2b`, twice, looks it up among all 256 centroids.
//!
//! ```text
//! super-block:  m 0  [code 0][code 1] ... [code 8191] and a line of padding
//!               m 1  [code 0][code 1] ... [code 8191]
//! ```

use super::{Layout, LookUp, Shape, descending};
use crate::{
    Codebook,
    memory::{HugeVec, prefetch},
    scan::candidates::Candidates,
    simd::{ByteVector, Level},
};

/// The codes of super-blocks, sub-quantizer by sub-quantizer.
#[derive(Clone)]
pub struct Bytes {
    shape: Shape,
    rows: HugeVec<u8>,
    /// `[super-block][m]`: one bit for each centroid that occurs.
    present: HugeVec<[u64; 4]>,
    m: usize,
}

/// The order of the sub-quantizers, and the least entry of each.
#[derive(Default)]
pub struct Plan {
    order: Vec<u8>,
    least: Vec<u8>,
}

impl Plan {
    /// The sub-quantizers of the pair at `place`.
    #[inline(always)]
    fn pair(&self, place: usize) -> [usize; 2] {
        let [a, b] = self.order.as_chunks::<2>().0[place];
        [usize::from(a), usize::from(b)]
    }
}

/// Two rows and their entries.
#[derive(Clone, Copy)]
pub struct Pair<'a> {
    rows: [&'a [u8]; 2],
    entries: [[u8; 256]; 2],
}

impl<L: Level> LookUp<L> for Pair<'_> {
    #[inline(always)]
    fn look_up(&self, level: L, lane: usize) -> L::Bytes {
        let [a, b] = [L::Bytes::load(level, &self.rows[0][lane..]), L::Bytes::load(level, &self.rows[1][lane..])];
        L::Bytes::look_up_in(&self.entries[0], a).add_saturating(L::Bytes::look_up_in(&self.entries[1], b))
    }

    #[inline(always)]
    fn prefetch(&self, lane: usize) {
        self.rows.iter().for_each(|row| prefetch(row.as_ptr().wrapping_add(lane)));
    }
}

impl Layout<256> for Bytes {
    const LOOKS_AGAIN: bool = false;
    type Plan = Plan;
    type Pair<'a, L: Level> = Pair<'a>;

    fn new(codebook: &Codebook, rows: &[u8], _: usize) -> Self {
        let geometry = codebook.geometry();
        let (m, height) = (geometry.m(), geometry.lut_rows());
        let num_vectors = rows.len() / m;
        let shape = Shape { height, num_vectors };
        let mut this = Bytes {
            shape,
            rows: HugeVec::zeroed(shape.bytes()),
            present: HugeVec::zeroed(num_vectors.div_ceil(super::SUPER_BLOCK) * height),
            m,
        };
        for (place, row) in rows.chunks_exact(m).enumerate() {
            let (at, lane) = (place / super::SUPER_BLOCK, place % super::SUPER_BLOCK);
            let start = at * super::STRIDE * height + lane;
            let stride = shape.stride(at);
            let present = &mut this.present[at * height..][..height];
            for (m, &code) in row.iter().enumerate() {
                this.rows[start + m * stride] = code;
                present[m][usize::from(code) / 64] |= 1 << (code % 64);
            }
            present[m..].iter_mut().for_each(|present| present[0] |= 1);
        }
        this
    }

    #[inline(always)]
    fn plan<L: Level>(&self, level: L, at: usize, lut: &[[u8; 256]], plan: &mut Plan, least: &mut Vec<u8>) {
        let height = self.shape.height;
        least.resize(lut.len(), 0);
        let present = &self.present[at * height..][..height];
        for ((least, entries), present) in least.iter_mut().zip(lut).zip(present) {
            *least = L::Bytes::least_present(level, entries, present);
        }
        plan.least.clone_from(least);
    }

    #[inline(always)]
    fn order(plan: &mut Plan, expected: &[i32]) {
        descending(expected, &mut plan.order);
    }

    #[inline(always)]
    fn pair<L: Level>(&self, _: L, at: usize, plan: &Plan, lut: &[[u8; 256]], place: usize) -> Pair<'_> {
        let [a, b] = plan.pair(place);
        let mut entries = [lut[a], lut[b]];
        let least = [plan.least[a], plan.least[b]];
        // Of the centroids that do not occur it may be less.
        for (entries, least) in entries.iter_mut().zip(least) {
            entries.iter_mut().for_each(|entry| *entry = entry.saturating_sub(least));
        }
        Pair { rows: [a, b].map(|m| self.shape.row(&self.rows, at, m)), entries }
    }

    #[inline(always)]
    fn prefetch_summary(&self, at: usize) {
        // Two are a cache line.
        self.present[at * self.shape.height..][..self.shape.height].iter().step_by(2).for_each(|at| prefetch(at));
    }

    /// The blocks of candidates have just been read.
    #[inline(always)]
    fn prefetch_code(&self, _: usize, _: usize) {}

    #[inline(always)]
    fn look_again<L: Level>(&self, _: L, _: usize, _: &[[u8; 256]], _: &mut Candidates) {}

    #[inline(always)]
    fn push_row(&self, at: usize, lane: usize, rows: &mut Vec<u8>) {
        let (stride, start) = (self.shape.stride(at), at * super::STRIDE * self.shape.height + lane);
        rows.extend(self.rows[start..].iter().step_by(stride).take(self.m));
    }

    fn memory_bytes(&self) -> usize {
        size_of_val(&*self.rows) + size_of_val(&*self.present)
    }
}

//! Half a byte a code: one of 16 groups that suit the super-block, which any byte shuffle looks up.
//!
//! For each super-block and sub-quantizer the 64 groups of four similar centroids are merged into at most 16 that suit
//! the codes that occur there: what is frequent gets groups of its own, what is rare is lumped together. A query makes
//! its LUT of 64 entries into one of 16 for each super-block and sub-quantizer. A short list has the groups of its
//! codebook.
//!
//! ```text
//! super-block:  pair 0  [m 1 | m 0] of code 0, [m 1 | m 0] of code 1, ... and a line of padding
//!               pair 1  [m 3 | m 2] of code 0, ...
//! beside it, whole codes, row-major
//! ```

use std::sync::Arc;

use super::{Layout, LookUp, STRIDE, SUPER_BLOCK, Shape, descending};
use crate::{
    Codebook,
    bounds::lut::LIMIT,
    codebook::NIBBLE_GROUPS,
    geometry::with_m,
    groups::{FINE, Merged},
    layout::LINE,
    memory::{HugeVec, prefetch},
    scan::{
        candidates::Candidates,
        rows::{Rows, look_again},
    },
    simd::{ByteVector, Level},
    threads,
};

/// Codes in a super-block from which on groups are fitted to it.
const FITTED_FROM: usize = SUPER_BLOCK / 2;

/// The codes of super-blocks as nibbles, and whole.
#[derive(Clone)]
pub struct Nibbles {
    shape: Shape,
    /// `[super-block][pair][lane]`
    pairs: HugeVec<u8>,
    /// Of each super-block.
    groups: Vec<Arc<Merged<NIBBLE_GROUPS>>>,
    rows: Rows,
    m: usize,
}

/// The LUT of a super-block, and the order of its pairs.
#[derive(Default)]
pub struct Plan {
    /// `[m][group]`, less each row's least entry.
    lut: Vec<[u8; NIBBLE_GROUPS]>,
    order: Vec<u8>,
    expected: Vec<i32>,
}

/// A pair's bytes and tables.
#[derive(Clone, Copy)]
pub struct Pair<'a, V> {
    bytes: &'a [u8],
    low: V,
    high: V,
}

impl<L: Level> LookUp<L> for Pair<'_, L::Bytes> {
    #[inline(always)]
    fn look_up(&self, level: L, lane: usize) -> L::Bytes {
        let codes = L::Bytes::load(level, &self.bytes[lane..]);
        self.low.look_up(codes.low_nibbles()).add_saturating(self.high.look_up(codes.high_nibbles()))
    }

    #[inline(always)]
    fn prefetch(&self, lane: usize) {
        prefetch(self.bytes.as_ptr().wrapping_add(lane));
    }
}

/// What is made of one super-block.
struct Part<'a> {
    rows: &'a [u8],
    pairs: &'a mut [u8],
    groups: Arc<Merged<NIBBLE_GROUPS>>,
}

impl Part<'_> {
    fn fill(&mut self, codebook: &Codebook, stride: usize) {
        let geometry = codebook.geometry();
        let m = geometry.m();
        if self.rows.len() / m >= FITTED_FROM {
            let mut counts = vec![[0u32; 256]; m];
            for row in self.rows.chunks_exact(m) {
                row.iter().zip(&mut counts).for_each(|(&code, counts)| counts[usize::from(code)] += 1);
            }
            let count = |m: usize, code: usize| counts[m][code].into();
            self.groups = Arc::new(Merged::fit(geometry, &codebook.grouped().centroids, count));
        }
        for (lane, row) in self.rows.chunks_exact(m).enumerate() {
            for (m, &code) in row.iter().enumerate() {
                self.pairs[m / 2 * stride + lane] |= self.groups.label(m, code) << (4 * (m % 2));
            }
        }
    }
}

impl Layout<FINE> for Nibbles {
    const LOOKS_AGAIN: bool = true;
    type Plan = Plan;
    type Pair<'a, L: Level> = Pair<'a, L::Bytes>;

    fn new(codebook: &Codebook, rows: &[u8], threads: usize) -> Self {
        let geometry = codebook.geometry();
        let m = geometry.m();
        let shape = Shape { height: geometry.lut_rows() / 2, num_vectors: rows.len() / m };
        let mut pairs = HugeVec::zeroed(shape.bytes());
        let shared = codebook.grouped().nibbles();
        let mut parts: Vec<_> = pairs
            .chunks_mut(STRIDE * shape.height)
            .zip(rows.chunks(SUPER_BLOCK * m))
            .map(|(pairs, rows)| Part { rows, pairs, groups: shared.clone() })
            .collect();
        threads::for_each(threads, &mut parts, &|part| {
            let stride = (part.rows.len() / m).next_multiple_of(LINE) + LINE;
            part.fill(codebook, stride);
        });
        let groups = parts.into_iter().map(|part| part.groups).collect();
        Nibbles { shape, pairs, groups, rows: Rows::new(rows, m), m }
    }

    #[inline(always)]
    fn plan<L: Level>(&self, level: L, at: usize, lut: &[[u8; FINE]], plan: &mut Plan, least: &mut Vec<u8>) {
        least.resize(lut.len(), 0);
        plan.lut.resize(lut.len(), [0; NIBBLE_GROUPS]);
        let groups = &*self.groups[at];
        for (m, (row, smallest)) in plan.lut.iter_mut().zip(least).enumerate() {
            *row = groups.least(level, &lut[m], m);
            *smallest = row.iter().fold(255, |least: u8, &entry| entry.min(least));
            row.iter_mut().for_each(|entry| *entry -= *smallest);
        }
    }

    #[inline(always)]
    fn order(plan: &mut Plan, expected: &[i32]) {
        plan.expected.resize(expected.len() / 2, 0);
        plan.expected.iter_mut().zip(expected.as_chunks().0).for_each(|(sum, [a, b])| *sum = a + b);
        descending(&plan.expected, &mut plan.order);
    }

    #[inline(always)]
    fn pair<L: Level>(&self, level: L, at: usize, plan: &Plan, _: &[[u8; FINE]], place: usize) -> Pair<'_, L::Bytes> {
        let pair = usize::from(plan.order[place]);
        let (low, high) =
            (L::Bytes::table(level, &plan.lut[2 * pair]), L::Bytes::table(level, &plan.lut[2 * pair + 1]));
        Pair { bytes: self.shape.row(&self.pairs, at, pair), low, high }
    }

    #[inline(always)]
    fn prefetch_summary(&self, at: usize) {
        self.groups[at].prefetch();
    }

    #[inline(always)]
    fn prefetch_code(&self, at: usize, lane: usize) {
        prefetch(self.rows.bytes().as_ptr().wrapping_add((at * SUPER_BLOCK + lane) * self.m));
    }

    #[inline(always)]
    fn look_again<L: Level>(&self, level: L, at: usize, lut: &[[u8; FINE]], candidates: &mut Candidates) {
        let rows = &self.rows.bytes()[at * SUPER_BLOCK * self.m..];
        look_again(level, rows, self.m, lut, LIMIT, candidates);
    }

    #[inline(always)]
    fn push_row(&self, at: usize, lane: usize, rows: &mut Vec<u8>) {
        let (m, start) = (self.m, at * SUPER_BLOCK + lane);
        with_m!(m, rows.extend_from_slice(&self.rows.bytes()[start * m..][..m]));
    }

    fn memory_bytes(&self) -> usize {
        let fitted = (0..self.groups.len()).filter(|&at| self.shape.len(at) >= FITTED_FROM);
        let groups: usize = fitted.map(|at| self.groups[at].memory_bytes()).sum();
        size_of_val(&*self.pairs) + groups + self.rows.memory_bytes()
    }
}

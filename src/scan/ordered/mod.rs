//! Similar codes together: a scan that skips what cannot win, and reads a third of the codes or less.
//!
//! ```text
//! the first threshold: smallest sums of the super-block with the nearest mean
//! for each super-block, those with the nearest means first:
//!     plan: least LUT entry of each sub-quantizer among the codes here
//!     if the sum of these rules all codes out: next super-block
//!     order pairs of sub-quantizers by what they are expected to add
//!     sum two pairs for all blocks of 64
//!     until no pair or no block is left: sum two more pairs for the blocks that have a lane below 255
//!     candidates: the lanes below 255; of nibbles once more in the LUT of the 64 groups
//!     32 or more candidates are waiting: score them in f32
//! ```
//!
//! **Order.** Preparation bisects the decoded vectors along their principal direction, again and again, so that blocks
//! of 64 and super-blocks of 8,192 codes hold similar vectors.
//!
//! **Layouts.** A super-block's codes lie sub-quantizer by sub-quantizer, two pages each, read as a stream. AVX-512
//! looks them up among all 256 centroids ([`Bytes`]): four times the work of look-ups in groups of four, hidden by
//! reading, for a bound that is exact but for the rounding to a byte. For other instruction sets the 64 groups of
//! centroids are merged into 16 that suit the super-block, and two codes are a byte ([`Nibbles`]).
//!
//! **Bounds.** Everything that is ruled out is ruled out by a lower bound ([`lut`](crate::bounds::lut)), so the answer
//! is exact. What a sub-quantizer is expected to add comes from the super-block's mean and variance; it only decides
//! the order.
//!
//! **Latency.** What is left to read after the first pairs is scattered, so it is prefetched: the codes of a step for
//! all blocks before the step, the next super-block's first codes meanwhile, and a candidate's row as soon as it is
//! one. Candidates wait, perhaps those of several super-blocks, so that the table is loaded into L1 less often and the
//! ids of those that are near arrive together: each comes from memory, and a push waits for it.
//!
//! **What limits it.** Of the first step the look-ups take about as long as its prefetched lines. Later steps wait for
//! scattered lines, and for branches that nothing predicts. In batches, whose queries share the lines, little is
//! gained.
//!
//! Sources: the lossless byte bound and the grouping are PQ Fast Scan's (André, Kermarrec, Le Scouarnec, VLDB 2015),
//! the layout is Faiss's and ScaNN's 4-bit fast scan; groups fitted to a neighbourhood of codes are this project's.
//!
//! **Order.** Preparation bisects the decoded vectors along their principal direction, again and again, so that blocks
//! of 64 and super-blocks of 8,192 codes hold similar vectors.
//!
//! **Layouts.** A super-block's codes lie sub-quantizer by sub-quantizer, two pages each, read as a stream. AVX-512
//! looks them up among all 256 centroids ([`Bytes`]): four times the work that groups of similar ones would be, hidden
//! by reading, for a bound that is exact but for the rounding to a byte. For other instruction sets 64 groups of
//! centroids are merged into 16 that suit the super-block, and two codes are a byte ([`Nibbles`]).
//!
//! **Query.** The super-blocks with the nearest means come first, and the first threshold is found there. Once for each
//! super-block, the least entries of what occurs there are taken off the LUT: their sum is a bound of all the codes,
//! which alone rules a fifth of the super-blocks out (of groups a seventh). The pairs of sub-quantizers come in the
//! order of what they are expected to add, from the super-block's mean and variance. Two pairs are summed for all
//! blocks, then two more, again and again, for the blocks that still have a lane below 255. The lanes that are left at
//! the end are scored in f32; of nibbles there are two hundred times as many, which are looked up once more before, in
//! the LUT of the 64 groups. Everything that is ruled out is ruled out by a lower bound ([`lut`](crate::bounds::lut)),
//! so the answer is exact.
//!
//! **Latency.** What is left to read after the first pairs is scattered, so it is prefetched: the codes of a step for
//! all blocks before the step, the next super-block's first codes meanwhile, and a candidate's row as soon as it is
//! one. What is to be scored waits until there are 32, perhaps of several super-blocks, so that the table comes to the
//! first cache less often and the ids of those that are near arrive together: each comes from memory, and a push waits
//! for it.
//!
//! **What limits it** (counted and timed on 1M real codes with AVX-512, AMD Zen 4, where one stream reads a line in
//! 0.75 ns): 66,000 cache lines of 250,000 are read. The first step takes 4.9 ns for the four lines of a block,
//! prefetched, and as much is what its look-ups take (18 cycles); with half of those it takes 4.75. Later steps take 8
//! to 9 ns a block, for scattered lines and branches that nothing predicts. In batches of 16, whose queries share the
//! lines, each takes nine tenths of its time alone.
//!
//! Sources: the lossless byte bound and the grouping are PQ Fast Scan's (André, Kermarrec, Le Scouarnec, VLDB 2015),
//! the layout is Faiss's and ScaNN's 4-bit fast scan; groups fitted to a neighbourhood of codes are this project's.

mod bytes;
mod expectation;
mod nibbles;
mod pass;
mod prepare;
mod scan;

use std::sync::OnceLock;

pub use bytes::Bytes;
pub use nibbles::Nibbles;

use super::{candidates::Candidates, score};
use crate::{
    Codebook, Error, Query,
    collector::Collector,
    groups::FINE,
    layout::LINE,
    memory::HugeVec,
    query::{HasLut, Side},
    simd::Level,
    variant::{Prepare, Scan, cannot_run},
};

/// Vectors in a super-block; the last one may have fewer. (With smaller ones plans fit better, and more are made.)
pub const SUPER_BLOCK: usize = 8192;
/// Bytes from one row of a super-block to the next: a cache line more than its codes, or else all rows of a block would
/// be in one set of a cache.
const STRIDE: usize = SUPER_BLOCK + LINE;

/// In bytes that name each centroid.
pub type ByteCodes<L> = OrderedCodes<L, Bytes, 256>;
/// In nibbles that name groups of [groups](crate::groups).
pub type NibbleCodes<L> = OrderedCodes<L, Nibbles, FINE>;

/// A list of codes, similar ones together, in super-blocks of a [`Layout`]. `G` is the number of groups of centroids
/// that the LUT of a query tells apart.
#[derive(Clone)]
pub struct OrderedCodes<L, K, const G: usize> {
    level: L,
    codebook: Codebook,
    /// The place in the caller's list of each code here.
    ids: HugeVec<u32>,
    /// The place here of each code of the caller's list, once somebody asks.
    places: OnceLock<Vec<u32>>,
    super_blocks: K,
    moments: Moments,
}

/// Where the vectors of the super-blocks are.
#[derive(Clone)]
struct Moments {
    m: usize,
    sub_dim: usize,
    /// `[super-block][d][m]`: the means of the decoded vectors, so that the distances of a query's parts are vectors of
    /// sums.
    means: HugeVec<f32>,
    /// `[super-block][m]`: their mean squared distance from that.
    variances: HugeVec<f32>,
}

/// How super-blocks store their codes, and what a query looks up in them. There are rows for a multiple of four
/// sub-quantizers, of which pairs are looked up together; what is beyond the last one adds nothing.
pub trait Layout<const G: usize>: Clone + Send + Sync + 'static {
    /// Whether [`look_again`](Layout::look_again) does anything.
    const LOOKS_AGAIN: bool;
    /// What a query makes for a super-block.
    type Plan: Default + Send + Sync + 'static;
    /// What it takes to look up a pair of sub-quantizers.
    type Pair<'a, L: Level>: LookUp<L>
    where
        Self: 'a;

    /// Takes row-major codes in their order, on as many threads.
    fn new(codebook: &Codebook, rows: &[u8], threads: usize) -> Self;

    /// Makes the plan of a super-block for the LUT of a query, and finds the least entry of each sub-quantizer among
    /// the codes of the super-block.
    fn plan<L: Level>(&self, level: L, at: usize, lut: &[[u8; G]], plan: &mut Self::Plan, least: &mut Vec<u8>);

    /// Orders the pairs by what each sub-quantizer is expected to add, the largest sum first.
    fn order(plan: &mut Self::Plan, expected: &[i32]);

    /// The pair at a place of the order. Its entries are the LUT's, less the least ones. The LUT may have become
    /// tighter since the plan was made.
    fn pair<L: Level>(
        &self,
        level: L,
        at: usize,
        plan: &Self::Plan,
        lut: &[[u8; G]],
        place: usize,
    ) -> Self::Pair<'_, L>;

    /// Prefetches what [`plan`](Layout::plan) reads.
    fn prefetch_summary(&self, at: usize);

    /// Prefetches what [`push_row`](Layout::push_row) reads.
    fn prefetch_code(&self, at: usize, lane: usize);

    /// Drops candidates that a finer LUT rules out, if there is one.
    fn look_again<L: Level>(&self, level: L, at: usize, lut: &[[u8; G]], candidates: &mut Candidates);

    /// Appends a whole code to `rows`.
    fn push_row(&self, at: usize, lane: usize, rows: &mut Vec<u8>);

    /// Bytes that they hold.
    fn memory_bytes(&self) -> usize;
}

/// The look-ups of a pair of sub-quantizers.
pub trait LookUp<L: Level>: Copy {
    /// The sum of the entries of the codes from `lane` on, a vector of them.
    fn look_up(&self, level: L, lane: usize) -> L::Bytes;

    /// Prefetches the codes of the block from `lane` on.
    fn prefetch(&self, lane: usize);
}

impl<L: Level, K: Layout<G>, const G: usize> Prepare for OrderedCodes<L, K, G>
where
    Side: HasLut<G>,
{
    fn prepare(codebook: &Codebook, rows: &[u8], threads: usize) -> Result<Self, Error> {
        let level = L::get().ok_or_else(cannot_run)?;
        Ok(Self::new(level, codebook, rows, threads))
    }
}

impl<L: Level, K: Layout<G>, const G: usize> Scan for OrderedCodes<L, K, G>
where
    Side: HasLut<G>,
{
    fn scan(&self, query: &mut Query, out: &mut Collector<'_>) {
        self.scan_one(query, out);
    }

    fn scan_batch(&self, queries: &mut [Query], outs: &mut [Collector<'_>]) {
        self.scan_several(queries, outs);
    }

    fn score(&self, query: &mut Query, places: &[u32], out: &mut Collector<'_>) {
        let here = self.places.get_or_init(|| {
            let mut here = vec![0; self.ids.len()];
            self.ids.iter().zip(0..).for_each(|(&id, place)| here[id as usize] = place);
            here
        });
        let (side, m) = (self.side(query), self.codebook.geometry().m());
        let mut rows = Vec::with_capacity(score::TOGETHER * m);
        for places in places.chunks(score::TOGETHER) {
            rows.clear();
            for &place in places {
                let here = here[place as usize] as usize;
                self.super_blocks.push_row(here / SUPER_BLOCK, here % SUPER_BLOCK, &mut rows);
            }
            let last = places.len() - 1;
            let distances: [f32; score::TOGETHER] =
                score::of_rows(&side.table, m, &rows, std::array::from_fn(|n| n.min(last)));
            places.iter().zip(distances).for_each(|(&place, distance)| out.push(place, distance));
        }
    }

    fn to_rows(&self) -> Vec<u8> {
        let m = self.codebook.geometry().m();
        let (mut rows, mut row) = (vec![0; self.ids.len() * m], Vec::with_capacity(m));
        for (here, &id) in self.ids.iter().enumerate() {
            row.clear();
            self.super_blocks.push_row(here / SUPER_BLOCK, here % SUPER_BLOCK, &mut row);
            rows[id as usize * m..][..m].copy_from_slice(&row);
        }
        if Self::GROUPED {
            self.codebook.grouped().restore(&mut rows);
        }
        rows
    }

    fn memory_bytes(&self) -> usize {
        let moments = size_of_val(&*self.moments.means) + size_of_val(&*self.moments.variances);
        let places = self.places.get().map_or(0, |places| size_of_val(&places[..]));
        size_of_val(&*self.ids) + self.super_blocks.memory_bytes() + moments + places
    }
}

impl<L, K, const G: usize> OrderedCodes<L, K, G> {
    /// Whether the codes have their grouped numbers.
    const GROUPED: bool = G == FINE;

    fn side<'q>(&self, query: &'q mut Query) -> &'q mut Side {
        if Self::GROUPED { query.grouped() } else { query.original() }
    }

    /// The ids of the codes of a super-block.
    #[inline(always)]
    fn ids_of(&self, super_block: usize) -> &[u32] {
        let start = super_block * SUPER_BLOCK;
        &self.ids[start..self.ids.len().min(start + SUPER_BLOCK)]
    }

    fn num_super_blocks(&self) -> usize {
        self.ids.len().div_ceil(SUPER_BLOCK)
    }
}

/// Where the rows of super-blocks are: each has `height` of them, padded.
#[derive(Clone, Copy)]
struct Shape {
    height: usize,
    num_vectors: usize,
}

impl Shape {
    /// Bytes of all.
    fn bytes(self) -> usize {
        let last = self.num_vectors % SUPER_BLOCK;
        let last = if last > 0 { (last.next_multiple_of(LINE) + LINE) * self.height } else { 0 };
        self.num_vectors / SUPER_BLOCK * STRIDE * self.height + last
    }

    /// Codes of a super-block.
    #[inline(always)]
    fn len(self, at: usize) -> usize {
        (self.num_vectors - at * SUPER_BLOCK).min(SUPER_BLOCK)
    }

    /// Bytes from one of its rows to the next.
    #[inline(always)]
    fn stride(self, at: usize) -> usize {
        self.len(at).next_multiple_of(LINE) + LINE
    }

    /// One of its rows.
    #[inline(always)]
    fn row(self, bytes: &[u8], at: usize, row: usize) -> &[u8] {
        let stride = self.stride(at);
        &bytes[at * STRIDE * self.height + row * stride..][..stride]
    }
}

/// The places of `expected`, the largest value first.
#[inline(always)]
fn descending(expected: &[i32], order: &mut Vec<u8>) {
    match *expected {
        [a, b, c, d, e, f, g, h] => descending_of(&[a, b, c, d, e, f, g, h], order),
        [..] => match expected.try_into() {
            Ok(expected) => descending_of::<16>(expected, order),
            Err(_) => {
                order.clear();
                order.extend((0..expected.len()).map(|place| place as u8));
                order.sort_by_key(|&place| std::cmp::Reverse(expected[usize::from(place)]));
            }
        },
    }
}

/// Without a branch: sorting would mispredict several.
#[inline(always)]
fn descending_of<const N: usize>(expected: &[i32; N], order: &mut Vec<u8>) {
    // The place makes the values distinct.
    let mut keys = *expected;
    keys.iter_mut().zip(0..).for_each(|(key, place)| *key = *key * N as i32 + place);
    let mut ranks = [0i32; N];
    for other in keys {
        ranks.iter_mut().zip(&keys).for_each(|(rank, &key)| *rank += i32::from(key < other));
    }
    let mut places = [0; N];
    for (place, rank) in ranks.into_iter().enumerate() {
        places[rank as usize % N] = place as u8;
    }
    order.clear();
    order.extend_from_slice(&places);
}

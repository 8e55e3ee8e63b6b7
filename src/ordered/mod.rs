//! Similar codes together: a scan that skips what cannot win, and reads a third of the codes or less.
//!
//! **Order.** Preparation bisects the decoded vectors along their principal direction, again and again, so that blocks of 64
//! and super-blocks of 8,192 codes hold similar vectors.
//!
//! **Layouts.** A super-block's codes lie sub-quantizer by sub-quantizer, two pages each, read as a stream. AVX-512 looks
//! them up among all 256 centroids ([`Bytes`]): four times the work that groups of similar ones would be, hidden by reading,
//! for a bound that is exact but for the rounding to a byte. For other instruction sets 64 groups of centroids are merged
//! into 16 that suit the super-block, and two codes are a byte ([`Nibbles`]).
//!
//! **Query.** The super-blocks with the nearest means come first, and the first threshold is found there. Once for each
//! super-block, the least entries of what occurs there are taken off the LUT: their sum is a bound of all the codes, which
//! alone rules a fifth of the super-blocks out (of groups a seventh). The pairs of sub-quantizers come in the order of what
//! they are expected to add, from the super-block's mean and variance. Two pairs are summed for all blocks, then two more,
//! again and again, for the blocks that still have a lane below 255. The lanes that are left at the end are scored in f32;
//! of nibbles there are two hundred times as many, which are looked up once more before, in the LUT of the 64 groups.
//! Everything that is ruled out is ruled out by a lower bound ([`lut`](crate::lut)), so the answer is exact.
//!
//! **Latency.** What is left to read after the first pairs is scattered, so it is prefetched: the codes of a step for all
//! blocks before the step, the next super-block's first codes meanwhile, and a candidate's row as soon as it is one. What is
//! to be scored waits until there are 32, perhaps of several super-blocks, so that the table comes to the first cache less
//! often and the ids of those that are near arrive together: each comes from memory, and a push waits for it.
//!
//! **What limits it** (counted and timed on 1M real codes with AVX-512, AMD Zen 4, where one stream reads a line in 0.75
//! ns): 66,000 cache lines of 250,000 are read. The first step takes 4.9 ns for the four lines of a block, prefetched, and
//! as much is what its look-ups take (18 cycles); with half of those it takes 4.75. Later steps take 8 to 9 ns a block, for
//! scattered lines and branches that nothing predicts. In batches of 16, whose queries share the lines, each takes nine
//! tenths of its time alone.
//!
//! Sources: the lossless byte bound and the grouping are PQ Fast Scan's (André, Kermarrec, Le Scouarnec, VLDB 2015), the
//! layout is Faiss's and ScaNN's 4-bit fast scan; groups fitted to a neighbourhood of codes are this project's.

mod bytes;
mod nibbles;
mod pass;
mod prepare;
mod scan;

pub use bytes::Bytes;
pub use nibbles::Nibbles;

use crate::{
    Codebook, NUM_CENTROIDS, NUM_SUB_VECTORS, SUB_VECTOR_DIM,
    blocks::BLOCK,
    byte_vector::ByteVector,
    candidates::Candidates,
    grouping::GROUPS,
    lut::FilterLut,
    memory::{HugeVec, Plain},
    row_major::Row,
};

/// The kernel of a variant: `$codes` its [`OrderedCodes`], `$vector` its [`ByteVector`], `$features` what that type needs.
macro_rules! ordered_kernel {
    ($arch:literal, $codes:ident, $vector:ident, $features:literal) => {
        #[cfg(target_arch = $arch)]
        mod kernel {
            use crate::{Codebook, DIM, Error, TopKHeap, byte_vector::$vector, ordered::$codes, registry::Scan};

            #[derive(Clone)]
            struct Ordered($codes);

            pub fn prepare(codebook: &Codebook, codes: &[u8]) -> Result<Box<dyn Scan>, Error> {
                Ok(Box::new(Ordered($codes::new(codebook, codes))))
            }

            impl Scan for Ordered {
                fn scan(&self, query: &[f32; DIM], top: &mut TopKHeap) {
                    // SAFETY: the registry prepares this variant only where the CPU has the features that it requires.
                    unsafe { scan(&self.0, query, top) }
                }

                fn scan_batch(&self, queries: &[[f32; DIM]], tops: &mut [TopKHeap]) {
                    // SAFETY: as above.
                    unsafe { scan_batch(&self.0, queries, tops) }
                }

                fn memory_bytes(&self) -> usize {
                    self.0.memory_bytes()
                }
            }

            #[target_feature(enable = $features)]
            fn scan(codes: &$codes, query: &[f32; DIM], top: &mut TopKHeap) {
                // SAFETY: this function is compiled for the very features.
                unsafe { codes.scan::<$vector>(query, top) }
            }

            #[target_feature(enable = $features)]
            fn scan_batch(codes: &$codes, queries: &[[f32; DIM]], tops: &mut [TopKHeap]) {
                // SAFETY: as above.
                unsafe { codes.scan_batch::<$vector>(queries, tops) }
            }
        }
    };
}
pub(crate) use ordered_kernel;

/// Vectors in a super-block. Fewer fit their plans better, and need more plans.
pub const SUPER_BLOCK: usize = 8192;
/// Bytes from one row of a super-block to the next: a cache line more than its codes, or else all rows of a block would be in
/// the same set of a cache.
const STRIDE: usize = SUPER_BLOCK + BLOCK;
/// Pairs of sub-quantizers, the unit in which a scan goes on.
const PAIRS: usize = NUM_SUB_VECTORS / 2;

/// In bytes that name each centroid.
pub type ByteCodes = OrderedCodes<Bytes, NUM_CENTROIDS>;
/// In nibbles that name groups of [groups](crate::grouping).
pub type NibbleCodes = OrderedCodes<Nibbles, GROUPS>;

/// A list of codes, similar ones together, in super-blocks of a [`Layout`]. `G` is the number of groups of centroids that the
/// LUT of a query tells apart.
#[derive(Clone)]
pub struct OrderedCodes<L: Layout<G>, const G: usize> {
    /// If there are fewer groups than centroids, with these renumbered so that the low bits of a code name its group.
    codebook: Codebook,
    /// The place in the caller's list of each code here.
    ids: HugeVec<u32>,
    super_blocks: HugeVec<L>,
    moments: HugeVec<Moments>,
}

/// Where the vectors of a super-block are.
#[derive(Clone)]
#[repr(C, align(64))]
struct Moments {
    /// `[d][m]`: the mean of the decoded vectors.
    mean: ByDimension,
    /// `[m]`: their mean squared distance from it.
    variance: [f32; NUM_SUB_VECTORS],
}

/// A vector, `[d][m]`, so that the distances of its parts are one vector of sums.
type ByDimension = [[f32; NUM_SUB_VECTORS]; SUB_VECTOR_DIM];

// SAFETY: arrays of numbers.
unsafe impl Plain for Moments {}

/// How a super-block stores its codes, and what a query looks up in it.
pub trait Layout<const G: usize>: Plain {
    /// Whether [`look_again`](Layout::look_again) does anything.
    const LOOKS_AGAIN: bool;
    /// What a query makes for a super-block.
    type Plan: Copy + Default;
    /// What it takes to look up a pair of sub-quantizers.
    type Pair<'a, V: ByteVector>: LookUp<V>
    where
        Self: 'a;

    /// Takes up to [`SUPER_BLOCK`] codes; `self` is zero.
    fn fill(&mut self, codebook: &Codebook, rows: &[[u8; NUM_SUB_VECTORS]]);

    /// The plan for the LUT of a query, and for each sub-quantizer the least entry that a code of the super-block has.
    ///
    /// # Safety
    /// The CPU has the instruction set of `V`; the caller is compiled for it.
    unsafe fn plan<V: ByteVector>(&self, lut: &FilterLut<G>) -> (Self::Plan, [u8; NUM_SUB_VECTORS]);

    /// Settles in what order the pairs are looked up, given what each sub-quantizer is expected to add.
    fn order(plan: &mut Self::Plan, expected: &[i32; NUM_SUB_VECTORS]);

    /// The pair at a place of the order. Its entries are the LUT's less the least ones. The LUT may have become tighter since
    /// the plan was made.
    ///
    /// # Safety
    /// As for [`plan`](Layout::plan).
    unsafe fn pair<V: ByteVector>(&self, plan: &Self::Plan, lut: &FilterLut<G>, place: usize) -> Self::Pair<'_, V>;

    /// Asks for what [`plan`](Layout::plan) reads.
    fn prefetch_summary(&self);

    /// Asks for what [`row`](Layout::row) reads.
    fn prefetch_code(&self, lane: usize);

    /// Drops candidates that a finer LUT rules out, if there is one.
    ///
    /// # Safety
    /// As for [`plan`](Layout::plan).
    #[inline(always)]
    unsafe fn look_again<V: ByteVector>(&self, _lut: &FilterLut<G>, _candidates: &mut Candidates) {}

    /// A whole code.
    fn row(&self, lane: usize) -> Row;
}

/// The look-ups of a pair of sub-quantizers.
pub trait LookUp<V>: Copy {
    /// The sum of the entries of the codes from `lane` on.
    ///
    /// # Safety
    /// There are codes for the whole vector, and the CPU has the instruction set of `V`.
    unsafe fn look_up(&self, lane: usize) -> V;

    /// Asks for the codes of the block from `lane` on.
    fn prefetch(&self, lane: usize);
}

impl<L: Layout<G>, const G: usize> OrderedCodes<L, G> {
    /// The ids of the codes of a super-block.
    #[inline(always)]
    fn ids_of(&self, super_block: usize) -> &[u32] {
        let start = super_block * SUPER_BLOCK;
        &self.ids[start..self.ids.len().min(start + SUPER_BLOCK)]
    }

    /// Bytes that the list holds.
    pub fn memory_bytes(&self) -> usize {
        size_of_val(&*self.ids) + size_of_val(&*self.super_blocks) + size_of_val(&*self.moments)
    }
}

/// The places of `expected`, the largest value first. Without a branch: sorting would mispredict several.
#[inline(always)]
fn descending<const N: usize>(expected: &[i32; N]) -> [u8; N] {
    // The place makes the values distinct.
    let mut keys = *expected;
    keys.iter_mut().zip(0..).for_each(|(key, place)| *key = *key * N as i32 + place);
    let mut ranks = [0i32; N];
    for other in keys {
        ranks.iter_mut().zip(&keys).for_each(|(rank, &key)| *rank += i32::from(key < other));
    }
    let mut order = [0; N];
    for (place, rank) in ranks.into_iter().enumerate() {
        order[rank as usize % N] = place as u8;
    }
    order
}

//! Similar codes together, half a byte each: a scan that skips what cannot win, and reads a fifth of the codes.
//!
//! **Order.** Preparation bisects the decoded vectors along their principal direction, again and again, so that blocks of 64
//! and super-blocks of 4,096 codes hold similar vectors.
//!
//! **Lines.** For each super-block and sub-quantizer the 64 groups of four similar centroids are merged into at most
//! 16 that suit the codes that occur there: what is frequent gets groups of its own, what is rare is lumped together.
//! A code is then a nibble, and two sub-quantizers are a byte. One line of a super-block is one page, read as a stream.
//!
//! **Query.** The super-blocks with the nearest means come first, for a low threshold. Once for each super-block, the LUT of
//! 64 group minima of the query becomes one of 16 a sub-quantizer, with the rows' minima taken off: their sum is a bound of
//! all the codes, which alone rules a seventh of the super-blocks out. The lines come in the order of what they are expected
//! to add (the LUT weighted by how often each group occurs). Two lines are summed for all blocks, then line by line for the
//! blocks that still have a lane below 255. The lanes that are left after the last line are scored in f32 from the row-major
//! codes. Everything that is ruled out is ruled out by a lower bound ([`lut`](crate::lut)), so the answer is exact.
//!
//! **Latency.** What is left to read after the first lines is scattered, so it is prefetched: a block's next line as soon as it
//! has survived the line before, a candidate's row as soon as it is one.
//!
//! Sources: the lossless byte bound and the grouping are PQ Fast Scan's (André, Kermarrec, Le Scouarnec, VLDB 2015), the
//! layout is Faiss's and ScaNN's 4-bit fast scan; groups fitted to a neighbourhood of codes are this project's.

mod prepare;
mod scan;

use crate::{
    Codebook, DIM, NUM_SUB_VECTORS,
    memory::{HugeVec, Plain},
};

/// The kernel of a variant: `$vector` is its [`ByteVector`], `$features` what that type needs.
macro_rules! ordered_kernel {
    ($arch:literal, $vector:ident, $features:literal) => {
        #[cfg(target_arch = $arch)]
        mod kernel {
            use crate::{Codebook, DIM, Error, TopKHeap, byte_vector::$vector, ordered::OrderedCodes, registry::Scan};

            #[derive(Clone)]
            struct Ordered(OrderedCodes);

            pub fn prepare(codebook: &Codebook, codes: &[u8]) -> Result<Box<dyn Scan>, Error> {
                Ok(Box::new(Ordered(OrderedCodes::new(codebook, codes))))
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
            fn scan(codes: &OrderedCodes, query: &[f32; DIM], top: &mut TopKHeap) {
                // SAFETY: this function is compiled for the very features.
                unsafe { codes.scan::<$vector>(query, top) }
            }

            #[target_feature(enable = $features)]
            fn scan_batch(codes: &OrderedCodes, queries: &[[f32; DIM]], tops: &mut [TopKHeap]) {
                // SAFETY: as above.
                unsafe { codes.scan_batch::<$vector>(queries, tops) }
            }
        }
    };
}
pub(crate) use ordered_kernel;

/// Vectors in a super-block. Fewer fit the groups better, and cost more LUTs.
pub const SUPER_BLOCK: usize = 4096;
/// Bytes of a vector in the lines.
const LINES: usize = NUM_SUB_VECTORS / 2;
/// Groups of a sub-quantizer in a super-block: what a nibble can name.
const GROUPS: usize = 16;
/// Groups of a sub-quantizer in the whole list.
const FINE_GROUPS: usize = 64;
/// Fine groups that one group can merge. Twice the even share lets rare ones be lumped together.
const MAX_MEMBERS: usize = 2 * FINE_GROUPS / GROUPS;
/// A list of codes in the order and layout of this module.
#[derive(Clone)]
pub struct OrderedCodes {
    /// With the centroids renumbered so that the low six bits of a code name its fine group.
    codebook: Codebook,
    /// The place in the caller's list of each code here.
    ids: HugeVec<u32>,
    /// Row-major renumbered codes.
    rows: HugeVec<[u8; NUM_SUB_VECTORS]>,
    lines: HugeVec<Lines>,
    super_blocks: HugeVec<SuperBlock>,
    means: Vec<[f32; DIM]>,
}

/// `[line][lane]`: the groups of sub-quantizers 2·line (low nibble) and 2·line + 1.
#[derive(Clone)]
#[repr(C, align(64))]
struct Lines([[u8; SUPER_BLOCK]; LINES]);

/// How a super-block's groups are made.
#[derive(Clone)]
#[repr(C, align(64))]
struct SuperBlock {
    /// `[m][place][group]`: the fine groups of each group; a smaller one repeats its last.
    members: [[[u8; GROUPS]; MAX_MEMBERS]; NUM_SUB_VECTORS],
    /// `[m][group]`: the share of the super-block's codes in each group, in 255ths.
    weights: [[u8; GROUPS]; NUM_SUB_VECTORS],
}

// SAFETY: arrays of bytes.
unsafe impl Plain for Lines {}
// SAFETY: arrays of bytes.
unsafe impl Plain for SuperBlock {}

impl OrderedCodes {
    /// Bytes that the list holds.
    pub fn memory_bytes(&self) -> usize {
        size_of_val(&*self.ids)
            + size_of_val(&*self.rows)
            + size_of_val(&*self.lines)
            + size_of_val(&*self.super_blocks)
            + size_of_val(self.means.as_slice())
    }
}

//! Half the bytes: the low nibbles of blocked codes, two sub-quantizers a byte, and the exact filter over them.
//!
//! A 4-bit filter looks only at a code's low nibble, once that names a [group](crate::grouping) of similar centroids. Stored apart,
//! the nibbles of 64 vectors are 512 bytes, so a filter streams half of what reading the codes would. The whole codes lie
//! beside them, row-major: what the filter leaves is scored from there, a cache line each, fetched ahead of time.

use crate::{
    Codebook, DIM, DistanceTable, NUM_SUB_VECTORS, TopKHeap,
    blocks::{BLOCK, lanes},
    grouping,
    lut::{FallingLut, FilterLut},
    memory::{HugeVec, prefetch},
    table::distance,
};

/// Groups of centroids that a nibble can name.
pub const GROUPS: usize = 16;
/// Bytes that hold a vector's low nibbles.
pub const PAIRS: usize = NUM_SUB_VECTORS / 2;

/// The low nibbles of [`BLOCK`] vectors' codes, `[pair][lane]`: sub-quantizer `2 * pair` in a byte's low half, the next one
/// in its high half.
#[derive(Clone, Debug, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct NibbleBlock(pub [[u8; BLOCK]; PAIRS]);

impl NibbleBlock {
    /// Takes the nibbles of up to [`BLOCK`] row-major codes; the lanes beyond them are zero.
    pub fn from_rows(rows: &[[u8; NUM_SUB_VECTORS]]) -> NibbleBlock {
        let mut block = NibbleBlock([[0; BLOCK]; PAIRS]);
        for (lane, row) in rows.iter().enumerate() {
            for (pair, codes) in row.as_chunks::<2>().0.iter().enumerate() {
                block.0[pair][lane] = codes[0] & 0x0f | codes[1] << 4;
            }
        }
        block
    }
}

/// A list of codes, whole and as nibbles, under new numbers that make the nibbles tell.
#[derive(Clone)]
pub struct NibbleCodes {
    codebook: Codebook,
    blocks: HugeVec<NibbleBlock>,
    rows: HugeVec<[u8; NUM_SUB_VECTORS]>,
}

/// What a kernel does: for each block the lanes that may be near, as bits. Lanes of padding may be set.
pub trait Candidates: Fn(&FilterLut<GROUPS>, &[NibbleBlock], &mut [u64]) {}
impl<F: Fn(&FilterLut<GROUPS>, &[NibbleBlock], &mut [u64])> Candidates for F {}

/// Blocks between two looks at the threshold: enough to hide the cache misses of what is scored, few enough for L1.
const AT_ONCE: usize = 16;
/// The block from which on the codes are too many to lie in a near cache.
const PREFETCH_FROM: usize = 256;
/// Stretches that are scored without a filter once one has let most codes pass, so that it costs next to nothing on data
/// that defeats it.
const UNFILTERED: usize = 8;
/// Ids that are written without asking whether there are as many.
const UNCONDITIONAL: usize = 4;

impl NibbleCodes {
    /// Renumbers row-major `codes` `[n][16]` and their codebook.
    pub fn new(codebook: &Codebook, codes: &[u8]) -> NibbleCodes {
        let order = grouping::similar_centroids_together(codebook);
        let renumbered = grouping::renumbered(codes, &grouping::inverse(&order));
        let mut rows = HugeVec::zeroed(renumbered.len());
        rows.copy_from_slice(&renumbered);
        let mut blocks = HugeVec::zeroed(rows.len().div_ceil(BLOCK));
        blocks.iter_mut().zip(rows.chunks(BLOCK)).for_each(|(block, rows)| *block = NibbleBlock::from_rows(rows));
        NibbleCodes { codebook: codebook.reordered(&order), blocks, rows }
    }

    /// Bytes that the list holds.
    pub fn memory_bytes(&self) -> usize {
        size_of_val(&*self.blocks) + self.rows.as_flattened().len()
    }

    /// Offers to `top` what `candidates` lets through.
    #[inline(always)]
    pub fn scan(&self, query: &[f32; DIM], top: &mut TopKHeap, candidates: impl Candidates) {
        let table = &self.codebook.distance_table(query);
        let mut lut = FallingLut::new(table);
        let mut waiting = Waiting { ids: [0; AT_ONCE * BLOCK + UNCONDITIONAL], count: 0 };
        let mut unfiltered = 0;
        let mut at = 0;
        while at < self.blocks.len() {
            // A first block to find a threshold, then longer and longer stretches.
            let blocks = &self.blocks[at..self.blocks.len().min(at + at.clamp(1, AT_ONCE))];
            lut.tighten(top.threshold());
            if let Some(lut) = lut.get()
                && unfiltered == 0
            {
                let mut near = [0; AT_ONCE];
                candidates(lut, blocks, &mut near[..blocks.len()]);
                // Those of the stretch before have arrived in L1 by now.
                waiting.score(&self.rows, table, top);
                for (block, &near) in near[..blocks.len()].iter().enumerate() {
                    let first = (at + block) * BLOCK;
                    waiting.add(first, near & lanes(self.rows.len() - first));
                }
                if waiting.count > AT_ONCE * BLOCK / 2 {
                    unfiltered = UNFILTERED;
                }
                if at < PREFETCH_FROM {
                    waiting.score(&self.rows, table, top);
                } else {
                    waiting.prefetch(&self.rows);
                }
            } else {
                let first = at * BLOCK;
                for (row, id) in self.rows[first..].iter().take(blocks.len() * BLOCK).zip(first as u32..) {
                    top.push(id, distance(row, table));
                }
                unfiltered = usize::saturating_sub(unfiltered, 1);
            }
            at += blocks.len();
        }
        waiting.score(&self.rows, table, top);
    }
}

/// Candidates on the way from memory.
struct Waiting {
    ids: [u32; AT_ONCE * BLOCK + UNCONDITIONAL],
    count: usize,
}

impl Waiting {
    /// Adds the ids from `first` on whose bit is set in `lanes`.
    #[inline(always)]
    fn add(&mut self, first: usize, mut lanes: u64) {
        let end = self.count + lanes.count_ones() as usize;
        while self.count < end {
            // A few at a time, needed or not: how many there are is hard to predict, that they are few is easy.
            for id in &mut self.ids[self.count..][..UNCONDITIONAL] {
                *id = first as u32 + lanes.trailing_zeros();
                lanes &= lanes.wrapping_sub(1);
            }
            self.count = end.min(self.count + UNCONDITIONAL);
        }
    }

    #[inline(always)]
    fn prefetch(&self, rows: &[[u8; NUM_SUB_VECTORS]]) {
        for &id in &self.ids[..self.count] {
            prefetch(&rows[id as usize]);
        }
    }

    #[inline(always)]
    fn score(&mut self, rows: &[[u8; NUM_SUB_VECTORS]], table: &DistanceTable, top: &mut TopKHeap) {
        for &id in &self.ids[..std::mem::take(&mut self.count)] {
            top.push(id, distance(&rows[id as usize], table));
        }
    }
}

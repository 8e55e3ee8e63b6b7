//! Half the bytes: the low nibbles of blocked codes, two sub-quantizers a byte, and the exact filter over them.
//!
//! A 4-bit filter looks only at a code's low nibble, once that names a [group](crate::grouping) of similar centroids. Stored apart,
//! the nibbles of 64 vectors are 512 bytes, so a filter streams half of what reading the codes would. The whole codes lie
//! beside them, row-major: what the filter leaves is scored from there, a cache line each, fetched ahead of time.

use std::mem::MaybeUninit;

use crate::{
    Codebook, DIM, DistanceTable, NUM_SUB_VECTORS, TopKHeap,
    blocks::{BLOCK, lanes},
    candidates::{Candidates, MAX_CANDIDATES},
    grouping,
    lut::{FallingLut, FilterLut, FilterTable},
    memory::{HugeVec, Plain, prefetch},
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

// SAFETY: an array of bytes.
unsafe impl Plain for NibbleBlock {}

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
pub trait FindCandidates: Fn(&FilterLut<GROUPS>, &[NibbleBlock], &mut [u64]) {}
impl<F: Fn(&FilterLut<GROUPS>, &[NibbleBlock], &mut [u64])> FindCandidates for F {}

/// Blocks between two looks at the threshold: enough to hide the cache misses of what is scored, few enough for L1.
const AT_ONCE: usize = MAX_CANDIDATES / BLOCK;
/// The block from which on the codes are too many to lie in a near cache.
const PREFETCH_FROM: usize = 256;
/// Stretches that are scored without a filter once one has let most codes pass, so that it costs next to nothing on data
/// that defeats it.
const UNFILTERED: usize = 8;

impl NibbleCodes {
    /// Renumbers row-major `codes` `[n][16]` and their codebook.
    pub fn new(codebook: &Codebook, codes: &[u8]) -> NibbleCodes {
        let grouped = codebook.grouped::<GROUPS>();
        let renumbered = grouping::renumbered(codes, &grouped.labels);
        let mut rows = HugeVec::zeroed(renumbered.len());
        rows.copy_from_slice(&renumbered);
        let mut blocks = HugeVec::zeroed(rows.len().div_ceil(BLOCK));
        blocks.iter_mut().zip(rows.chunks(BLOCK)).for_each(|(block, rows)| *block = NibbleBlock::from_rows(rows));
        NibbleCodes { codebook: grouped.codebook.clone(), blocks, rows }
    }

    /// Bytes that the list holds.
    pub fn memory_bytes(&self) -> usize {
        size_of_val(&*self.blocks) + self.rows.as_flattened().len()
    }

    /// Offers to `top` what `candidates` lets through.
    #[inline(always)]
    pub fn scan(&self, query: &[f32; DIM], top: &mut TopKHeap, candidates: impl FindCandidates) {
        let mut table = MaybeUninit::uninit();
        let table = self.codebook.distance_table_in(query, &mut table);
        let bounds = FilterTable::new(table);
        let mut lut = FallingLut::new(&bounds);
        let mut waiting = Candidates::new();
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
                score(&mut waiting, &self.rows, table, top);
                for (block, &near) in near[..blocks.len()].iter().enumerate() {
                    let first = (at + block) * BLOCK;
                    waiting.add_lanes(first, near & lanes(self.rows.len() - first));
                }
                if waiting.places().len() > MAX_CANDIDATES / 2 {
                    unfiltered = UNFILTERED;
                }
                if at < PREFETCH_FROM {
                    score(&mut waiting, &self.rows, table, top);
                } else {
                    waiting.places().iter().for_each(|&id| prefetch(&self.rows[id as usize]));
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
        score(&mut waiting, &self.rows, table, top);
    }
}

#[inline(always)]
fn score(waiting: &mut Candidates, rows: &[[u8; NUM_SUB_VECTORS]], table: &DistanceTable, top: &mut TopKHeap) {
    for &id in waiting.places() {
        top.push(id, distance(&rows[id as usize], table));
    }
    waiting.clear();
}

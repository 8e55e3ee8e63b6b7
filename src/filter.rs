//! The exact filter: byte sums decide what may be near, f32 sums decide what is.
//!
//! A kernel sums [`FilterLut`] entries over blocks and stops at the first block that holds a lane below 255. Its lanes are
//! scored with the f32 table, from the same block while it is in L1. As the threshold falls the LUT follows, so that the
//! filter tightens.

use crate::{
    Codebook, DIM, DistanceTable, TopKHeap,
    blocks::{self, BLOCK, Block, BlockedCodes},
    grouping,
    lut::{FallingLut, FilterLut},
};

/// What the kernels of a filter do: the place of the first block from `from` on with a lane that may be near, and one bit
/// for each such lane. Lanes of padding may be set.
pub trait NextCandidates<const G: usize>: Fn(&FilterLut<G>, &[Block], usize) -> Option<(usize, u64)> {}
impl<const G: usize, F: Fn(&FilterLut<G>, &[Block], usize) -> Option<(usize, u64)>> NextCandidates<G> for F {}

/// One query's filter, for one list or several pieces of one. `G` is the number of groups that a code can name.
pub struct Filter<'a, const G: usize> {
    table: &'a DistanceTable,
    lut: FallingLut<G>,
}

impl<'a, const G: usize> Filter<'a, G> {
    /// A filter that lets everything pass until a scan has found a threshold.
    #[inline(always)]
    pub fn new(table: &'a DistanceTable) -> Self {
        Filter { table, lut: FallingLut::new(table) }
    }

    /// Offers to `top` what can be near among `num_vectors` codes in `blocks`, with ids from `first_id`.
    #[inline(always)]
    pub fn scan(
        &mut self,
        blocks: &[Block],
        num_vectors: usize,
        first_id: u32,
        top: &mut TopKHeap,
        next_candidates: impl NextCandidates<G>,
    ) {
        let mut at = 0;
        while at < blocks.len() {
            self.lut.tighten(top.threshold());
            let found = match self.lut.get() {
                Some(lut) => next_candidates(lut, blocks, at),
                None => Some((at, u64::MAX)),
            };
            let Some((block, candidates)) = found else { return };
            let candidates = candidates & blocks::lanes(num_vectors - block * BLOCK);
            blocks[block].score(self.table, candidates, first_id + (block * BLOCK) as u32, top);
            at = block + 1;
        }
    }
}

/// A list of blocked codes, under new numbers whose low bits name groups of similar centroids.
#[derive(Clone)]
pub struct GroupedCodes {
    codebook: Codebook,
    codes: BlockedCodes,
}

/// Blocks that the queries of a batch scan one after the other: as many as L1 holds.
const TILE: usize = 32;

impl GroupedCodes {
    /// Renumbers row-major `codes` `[n][16]` and their codebook.
    pub fn new(codebook: &Codebook, codes: &[u8]) -> GroupedCodes {
        let order = grouping::similar_centroids_together(codebook);
        let codes = BlockedCodes::relabelled(codes, &grouping::inverse(&order));
        GroupedCodes { codebook: codebook.reordered(&order), codes }
    }

    /// Bytes that the list holds.
    pub fn memory_bytes(&self) -> usize {
        self.codes.memory_bytes()
    }

    /// Offers to `top` what can be near `query`.
    #[inline(always)]
    pub fn scan<const G: usize>(
        &self,
        query: &[f32; DIM],
        top: &mut TopKHeap,
        next_candidates: impl NextCandidates<G>,
    ) {
        let table = self.codebook.distance_table(query);
        Filter::new(&table).scan(self.codes.blocks(), self.codes.num_vectors(), 0, top, next_candidates);
    }

    /// [`scan`](GroupedCodes::scan) for several queries, tile by tile: each comes from memory once for all of them.
    #[inline(always)]
    pub fn scan_batch<const G: usize>(
        &self,
        queries: &[[f32; DIM]],
        tops: &mut [TopKHeap],
        next_candidates: impl NextCandidates<G>,
    ) {
        let tables: Vec<_> = queries.iter().map(|query| self.codebook.distance_table(query)).collect();
        let mut filters: Vec<_> = tables.iter().map(Filter::new).collect();
        let mut first = 0;
        for tile in self.codes.blocks().chunks(TILE) {
            let num_vectors = (self.codes.num_vectors() - first).min(TILE * BLOCK);
            for (filter, top) in filters.iter_mut().zip(&mut *tops) {
                filter.scan(tile, num_vectors, first as u32, top, &next_candidates);
            }
            first += num_vectors;
        }
    }
}

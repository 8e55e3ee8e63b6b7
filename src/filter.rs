//! The exact filter: byte sums decide what may be near, f32 sums decide what is.
//!
//! A kernel sums [`FilterLut`] entries over a stretch of blocks and writes down those that hold a lane below 255, without a
//! branch that depends on the codes. When there are many, their lanes are scored with the f32 table, several at a time: from the
//! same blocks, which are in L2 by then ([`ByBlocks`]), or as another [`Criterion`] has it. (Scoring at once, from L1, took
//! longer: a few mispredicted branches a stretch, and the stream of codes stood still meanwhile.) As the threshold falls the
//! LUT follows, so that the filter tightens.

use std::{mem::MaybeUninit, ops::Range};

use crate::{
    Codebook, DIM, DistanceTable, TopKHeap,
    blocks::{BLOCK, Block, BlockedCodes, lanes},
    byte_vector::ByteVector,
    candidates::{Candidates, MAX_CANDIDATES},
    grouping::GROUPS,
    lut::{FallingLut, FilterLut, FilterTable, LIMIT, lanes_up_to},
    memory::{PAGE, prefetch},
};

/// What the kernels of a filter do: for each of at most [`STRETCH`] blocks, in their order, [`push`](Near::push) the lanes that
/// may be near. Lanes of padding may be among them.
pub trait FindNear<B, const G: usize>: Fn(&FilterLut<G>, &[B], &mut Near) {}
impl<B, const G: usize, F: Fn(&FilterLut<G>, &[B], &mut Near)> FindNear<B, G> for F {}

/// What a kernel does for several queries: the same for each of them, block by block, so that a block is loaded once for all.
pub trait FindAllNear<B, const G: usize>: Fn(&[B], &mut [(&FilterLut<G>, &mut Near)]) {}
impl<B, const G: usize, F: Fn(&[B], &mut [(&FilterLut<G>, &mut Near)])> FindAllNear<B, G> for F {}

/// Blocks between two looks at the threshold: 16 KB, which leaves half of any L1 to what else a scan needs.
pub const STRETCH: usize = 16;

/// Blocks with a code that may be near that are scored together, at most.
const MAX_HITS: usize = 64;

/// The blocks that hold a code that may be near, until there are enough of them to look at.
#[derive(Debug)]
pub struct Near {
    /// A block's place in the list, and a bit for each of the lanes.
    hits: [(usize, u64); MAX_HITS],
    count: usize,
    /// The block that comes next.
    next: usize,
}

impl Near {
    /// None yet, from `block` on.
    pub fn from(block: usize) -> Self {
        Near { hits: [(0, 0); MAX_HITS], count: 0, next: block }
    }

    /// Takes the next block's lanes, a bit for each that may be near.
    #[inline(always)]
    pub fn push(&mut self, lanes: u64) {
        self.hits[self.count % MAX_HITS] = (self.next, lanes);
        self.next += 1;
        self.count += usize::from(lanes != 0);
    }

    /// Whether the next stretch may be too much, or the last block passes whole: such blocks are best scored while they are in
    /// the first cache.
    #[inline(always)]
    fn is_full(&self) -> bool {
        self.count > MAX_HITS - STRETCH || self.hits().last().is_some_and(|&(_, lanes)| lanes == u64::MAX)
    }

    /// The blocks with a lane that may be near, and those lanes.
    pub fn hits(&self) -> &[(usize, u64)] {
        &self.hits[..self.count]
    }
}

/// Writes each block's LUT sums, for the first blocks of a list.
pub trait WriteSums<B, const G: usize>: Fn(&FilterLut<G>, &[B], &mut [MaybeUninit<LaneSums>]) {}
impl<B, const G: usize, F: Fn(&FilterLut<G>, &[B], &mut [MaybeUninit<LaneSums>])> WriteSums<B, G> for F {}

/// The LUT sums of a block's lanes.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub struct LaneSums(pub [u8; BLOCK]);

impl LaneSums {
    /// Makes `this` the `sums` of a block.
    ///
    /// # Safety
    /// The CPU has the instruction set of `V`; the caller is compiled for it.
    #[inline(always)]
    pub unsafe fn write<V: ByteVector, const N: usize>(this: &mut MaybeUninit<Self>, sums: [V; N]) {
        const { assert!(N * V::LANES == BLOCK) };
        let to: *mut [u8; BLOCK] = this.as_mut_ptr().cast();
        // SAFETY: the vectors are as many bytes as there are; the instruction set is this function's contract.
        unsafe { to.cast::<[V; N]>().write_unaligned(sums) };
    }

    /// One bit for each lane up to `limit`, which is below 255.
    #[inline(always)]
    unsafe fn up_to<V: ByteVector>(&self, limit: u8) -> u64 {
        // SAFETY: this function's contract.
        unsafe { lanes_up_to::<V>(&self.0, limit) }
    }

    /// Makes them more than any limit in some `lanes`, a bit for each.
    #[inline(always)]
    fn rule_out(&mut self, mut lanes: u64) {
        while lanes != 0 {
            self.0[lanes.trailing_zeros() as usize] = u8::MAX;
            lanes &= lanes - 1;
        }
    }
}

/// A sum that a few more than `k` codes have at most; none where they are 255.
#[inline(always)]
unsafe fn sum_of_the_nearest<V: ByteVector>(sums: &[LaneSums], k: usize) -> Option<u8> {
    // For few neighbours of the lanes' smallest sums the 2k-th, for that many codes are as near at least.
    let few = 2 * k <= BLOCK / 2;
    let mut least = [LaneSums([u8::MAX; BLOCK])];
    if few {
        for part in (0..BLOCK).step_by(V::LANES) {
            // SAFETY: `part` is a whole vector of the block; the instruction set is this function's contract.
            unsafe {
                let mut lanes = V::splat(u8::MAX);
                for sums in sums {
                    lanes = lanes.min(V::load(sums.0.as_ptr().add(part)));
                }
                lanes.store(least[0].0.as_mut_ptr().add(part));
            }
        }
    }
    let (sums, wanted) = if few { (&least[..], 2 * k) } else { (sums, k) };
    let (mut sum, mut beyond) = (0, u8::MAX);
    while sum < beyond {
        let middle = sum + (beyond - sum) / 2;
        let mut count = 0;
        for sums in sums {
            // SAFETY: this function's contract.
            count += unsafe { sums.up_to::<V>(middle) }.count_ones() as usize;
        }
        (sum, beyond) = if count >= wanted { (sum, middle) } else { (middle + 1, beyond) };
    }
    (sum < u8::MAX).then_some(sum)
}

/// Blocks whose sums are kept until a threshold is known: their sums take 32 KB.
const FIRST: usize = 512;

/// What a filter looks up, and what becomes of the codes that it leaves.
pub trait Criterion<const G: usize> {
    /// A threshold to compare near codes by where none is known yet.
    fn guess(&self) -> f32;
    /// Makes the LUT for `threshold`, which [`tighten`](Criterion::tighten) will not know of.
    ///
    /// # Safety
    /// The CPU has the instruction set of `V`; the caller is compiled for it.
    unsafe fn quantize<V: ByteVector>(&mut self, threshold: f32);
    /// What a code within `threshold` sums to at most in the LUT for `quantized_for`, which is not smaller.
    fn limit(&self, threshold: f32, quantized_for: f32) -> u8;
    /// The LUT as it is.
    fn lut(&self) -> &FilterLut<G>;
    /// The LUT for a threshold that is not above that of the call before; none while it is infinite.
    ///
    /// # Safety
    /// As for [`quantize`](Criterion::quantize).
    unsafe fn tighten<V: ByteVector>(&mut self, threshold: f32) -> Option<&FilterLut<G>>;
    /// Offers to `top` some blocks' lanes, a bit for each, at the latest when no `more` are to come. What a closer look finds to
    /// sum to more than `limit`, if there is one, may be left out.
    ///
    /// # Safety
    /// As for [`quantize`](Criterion::quantize).
    unsafe fn score<V: ByteVector>(&mut self, hits: &[(usize, u64)], limit: Option<u8>, more: bool, top: &mut TopKHeap);
}

/// One query's filter for a list of blocks `B`. `G` is the number of groups that a code can name.
pub struct Filter<'a, B, C, const G: usize> {
    blocks: &'a [B],
    num_vectors: usize,
    criterion: C,
    /// As many codes as are wanted are known to lie within it.
    bound: f32,
    /// What is still to be scored.
    near: Near,
}

impl<'a, B, C: Criterion<G>, const G: usize> Filter<'a, B, C, G> {
    /// A filter that lets everything pass until a scan has found a threshold.
    #[inline(always)]
    pub fn new(blocks: &'a [B], num_vectors: usize, criterion: C) -> Self {
        Filter { blocks, num_vectors, criterion, bound: f32::INFINITY, near: Near::from(0) }
    }

    /// Scans the first blocks in two passes, and returns how many: the sums first, with a LUT that is made without a threshold;
    /// the codes with the smallest sums then give one that is near the last, so that few others are scored. Short lists are
    /// mostly candidates otherwise. 0 where that does not work: for few codes, or codes that the LUT can't tell apart.
    ///
    /// # Safety
    /// The CPU has the instruction set of `V`; the caller is compiled for it. `write_sums` writes a sum for each block.
    #[inline(always)]
    pub unsafe fn scan_first<V: ByteVector>(&mut self, top: &mut TopKHeap, write_sums: impl WriteSums<B, G>) -> usize {
        let blocks = &self.blocks[..self.blocks.len().min(FIRST)];
        let full = (self.num_vectors / BLOCK).min(FIRST);
        let k = top.k();
        let guess = self.criterion.guess();
        if k == 0 || 2 * k > full * BLOCK / 2 || guess == f32::INFINITY {
            return 0;
        }
        // SAFETY: this function's contract.
        unsafe { self.criterion.quantize::<V>(guess) };
        // Not zeros first: for a short list that shows.
        let mut sums = Box::new_uninit_slice(blocks.len());
        write_sums(self.criterion.lut(), blocks, &mut sums);
        // SAFETY: this function's contract.
        let mut sums = unsafe { sums.assume_init() };
        // SAFETY: this function's contract.
        let Some(smallest) = (unsafe { sum_of_the_nearest::<V>(&sums[..full], k) }) else {
            // The guess rules nothing out.
            // SAFETY: as above.
            unsafe { self.criterion.quantize::<V>(f32::INFINITY) };
            return 0;
        };

        let mut nearest = TopKHeap::with_k(k);
        let (mut at, mut scored) = (0, 0);
        self.near.next = 0;
        // Where many are equal, some of them will do.
        while at < sums.len() && scored <= 8 * k {
            let end = sums.len().min(at + STRETCH);
            for sums in &sums[at..end] {
                // SAFETY: as above.
                self.near.push(unsafe { sums.up_to::<V>(smallest) });
            }
            at = end;
            if self.near.is_full() || at == sums.len() {
                for &(block, lanes) in self.near.hits() {
                    sums[block].rule_out(lanes);
                }
                // SAFETY: as above.
                scored += unsafe { self.score_hits::<V>(None, false, &mut nearest) };
            }
        }
        self.bound = nearest.threshold();
        let quantized_for = if self.bound > guess { self.bound } else { guess };
        if self.bound > guess {
            // SAFETY: as above.
            unsafe { self.criterion.quantize::<V>(self.bound) };
            let mut again = Box::new_uninit_slice(blocks.len());
            write_sums(self.criterion.lut(), blocks, &mut again);
            // SAFETY: this function's contract.
            sums = unsafe { again.assume_init() };
        } else {
            nearest.into_sorted().into_iter().for_each(|(id, distance)| top.push(id, distance));
        }
        self.near.next = 0;
        let mut limit = self.criterion.limit(self.bound, quantized_for);
        let mut at = 0;
        while at < sums.len() {
            let end = sums.len().min(at + STRETCH);
            for sums in &sums[at..end] {
                // SAFETY: as above.
                self.near.push(unsafe { sums.up_to::<V>(limit) });
            }
            at = end;
            if self.near.is_full() || at == sums.len() {
                // SAFETY: as above.
                unsafe { self.score_hits::<V>(Some(limit), false, top) };
                limit = self.criterion.limit(self.bound, quantized_for);
            }
        }
        blocks.len()
    }

    /// Offers to `top` what can be near in some of the blocks.
    ///
    /// # Safety
    /// The CPU has the instruction set of `V`; the caller is compiled for it.
    #[inline(always)]
    pub unsafe fn scan<V: ByteVector>(
        &mut self,
        blocks: Range<usize>,
        top: &mut TopKHeap,
        find_near: impl FindNear<B, G>,
    ) {
        // SAFETY: this function's contract.
        unsafe {
            let mut at = blocks.start;
            while at < blocks.end {
                // A block to find a threshold, then longer and longer stretches.
                let end = blocks.end.min(at + at.clamp(1, STRETCH));
                self.stretch::<V>(at..end, end >= FIRST && end < blocks.end, top, &find_near);
                at = end;
            }
        }
    }

    /// Finds what may be near in at most [`STRETCH`] blocks, and takes it up.
    #[inline(always)]
    unsafe fn stretch<V: ByteVector>(
        &mut self,
        blocks: Range<usize>,
        more: bool,
        top: &mut TopKHeap,
        find_near: impl FindNear<B, G>,
    ) {
        ask_for(&self.blocks[blocks.end..]);
        self.near.next = blocks.start;
        // SAFETY: this function's contract.
        match unsafe { self.criterion.tighten::<V>(top.threshold()) } {
            Some(lut) => find_near(lut, &self.blocks[blocks], &mut self.near),
            None => blocks.for_each(|_| self.near.push(u64::MAX)),
        }
        // SAFETY: this function's contract.
        unsafe { self.take_up::<V>(more, top) };
    }

    /// Scores what has been found when it is enough or no `more` is to come.
    #[inline(always)]
    unsafe fn take_up<V: ByteVector>(&mut self, more: bool, top: &mut TopKHeap) {
        if !more || self.near.is_full() {
            // SAFETY: this function's contract.
            unsafe { self.score_hits::<V>(Some(LIMIT), more, top) };
        }
    }

    /// Offers to `top` what has been found, and returns how many codes it was.
    #[inline(always)]
    unsafe fn score_hits<V: ByteVector>(&mut self, limit: Option<u8>, more: bool, top: &mut TopKHeap) -> usize {
        let hits = &mut self.near.hits[..self.near.count];
        let mut count = 0;
        for (block, near) in &mut *hits {
            *near &= lanes(self.num_vectors - *block * BLOCK);
            count += near.count_ones() as usize;
        }
        // SAFETY: this function's contract.
        unsafe { self.criterion.score::<V>(hits, limit, more, top) };
        self.near.count = 0;
        if top.threshold() < self.bound {
            self.bound = top.threshold();
        }
        count
    }
}

/// Asks for the next stretch: the hardware goes on from each page's first line, and would begin late by itself.
#[inline(always)]
fn ask_for<B>(next: &[B]) {
    next.iter().take(STRETCH).step_by(PAGE / size_of::<B>()).for_each(prefetch);
}

/// A LUT of `G` groups; what it leaves is scored from its blocks.
pub struct ByBlocks<'a, const G: usize> {
    lut: FallingLut<'a, G>,
    blocks: &'a [Block],
    table: &'a DistanceTable,
    candidates: Candidates,
}

impl<const G: usize> ByBlocks<'_, G> {
    /// Offers the candidates to `top`, until there are none.
    #[inline(always)]
    fn settle(&mut self, top: &mut TopKHeap) {
        /// As many sums as it takes not to wait for each addition.
        const AT_ONCE: usize = 4;
        let ByBlocks { blocks, table, candidates, .. } = self;
        for places in candidates.places().chunks(AT_ONCE) {
            let mut codes = [(&blocks[0], 0); AT_ONCE];
            for (code, &place) in codes.iter_mut().zip(places) {
                *code = (&blocks[place as usize / BLOCK], place as usize % BLOCK);
            }
            let mut sums = [0.0; AT_ONCE];
            for (m, entries) in table.iter().enumerate() {
                for (sum, (block, lane)) in sums.iter_mut().zip(codes) {
                    *sum += entries[usize::from(block.0[m][lane])];
                }
            }
            for (&place, distance) in places.iter().zip(sums) {
                top.push(place, distance);
            }
        }
        candidates.clear();
    }
}

impl<const G: usize> Criterion<G> for ByBlocks<'_, G> {
    #[inline(always)]
    fn guess(&self) -> f32 {
        self.lut.guess()
    }

    #[inline(always)]
    unsafe fn quantize<V: ByteVector>(&mut self, threshold: f32) {
        self.lut.quantize(threshold);
    }

    #[inline(always)]
    fn limit(&self, threshold: f32, quantized_for: f32) -> u8 {
        self.lut.limit(threshold, quantized_for)
    }

    #[inline(always)]
    fn lut(&self) -> &FilterLut<G> {
        self.lut.entries()
    }

    #[inline(always)]
    unsafe fn tighten<V: ByteVector>(&mut self, threshold: f32) -> Option<&FilterLut<G>> {
        self.lut.tighten(threshold);
        self.lut.get()
    }

    #[inline(always)]
    unsafe fn score<V: ByteVector>(&mut self, hits: &[(usize, u64)], _: Option<u8>, _: bool, top: &mut TopKHeap) {
        for &(block, lanes) in hits {
            if lanes.count_ones() as usize > BLOCK / 2 {
                self.blocks[block].score(self.table, lanes, (block * BLOCK) as u32, top);
            } else {
                self.candidates.add_lanes(block * BLOCK, lanes);
                if self.candidates.places().len() > MAX_CANDIDATES - BLOCK {
                    self.settle(top);
                }
            }
        }
        self.settle(top);
    }
}

impl BlockedCodes {
    /// One query's filter for the list. `bounds` are those of `table`, and `lut` lets everything pass.
    #[inline(always)]
    pub fn filter<'a, const G: usize>(
        &'a self,
        table: &'a DistanceTable,
        bounds: &'a FilterTable<G>,
        lut: &'a mut FilterLut<G>,
    ) -> Filter<'a, Block, ByBlocks<'a, G>, G> {
        let (blocks, lut, candidates) = (self.blocks(), FallingLut::new(bounds, lut), Candidates::new());
        Filter::new(blocks, self.num_vectors(), ByBlocks { lut, blocks, table, candidates })
    }
}

/// A list of blocked codes, under new numbers whose low bits name groups of similar centroids.
#[derive(Clone)]
pub struct GroupedCodes {
    codebook: Codebook,
    codes: BlockedCodes,
}

impl GroupedCodes {
    /// Renumbers row-major `codes` `[n][16]` and their codebook.
    pub fn new(codebook: &Codebook, codes: &[u8]) -> GroupedCodes {
        let grouped = codebook.grouped();
        GroupedCodes { codebook: grouped.codebook.clone(), codes: BlockedCodes::relabelled(codes, &grouped.labels) }
    }

    /// Bytes that the list holds.
    pub fn memory_bytes(&self) -> usize {
        self.codes.memory_bytes()
    }

    /// Offers to `top` what can be near `query`.
    ///
    /// # Safety
    /// The CPU has the instruction set of `V`; the caller is compiled for it. `write_sums` writes a sum for each block.
    #[inline(always)]
    pub unsafe fn scan<V: ByteVector>(
        &self,
        query: &[f32; DIM],
        top: &mut TopKHeap,
        write_sums: impl WriteSums<Block, GROUPS>,
        find_near: impl FindNear<Block, GROUPS>,
    ) {
        let mut table = MaybeUninit::uninit();
        let table = self.codebook.distance_table_in(query, &mut table);
        let (bounds, mut lut) = (FilterTable::new(table), FilterLut::zeroed());
        let mut filter = self.codes.filter(table, &bounds, &mut lut);
        // SAFETY: this function's contract.
        unsafe {
            let done = filter.scan_first::<V>(top, write_sums);
            filter.scan::<V>(done..self.codes.blocks().len(), top, find_near);
        }
    }

    /// [`scan`](GroupedCodes::scan) for several queries: a stretch comes from memory once for all of them.
    ///
    /// # Safety
    /// As for [`scan`](GroupedCodes::scan).
    #[inline(always)]
    pub unsafe fn scan_batch<V: ByteVector>(
        &self,
        queries: &[[f32; DIM]],
        tops: &mut [TopKHeap],
        write_sums: impl WriteSums<Block, GROUPS>,
        find_near: impl FindNear<Block, GROUPS>,
        find_all_near: impl FindAllNear<Block, GROUPS>,
    ) {
        /// Queries side by side: their LUTs take 16 KB, which leaves half of any L1 to the codes.
        const SIDE_BY_SIDE: usize = 16;
        let blocks = self.codes.blocks();
        for (queries, tops) in queries.chunks(SIDE_BY_SIDE).zip(tops.chunks_mut(SIDE_BY_SIDE)) {
            let tables: Vec<_> = queries.iter().map(|query| self.codebook.distance_table(query)).collect();
            let bounds: Vec<_> = tables.iter().map(FilterTable::new).collect();
            // Next to each other, so that they spread evenly over the sets of L1.
            let mut luts = vec![FilterLut::zeroed(); queries.len()];
            let filters = tables.iter().zip(&bounds).zip(&mut luts);
            let mut filters: Vec<_> =
                filters.map(|((table, bounds), lut)| self.codes.filter(table, bounds, lut)).collect();
            let first = blocks.len().min(FIRST);
            for (filter, top) in filters.iter_mut().zip(&mut *tops) {
                // SAFETY: this function's contract.
                unsafe {
                    let done = filter.scan_first::<V>(top, &write_sums);
                    filter.scan::<V>(done..first, top, &find_near);
                }
            }
            for at in (first..blocks.len()).step_by(STRETCH) {
                let end = blocks.len().min(at + STRETCH);
                ask_for(&blocks[end..]);
                let mut near = Vec::with_capacity(SIDE_BY_SIDE);
                for (filter, top) in filters.iter_mut().zip(&*tops) {
                    filter.near.next = at;
                    // Where there is no threshold yet, the LUT lets everything pass.
                    // SAFETY: this function's contract.
                    unsafe { filter.criterion.tighten::<V>(top.threshold()) };
                    near.push((filter.criterion.lut(), &mut filter.near));
                }
                find_all_near(&blocks[at..end], &mut near);
                for (filter, top) in filters.iter_mut().zip(&mut *tops) {
                    // SAFETY: this function's contract.
                    unsafe { filter.take_up::<V>(end < blocks.len(), top) };
                }
            }
        }
    }
}

//! The exact filter: byte sums decide what may be near, f32 sums decide what is.
//!
//! A kernel sums [`FilterLut`] entries over a stretch of blocks and writes down those that hold a lane below 255, without a
//! branch that depends on the codes. When there are many, their lanes are scored with the f32 table, several at a time, from the
//! same blocks, which are in L2 by then. (Scoring at once, from L1, took longer: a few mispredicted branches a stretch, and the
//! stream of codes stood still meanwhile.) As the threshold falls the LUT follows, so that the filter tightens.

use std::{hint::black_box, mem::MaybeUninit, ops::Range};

use crate::{
    Codebook, DIM, DistanceTable, TopKHeap,
    blocks::{BLOCK, Block, BlockedCodes},
    byte_vector::ByteVector,
    candidates::{Candidates, MAX_CANDIDATES},
    lut::{FallingLut, FilterLut, FilterTable, LIMIT, lanes_up_to},
    memory::{PAGE, prefetch},
};

/// What the kernels of a filter do: for each of at most [`STRETCH`] blocks, in their order, [`push`](Near::push) the lanes that
/// may be near. Lanes of padding may be among them.
pub trait FindNear<const G: usize>: Fn(&FilterLut<G>, &[Block], &mut Near) {}
impl<const G: usize, F: Fn(&FilterLut<G>, &[Block], &mut Near)> FindNear<G> for F {}

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

    /// Whether the next stretch may be too much.
    fn is_full(&self) -> bool {
        self.count > MAX_HITS - STRETCH
    }

    /// The blocks with a lane that may be near, and those lanes.
    pub fn hits(&self) -> &[(usize, u64)] {
        &self.hits[..self.count]
    }
}

/// Writes each block's LUT sums, for the first blocks of a list.
pub trait WriteSums<const G: usize>: Fn(&FilterLut<G>, &[Block], &mut [LaneSums]) {}
impl<const G: usize, F: Fn(&FilterLut<G>, &[Block], &mut [LaneSums])> WriteSums<G> for F {}

/// The LUT sums of a block's lanes.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub struct LaneSums(pub [u8; BLOCK]);

impl LaneSums {
    /// One bit for each lane up to `limit`, which is below 255.
    #[inline(always)]
    unsafe fn up_to<V: ByteVector>(&self, limit: u8) -> u64 {
        // SAFETY: this function's contract.
        unsafe { lanes_up_to::<V>(&self.0, limit) }
    }
}

/// A sum that a few more than `k` codes have at most; none where they are 255.
#[inline(always)]
unsafe fn sum_of_the_nearest<V: ByteVector>(sums: &[LaneSums], k: usize) -> Option<u8> {
    // For few neighbours of the lanes' smallest sums the 2k-th, for that many codes are as near at least.
    let few = 2 * k <= BLOCK / 2;
    let mut least = [LaneSums([u8::MAX; BLOCK])];
    if few {
        for sums in sums {
            least[0].0.iter_mut().zip(&sums.0).for_each(|(least, &sum)| *least = sum.min(*least));
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

/// One query's filter for a list. `G` is the number of groups that a code can name.
pub struct Filter<'a, const G: usize> {
    codes: &'a BlockedCodes,
    table: &'a DistanceTable,
    lut: FallingLut<'a, G>,
    /// What is still to be scored.
    near: Near,
    candidates: Candidates,
}

impl<'a, const G: usize> Filter<'a, G> {
    /// A filter that lets everything pass until a scan has found a threshold. `bounds` are those of `table`.
    #[inline(always)]
    pub fn new(codes: &'a BlockedCodes, table: &'a DistanceTable, bounds: &'a FilterTable<G>) -> Self {
        Filter { codes, table, lut: FallingLut::new(bounds), near: Near::from(0), candidates: Candidates::new() }
    }

    /// Scans the first blocks in two passes, and returns how many: the sums first, with a LUT that is made without a threshold;
    /// the codes with the smallest sums then give one that is near the last, so that few others are scored. Short lists are
    /// mostly candidates otherwise. 0 where that does not work: for few codes, or codes that the LUT can't tell apart.
    #[inline(always)]
    unsafe fn scan_first<V: ByteVector>(&mut self, top: &mut TopKHeap, write_sums: impl WriteSums<G>) -> usize {
        let blocks = &self.codes.blocks()[..(self.codes.num_vectors() / BLOCK).min(FIRST)];
        let k = top.k();
        let guess = self.lut.guess();
        if k == 0 || 2 * k > blocks.len() * BLOCK / 2 || guess == f32::INFINITY {
            return 0;
        }
        self.lut.quantize(guess);
        let mut sums = vec![LaneSums([0; BLOCK]); blocks.len()];
        write_sums(self.lut.entries(), blocks, &mut sums);
        // SAFETY: this function's contract.
        let Some(smallest) = (unsafe { sum_of_the_nearest::<V>(&sums, k) }) else { return 0 };

        let mut nearest = TopKHeap::with_k(k);
        let (mut scored, mut all) = (0, true);
        self.near.next = 0;
        for sums in &sums {
            // SAFETY: as above.
            self.near.push(unsafe { sums.up_to::<V>(smallest) });
            if self.near.is_full() {
                scored += self.score_hits(&mut nearest);
                // Where many are equal, some of them will do.
                if scored > 8 * k {
                    all = false;
                    break;
                }
            }
        }
        self.score_hits(&mut nearest);
        let bound = nearest.threshold();
        // Codes up to the first sum have been scored, those up to the second are to be.
        let (mut done, mut limit) = (None, LIMIT);
        if bound > guess {
            self.lut.quantize(bound);
            write_sums(self.lut.entries(), blocks, &mut sums);
        } else {
            limit = self.lut.limit(bound, guess);
            if all {
                done = Some(smallest);
                nearest.into_sorted().into_iter().for_each(|(id, distance)| top.push(id, distance));
            }
        }
        self.near.next = 0;
        for sums in &sums {
            // SAFETY: as above.
            let mut lanes = unsafe { sums.up_to::<V>(limit) };
            if let Some(done) = done {
                // SAFETY: as above.
                let done = unsafe { sums.up_to::<V>(done) };
                // Or else LLVM undoes both masks and works on 64 single bits.
                lanes &= !black_box(done);
            }
            self.near.push(lanes);
            if self.near.is_full() {
                self.score_hits(top);
            }
        }
        self.score_hits(top);
        blocks.len()
    }

    /// Offers to `top` what can be near in some of the blocks.
    #[inline(always)]
    pub fn scan(&mut self, blocks: Range<usize>, top: &mut TopKHeap, find_near: impl FindNear<G>) {
        let mut at = blocks.start;
        while at < blocks.end {
            // A block to find a threshold, then longer and longer stretches.
            let end = blocks.end.min(at + at.clamp(1, STRETCH));
            self.stretch(at..end, top, &find_near);
            at = end;
            if at < FIRST {
                self.score_hits(top);
            }
        }
        self.score_hits(top);
    }

    /// Finds what may be near in at most [`STRETCH`] blocks, and scores it when it is enough.
    #[inline(always)]
    fn stretch(&mut self, blocks: Range<usize>, top: &mut TopKHeap, find_near: impl FindNear<G>) {
        let all = self.codes.blocks();
        // The hardware goes on from there, and would begin late by itself.
        all[blocks.end..].iter().take(STRETCH).step_by(PAGE / size_of::<Block>()).for_each(prefetch);
        self.lut.tighten(top.threshold());
        self.near.next = blocks.start;
        match self.lut.get() {
            Some(lut) => find_near(lut, &all[blocks], &mut self.near),
            None => blocks.for_each(|_| self.near.push(u64::MAX)),
        }
        if self.near.is_full() {
            self.score_hits(top);
        }
    }

    /// Offers to `top` what has been found, and returns how many codes it was.
    #[inline(always)]
    fn score_hits(&mut self, top: &mut TopKHeap) -> usize {
        let blocks = self.codes.blocks();
        let mut count = 0;
        for &(block, lanes) in self.near.hits() {
            let lanes = lanes & self.codes.lanes(block);
            count += lanes.count_ones() as usize;
            if lanes.count_ones() as usize > BLOCK / 2 {
                blocks[block].score(self.table, lanes, (block * BLOCK) as u32, top);
            } else {
                self.candidates.add_lanes(block * BLOCK, lanes);
                if self.candidates.places().len() > MAX_CANDIDATES - BLOCK {
                    score(self.table, blocks, &mut self.candidates, top);
                }
            }
        }
        self.near.count = 0;
        score(self.table, blocks, &mut self.candidates, top);
        count
    }
}

/// Offers `candidates` to `top`, until there are none.
#[inline(always)]
fn score(table: &DistanceTable, blocks: &[Block], candidates: &mut Candidates, top: &mut TopKHeap) {
    /// As many sums as it takes not to wait for each addition.
    const AT_ONCE: usize = 4;
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

/// A list of blocked codes, under new numbers whose low bits name groups of similar centroids.
#[derive(Clone)]
pub struct GroupedCodes {
    codebook: Codebook,
    codes: BlockedCodes,
}

impl GroupedCodes {
    /// Renumbers row-major `codes` `[n][16]` and their codebook.
    pub fn new<const G: usize>(codebook: &Codebook, codes: &[u8]) -> GroupedCodes {
        let grouped = codebook.grouped::<G>();
        GroupedCodes { codebook: grouped.codebook.clone(), codes: BlockedCodes::relabelled(codes, &grouped.labels) }
    }

    /// Bytes that the list holds.
    pub fn memory_bytes(&self) -> usize {
        self.codes.memory_bytes()
    }

    /// Offers to `top` what can be near `query`.
    ///
    /// # Safety
    /// The CPU has the instruction set of `V`; the caller is compiled for it.
    #[inline(always)]
    pub unsafe fn scan<V: ByteVector, const G: usize>(
        &self,
        query: &[f32; DIM],
        top: &mut TopKHeap,
        write_sums: impl WriteSums<G>,
        find_near: impl FindNear<G>,
    ) {
        let mut table = MaybeUninit::uninit();
        let table = self.codebook.distance_table_in(query, &mut table);
        let bounds = FilterTable::new(table);
        let mut filter = Filter::new(&self.codes, table, &bounds);
        // SAFETY: this function's contract.
        let done = unsafe { filter.scan_first::<V>(top, write_sums) };
        filter.scan(done..self.codes.blocks().len(), top, find_near);
    }

    /// [`scan`](GroupedCodes::scan) for several queries, stretch by stretch: each comes from memory once for all of them.
    ///
    /// # Safety
    /// As for [`scan`](GroupedCodes::scan).
    #[inline(always)]
    pub unsafe fn scan_batch<V: ByteVector, const G: usize>(
        &self,
        queries: &[[f32; DIM]],
        tops: &mut [TopKHeap],
        write_sums: impl WriteSums<G>,
        find_near: impl FindNear<G>,
    ) {
        let tables: Vec<_> = queries.iter().map(|query| self.codebook.distance_table(query)).collect();
        let bounds: Vec<_> = tables.iter().map(FilterTable::new).collect();
        let mut filters: Vec<_> =
            tables.iter().zip(&bounds).map(|(table, bounds)| Filter::new(&self.codes, table, bounds)).collect();
        let first = (self.codes.num_vectors() / BLOCK).min(FIRST);
        for (filter, top) in filters.iter_mut().zip(&mut *tops) {
            // SAFETY: this function's contract.
            let done = unsafe { filter.scan_first::<V>(top, &write_sums) };
            filter.scan(done..first, top, &find_near);
        }
        let end = self.codes.blocks().len();
        for at in (first..end).step_by(STRETCH) {
            for (filter, top) in filters.iter_mut().zip(&mut *tops) {
                filter.stretch(at..end.min(at + STRETCH), top, &find_near);
            }
        }
        for (filter, top) in filters.iter_mut().zip(tops) {
            filter.score_hits(top);
        }
    }
}

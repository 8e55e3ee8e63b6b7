//! The exact filter: byte sums decide what may be near, f32 sums decide what is.
//!
//! A kernel sums [`FilterLut`] entries over a stretch of blocks and writes down those that hold a lane below 255, without a
//! branch that depends on the codes. When there are many, their lanes are scored with the f32 table, several at a time: from the
//! same blocks, which are in L2 by then, or from elsewhere, as the [`Scorer`] has it. (Scoring at once, from L1, took
//! longer: a few mispredicted branches a stretch, and the stream of codes stood still meanwhile.) As the threshold falls the
//! LUT follows, so that the filter tightens.

use std::{mem::MaybeUninit, ops::Range};

use crate::{
    TopKHeap,
    blocks::{BLOCK, lanes},
    byte_vector::ByteVector,
    lut::{FilterLut, LIMIT, Lut, lanes_up_to},
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

/// Stretches that are scored without a look-up once one has passed nearly whole: data that defeats a filter, such as equal codes,
/// then costs little more than scoring everything.
const UNFILTERED: usize = 16;

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

    /// [`push`](Near::push)es the lanes of a block's sums that are below 255.
    ///
    /// # Safety
    /// The CPU has the instruction set of `V`; the caller is compiled for it.
    #[inline(always)]
    pub unsafe fn push_sums<V: ByteVector, const N: usize>(&mut self, sums: [V; N]) {
        const { assert!(N * V::LANES == BLOCK) };
        let mut lanes = 0;
        for (part, sums) in sums.into_iter().enumerate() {
            // SAFETY: this method's contract.
            lanes |= unsafe { sums.below_255() } << (part * V::LANES);
        }
        self.push(lanes);
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
        const { assert!(size_of::<[V; N]>() == BLOCK) };
        // SAFETY: the vectors are as many bytes as there are; the instruction set is this function's contract.
        unsafe { this.as_mut_ptr().cast::<[V; N]>().write_unaligned(sums) };
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
pub const FIRST: usize = 512;

/// What becomes of the codes that a filter leaves.
pub trait Scorer<L> {
    /// Offers to `top` some blocks' lanes, a bit for each, at the latest when no `more` are to come. What a closer look, in a LUT
    /// made like `lut`, finds to sum to more than `limit`, if there is one, may be left out.
    ///
    /// # Safety
    /// The CPU has the instruction set of `V`; the caller is compiled for it.
    unsafe fn score<V: ByteVector>(
        &mut self,
        lut: &L,
        hits: &[(usize, u64)],
        limit: Option<u8>,
        more: bool,
        top: &mut TopKHeap,
    );
}

/// One query's filter for a list of blocks `B`. `G` is the number of groups that a code can name.
pub struct Filter<'a, B, L, S, const G: usize> {
    blocks: &'a [B],
    num_vectors: usize,
    lut: L,
    scorer: S,
    /// As many codes as are wanted are known to lie within it.
    bound: f32,
    /// What is still to be scored.
    near: Near,
}

impl<'a, B, L: Lut<G>, S: Scorer<L>, const G: usize> Filter<'a, B, L, S, G> {
    /// A filter that lets everything pass until a scan has found a threshold.
    #[inline(always)]
    pub fn new(blocks: &'a [B], num_vectors: usize, lut: L, scorer: S) -> Self {
        Filter { blocks, num_vectors, lut, scorer, bound: f32::INFINITY, near: Near::from(0) }
    }

    /// Scans the first blocks in two passes, and returns how many: the sums first, with a LUT that is made without a threshold;
    /// the codes with the smallest sums then give one that is near the last, so that few others are scored. Short lists are
    /// mostly candidates otherwise. 0 where that does not work: for few codes, codes that the LUT can't tell apart, or where the
    /// threshold is above what the LUT was made for.
    ///
    /// # Safety
    /// The CPU has the instruction set of `V`; the caller is compiled for it. `write_sums` writes a sum for each block.
    #[inline(always)]
    unsafe fn scan_first<V: ByteVector>(&mut self, top: &mut TopKHeap, write_sums: impl WriteSums<B, G>) -> usize {
        let blocks = &self.blocks[..self.blocks.len().min(FIRST)];
        let full = (self.num_vectors / BLOCK).min(FIRST);
        let k = top.k();
        let guess = self.lut.guess();
        if k == 0 || 2 * k > full * BLOCK / 2 || guess == f32::INFINITY {
            return 0;
        }
        // SAFETY: this function's contract.
        unsafe { self.lut.quantize::<V>(guess) };
        // Not zeros first: for a short list that shows.
        let mut sums = Box::new_uninit_slice(blocks.len());
        write_sums(self.lut.entries(), blocks, &mut sums);
        // SAFETY: this function's contract.
        let mut sums = unsafe { sums.assume_init() };
        // SAFETY: this function's contract.
        let Some(smallest) = (unsafe { sum_of_the_nearest::<V>(&sums[..full], k) }) else {
            // The guess rules nothing out.
            // SAFETY: as above.
            unsafe { self.lut.quantize::<V>(f32::INFINITY) };
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
        if self.bound > guess {
            // The sums say too little, but there is a threshold now.
            // SAFETY: as above.
            unsafe { self.lut.quantize::<V>(self.bound) };
            return 0;
        }
        nearest.into_sorted().into_iter().for_each(|(id, distance)| top.push(id, distance));
        self.near.next = 0;
        let mut limit = self.lut.limit(self.bound, guess);
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
                limit = self.lut.limit(self.bound, guess);
            }
        }
        blocks.len()
    }

    /// Offers to `top` what can be near in the blocks before `end`.
    ///
    /// # Safety
    /// The CPU has the instruction set of `V`; the caller is compiled for it. `write_sums` writes a sum for each block.
    #[inline(always)]
    pub unsafe fn scan_up_to<V: ByteVector>(
        &mut self,
        end: usize,
        top: &mut TopKHeap,
        write_sums: impl WriteSums<B, G>,
        find_near: impl FindNear<B, G>,
    ) {
        // SAFETY: this function's contract.
        unsafe {
            let done = self.scan_first::<V>(top, write_sums);
            self.scan::<V>(done..end, top, find_near);
        }
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
        let list = self.blocks;
        let (mut at, mut unfiltered) = (blocks.start, 0usize);
        while at < blocks.end {
            // A block to find a threshold, then longer and longer stretches.
            let end = blocks.end.min(at + at.clamp(1, STRETCH));
            ask_for(&list[end..]);
            // SAFETY: this function's contract.
            unsafe {
                let (lut, near) = self.begin::<V>(at, top);
                let filtered = unfiltered == 0;
                if filtered {
                    find_near(lut, &list[at..end], near);
                } else {
                    (at..end).for_each(|_| near.push(u64::MAX));
                    unfiltered -= 1;
                }
                let nearly_all = self.take_up::<V>(end >= FIRST && end < blocks.end, top);
                if nearly_all && filtered {
                    unfiltered = UNFILTERED;
                }
            }
            at = end;
        }
    }

    /// Begins with the blocks from `at` on: the LUT to sum, which lets everything pass where there is no threshold yet, and where
    /// to write down what may be near.
    ///
    /// # Safety
    /// The CPU has the instruction set of `V`; the caller is compiled for it.
    #[inline(always)]
    pub unsafe fn begin<V: ByteVector>(&mut self, at: usize, top: &TopKHeap) -> (&FilterLut<G>, &mut Near) {
        self.near.next = at;
        // SAFETY: this function's contract.
        unsafe { self.lut.tighten::<V>(top.threshold()) };
        (self.lut.entries(), &mut self.near)
    }

    /// Scores what has been found when it is enough or no `more` is to come. Whether it was nearly all of a stretch or more.
    ///
    /// # Safety
    /// The CPU has the instruction set of `V`; the caller is compiled for it.
    #[inline(always)]
    pub unsafe fn take_up<V: ByteVector>(&mut self, more: bool, top: &mut TopKHeap) -> bool {
        if more && !self.near.is_full() {
            return false;
        }
        let hits = self.near.hits();
        let (num_hits, stretch) = (hits.len(), hits.last_chunk::<STRETCH>());
        let in_a_row = stretch.is_some_and(|stretch| stretch[STRETCH - 1].0 - stretch[0].0 < STRETCH);
        // SAFETY: this function's contract.
        let found = unsafe { self.score_hits::<V>(Some(LIMIT), more, top) };
        in_a_row && found >= num_hits * BLOCK / 8 * 7
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
        unsafe { self.scorer.score::<V>(&self.lut, hits, limit, more, top) };
        self.near.count = 0;
        if top.threshold() < self.bound {
            self.bound = top.threshold();
        }
        count
    }
}

/// Asks for the next stretch: the hardware goes on from each page's first line, and would begin late by itself.
#[inline(always)]
pub fn ask_for<B>(next: &[B]) {
    next.iter().take(STRETCH).step_by(PAGE / size_of::<B>()).for_each(prefetch);
}

//! The exact filter: byte sums decide what may be near, f32 sums decide what is.
//!
//! ```text
//! for each step of up to 16 blocks:
//!     tighten the LUT to the threshold
//!     for each block: sum LUT entries; if a lane is below 255, note the block and those lanes      (no branch)
//!     when enough blocks are noted: score their lanes with the f32 table, offer what is near
//! ```
//!
//! Lanes are scored from the same blocks, which are in L2 by then, or from elsewhere, as the [`Scorer`] has it.
//! (Scoring at once, from L1, took longer: a few mispredicted branches a step, and meanwhile no codes were streamed.)

use std::{mem::MaybeUninit, ops::Range};

use crate::{
    TopK,
    bounds::{
        lut::{ByteLut, LIMIT},
        merged::MergedLut,
    },
    collector::Collector,
    groups::{FINE, Merged},
    layout::{LINE, lanes},
    memory::{PAGE, prefetch},
    simd::{Level, Line},
};

/// Blocks of codes whose LUT sums a kernel makes.
pub trait Blocks<L: Level, const G: usize> {
    /// How many vectors they hold; only the last block may have lanes without one.
    fn num_vectors(&self) -> usize;

    /// Hands the saturating sums of each of some blocks to `take`, in order.
    fn for_each_sum(&self, level: L, lut: &[[u8; G]], blocks: Range<usize>, take: &mut impl TakeSums<L>);

    /// The bytes of a block, of which the next one begins behind the last.
    fn block_bytes(&self) -> usize;

    /// All bytes.
    fn bytes(&self) -> &[u8];
}

/// What takes the saturating sums of blocks, one after the other. Not a closure, for those are not always inlined.
pub trait TakeSums<L: Level> {
    /// Takes those of the next block.
    fn take(&mut self, sums: Line<L::Bytes>);
}

impl<L: Level> TakeSums<L> for Hits {
    #[inline(always)]
    fn take(&mut self, sums: Line<L::Bytes>) {
        self.push(sums.below_255());
    }
}

/// Sums that are kept.
struct Kept<'a> {
    sums: &'a mut [MaybeUninit<LaneSums>],
    count: usize,
}

impl<L: Level> TakeSums<L> for Kept<'_> {
    #[inline(always)]
    fn take(&mut self, sums: Line<L::Bytes>) {
        let mut lanes = LaneSums([0; LINE]);
        sums.store(&mut lanes.0);
        self.sums[self.count].write(lanes);
        self.count += 1;
    }
}

/// Most blocks between two looks at the threshold.
pub const STEP: usize = 16;
/// Bytes between them: half of a small L1; table and LUT need the other half.
const STEP_BYTES: usize = 16 << 10;

/// Steps that are scored without a look-up once nearly all codes of one were candidates. Data that defeats a filter,
/// such as equal codes, then costs little more than scoring everything.
const UNFILTERED: usize = 16;

/// Blocks with a code that may be near that are scored together, at most.
const MAX_HITS: usize = 64;

/// Blocks whose sums are kept until a threshold is known.
pub const BOOTSTRAP: usize = 512;

/// The blocks that hold a code that may be near, until there are enough of them to score.
#[derive(Debug)]
pub struct Hits {
    /// A block's place in the list, and a bit for each of the lanes.
    hits: [(usize, u64); MAX_HITS],
    count: usize,
    /// The block that comes next.
    next: usize,
}

impl Hits {
    fn new() -> Self {
        Hits { hits: [(0, 0); MAX_HITS], count: 0, next: 0 }
    }

    /// Takes the next block's lanes, a bit for each that may be near.
    #[inline(always)]
    pub fn push(&mut self, lanes: u64) {
        self.hits[self.count % MAX_HITS] = (self.next, lanes);
        self.next += 1;
        self.count += usize::from(lanes != 0);
    }

    /// True if one more step could be too much, or the last block passed whole (it is best scored while it is in L1).
    #[inline(always)]
    fn is_full(&self) -> bool {
        self.count > MAX_HITS - STEP || self.blocks().last().is_some_and(|&(_, lanes)| lanes == u64::MAX)
    }

    /// The blocks with a lane that may be near, and those lanes.
    #[inline(always)]
    pub fn blocks(&self) -> &[(usize, u64)] {
        &self.hits[..self.count]
    }
}

/// The LUT that a filter sums, and the finer one that its candidates are looked up in once more.
pub trait Lut<L: Level, const G: usize, const F: usize> {
    /// Begins with a list, or with another collection. Without a threshold below infinity nothing is made yet.
    fn begin(&mut self, level: L, threshold: f32);
    /// A guess at a useful threshold before one is known.
    fn guess(&self) -> f32;
    /// Makes the LUT for `threshold`, of which [`tighten`](Lut::tighten) will not know.
    fn quantize(&mut self, level: L, threshold: f32);
    /// What a code within `threshold` sums to at most in the LUT for `quantized_for`, which is not smaller.
    fn limit(&self, threshold: f32, quantized_for: f32) -> u8;
    /// The LUT as it is.
    fn entries(&self) -> &[[u8; G]];
    /// The finer one, over whole codes, if there is one.
    fn finer(&self) -> Option<&[[u8; F]]>;
    /// Adapts the LUT to a threshold that is not above that of the call before; an infinite one changes nothing.
    fn tighten(&mut self, level: L, threshold: f32);
}

/// A LUT that is used as it is.
pub struct Plain<'a, const G: usize> {
    /// The LUT.
    pub lut: &'a mut ByteLut<G>,
    /// See [`ByteLut::begin`].
    pub most: u8,
    /// See [`ByteLut::begin`].
    pub raised_row: usize,
    /// Whether candidates are looked up in it once more, in all sub-quantizers.
    pub looks_again: bool,
}

impl<L: Level, const G: usize> Lut<L, G, G> for Plain<'_, G> {
    #[inline(always)]
    fn begin(&mut self, _: L, threshold: f32) {
        self.lut.begin(self.most, self.raised_row, threshold);
    }
    #[inline(always)]
    fn guess(&self) -> f32 {
        self.lut.minima().guess()
    }
    #[inline(always)]
    fn quantize(&mut self, _: L, threshold: f32) {
        self.lut.quantize(threshold);
    }
    #[inline(always)]
    fn limit(&self, threshold: f32, quantized_for: f32) -> u8 {
        self.lut.minima().limit(threshold, quantized_for)
    }
    #[inline(always)]
    fn entries(&self) -> &[[u8; G]] {
        self.lut.entries()
    }
    #[inline(always)]
    fn finer(&self) -> Option<&[[u8; G]]> {
        self.looks_again.then(|| self.lut.entries())
    }
    #[inline(always)]
    fn tighten(&mut self, _: L, threshold: f32) {
        self.lut.tighten(threshold);
    }
}

/// A LUT of `M` groups that are merged from the fine ones.
pub struct Coarse<'a, const M: usize> {
    /// The LUT of the fine groups.
    pub fine: &'a mut ByteLut<FINE>,
    /// What is made of it.
    pub merged: &'a mut MergedLut<M>,
    /// What is merged.
    pub groups: &'a Merged<M>,
}

impl<L: Level, const M: usize> Lut<L, M, FINE> for Coarse<'_, M> {
    #[inline(always)]
    fn begin(&mut self, level: L, threshold: f32) {
        self.fine.begin(u8::MAX, 0, threshold);
        if threshold < f32::INFINITY {
            self.merged.follow(level, self.fine, self.groups);
        }
    }
    #[inline(always)]
    fn guess(&self) -> f32 {
        self.fine.minima().guess()
    }
    #[inline(always)]
    fn quantize(&mut self, level: L, threshold: f32) {
        self.fine.quantize(threshold);
        self.merged.follow(level, self.fine, self.groups);
    }
    #[inline(always)]
    fn limit(&self, threshold: f32, quantized_for: f32) -> u8 {
        self.fine.minima().limit(threshold, quantized_for)
    }
    #[inline(always)]
    fn entries(&self) -> &[[u8; M]] {
        self.merged.entries()
    }
    #[inline(always)]
    fn finer(&self) -> Option<&[[u8; FINE]]> {
        Some(self.fine.entries())
    }
    #[inline(always)]
    fn tighten(&mut self, level: L, threshold: f32) {
        self.fine.tighten(threshold);
        self.merged.follow(level, self.fine, self.groups);
    }
}

/// What becomes of a filter's candidates.
pub trait Scorer<L: Level, const F: usize> {
    /// Offers some blocks' lanes, a bit for each, at the latest when no `more` are to come. Those whose sum in `finer`,
    /// over whole codes, is more than the limit beside it may be left out.
    fn score(
        &mut self,
        level: L,
        finer: Option<(&[[u8; F]], u8)>,
        hits: &[(usize, u64)],
        more: bool,
        out: &mut Collector<'_>,
    );
}

/// The LUT sums of a block's lanes.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct LaneSums([u8; LINE]);

impl LaneSums {
    /// One bit for each lane up to `limit`, which is below 255.
    #[inline(always)]
    fn up_to<L: Level>(&self, level: L, limit: u8) -> u64 {
        Line::<L::Bytes>::load(level, &self.0).up_to(level, limit)
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
fn sum_of_the_nearest<L: Level>(level: L, sums: &[LaneSums], k: usize) -> Option<u8> {
    // For few neighbours of the lanes' smallest sums the 2k-th, for that many codes are as near at least.
    let few = 2 * k <= LINE / 2;
    let mut least = [LaneSums([u8::MAX; LINE])];
    if few {
        let mut smallest = Line::<L::Bytes>::splat(level, u8::MAX);
        for sums in sums {
            smallest = smallest.min(Line::load(level, &sums.0));
        }
        smallest.store(&mut least[0].0);
    }
    let (sums, wanted) = if few { (&least[..], 2 * k) } else { (sums, k) };
    smallest_limit(&Counted { level, sums }, wanted)
}

/// What has sums up to some limit.
pub trait CountUpTo {
    /// How many have one up to `limit`, below 255.
    fn count_up_to(&self, limit: u8) -> usize;
}

struct Counted<'a, L> {
    level: L,
    sums: &'a [LaneSums],
}

impl<L: Level> CountUpTo for Counted<'_, L> {
    #[inline(always)]
    fn count_up_to(&self, limit: u8) -> usize {
        let mut count = 0;
        for sums in self.sums {
            count += sums.up_to(self.level, limit).count_ones() as usize;
        }
        count
    }
}

/// The smallest limit below 255 that is enough for `wanted`.
#[inline(always)]
pub fn smallest_limit(sums: &impl CountUpTo, wanted: usize) -> Option<u8> {
    let (mut limit, mut beyond) = (0, u8::MAX);
    while limit < beyond {
        let middle = limit + (beyond - limit) / 2;
        (limit, beyond) = if sums.count_up_to(middle) >= wanted { (limit, middle) } else { (middle + 1, beyond) };
    }
    (limit < u8::MAX).then_some(limit)
}

/// One query's filter for the blocks of a list.
pub struct Filter<'a, 'o, L, B, U, S, const G: usize, const F: usize> {
    level: L,
    blocks: &'a B,
    lut: U,
    scorer: S,
    out: &'a mut Collector<'o>,
    /// As many codes as are wanted are known to lie within it.
    bound: f32,
    /// What is still to be scored.
    hits: Hits,
    step: usize,
}

impl<'a, 'o, L, B, U, S, const G: usize, const F: usize> Filter<'a, 'o, L, B, U, S, G, F>
where
    L: Level,
    B: Blocks<L, G>,
    U: Lut<L, G, F>,
    S: Scorer<L, F>,
{
    /// A filter for what the threshold of `out` leaves, which may be everything.
    #[inline(always)]
    pub fn new(level: L, blocks: &'a B, mut lut: U, scorer: S, out: &'a mut Collector<'o>) -> Self {
        lut.begin(level, out.threshold());
        let step = (STEP_BYTES / blocks.block_bytes()).clamp(1, STEP);
        Filter { level, blocks, lut, scorer, bound: out.threshold(), out, hits: Hits::new(), step }
    }

    #[inline(always)]
    fn num_blocks(&self) -> usize {
        self.blocks.num_vectors().div_ceil(LINE)
    }

    /// Scans the whole list.
    #[inline(always)]
    pub fn scan_all(&mut self) {
        let end = self.num_blocks();
        self.scan_to(end);
    }

    /// Offers what can be near in the blocks before `end`.
    #[inline(always)]
    pub fn scan_to(&mut self, end: usize) {
        // A threshold of a few codes before is no better than none.
        let done = if self.bound > self.lut.guess() { self.bootstrap() } else { self.without_bootstrap() };
        self.scan(done..end);
    }

    /// Makes the LUT where there is no threshold yet.
    #[inline(always)]
    fn without_bootstrap(&mut self) -> usize {
        if self.bound == f32::INFINITY {
            self.lut.quantize(self.level, f32::INFINITY);
        }
        0
    }

    /// Scans the first blocks in two passes, and returns how many. The first pass sums with a LUT for a guessed
    /// threshold; the codes with the smallest sums then give a threshold that is near the final one, and the second
    /// pass scores what that leaves. Without it most codes of a short list would be candidates. 0 where it does not
    /// work: few codes, codes that the LUT can't tell apart, or a threshold above what the LUT was made for.
    #[inline(always)]
    fn bootstrap(&mut self) -> usize {
        let (level, num_blocks) = (self.level, self.num_blocks().min(BOOTSTRAP));
        let full = (self.blocks.num_vectors() / LINE).min(BOOTSTRAP);
        let k = self.out.k();
        let guess = self.lut.guess();
        if k == 0 || k > full * LINE / 4 || guess == f32::INFINITY {
            return self.without_bootstrap();
        }
        self.lut.quantize(level, guess);
        // Not zeros first: for a short list that shows.
        let mut sums: Vec<LaneSums> = Vec::with_capacity(num_blocks);
        let mut kept = Kept { sums: sums.spare_capacity_mut(), count: 0 };
        self.blocks.for_each_sum(level, self.lut.entries(), 0..num_blocks, &mut kept);
        let count = kept.count;
        // SAFETY: the first `count` have been written.
        unsafe { sums.set_len(count) };
        if self.out.is_selective() {
            sums.iter_mut().enumerate().for_each(|(block, sums)| sums.rule_out(!self.out.allowed(block)));
        }
        let Some(smallest) = sum_of_the_nearest(level, &sums[..full], k) else {
            // The guess rules nothing out.
            self.lut.quantize(level, self.bound);
            return 0;
        };

        let mut nearest = TopK::new(k);
        let (mut at, mut scored) = (0, 0);
        self.hits.next = 0;
        // Where many are equal, some of them will do.
        while at < sums.len() && scored <= 8 * k {
            let end = sums.len().min(at + STEP);
            for sums in &sums[at..end] {
                self.hits.push(sums.up_to(level, smallest));
            }
            at = end;
            if self.hits.is_full() || at == sums.len() {
                for &(block, lanes) in self.hits.blocks() {
                    sums[block].rule_out(lanes);
                }
                scored += self.score_hits(None, false, Some(&mut nearest));
            }
        }
        if nearest.threshold() < self.bound {
            self.bound = nearest.threshold();
        }
        if self.bound > guess {
            // The sums say too little, but there may be a threshold now.
            self.lut.quantize(level, self.bound);
            return 0;
        }
        self.out.take_over(nearest);
        self.hits.next = 0;
        let mut limit = self.lut.limit(self.bound, guess);
        let mut at = 0;
        while at < sums.len() {
            let end = sums.len().min(at + STEP);
            for sums in &sums[at..end] {
                self.hits.push(sums.up_to(level, limit));
            }
            at = end;
            if self.hits.is_full() || at == sums.len() {
                self.score_hits(Some(limit), false, None);
                limit = self.lut.limit(self.bound, guess);
            }
        }
        num_blocks
    }

    /// Offers what can be near in some of the blocks.
    #[inline(always)]
    pub fn scan(&mut self, blocks: Range<usize>) {
        let known = self.bound <= self.lut.guess();
        let (mut at, mut unfiltered) = (blocks.start, 0usize);
        while at < blocks.end {
            // A block to find a threshold, then longer and longer steps.
            let step = if known { self.step } else { at.clamp(1, self.step) };
            let end = blocks.end.min(at + step);
            self.prefetch(end);
            let filtered = unfiltered == 0;
            if filtered {
                self.find(at..end);
            } else {
                self.hits.next = at;
                (at..end).for_each(|_| self.hits.push(u64::MAX));
                unfiltered -= 1;
            }
            let nearly_all = self.take_up(end >= BOOTSTRAP && end < blocks.end);
            if nearly_all && filtered {
                unfiltered = UNFILTERED;
            }
            at = end;
        }
    }

    /// Notes the blocks with something that may be near.
    #[inline(always)]
    fn find(&mut self, blocks: Range<usize>) {
        self.lut.tighten(self.level, self.out.threshold());
        if self.out.is_selective() {
            // Blocks of which nothing is allowed are not looked at.
            let mut at = blocks.start;
            while at < blocks.end {
                let end = (at..blocks.end).find(|&block| self.out.allowed(block) == 0).unwrap_or(blocks.end);
                self.sum(at..end);
                at = end + 1;
            }
        } else {
            self.sum(blocks);
        }
    }

    #[inline(always)]
    fn sum(&mut self, blocks: Range<usize>) {
        let Filter { level, blocks: list, lut, hits, .. } = self;
        hits.next = blocks.start;
        list.for_each_sum(*level, lut.entries(), blocks, hits);
    }

    /// Begins with the blocks from `at` on, for a caller that sums them itself: the LUT, and where to note what may be
    /// near.
    #[inline(always)]
    pub fn begin(&mut self, at: usize) -> (&[[u8; G]], &mut Hits) {
        self.hits.next = at;
        self.lut.tighten(self.level, self.out.threshold());
        (self.lut.entries(), &mut self.hits)
    }

    /// Scores what has been found when it is enough or no `more` is to come. Whether it was nearly all of a step or
    /// more.
    #[inline(always)]
    pub fn take_up(&mut self, more: bool) -> bool {
        if more && !self.hits.is_full() {
            return false;
        }
        let hits = self.hits.blocks();
        let (num_hits, step) = (hits.len(), hits.len().checked_sub(self.step).map(|at| &hits[at..]));
        let in_a_row = step.is_some_and(|step| step[step.len() - 1].0 - step[0].0 < step.len());
        let found = self.score_hits(Some(LIMIT), more, None);
        in_a_row && found >= num_hits * LINE / 8 * 7
    }

    /// Scores what has been found, into `apart` if there is one, and returns how many codes it was.
    #[inline(always)]
    fn score_hits(&mut self, limit: Option<u8>, more: bool, apart: Option<&mut TopK>) -> usize {
        let hits = &mut self.hits.hits[..self.hits.count];
        let mut count = 0;
        for (block, near) in &mut *hits {
            *near &= lanes(self.blocks.num_vectors() - *block * LINE) & self.out.allowed(*block);
            count += near.count_ones() as usize;
        }
        let finer = limit.and_then(|limit| Some((self.lut.finer()?, limit)));
        match apart {
            Some(top) => {
                self.scorer.score(self.level, finer, hits, more, &mut self.out.with_top(top));
            }
            None => {
                self.scorer.score(self.level, finer, hits, more, self.out);
                if self.out.threshold() < self.bound {
                    self.bound = self.out.threshold();
                }
            }
        }
        self.hits.count = 0;
        count
    }

    /// Prefetches the first line of each page of the step from `at` on: from there the hardware goes on, and would
    /// begin late by itself.
    #[inline(always)]
    pub fn prefetch(&self, at: usize) {
        let bytes = self.blocks.bytes();
        let start = (at * self.blocks.block_bytes()).min(bytes.len());
        let end = (start + self.step * self.blocks.block_bytes()).min(bytes.len());
        bytes[start..end].iter().step_by(PAGE).for_each(|at| prefetch(at));
    }
}

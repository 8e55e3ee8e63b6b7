//! One super-block on its way: planned, then looked up pair by pair while blocks of it are left.

use super::{Layout, LookUp, OrderedCodes, SUPER_BLOCK, expectation::Expectation};
use crate::{
    bounds::lut::ByteLut,
    layout::{self, LINE},
    scan::filter::CountUpTo,
    simd::{ByteVector, Level, Line},
};

/// Blocks in a super-block.
const BLOCKS: usize = SUPER_BLOCK / LINE;
/// Pairs of sub-quantizers that are looked up before blocks without a candidate are dropped: first for all blocks, then
/// again and again for those that survive.
const STEP: usize = 2;

/// Clamp of an expected contribution: above any useful value, small enough that `descending`'s keys fit in i32.
const EXPECTED: f32 = 1e6;

/// A super-block under way.
#[repr(C, align(64))]
pub struct Pass<K: Layout<G>, const G: usize> {
    /// `[block][lane]`
    sums: [[u8; LINE]; BLOCKS],
    /// First lanes of the blocks that may hold something near.
    pub alive: [u16; BLOCKS],
    pub num_alive: usize,
    plan: K::Plan,
    least: Vec<u8>,
    expected: Vec<f32>,
    order: Vec<i32>,
    pub at: usize,
    /// Codes in the super-block, or 0 if nothing there can be near.
    pub len: usize,
    /// Sum of the least entries, which no code of the super-block is below.
    base: u8,
}

impl<K: Layout<G>, const G: usize> Default for Pass<K, G> {
    /// Of no super-block.
    fn default() -> Self {
        Pass {
            sums: [[0; LINE]; BLOCKS],
            alive: [0; BLOCKS],
            num_alive: 0,
            plan: K::Plan::default(),
            least: Vec::new(),
            expected: Vec::new(),
            order: Vec::new(),
            at: 0,
            len: 0,
            base: 0,
        }
    }
}

impl<K: Layout<G>, const G: usize> Pass<K, G> {
    /// Makes it one of no super-block.
    pub fn clear(&mut self) {
        (self.len, self.num_alive) = (0, 0);
    }

    /// Begins with super-block `at`.
    #[inline(always)]
    pub fn plan<L: Level>(
        &mut self,
        level: L,
        codes: &OrderedCodes<L, K, G>,
        at: usize,
        expectation: &Expectation,
        lut: &ByteLut<G>,
    ) {
        if at + 1 < codes.num_super_blocks() {
            codes.super_blocks.prefetch_summary(at + 1);
            codes.moments.prefetch(at + 1);
        }
        codes.super_blocks.plan(level, at, lut.entries(), &mut self.plan, &mut self.least);
        self.base = self.least.iter().map(|&least| u32::from(least)).sum::<u32>().min(255) as u8;
        self.num_alive = 0;
        self.len = 0;
        if self.base == 255 {
            return;
        }
        self.at = at;
        self.len = codes.ids_of(at).len();
        expectation.of(&codes.moments, at, &mut self.expected);
        let scale = lut.minima().scale(lut.threshold());
        self.order.clear();
        self.order.extend(self.expected.iter().zip(&self.least).enumerate().map(|(m, (&expected, &least))| {
            let scaled = lut.minima().scaled(m, expected, scale);
            (scaled - f32::from(least)).clamp(-EXPECTED, EXPECTED) as i32
        }));
        // Rows that only pad come last.
        self.order.resize(self.least.len(), -EXPECTED as i32);
        K::order(&mut self.plan, &self.order);
    }

    /// Looks up all pairs, as long as blocks are left, and prefetches the first codes of the super-block `ahead`.
    #[inline(always)]
    pub fn look_up<L: Level>(
        &mut self,
        level: L,
        codes: &OrderedCodes<L, K, G>,
        lut: &ByteLut<G>,
        ahead: Option<&Self>,
    ) {
        if self.len == 0 {
            return;
        }
        self.first(level, codes, lut, ahead);
        for place in (STEP..self.least.len() / 2).step_by(STEP) {
            self.go_on(level, codes, lut, place);
        }
    }

    /// The pairs from `place` on.
    #[inline(always)]
    fn pairs<'c, L: Level>(
        &self,
        level: L,
        codes: &'c OrderedCodes<L, K, G>,
        lut: &ByteLut<G>,
        place: usize,
    ) -> [K::Pair<'c, L>; STEP] {
        let pair = codes.super_blocks.pair(level, self.at, &self.plan, lut.entries(), place);
        let mut pairs = [pair; STEP];
        for (n, pair) in pairs.iter_mut().enumerate().skip(1) {
            *pair = codes.super_blocks.pair(level, self.at, &self.plan, lut.entries(), place + n);
        }
        pairs
    }

    /// Looks up the first pairs for all blocks, and prefetches those of the super-block `ahead`.
    #[inline(always)]
    fn first<L: Level>(&mut self, level: L, codes: &OrderedCodes<L, K, G>, lut: &ByteLut<G>, ahead: Option<&Self>) {
        let mut num_alive = 0;
        let pairs = self.pairs(level, codes, lut, 0);
        // No next super-block: prefetch our own rows, which is harmless.
        let ahead = ahead.filter(|ahead| ahead.len > 0).unwrap_or(self).pairs(level, codes, lut, 0);
        let base = Line::splat(level, self.base);
        for (block, sums) in self.sums.iter_mut().enumerate().take(self.len.div_ceil(LINE)) {
            let lane = block * LINE;
            let below = add::<L>(level, &pairs, lane, sums, base);
            self.alive[num_alive % BLOCKS] = lane as u16;
            num_alive += usize::from(below);
            ahead.iter().for_each(|pair| pair.prefetch(lane));
        }
        self.num_alive = num_alive;
    }

    /// Looks up the pairs from `place` on for the blocks that are left.
    #[inline(always)]
    fn go_on<L: Level>(&mut self, level: L, codes: &OrderedCodes<L, K, G>, lut: &ByteLut<G>, place: usize) {
        if self.num_alive == 0 {
            return;
        }
        let mut kept = 0;
        let pairs = self.pairs(level, codes, lut, place);
        for &lane in &self.alive[..self.num_alive] {
            pairs.iter().for_each(|pair| pair.prefetch(usize::from(lane)));
        }
        for at in 0..self.num_alive {
            let lane = usize::from(self.alive[at]);
            let sums = &mut self.sums[lane / LINE % BLOCKS];
            let before = Line::load(level, sums);
            let below = add::<L>(level, &pairs, lane, sums, before);
            self.alive[kept % BLOCKS] = lane as u16;
            kept += usize::from(below);
        }
        self.num_alive = kept;
    }

    /// One bit for each code of a block whose sum is up to `limit`, below 255.
    #[inline(always)]
    pub fn up_to<L: Level>(&self, level: L, lane: usize, limit: u8) -> u64 {
        let lanes = Line::<L::Bytes>::load(level, &self.sums[lane / LINE % BLOCKS]).up_to(level, limit);
        lanes & layout::lanes(self.len - lane)
    }

    /// How many codes of the blocks that are left have a sum up to `limit`, below 255.
    #[inline(always)]
    pub fn count_up_to<L: Level>(&self, level: L, limit: u8) -> usize {
        let mut count = 0;
        for &lane in &self.alive[..self.num_alive] {
            count += self.up_to(level, usize::from(lane), limit).count_ones() as usize;
        }
        count
    }
}

/// A pass, to be counted in.
pub struct Counted<'a, L, K: Layout<G>, const G: usize>(pub L, pub &'a Pass<K, G>);

impl<L: Level, K: Layout<G>, const G: usize> CountUpTo for Counted<'_, L, K, G> {
    #[inline(always)]
    fn count_up_to(&self, limit: u8) -> usize {
        self.1.count_up_to(self.0, limit)
    }
}

/// Adds some pairs to the sums `before` of the block at `lane`. Whether one stays below 255.
#[inline(always)]
fn add<L: Level>(
    level: L,
    pairs: &[impl LookUp<L>; STEP],
    lane: usize,
    sums: &mut [u8; LINE],
    before: Line<L::Bytes>,
) -> bool {
    let mut line = before;
    for part in 0..LINE / L::Bytes::LANES {
        let mut sum = before.part(part);
        for pair in pairs {
            sum = sum.add_saturating(pair.look_up(level, lane + part * L::Bytes::LANES));
        }
        line.set_part(part, sum);
    }
    line.store(sums);
    line.any_below_255()
}

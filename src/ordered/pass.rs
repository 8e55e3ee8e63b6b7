//! One super-block on its way: planned, then looked up pair by pair while blocks of it are left.

use super::{ByDimension, Layout, LookUp, OrderedCodes, PAIRS, SUPER_BLOCK};
use crate::{
    NUM_SUB_VECTORS,
    blocks::{self, BLOCK},
    byte_vector::ByteVector,
    lut::{FilterLut, FilterTable, lanes_up_to},
};

/// Blocks in a super-block.
const BLOCKS: usize = SUPER_BLOCK / BLOCK;
/// Pairs of sub-quantizers that are looked up before the blocks with nothing near are dropped: for all blocks, then again and
/// again for those that are left.
const STEP: usize = 2;

/// More than a sub-quantizer that tells is expected to add, and so little that the order of the sums does not overflow.
const EXPECTED: f32 = 1e6;

/// A super-block under way.
#[repr(C, align(64))]
pub struct Pass<L: Layout<G>, const G: usize> {
    /// `[block][lane]`
    sums: [[u8; BLOCK]; BLOCKS],
    /// First lanes of the blocks that may hold something near.
    pub alive: [u16; BLOCKS],
    pub num_alive: usize,
    plan: L::Plan,
    pub at: usize,
    /// Codes in the super-block, or 0 if nothing there can be near.
    pub len: usize,
    /// Sum of the least entries, which no code of the super-block is below.
    base: u8,
}

impl<L: Layout<G>, const G: usize> Pass<L, G> {
    pub fn none() -> Box<Self> {
        Box::new(Pass {
            sums: [[0; BLOCK]; BLOCKS],
            alive: [0; BLOCKS],
            num_alive: 0,
            plan: L::Plan::default(),
            at: 0,
            len: 0,
            base: 0,
        })
    }

    /// Begins with super-block `at`, for the LUT for `threshold`.
    #[inline(always)]
    pub unsafe fn plan<V: ByteVector>(
        &mut self,
        codes: &OrderedCodes<L, G>,
        at: usize,
        query: &ByDimension,
        bounds: &FilterTable<G>,
        lut: &FilterLut<G>,
        threshold: f32,
    ) {
        if let Some(next) = codes.super_blocks.get(at + 1) {
            next.prefetch_summary();
            codes.moments[at + 1].prefetch();
        }
        // SAFETY: this function's contract.
        let (plan, least) = unsafe { codes.super_blocks[at].plan::<V>(lut) };
        self.base = least.iter().map(|&least| u32::from(least)).sum::<u32>().min(255) as u8;
        self.num_alive = 0;
        self.len = 0;
        if self.base == 255 {
            return;
        }
        self.at = at;
        self.len = codes.ids_of(at).len();
        self.plan = plan;
        let scaled = bounds.scaled(&codes.moments[at].expected(query), threshold);
        let mut expected = [0; NUM_SUB_VECTORS];
        for (expected, (scaled, least)) in expected.iter_mut().zip(scaled.into_iter().zip(least)) {
            *expected = (scaled - f32::from(least)).clamp(-EXPECTED, EXPECTED) as i32;
        }
        L::order(&mut self.plan, &expected);
    }

    /// Looks up all pairs, as long as blocks are left, and asks for the first codes of the super-block `ahead`.
    #[inline(always)]
    pub unsafe fn look_up<V: ByteVector>(
        &mut self,
        codes: &OrderedCodes<L, G>,
        lut: &FilterLut<G>,
        ahead: Option<&Self>,
    ) {
        // SAFETY: this function's contract.
        unsafe {
            self.first::<V>(codes, lut, ahead);
            for place in (STEP..PAIRS).step_by(STEP) {
                self.go_on::<V>(codes, lut, place);
            }
        }
    }

    /// The pairs from `place` on.
    #[inline(always)]
    unsafe fn pairs<'c, V: ByteVector>(
        &self,
        codes: &'c OrderedCodes<L, G>,
        lut: &FilterLut<G>,
        place: usize,
    ) -> [L::Pair<'c, V>; STEP] {
        // SAFETY: this function's contract.
        std::array::from_fn(|n| unsafe { codes.super_blocks[self.at].pair::<V>(&self.plan, lut, place + n) })
    }

    /// Looks up the first pairs for all blocks, and asks for those of the super-block `ahead`.
    #[inline(always)]
    unsafe fn first<V: ByteVector>(&mut self, codes: &OrderedCodes<L, G>, lut: &FilterLut<G>, ahead: Option<&Self>) {
        let mut num_alive = 0;
        // SAFETY: this function's contract; there are codes for whole blocks.
        unsafe {
            let pairs = self.pairs::<V>(codes, lut, 0);
            // For want of another one the codes that are read anyway.
            let ahead = ahead.filter(|ahead| ahead.len > 0).unwrap_or(self).pairs::<V>(codes, lut, 0);
            let base = V::splat(self.base);
            for (block, sums) in self.sums.iter_mut().enumerate().take(self.len.div_ceil(BLOCK)) {
                let lane = block * BLOCK;
                let below = add(&pairs, lane, sums, |_| base);
                self.alive[num_alive % BLOCKS] = lane as u16;
                num_alive += usize::from(below);
                ahead.iter().for_each(|pair| pair.prefetch(lane));
            }
        }
        self.num_alive = num_alive;
    }

    /// Looks up the pairs from `place` on for the blocks that are left.
    #[inline(always)]
    unsafe fn go_on<V: ByteVector>(&mut self, codes: &OrderedCodes<L, G>, lut: &FilterLut<G>, place: usize) {
        if self.num_alive == 0 {
            return;
        }
        let mut kept = 0;
        // SAFETY: as in `first`.
        unsafe {
            let pairs = self.pairs::<V>(codes, lut, place);
            for &lane in &self.alive[..self.num_alive] {
                pairs.iter().for_each(|pair| pair.prefetch(usize::from(lane)));
            }
            for at in 0..self.num_alive {
                let lane = usize::from(self.alive[at]);
                let sums = &mut self.sums[lane / BLOCK % BLOCKS];
                let before = *sums;
                let below = add(&pairs, lane, sums, |part| V::load(before.as_ptr().add(part)));
                self.alive[kept % BLOCKS] = lane as u16;
                kept += usize::from(below);
            }
        }
        self.num_alive = kept;
    }

    /// One bit for each code of a block whose sum is up to `limit`, below 255.
    #[inline(always)]
    pub unsafe fn up_to<V: ByteVector>(&self, lane: usize, limit: u8) -> u64 {
        // SAFETY: this function's contract.
        let lanes = unsafe { lanes_up_to::<V>(&self.sums[lane / BLOCK % BLOCKS], limit) };
        lanes & blocks::lanes(self.len - lane)
    }

    /// How many codes of the blocks that are left have a sum up to `limit`, below 255.
    #[inline(always)]
    pub unsafe fn count_up_to<V: ByteVector>(&self, limit: u8) -> usize {
        let mut count = 0;
        for &lane in &self.alive[..self.num_alive] {
            // SAFETY: this function's contract.
            count += unsafe { self.up_to::<V>(usize::from(lane), limit) }.count_ones() as usize;
        }
        count
    }
}

/// Adds some pairs to the sums of the block at `lane`. Whether one stays below 255.
#[inline(always)]
unsafe fn add<V: ByteVector>(
    pairs: &[impl LookUp<V>; STEP],
    lane: usize,
    sums: &mut [u8; BLOCK],
    before: impl Fn(usize) -> V,
) -> bool {
    // SAFETY: this function's contract.
    let mut least = unsafe { V::splat(255) };
    for part in (0..BLOCK).step_by(V::LANES) {
        let mut sum = before(part);
        // SAFETY: the caller has a whole block at `lane`.
        unsafe {
            for pair in pairs {
                sum = sum.add_saturating(pair.look_up(lane + part));
            }
            sum.store(sums.as_mut_ptr().add(part));
            least = least.min(sum);
        }
    }
    // SAFETY: this function's contract.
    unsafe { least.any_below_255() }
}

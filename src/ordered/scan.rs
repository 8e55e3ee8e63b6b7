//! The way of a query through the list.

use std::ops::Range;

use super::{FINE_GROUPS, GROUPS, LINES, MAX_MEMBERS, OrderedCodes, SUPER_BLOCK};
use crate::{
    DIM, DistanceTable, NUM_SUB_VECTORS, TopKHeap,
    blocks::{self, BLOCK},
    byte_vector::ByteVector,
    candidates::{Candidates, MAX_CANDIDATES},
    lut::{FilterLut, FilterTable},
    memory::prefetch,
    table::distance,
};

/// Lines that are summed for every block before any is dropped.
const FIRST_LINES: usize = 2;
/// Super-blocks that come first, since they make the threshold fall; all others come as they lie.
const NEAREST: usize = 8;
/// Queries of a batch that go through the list together: as many as a near cache holds the tables of.
const SIDE_BY_SIDE: usize = 16;
/// Super-blocks that are scored without a filter once one has let nearly all codes pass, so that it costs next to nothing on
/// data that defeats it.
const UNFILTERED: usize = 8;
impl OrderedCodes {
    /// Offers to `top` what can be near `query`.
    ///
    /// # Safety
    /// The CPU has the instruction set of `V`; the caller is compiled for it.
    #[inline(always)]
    pub unsafe fn scan<V: ByteVector>(&self, query: &[f32; DIM], top: &mut TopKHeap) {
        let mut scan = Scan::new(self, query, top);
        // SAFETY: this function's contract is theirs.
        unsafe {
            scan.nearest_super_blocks::<V>();
            for at in 0..self.super_blocks.len() {
                scan.other_super_block::<V>(at);
            }
        }
    }

    /// [`scan`](OrderedCodes::scan) for several queries, which go through the list side by side: each super-block comes from
    /// memory once for all of them.
    ///
    /// # Safety
    /// As for [`scan`](OrderedCodes::scan).
    #[inline(always)]
    pub unsafe fn scan_batch<V: ByteVector>(&self, queries: &[[f32; DIM]], tops: &mut [TopKHeap]) {
        for (queries, tops) in queries.chunks(SIDE_BY_SIDE).zip(tops.chunks_mut(SIDE_BY_SIDE)) {
            let mut scans: Vec<_> = queries.iter().zip(tops).map(|(query, top)| Scan::new(self, query, top)).collect();
            // SAFETY: this function's contract is theirs.
            unsafe {
                for scan in &mut scans {
                    scan.nearest_super_blocks::<V>();
                }
                for at in 0..self.super_blocks.len() {
                    for scan in &mut scans {
                        scan.other_super_block::<V>(at);
                    }
                }
            }
        }
    }

    /// The super-blocks with the nearest means, the nearest first.
    #[inline(always)]
    fn nearest_super_blocks(&self, query: &[f32; DIM]) -> Nearest {
        let mut nearest = [(f32::INFINITY, NONE); NEAREST];
        for (mean, at) in self.means.iter().zip(0..) {
            let mut sums = [0.0; 16];
            for (mean, query) in mean.as_chunks::<16>().0.iter().zip(query.as_chunks::<16>().0) {
                for lane in 0..16 {
                    sums[lane] += (mean[lane] - query[lane]) * (mean[lane] - query[lane]);
                }
            }
            let mut next = (sums.iter().sum::<f32>(), at);
            // Inserted where it belongs; a list of few super-blocks leaves none of them out, not even with an infinite mean.
            for place in &mut nearest {
                if next.0 < place.0 || place.1 == NONE {
                    std::mem::swap(&mut next, place);
                }
            }
        }
        nearest.map(|(_, at)| at)
    }
}

/// No super-block.
const NONE: u32 = u32::MAX;
/// Super-blocks, [`NONE`] behind the last.
type Nearest = [u32; NEAREST];

/// One query on its way through the list.
struct Scan<'a> {
    codes: &'a OrderedCodes,
    /// The super-blocks that come first.
    nearest: Nearest,
    table: DistanceTable,
    bounds: FilterTable<FINE_GROUPS>,
    lut: FilterLut<FINE_GROUPS>,
    /// The threshold that `lut` was made for.
    lut_threshold: f32,
    /// Places of codes that are to be scored; their rows are on the way.
    candidates: Candidates,
    /// Stretches that are still to be scored without the filter.
    unfiltered: usize,
    top: &'a mut TopKHeap,
}

/// How one super-block is to be scanned.
#[repr(C, align(64))]
struct Plan {
    /// `[m][group]`, less each row's minimum.
    lut: [[u8; GROUPS]; NUM_SUB_VECTORS],
    /// The lines, the one that is expected to add most first.
    order: [u8; LINES],
    /// Sum of the rows' minima, which no code of the super-block is below; 255 if nothing there can be near.
    base: u8,
}

impl<'a> Scan<'a> {
    #[inline(always)]
    fn new(codes: &'a OrderedCodes, query: &[f32; DIM], top: &'a mut TopKHeap) -> Self {
        let table = codes.codebook.distance_table(query);
        Scan {
            codes,
            nearest: codes.nearest_super_blocks(query),
            bounds: FilterTable::new(&table),
            table,
            lut: FilterLut([[0; FINE_GROUPS]; NUM_SUB_VECTORS]),
            lut_threshold: f32::INFINITY,
            candidates: Candidates::new(),
            unfiltered: 0,
            top,
        }
    }

    /// Scans the nearest super-blocks. Of the very nearest the first block as it is, then twice as much each time, since the
    /// threshold falls fast at first.
    #[inline(always)]
    unsafe fn nearest_super_blocks<V: ByteVector>(&mut self) {
        let [first, rest @ ..] = self.nearest;
        if first == NONE {
            return;
        }
        self.score_all(first as usize * SUPER_BLOCK, BLOCK);
        let mut done = BLOCK;
        while done < SUPER_BLOCK {
            // SAFETY: this function's contract.
            unsafe { self.super_block::<V>(first as usize, done..2 * done) };
            done *= 2;
        }
        for at in rest.into_iter().take_while(|&at| at != NONE) {
            // SAFETY: as above.
            unsafe { self.super_block::<V>(at as usize, 0..SUPER_BLOCK) };
        }
    }

    /// Scans a super-block unless it is one of the nearest, which have been.
    #[inline(always)]
    unsafe fn other_super_block<V: ByteVector>(&mut self, at: usize) {
        if !self.nearest.contains(&(at as u32)) {
            // SAFETY: this function's contract.
            unsafe { self.super_block::<V>(at, 0..SUPER_BLOCK) };
        }
    }

    /// Makes the LUT of a super-block, for the threshold as it is now.
    #[inline(always)]
    unsafe fn plan<V: ByteVector>(&mut self, at: usize) -> Plan {
        if self.bounds.is_tighter(self.top.threshold(), self.lut_threshold) {
            self.lut_threshold = self.top.threshold();
            self.bounds.quantize(self.lut_threshold, &mut self.lut);
        }
        let super_block = &self.codes.super_blocks[at];
        if let Some(next) = self.codes.super_blocks.get(at + 1) {
            // A member's place in all groups is 16 bytes, four of them a cache line.
            next.members.as_flattened().iter().step_by(4).for_each(prefetch);
        }
        let mut plan = Plan { lut: [[0; GROUPS]; NUM_SUB_VECTORS], order: [0; LINES], base: 0 };
        let mut expected = [0u32; NUM_SUB_VECTORS];
        let mut base = 0;
        for (m, expected) in expected.iter_mut().enumerate() {
            let mut minima = [[0u8; GROUPS]; MAX_MEMBERS];
            let members = super_block.members[m].as_flattened();
            for start in (0..members.len()).step_by(V::LANES) {
                // SAFETY: `members` and `minima` have the same whole number of vectors; a fine group is below 64.
                unsafe {
                    let entries = V::look_up_64(&self.lut.0[m], V::load(members.as_ptr().add(start)));
                    entries.store(minima.as_flattened_mut().as_mut_ptr().add(start));
                }
            }
            let mut row = minima[0];
            for entries in &minima[1..] {
                row.iter_mut().zip(entries).for_each(|(least, &entry)| *least = entry.min(*least));
            }
            let least = row.iter().fold(255, |least, &entry| entry.min(least));
            row.iter_mut().for_each(|entry| *entry -= least);
            base += u32::from(least);
            *expected = row.iter().zip(&super_block.weights[m]).map(|(&e, &w)| u32::from(e) * u32::from(w)).sum();
            plan.lut[m] = row;
        }
        plan.base = base.min(255) as u8;
        // The line's number makes the keys distinct, and is what is left of them.
        let mut keys: [u32; LINES] =
            std::array::from_fn(|line| (expected[2 * line] + expected[2 * line + 1]) * LINES as u32 + line as u32);
        keys.sort_unstable_by(|a, b| b.cmp(a));
        plan.order = keys.map(|key| (key % LINES as u32) as u8);
        plan
    }

    /// Scores what can be near among `lanes` of a super-block, which are whole blocks.
    #[inline(always)]
    unsafe fn super_block<V: ByteVector>(&mut self, at: usize, lanes: Range<usize>) {
        let start = at * SUPER_BLOCK;
        let len = (self.codes.rows.len() - start).min(SUPER_BLOCK);
        if lanes.start >= len {
            return;
        }
        let lanes = lanes.start..lanes.end.min(len);
        if self.unfiltered > 0 {
            self.unfiltered -= 1;
            return self.score_all(start + lanes.start, lanes.len());
        }
        // SAFETY: this function's contract.
        let plan = unsafe { self.plan::<V>(at) };
        if plan.base == 255 {
            return;
        }
        let mut sums = Sums([[0; BLOCK]; SUPER_BLOCK / BLOCK]);
        let mut alive = [0u16; SUPER_BLOCK / BLOCK];
        let mut num_alive = 0;

        let lines = &self.codes.lines[at].0;
        let line = |place: usize| &lines[usize::from(plan.order[place])];
        for lane in lanes.clone().step_by(BLOCK) {
            // SAFETY: lanes and lines are whole blocks; `sums` has a block for each.
            unsafe {
                let below = plan.add::<V, FIRST_LINES>(lines, 0, lane, None, &mut sums.0[num_alive]);
                alive[num_alive] = lane as u16;
                num_alive += usize::from(below);
                // Without a branch: a dead block prefetches what is there already.
                let next = if below { FIRST_LINES } else { 0 };
                prefetch(&line(next)[lane]);
                prefetch(&line(next + 1)[lane]);
            }
        }
        for place in (FIRST_LINES..LINES).step_by(2) {
            let mut kept = 0;
            for at in 0..num_alive {
                let lane = usize::from(alive[at]);
                let before = sums.0[at];
                // SAFETY: as above.
                let below = unsafe { plan.add::<V, 2>(lines, place, lane, Some(&before), &mut sums.0[kept]) };
                alive[kept] = lane as u16;
                kept += usize::from(below);
                let next = if below { (place + 2).min(LINES - 2) } else { place };
                prefetch(&line(next)[lane]);
                prefetch(&line(next + 1)[lane]);
            }
            num_alive = kept;
        }
        let mut near = 0;
        for (sums, &lane) in sums.0.iter().zip(&alive[..num_alive]) {
            // SAFETY: this function's contract.
            let below = unsafe { below_255::<V>(sums) } & blocks::lanes(len - usize::from(lane));
            near += below.count_ones() as usize;
            self.gather(start + usize::from(lane), below);
        }
        // While the threshold still falls fast, one stretch says little about those behind the next.
        if near > lanes.len() / 8 * 7 {
            self.unfiltered = if lanes.len() == SUPER_BLOCK { UNFILTERED } else { 1 };
        }
        self.score_candidates();
    }

    /// Takes up the codes from `start` on whose bit is set.
    #[inline(always)]
    fn gather(&mut self, start: usize, below: u64) {
        if below.count_ones() > BLOCK as u32 / 2 {
            // A filter that lets this much pass is no use here: straight through, without the detour.
            self.score_all(start, BLOCK);
            return;
        }
        if self.candidates.places().len() > MAX_CANDIDATES - BLOCK {
            self.score_candidates();
        }
        let before = self.candidates.places().len();
        self.candidates.add_lanes(start, below);
        for &place in &self.candidates.places()[before..] {
            prefetch(&self.codes.rows[place as usize]);
        }
    }

    #[inline(always)]
    fn score_candidates(&mut self) {
        for &place in self.candidates.places() {
            let place = place as usize;
            let distance = distance(&self.codes.rows[place], &self.table);
            // Checked here so that only few ids are read.
            if distance <= self.top.threshold() {
                self.top.push(self.codes.ids[place], distance);
            }
        }
        self.candidates.clear();
    }

    /// Scores up to `count` codes from `start` on.
    #[inline(always)]
    fn score_all(&mut self, start: usize, count: usize) {
        let end = (start + count).min(self.codes.rows.len());
        for (row, &id) in self.codes.rows[start..end].iter().zip(&self.codes.ids[start..end]) {
            self.top.push(id, distance(row, &self.table));
        }
    }
}

/// Sums of blocks, `[block][lane]`.
#[repr(C, align(64))]
struct Sums([[u8; BLOCK]; SUPER_BLOCK / BLOCK]);

impl Plan {
    /// Adds `N` lines from `place` on to the sums of the block at `lane`, or to the base. Whether a sum is below 255.
    #[inline(always)]
    unsafe fn add<V: ByteVector, const N: usize>(
        &self,
        lines: &[[u8; SUPER_BLOCK]; LINES],
        place: usize,
        lane: usize,
        before: Option<&[u8; BLOCK]>,
        sums: &mut [u8; BLOCK],
    ) -> bool {
        // SAFETY: this function's contract.
        let mut least = unsafe { V::splat(255) };
        for part in (0..BLOCK).step_by(V::LANES) {
            // SAFETY: `lane` is a block's first lane, `part` a whole vector of the block.
            unsafe {
                let mut sum = before.map_or_else(|| V::splat(self.base), |before| V::load(before.as_ptr().add(part)));
                for n in 0..N {
                    let line = usize::from(self.order[place + n]);
                    let codes = V::load(lines[line].as_ptr().add(lane + part));
                    sum = sum.add_saturating(V::table(&self.lut[2 * line]).look_up(codes.low_nibbles()));
                    sum = sum.add_saturating(V::table(&self.lut[2 * line + 1]).look_up(codes.high_nibbles()));
                }
                sum.store(sums.as_mut_ptr().add(part));
                least = least.min(sum);
            }
        }
        // SAFETY: this function's contract.
        unsafe { least.any_below_255() }
    }
}

/// One bit for each lane below 255.
#[inline(always)]
unsafe fn below_255<V: ByteVector>(sums: &[u8; BLOCK]) -> u64 {
    let mut below = 0;
    for part in (0..BLOCK).step_by(V::LANES) {
        // SAFETY: `part` is a whole vector of the block; the rest is the caller's contract.
        below |= unsafe { V::load(sums.as_ptr().add(part)).below_255() } << part;
    }
    below
}

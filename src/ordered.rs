//! Similar codes together, half a byte each: a scan that skips what cannot win, and reads a fifth of the codes.
//!
//! **Order.** Preparation bisects the decoded vectors along their principal direction, again and again, so that blocks of 64
//! and super-blocks of 4,096 codes hold similar vectors.
//!
//! **Lines.** For each super-block and sub-quantizer the 64 groups of four similar centroids are merged into at most
//! 16 that suit the codes that occur there: what is frequent gets groups of its own, what is rare is lumped together.
//! A code is then a nibble, and two sub-quantizers are a byte. One line of a super-block is one page, read as a stream.
//!
//! **Query.** Once for each super-block, the LUT of 64 group minima of the query becomes one of 16 a sub-quantizer, with the
//! rows' minima taken off: their sum is a bound of all the codes, which alone rules a fifth of the super-blocks out. The lines
//! come in the order of what they are expected to add (the LUT weighted by how often each group occurs). Two lines are summed
//! for all blocks, then line by line for the blocks that still have a lane below 255. The lanes that are left after the last
//! line are scored in f32 from the row-major codes. Everything that is ruled out is ruled out by a lower bound
//! ([`lut`](crate::lut)), so the answer is exact.
//!
//! **Latency.** What is left to read after the first lines is scattered, so it is prefetched: a block's next line as soon as it
//! has survived the line before, a candidate's row as soon as it is one.
//!
//! Sources: the lossless byte bound and the grouping are PQ Fast Scan's (André, Kermarrec, Le Scouarnec, VLDB 2015), the
//! layout is Faiss's and ScaNN's 4-bit fast scan; groups fitted to a neighbourhood of codes are this project's.

use std::ops::Range;

use crate::{
    Codebook, DIM, DistanceTable, NUM_CENTROIDS, NUM_SUB_VECTORS, SUB_VECTOR_DIM, TopKHeap,
    blocks::{self, BLOCK},
    byte_vector::ByteVector,
    grouping,
    lut::{FilterLut, FilterTable},
    memory::{HugeVec, Plain, prefetch},
    table::distance,
};

/// The kernel of a variant: `$vector` is its [`ByteVector`], `$features` what that type needs.
macro_rules! ordered_kernel {
    ($arch:literal, $vector:ident, $features:literal) => {
        #[cfg(target_arch = $arch)]
        mod kernel {
            use crate::{Codebook, DIM, Error, TopKHeap, byte_vector::$vector, ordered::OrderedCodes, registry::Scan};

            #[derive(Clone)]
            struct Ordered(OrderedCodes);

            pub fn prepare(codebook: &Codebook, codes: &[u8]) -> Result<Box<dyn Scan>, Error> {
                Ok(Box::new(Ordered(OrderedCodes::new(codebook, codes))))
            }

            impl Scan for Ordered {
                fn scan(&self, query: &[f32; DIM], top: &mut TopKHeap) {
                    // SAFETY: the registry prepares this variant only where the CPU has the features that it requires.
                    unsafe { scan(&self.0, query, top) }
                }

                fn scan_batch(&self, queries: &[[f32; DIM]], tops: &mut [TopKHeap]) {
                    // SAFETY: as above.
                    unsafe { scan_batch(&self.0, queries, tops) }
                }

                fn memory_bytes(&self) -> usize {
                    self.0.memory_bytes()
                }
            }

            #[target_feature(enable = $features)]
            fn scan(codes: &OrderedCodes, query: &[f32; DIM], top: &mut TopKHeap) {
                // SAFETY: this function is compiled for the very features.
                unsafe { codes.scan::<$vector>(query, top) }
            }

            #[target_feature(enable = $features)]
            fn scan_batch(codes: &OrderedCodes, queries: &[[f32; DIM]], tops: &mut [TopKHeap]) {
                // SAFETY: as above.
                unsafe { codes.scan_batch::<$vector>(queries, tops) }
            }
        }
    };
}
pub(crate) use ordered_kernel;

/// Vectors in a super-block. Fewer fit the groups better, and cost more LUTs.
pub const SUPER_BLOCK: usize = 4096;
/// Bytes of a vector in the lines.
const LINES: usize = NUM_SUB_VECTORS / 2;
/// Groups of a sub-quantizer in a super-block: what a nibble can name.
const GROUPS: usize = 16;
/// Groups of a sub-quantizer in the whole list.
const FINE_GROUPS: usize = 64;
/// Fine groups that one group can merge. Twice the even share lets rare ones be lumped together.
const MAX_MEMBERS: usize = 2 * FINE_GROUPS / GROUPS;
/// Lines that are summed for every block before any is dropped.
const FIRST_LINES: usize = 2;
/// Super-blocks that come first, since they make the threshold fall; all others come as they lie.
const NEAREST: usize = 8;
/// Queries of a batch that go through the list together: as many as a near cache holds the tables of.
const SIDE_BY_SIDE: usize = 16;
/// Super-blocks that are scored without a filter once one has let nearly all codes pass, so that it costs next to nothing on
/// data that defeats it.
const UNFILTERED: usize = 8;
/// Candidates that are gathered before they are scored, so that their rows have time to arrive.
const MAX_CANDIDATES: usize = 512;

/// A list of codes in the order and layout of this module.
#[derive(Clone)]
pub struct OrderedCodes {
    /// With the centroids renumbered so that the low six bits of a code name its fine group.
    codebook: Codebook,
    /// The place in the caller's list of each code here.
    ids: HugeVec<u32>,
    /// Row-major renumbered codes.
    rows: HugeVec<[u8; NUM_SUB_VECTORS]>,
    lines: HugeVec<Lines>,
    super_blocks: HugeVec<SuperBlock>,
    means: Vec<[f32; DIM]>,
}

/// `[line][lane]`: the groups of sub-quantizers 2·line (low nibble) and 2·line + 1.
#[derive(Clone)]
#[repr(C, align(64))]
struct Lines([[u8; SUPER_BLOCK]; LINES]);

/// How a super-block's groups are made.
#[derive(Clone)]
#[repr(C, align(64))]
struct SuperBlock {
    /// `[m][place][group]`: the fine groups of each group; a smaller one repeats its last.
    members: [[[u8; GROUPS]; MAX_MEMBERS]; NUM_SUB_VECTORS],
    /// `[m][group]`: the share of the super-block's codes in each group, in 255ths.
    weights: [[u8; GROUPS]; NUM_SUB_VECTORS],
}

// SAFETY: arrays of bytes.
unsafe impl Plain for Lines {}
// SAFETY: arrays of bytes.
unsafe impl Plain for SuperBlock {}

impl OrderedCodes {
    /// Orders row-major `codes` `[n][16]`. It takes about a second for a million, on as many threads as there are.
    pub fn new(codebook: &Codebook, codes: &[u8]) -> OrderedCodes {
        let order = grouping::similar_centroids_together(codebook);
        let unordered = grouping::renumbered(codes, &grouping::inverse(&order));
        let codebook = codebook.reordered(&order);

        let mut ids = HugeVec::zeroed(unordered.len());
        ids.iter_mut().zip(0..).for_each(|(id, n)| *id = n);
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        similar_codes_together(&codebook, &unordered, &mut ids, threads);
        let mut rows = HugeVec::zeroed(ids.len());
        rows.iter_mut().zip(&*ids).for_each(|(row, &id)| *row = unordered[id as usize]);

        let count = rows.len().div_ceil(SUPER_BLOCK);
        let mut lines = HugeVec::<Lines>::zeroed(count);
        let mut super_blocks = HugeVec::<SuperBlock>::zeroed(count);
        let mut means = vec![[0.0; DIM]; count];
        let share = count.div_ceil(threads).max(1);
        std::thread::scope(|scope| {
            let parts = lines.chunks_mut(share).zip(super_blocks.chunks_mut(share)).zip(means.chunks_mut(share));
            for (((lines, super_blocks), means), rows) in parts.zip(rows.chunks(share * SUPER_BLOCK)) {
                let codebook = &codebook;
                scope.spawn(move || {
                    let outputs = lines.iter_mut().zip(super_blocks).zip(means);
                    for (((lines, super_block), mean), rows) in outputs.zip(rows.chunks(SUPER_BLOCK)) {
                        fit(codebook, rows, lines, super_block, mean);
                    }
                });
            }
        });
        OrderedCodes { codebook, ids, rows, lines, super_blocks, means }
    }

    /// Bytes that the list holds.
    pub fn memory_bytes(&self) -> usize {
        size_of_val(&*self.ids)
            + size_of_val(&*self.rows)
            + size_of_val(&*self.lines)
            + size_of_val(&*self.super_blocks)
            + size_of_val(self.means.as_slice())
    }

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
    candidates: [u32; MAX_CANDIDATES],
    num_candidates: usize,
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
            candidates: [0; MAX_CANDIDATES],
            num_candidates: 0,
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
    fn gather(&mut self, start: usize, mut below: u64) {
        if below.count_ones() > BLOCK as u32 / 2 {
            // A filter that lets this much pass is no use here: straight through, without the detour.
            self.score_all(start, BLOCK);
            return;
        }
        while below != 0 {
            if self.num_candidates == MAX_CANDIDATES {
                self.score_candidates();
            }
            let place = start + below.trailing_zeros() as usize;
            below &= below - 1;
            prefetch(&self.codes.rows[place]);
            self.candidates[self.num_candidates] = place as u32;
            self.num_candidates += 1;
        }
    }

    #[inline(always)]
    fn score_candidates(&mut self) {
        for at in 0..self.num_candidates {
            self.score(self.candidates[at] as usize);
        }
        self.num_candidates = 0;
    }

    /// Scores up to `count` codes from `start` on.
    #[inline(always)]
    fn score_all(&mut self, start: usize, count: usize) {
        let end = (start + count).min(self.codes.rows.len());
        for (row, &id) in self.codes.rows[start..end].iter().zip(&self.codes.ids[start..end]) {
            self.top.push(id, distance(row, &self.table));
        }
    }

    #[inline(always)]
    fn score(&mut self, place: usize) {
        let distance = distance(&self.codes.rows[place], &self.table);
        // Checked here so that only few ids are read.
        if distance <= self.top.threshold() {
            self.top.push(self.codes.ids[place], distance);
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

/// Merges fine groups for the codes `rows` of one super-block, and writes them as lines.
fn fit(
    codebook: &Codebook,
    rows: &[[u8; NUM_SUB_VECTORS]],
    lines: &mut Lines,
    super_block: &mut SuperBlock,
    mean: &mut [f32; DIM],
) {
    for m in 0..NUM_SUB_VECTORS {
        let mut sums = [[0.0f64; SUB_VECTOR_DIM]; FINE_GROUPS];
        let mut counts = [0.0; FINE_GROUPS];
        for row in rows {
            let centroid = &codebook.centroids(m)[usize::from(row[m])];
            let fine = fine_group(row[m]);
            counts[fine] += 1.0;
            sums[fine].iter_mut().zip(centroid).for_each(|(sum, &c)| *sum += f64::from(c));
        }
        let present = (0..FINE_GROUPS).filter(|&fine| counts[fine] > 0.0).map(|fine| grouping::Weighted {
            number: fine as u8,
            weight: counts[fine],
            point: sums[fine].map(|sum| sum / counts[fine]),
        });
        let groups = grouping::merge(present.collect(), GROUPS, MAX_MEMBERS);

        let mut labels = [0u8; FINE_GROUPS];
        for (group, members) in groups.iter().enumerate() {
            let share = members.iter().map(|member| member.weight).sum::<f64>() / rows.len() as f64;
            super_block.weights[m][group] = (share * 255.0) as u8;
            members.iter().for_each(|member| labels[usize::from(member.number)] = group as u8);
        }
        for group in 0..GROUPS {
            // A group that is not used repeats the first.
            let members = groups.get(group).unwrap_or(&groups[0]);
            for place in 0..MAX_MEMBERS {
                super_block.members[m][place][group] = members[place.min(members.len() - 1)].number;
            }
        }
        for (row, byte) in rows.iter().zip(&mut lines.0[m / 2]) {
            *byte |= labels[fine_group(row[m])] << (4 * (m % 2));
        }
        for d in 0..SUB_VECTOR_DIM {
            mean[m * SUB_VECTOR_DIM + d] = (sums.iter().map(|sum| sum[d]).sum::<f64>() / rows.len() as f64) as f32;
        }
    }
}

fn fine_group(code: u8) -> usize {
    usize::from(code) % FINE_GROUPS
}

/// Puts similar codes next to each other: halves of halves, each split along its principal direction.
fn similar_codes_together(codebook: &Codebook, rows: &[[u8; NUM_SUB_VECTORS]], ids: &mut [u32], threads: usize) {
    if ids.len() <= BLOCK {
        return;
    }
    let unit = if ids.len() > SUPER_BLOCK { SUPER_BLOCK } else { BLOCK };
    let half = (ids.len().div_ceil(unit) / 2).max(1) * unit;
    let direction = principal_direction(codebook, rows, ids);
    // A decoded vector's place along the direction is a sum of look-ups, like its distance.
    let places: Vec<[f32; NUM_CENTROIDS]> = direction
        .as_chunks::<SUB_VECTOR_DIM>()
        .0
        .iter()
        .enumerate()
        .map(|(m, direction)| codebook.centroids(m).map(|c| c.iter().zip(direction).map(|(c, d)| c * d).sum()))
        .collect();
    let mut keyed: Vec<(f32, u32)> = ids
        .iter()
        .map(|&id| (rows[id as usize].iter().zip(&places).map(|(&code, places)| places[usize::from(code)]).sum(), id))
        .collect();
    keyed.select_nth_unstable_by(half, |a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    ids.iter_mut().zip(keyed).for_each(|(id, (_, keyed))| *id = keyed);

    let (lower, upper) = ids.split_at_mut(half);
    if threads > 1 {
        std::thread::scope(|scope| {
            scope.spawn(|| similar_codes_together(codebook, rows, lower, threads / 2));
            similar_codes_together(codebook, rows, upper, threads - threads / 2);
        });
    } else {
        similar_codes_together(codebook, rows, lower, 1);
        similar_codes_together(codebook, rows, upper, 1);
    }
}

/// The direction in which a sample of the decoded vectors spreads most.
fn principal_direction(codebook: &Codebook, rows: &[[u8; NUM_SUB_VECTORS]], ids: &[u32]) -> [f32; DIM] {
    const SAMPLE: usize = 1024;
    let decode = |&id: &u32| -> [f32; DIM] {
        let mut vector = [0.0; DIM];
        for ((m, &code), part) in rows[id as usize].iter().enumerate().zip(vector.as_chunks_mut().0) {
            *part = codebook.centroids(m)[usize::from(code)];
        }
        vector
    };
    let sample: Vec<[f32; DIM]> = ids.iter().step_by(ids.len().div_ceil(SAMPLE)).map(decode).collect();
    grouping::principal_direction(&sample, &vec![1.0; sample.len()])
}

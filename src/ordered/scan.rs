//! The way of a query through the list.

use std::{mem::MaybeUninit, ops::Range};

use super::{ByDimension, Layout, Moments, OrderedCodes, SUPER_BLOCK, pass::Pass};
use crate::{
    DIM, DistanceTable, NUM_SUB_VECTORS, SUB_VECTOR_DIM, TopKHeap,
    blocks::BLOCK,
    byte_vector::ByteVector,
    candidates::{Candidates, MAX_CANDIDATES},
    lut::{FilterLut, FilterTable, LIMIT},
    memory::prefetch,
    row_major::{Row, distances},
    table::distance,
};

/// Super-blocks that come first, since they make the threshold fall; all others come as they lie.
const NEAREST: usize = 4;
/// Queries of a batch that go through the list together. More share more reading, but a near cache must hold what they need
/// besides, and where the third cache is fast (Zen 4) sixteen take longer than one after the other.
const SIDE_BY_SIDE: usize = 4;
/// Super-blocks of the list that each of those goes on by before the next one does.
const TURN: usize = 8;
/// Super-blocks that are scored without a filter once one has let nearly all codes pass, so that it costs next to nothing on
/// data that defeats it.
const UNFILTERED: usize = 4;
/// Times k codes are scored for the first threshold: more than k, for their sums only estimate their distances.
const SEVERAL: usize = 3;
/// As many times k at most, where many have the same sum.
const ENOUGH: usize = 8;
/// Codes that are worth scoring: for fewer the table, of which little is left in the first cache, comes back too often, and each
/// waits for its id.
const WORTH_IT: usize = 32;
/// Codes whose sums are under way at a time.
const AT_ONCE: usize = 4;

impl<L: Layout<G>, const G: usize> OrderedCodes<L, G> {
    /// Offers to `top` what can be near `query`.
    ///
    /// # Safety
    /// The CPU has the instruction set of `V`; the caller is compiled for it.
    #[inline(always)]
    pub unsafe fn scan<V: ByteVector>(&self, query: &[f32; DIM], top: &mut TopKHeap) {
        let mut table = MaybeUninit::uninit();
        let table = self.codebook.distance_table_in(query, &mut table);
        let bounds = FilterTable::new(table);
        // SAFETY: this function's contract is theirs.
        unsafe {
            let mut scan = Scan::new::<V>(self, query, table, &bounds, top);
            while scan.go_on::<V>() {}
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
            let tables: Vec<_> = queries.iter().map(|query| self.codebook.distance_table(query)).collect();
            let bounds: Vec<_> = tables.iter().map(FilterTable::new).collect();
            let mut scans = Vec::with_capacity(queries.len());
            // SAFETY: this function's contract is theirs.
            unsafe {
                for (((query, table), bounds), top) in queries.iter().zip(&tables).zip(&bounds).zip(tops) {
                    scans.push(Scan::new::<V>(self, query, table, bounds, top));
                }
                for end in (0..=NEAREST + self.super_blocks.len() + TURN).step_by(TURN) {
                    for scan in &mut scans {
                        while scan.visited < end && scan.go_on::<V>() {}
                    }
                }
            }
        }
    }

    /// The super-blocks with the nearest means, the nearest first.
    #[inline(always)]
    fn nearest_super_blocks(&self, query: &ByDimension) -> [usize; NEAREST] {
        let mut nearest = [(f32::INFINITY, NONE); NEAREST];
        for (at, moments) in self.moments.iter().enumerate() {
            let mut next = (moments.distances(query).iter().sum(), at);
            // A list of few super-blocks leaves none of them out, not even with an infinite mean.
            if next.0 < nearest[NEAREST - 1].0 || at < NEAREST {
                for place in &mut nearest {
                    if next.0 < place.0 || place.1 == NONE {
                        std::mem::swap(&mut next, place);
                    }
                }
            }
        }
        nearest.map(|(_, at)| at)
    }
}

impl Moments {
    /// The squared distance of each part of `query` from the mean.
    #[inline(always)]
    fn distances(&self, query: &ByDimension) -> [f32; NUM_SUB_VECTORS] {
        let mut sums = [0.0; NUM_SUB_VECTORS];
        for (mean, query) in self.mean.iter().zip(query) {
            for (sum, (mean, query)) in sums.iter_mut().zip(mean.iter().zip(query)) {
                *sum += (mean - query) * (mean - query);
            }
        }
        sums
    }

    #[inline(always)]
    pub(super) fn prefetch(&self) {
        // Two dimensions are 128 bytes.
        self.mean.iter().for_each(prefetch);
        prefetch(&self.variance);
    }

    /// What a code of the super-block adds to a distance, on average.
    #[inline(always)]
    pub(super) fn expected(&self, query: &ByDimension) -> [f32; NUM_SUB_VECTORS] {
        let mut expected = self.distances(query);
        expected.iter_mut().zip(&self.variance).for_each(|(sum, variance)| *sum += variance);
        expected
    }
}

/// No super-block.
const NONE: usize = usize::MAX;

/// One query on its way through the list. While a super-block is worked on, the next one is planned and its first codes are
/// on the way.
struct Scan<'a, L: Layout<G>, const G: usize> {
    codes: &'a OrderedCodes<L, G>,
    query: ByDimension,
    /// Super-blocks that come first, [`NONE`] behind the last.
    nearest: [usize; NEAREST],
    /// Super-blocks that have had their turn: first the nearest, then all.
    visited: usize,
    table: &'a DistanceTable,
    bounds: &'a FilterTable<G>,
    lut: FilterLut<G>,
    /// The threshold that `lut` was made for.
    lut_threshold: f32,
    /// As many codes as are wanted are known to lie within it.
    first_threshold: f32,
    /// The super-block that is worked on, and the next one.
    passes: [Box<Pass<L, G>>; 2],
    /// Lanes that are to be scored; what it takes is on the way.
    candidates: Candidates,
    /// The super-block that they are of.
    candidates_at: usize,
    /// Codes that are scored when there are enough.
    waiting: Waiting,
    /// Places and distances of those whose ids are on the way.
    near: Vec<(usize, f32)>,
    /// Whether the second look lets most candidates pass. Blocks of which most are candidates are scored without it then.
    most_pass: bool,
    /// Super-blocks that are still to be scored without the filter.
    unfiltered: usize,
    top: &'a mut TopKHeap,
}

impl<'a, L: Layout<G>, const G: usize> Scan<'a, L, G> {
    #[inline(always)]
    unsafe fn new<V: ByteVector>(
        codes: &'a OrderedCodes<L, G>,
        query: &[f32; DIM],
        table: &'a DistanceTable,
        bounds: &'a FilterTable<G>,
        top: &'a mut TopKHeap,
    ) -> Self {
        let mut by_dimension = [[0.0; NUM_SUB_VECTORS]; SUB_VECTOR_DIM];
        for (m, part) in query.as_chunks::<SUB_VECTOR_DIM>().0.iter().enumerate() {
            by_dimension.iter_mut().zip(part).for_each(|(row, &value)| row[m] = value);
        }
        let mut this = Scan {
            codes,
            nearest: codes.nearest_super_blocks(&by_dimension),
            visited: 0,
            query: by_dimension,
            table,
            bounds,
            lut: FilterLut::zeroed(),
            lut_threshold: f32::INFINITY,
            first_threshold: f32::INFINITY,
            passes: [Pass::none(), Pass::none()],
            candidates: Candidates::new(),
            candidates_at: 0,
            waiting: Waiting::new(),
            near: Vec::with_capacity(WORTH_IT),
            most_pass: !L::LOOKS_AGAIN,
            unfiltered: 0,
            top,
        };
        // SAFETY: this function's contract.
        unsafe { this.find_first_threshold::<V>() };
        this
    }

    /// Finds a threshold that is near the last: the codes with the smallest sums in the nearest super-block, in a LUT that is
    /// made for the average distance there.
    #[inline(always)]
    unsafe fn find_first_threshold<V: ByteVector>(&mut self) {
        let (k, at) = (self.top.k(), self.nearest[0]);
        if k == 0 || at == NONE {
            return;
        }
        self.set_lut(self.codes.moments[at].expected(&self.query).iter().sum());
        let super_block = &self.codes.super_blocks[at];
        let [pass, _] = &mut self.passes;
        // SAFETY: this function's contract.
        let found = unsafe {
            pass.plan::<V>(self.codes, at, &self.query, self.bounds, &self.lut, self.lut_threshold);
            pass.look_up::<V>(self.codes, &self.lut, None);
            pass.count_up_to::<V>(LIMIT)
        };
        if found >= k {
            let wanted = found.min(SEVERAL * k);
            let (mut limit, mut beyond) = (0, LIMIT);
            while limit < beyond {
                let middle = limit + (beyond - limit) / 2;
                // SAFETY: as above.
                let enough = unsafe { pass.count_up_to::<V>(middle) } >= wanted;
                (limit, beyond) = if enough { (limit, middle) } else { (middle + 1, beyond) };
            }
            let mut top = TopKHeap::with_k(k);
            let Scan { candidates, waiting, table, .. } = self;
            let mut score = |candidates: &mut Candidates| {
                waiting.take(candidates, super_block, 0);
                waiting.score(table, |_, distance| top.push(0, distance));
            };
            let mut taken = 0;
            for &lane in &pass.alive[..pass.num_alive] {
                let lane = usize::from(lane);
                // SAFETY: as above.
                let near = unsafe { pass.up_to::<V>(lane, limit) };
                candidates.add_lanes_and(lane, near, |lane| super_block.prefetch_code(lane));
                taken += near.count_ones() as usize;
                if taken > ENOUGH * k {
                    break;
                }
                if candidates.places().len() > MAX_CANDIDATES - BLOCK {
                    score(candidates);
                }
            }
            score(candidates);
            self.first_threshold = top.threshold();
            // SAFETY: as above.
            if nearly_all(unsafe { pass.count_up_to::<V>(limit) }, pass.len) {
                // The next one may be as full of equal codes.
                (self.unfiltered, self.most_pass) = (2, true);
            }
        } else {
            self.unfiltered = 1;
        }
        (pass.len, pass.num_alive) = (0, 0);
        // Perhaps above the one that the LUT was made for.
        self.set_lut(self.first_threshold);
    }

    /// What a code must not exceed to be of interest.
    #[inline(always)]
    fn threshold(&self) -> f32 {
        let kept = self.top.threshold();
        if kept < self.first_threshold { kept } else { self.first_threshold }
    }

    #[inline(always)]
    fn set_lut(&mut self, threshold: f32) {
        self.lut_threshold = threshold;
        self.bounds.quantize(threshold, &mut self.lut);
    }

    /// Goes on with the super-blocks under way. Whether there still are any.
    #[inline(always)]
    unsafe fn go_on<V: ByteVector>(&mut self) -> bool {
        // SAFETY: this function's contract.
        unsafe { self.score_candidates::<V>() };
        self.passes.swap(0, 1);
        // SAFETY: this function's contract.
        unsafe { self.next_pass::<V>() };
        let Scan { passes: [now, next], codes, lut, .. } = self;
        if now.len + next.len == 0 {
            self.settle();
            return false;
        }
        // SAFETY: this function's contract.
        unsafe {
            now.look_up::<V>(codes, lut, Some(next));
            self.gather::<V>();
        }
        true
    }

    /// Plans the next super-block that may hold something near. If there is none, it has no codes.
    #[inline(always)]
    unsafe fn next_pass<V: ByteVector>(&mut self) {
        let threshold = self.threshold();
        if self.bounds.is_tighter(threshold, self.lut_threshold) {
            self.set_lut(threshold);
        }
        self.passes[1].len = 0;
        while self.passes[1].len == 0 && self.visited < NEAREST + self.codes.super_blocks.len() {
            let at = self.nearest.get(self.visited).copied().unwrap_or_else(|| self.visited - NEAREST);
            let again = self.visited >= NEAREST && self.nearest.contains(&at);
            self.visited += 1;
            if at == NONE || again {
                continue;
            }
            if self.unfiltered > 0 {
                self.unfiltered -= 1;
                self.score_lanes(at, 0..self.codes.ids_of(at).len());
            } else {
                let [_, next] = &mut self.passes;
                // SAFETY: this function's contract.
                unsafe { next.plan::<V>(self.codes, at, &self.query, self.bounds, &self.lut, self.lut_threshold) };
            }
        }
    }

    /// Takes up what has passed in the super-block that is worked on.
    #[inline(always)]
    unsafe fn gather<V: ByteVector>(&mut self) {
        let [now, _] = &self.passes;
        let (len, at) = (now.len, now.at);
        let (alive, mut count) = (now.num_alive, 0);
        self.candidates_at = at;
        for i in 0..alive {
            let [now, _] = &self.passes;
            let lane = usize::from(now.alive[i]);
            // SAFETY: this function's contract.
            let near = unsafe { now.up_to::<V>(lane, LIMIT) };
            count += near.count_ones() as usize;
            if near.count_ones() as usize > BLOCK / 2 && self.most_pass {
                self.score_lanes(at, lane..len.min(lane + BLOCK));
                continue;
            }
            let super_block = &self.codes.super_blocks[at];
            self.candidates.add_lanes_and(lane, near, |lane| super_block.prefetch_code(lane));
            if self.candidates.places().len() > MAX_CANDIDATES - BLOCK {
                // SAFETY: as above.
                unsafe { self.score_candidates::<V>() };
            }
        }
        // The nearest super-blocks say little about the others.
        if self.visited > NEAREST + 1 && count > len / 2 {
            self.unfiltered = UNFILTERED;
        } else if nearly_all(count, len) {
            self.unfiltered = 1;
        }
    }

    #[inline(always)]
    unsafe fn score_candidates<V: ByteVector>(&mut self) {
        let Scan { codes, candidates, candidates_at: at, most_pass, waiting, lut, .. } = self;
        if candidates.places().is_empty() {
            return;
        }
        let before = candidates.places().len();
        let super_block = &codes.super_blocks[*at];
        // SAFETY: this function's contract.
        unsafe { super_block.look_again::<V>(lut, candidates) };
        *most_pass = candidates.places().len() > before / 2;
        waiting.take(candidates, super_block, *at * SUPER_BLOCK);
        // The threshold falls most in the nearest super-blocks.
        if waiting.places.len() >= WORTH_IT || self.visited <= NEAREST + 2 {
            self.settle();
        }
    }

    /// Scores the codes that wait for it.
    #[inline(always)]
    fn settle(&mut self) {
        let threshold = self.threshold();
        let Scan { codes, table, waiting, near, top, .. } = self;
        waiting.score(table, |place, distance| {
            // Checked here so that only few ids are read.
            if distance <= threshold {
                prefetch(&codes.ids[place]);
                near.push((place, distance));
            }
        });
        near.drain(..).for_each(|(place, distance)| top.push(codes.ids[place], distance));
    }

    /// Scores all codes in these lanes of a super-block.
    #[inline(always)]
    fn score_lanes(&mut self, at: usize, lanes: Range<usize>) {
        let super_block = &self.codes.super_blocks[at];
        for (lane, &id) in lanes.clone().zip(&self.codes.ids_of(at)[lanes]) {
            self.top.push(id, distance(&super_block.row(lane), self.table));
        }
    }
}

/// Whether a filter that lets `count` of so many codes pass is of no use.
fn nearly_all(count: usize, of: usize) -> bool {
    count > of / 8 * 7
}

/// Whole codes that are to be scored, and their places in the list.
struct Waiting {
    rows: Vec<Row>,
    places: Vec<usize>,
}

impl Waiting {
    #[inline(always)]
    fn new() -> Self {
        // Much room would be much to bring into a cache.
        Waiting { rows: Vec::with_capacity(4 * WORTH_IT), places: Vec::with_capacity(4 * WORTH_IT) }
    }

    /// Takes over the candidates of the super-block that begins at `first`.
    #[inline(always)]
    fn take<L: Layout<G>, const G: usize>(&mut self, candidates: &mut Candidates, super_block: &L, first: usize) {
        let lanes = candidates.places().iter().map(|&lane| lane as usize);
        self.rows.extend(lanes.clone().map(|lane| super_block.row(lane)));
        self.places.extend(lanes.map(|lane| first + lane));
        candidates.clear();
    }

    /// Hands the place and distance of each code to `push`, until there are none.
    #[inline(always)]
    fn score(&mut self, table: &DistanceTable, mut push: impl FnMut(usize, f32)) {
        let ((rows, last_rows), (places, last_places)) =
            (self.rows.as_chunks::<AT_ONCE>(), self.places.as_chunks::<AT_ONCE>());
        for (rows, places) in rows.iter().zip(places) {
            let distances = distances(rows, table, std::array::from_fn::<_, AT_ONCE, _>(|i| i));
            places.iter().zip(distances).for_each(|(&place, distance)| push(place, distance));
        }
        last_rows.iter().zip(last_places).for_each(|(row, &place)| push(place, distance(row, table)));
        self.rows.clear();
        self.places.clear();
    }
}

//! The way of a query through the list.

use std::ops::Range;

use super::{
    Layout, Moments, OrderedCodes, SUPER_BLOCK,
    expectation::{Expectation, NEAREST, NONE},
    pass::{Counted, Pass},
};
use crate::{
    Query, TopK,
    bounds::lut::{ByteLut, LIMIT},
    collector::Collector,
    layout::LINE,
    memory::prefetch,
    query::{HasLut, Side},
    scan::{
        candidates::{Candidates, MAX_CANDIDATES},
        filter::smallest_limit,
        score,
    },
    simd::{Level, Routine},
    table::Table,
};

/// Queries of a batch that go through the list together. More share more reading, but their tables and LUTs must stay
/// in L2, and where L3 is fast (Zen 4) sixteen take longer than one after the other.
const SIDE_BY_SIDE: usize = 4;
/// Super-blocks that each of those scans in its turn.
const TURN: usize = 8;
/// Super-blocks that are scored without a filter once one has let nearly all codes pass, so that it costs next to
/// nothing on data that defeats it.
const UNFILTERED: usize = 4;
/// Times k codes are scored for the first threshold: more than k, for their sums only estimate their distances.
const SEVERAL: usize = 3;
/// As many times k at most, where many have the same sum.
const ENOUGH: usize = 8;
/// Smallest batch to score: each batch reloads the f32 table into L1 and waits for scattered id loads.
const WORTH_IT: usize = 32;

impl<L: Level, K: Layout<G>, const G: usize> OrderedCodes<L, K, G>
where
    Side: HasLut<G>,
{
    /// Offers what can be near `query`.
    pub fn scan_one(&self, query: &mut Query, out: &mut Collector<'_>) {
        let mut workspace = self.workspace(query);
        self.level.run(One { codes: self, workspace: &mut workspace, side: self.side(query), out });
        query.leave_workspace(workspace);
    }

    /// [`scan_one`](OrderedCodes::scan_one) for several queries, which go through the list side by side: each
    /// super-block comes from memory once for all of them.
    pub fn scan_several(&self, queries: &mut [Query], outs: &mut [Collector<'_>]) {
        for (queries, outs) in queries.chunks_mut(SIDE_BY_SIDE).zip(outs.chunks_mut(SIDE_BY_SIDE)) {
            let mut workspaces: Vec<_> = queries.iter_mut().map(|query| self.workspace(query)).collect();
            let sides = queries.iter_mut().map(|query| self.side(query)).collect();
            self.level.run(Several { codes: self, workspaces: &mut workspaces, sides, outs });
            queries.iter_mut().zip(workspaces).for_each(|(query, workspace)| query.leave_workspace(workspace));
        }
    }

    fn workspace(&self, query: &mut Query) -> Box<Workspace<K, G>> {
        let mut workspace: Box<Workspace<K, G>> = query.take_workspace();
        workspace.expectation.set(query, self);
        workspace
    }
}

struct One<'a, 'o, L, K: Layout<G>, const G: usize> {
    codes: &'a OrderedCodes<L, K, G>,
    workspace: &'a mut Workspace<K, G>,
    side: &'a mut Side,
    out: &'a mut Collector<'o>,
}

impl<L: Level, K: Layout<G>, const G: usize> Routine<L> for One<'_, '_, L, K, G>
where
    Side: HasLut<G>,
{
    type Output = ();

    #[inline(always)]
    fn call(self, level: L) {
        let mut scan = Scan::new(level, self.codes, self.workspace, self.side, self.out);
        while scan.go_on() {}
    }
}

struct Several<'a, 'o, L, K: Layout<G>, const G: usize> {
    codes: &'a OrderedCodes<L, K, G>,
    workspaces: &'a mut [Box<Workspace<K, G>>],
    sides: Vec<&'a mut Side>,
    outs: &'a mut [Collector<'o>],
}

impl<L: Level, K: Layout<G>, const G: usize> Routine<L> for Several<'_, '_, L, K, G>
where
    Side: HasLut<G>,
{
    type Output = ();

    #[inline(always)]
    fn call(self, level: L) {
        let mut scans = Vec::with_capacity(self.sides.len());
        for ((side, workspace), out) in self.sides.into_iter().zip(self.workspaces).zip(self.outs) {
            scans.push(Scan::new(level, self.codes, workspace, side, out));
        }
        for end in (0..=NEAREST + self.codes.num_super_blocks() + TURN).step_by(TURN) {
            for scan in &mut scans {
                while scan.visited < end && scan.go_on() {}
            }
        }
    }
}

impl Moments {
    #[inline(always)]
    pub(super) fn prefetch(&self, at: usize) {
        let len = self.m * self.sub_dim;
        self.means[at * len..][..len].iter().step_by(16).for_each(|mean| prefetch(mean));
        prefetch(&self.variances[at * self.m]);
    }
}

/// What a query needs on its way through a list, and leaves to the next list.
struct Workspace<K: Layout<G>, const G: usize> {
    expectation: Expectation,
    /// What each sub-quantizer is expected to add.
    expected: Vec<f32>,
    /// The super-block that is worked on, and the next one.
    passes: [Box<Pass<K, G>>; 2],
    /// Lanes that are to be scored; what it takes is on the way.
    candidates: Candidates,
    /// Codes that are scored when there are enough.
    waiting: Waiting,
    /// Places and distances of those whose ids are on the way.
    near: Vec<(usize, f32)>,
}

impl<K: Layout<G>, const G: usize> Default for Workspace<K, G> {
    fn default() -> Self {
        Workspace {
            expectation: Expectation::default(),
            expected: Vec::new(),
            passes: Default::default(),
            candidates: Candidates::new(),
            waiting: Waiting::default(),
            near: Vec::new(),
        }
    }
}

/// One query on its way through the list. While a super-block is worked on, the next one is planned and its first codes
/// are on the way.
struct Scan<'a, 'o, L, K: Layout<G>, const G: usize> {
    level: L,
    codes: &'a OrderedCodes<L, K, G>,
    /// Super-blocks that have had their turn: first the nearest, then all.
    visited: usize,
    table: &'a Table,
    lut: &'a mut ByteLut<G>,
    /// As many codes as are wanted are known to lie within it.
    bound: f32,
    workspace: &'a mut Workspace<K, G>,
    /// The super-block that the candidates are of.
    candidates_at: usize,
    /// Whether the second look lets most candidates pass. Blocks of which most are candidates are scored without it
    /// then.
    most_pass: bool,
    /// Super-blocks that are still to be scored without the filter.
    unfiltered: usize,
    out: &'a mut Collector<'o>,
}

impl<'a, 'o, L: Level, K: Layout<G>, const G: usize> Scan<'a, 'o, L, K, G> {
    #[inline(always)]
    fn new(
        level: L,
        codes: &'a OrderedCodes<L, K, G>,
        workspace: &'a mut Workspace<K, G>,
        side: &'a mut Side,
        out: &'a mut Collector<'o>,
    ) -> Self
    where
        Side: HasLut<G>,
    {
        let (table, lut) = side.lut::<G>();
        lut.begin(u8::MAX, 0, out.threshold());
        workspace.passes.iter_mut().for_each(|pass| pass.clear());
        let mut this = Scan {
            level,
            codes,
            visited: 0,
            table,
            lut,
            bound: out.threshold(),
            workspace,
            candidates_at: 0,
            most_pass: !K::LOOKS_AGAIN,
            unfiltered: 0,
            out,
        };
        if this.bound == f32::INFINITY {
            this.bootstrap();
        }
        this
    }

    /// Finds a threshold that is near the last: the codes with the smallest sums in the nearest super-block, in a LUT
    /// that is made for the average distance there.
    #[inline(always)]
    fn bootstrap(&mut self) {
        let (level, k) = (self.level, self.out.k());
        let Workspace { expectation, expected, passes: [pass, _], candidates, waiting, .. } = &mut *self.workspace;
        let at = expectation.nearest[0];
        if k == 0 || at == NONE {
            return self.lut.follow(f32::INFINITY);
        }
        let codes = self.codes;
        expectation.of(&codes.moments, at, expected);
        self.lut.follow(expected.iter().sum());
        pass.plan(level, codes, at, expectation, self.lut);
        pass.look_up(level, codes, self.lut, None);
        let found = pass.count_up_to(level, LIMIT);
        // Of some that are not allowed as many more are looked at.
        let times = k.saturating_mul(self.out.sparseness());
        if found >= k {
            let wanted = found.min(times.saturating_mul(SEVERAL));
            let limit = smallest_limit(&Counted(level, pass), wanted).unwrap_or(LIMIT);
            let mut top = TopK::new(k);
            let (table, out, m) = (self.table, &*self.out, codes.codebook.geometry().m());
            let ids = codes.ids_of(at);
            let mut score = |candidates: &mut Candidates| {
                waiting.take(candidates, &codes.super_blocks, at);
                waiting.score(table, m, |place, distance| {
                    if !out.is_selective() || out.allows(ids[place - at * SUPER_BLOCK]) {
                        top.push(0, distance);
                    }
                });
            };
            let mut taken = 0;
            for &lane in &pass.alive[..pass.num_alive] {
                let lane = usize::from(lane);
                let near = pass.up_to(level, lane, limit);
                candidates.add_lanes_and(lane, near, |lane| codes.super_blocks.prefetch_code(at, lane));
                taken += near.count_ones() as usize;
                if taken > times.saturating_mul(ENOUGH) {
                    break;
                }
                if candidates.places().len() > MAX_CANDIDATES - LINE {
                    score(candidates);
                }
            }
            score(candidates);
            self.bound = top.threshold();
            if nearly_all(pass.count_up_to(level, limit), pass.len) {
                // The next one may be as full of equal codes.
                (self.unfiltered, self.most_pass) = (2, true);
            }
        } else {
            self.unfiltered = 1;
        }
        pass.clear();
        // Perhaps above the one that the LUT was made for.
        self.lut.follow(self.bound);
    }

    /// What a code must not exceed to be of interest.
    #[inline(always)]
    fn threshold(&self) -> f32 {
        let kept = self.out.threshold();
        if kept < self.bound { kept } else { self.bound }
    }

    /// Goes on with the super-blocks under way. Whether there still are any.
    #[inline(always)]
    fn go_on(&mut self) -> bool {
        self.score_candidates();
        self.workspace.passes.swap(0, 1);
        self.next_pass();
        let Scan { level, codes, lut, .. } = self;
        let [now, next] = &mut self.workspace.passes;
        if now.len + next.len == 0 {
            self.settle();
            return false;
        }
        now.look_up(*level, codes, lut, Some(next));
        self.gather();
        true
    }

    /// Plans the next super-block that may hold something near. If there is none, it has no codes.
    #[inline(always)]
    fn next_pass(&mut self) {
        let threshold = self.threshold();
        if self.lut.minima().is_tighter(threshold, self.lut.threshold()) {
            self.lut.follow(threshold);
        }
        self.workspace.passes[1].len = 0;
        while self.workspace.passes[1].len == 0 && self.visited < NEAREST + self.codes.num_super_blocks() {
            let nearest = &self.workspace.expectation.nearest;
            let at = nearest.get(self.visited).copied().unwrap_or_else(|| self.visited - NEAREST);
            let again = self.visited >= NEAREST && nearest.contains(&at);
            self.visited += 1;
            if at == NONE || again {
                continue;
            }
            if self.unfiltered > 0 {
                self.unfiltered -= 1;
                self.score_lanes(at, 0..self.codes.ids_of(at).len());
            } else {
                let Workspace { passes: [_, next], expectation, .. } = &mut *self.workspace;
                next.plan(self.level, self.codes, at, expectation, self.lut);
            }
        }
    }

    /// Takes over the candidates of the super-block under way.
    #[inline(always)]
    fn gather(&mut self) {
        let [now, _] = &self.workspace.passes;
        let (len, at) = (now.len, now.at);
        let (alive, mut count) = (now.num_alive, 0);
        self.candidates_at = at;
        for i in 0..alive {
            let [now, _] = &self.workspace.passes;
            let lane = usize::from(now.alive[i]);
            let near = now.up_to(self.level, lane, LIMIT);
            count += near.count_ones() as usize;
            if near.count_ones() as usize > LINE / 2 && self.most_pass {
                self.score_lanes(at, lane..len.min(lane + LINE));
                continue;
            }
            let super_blocks = &self.codes.super_blocks;
            let candidates = &mut self.workspace.candidates;
            candidates.add_lanes_and(lane, near, |lane| super_blocks.prefetch_code(at, lane));
            if candidates.places().len() > MAX_CANDIDATES - LINE {
                self.score_candidates();
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
    fn score_candidates(&mut self) {
        let Scan { level, codes, candidates_at: at, most_pass, lut, .. } = self;
        let Workspace { candidates, waiting, .. } = &mut *self.workspace;
        if candidates.places().is_empty() {
            return;
        }
        let before = candidates.places().len();
        codes.super_blocks.look_again(*level, *at, lut.entries(), candidates);
        *most_pass = candidates.places().len() > before / 2;
        waiting.take(candidates, &codes.super_blocks, *at);
        // The threshold falls most in the nearest super-blocks.
        if waiting.places.len() >= WORTH_IT || self.visited <= NEAREST + 2 {
            self.settle();
        }
    }

    /// Scores the codes that wait for it.
    #[inline(always)]
    fn settle(&mut self) {
        let threshold = self.threshold();
        let Scan { codes, table, out, .. } = self;
        let Workspace { waiting, near, .. } = &mut *self.workspace;
        waiting.score(table, codes.codebook.geometry().m(), |place, distance| {
            // Checked here so that only few ids are read.
            if distance <= threshold || distance.is_nan() {
                prefetch(&codes.ids[place]);
                near.push((place, distance));
            }
        });
        near.drain(..).for_each(|(place, distance)| out.push(codes.ids[place], distance));
    }

    /// Scores all codes in these lanes of a super-block.
    #[inline(always)]
    fn score_lanes(&mut self, at: usize, lanes: Range<usize>) {
        let rows = &mut self.workspace.waiting.rows;
        let (before, m) = (rows.len(), self.codes.codebook.geometry().m());
        for (lane, &id) in lanes.clone().zip(&self.codes.ids_of(at)[lanes]) {
            self.codes.super_blocks.push_row(at, lane, rows);
            let [distance] = score::of_rows(self.table, m, &rows[before..], [0]);
            rows.truncate(before);
            self.out.push(id, distance);
        }
    }
}

/// Whether a filter that lets `count` of so many codes pass is of no use.
fn nearly_all(count: usize, of: usize) -> bool {
    count > of / 8 * 7
}

/// Whole codes that are to be scored, and their places in the list.
#[derive(Default)]
struct Waiting {
    rows: Vec<u8>,
    places: Vec<u32>,
}

impl Waiting {
    /// Takes over the candidates of a super-block.
    #[inline(always)]
    fn take<K: Layout<G>, const G: usize>(&mut self, candidates: &mut Candidates, super_blocks: &K, at: usize) {
        for &lane in candidates.places() {
            super_blocks.push_row(at, lane as usize, &mut self.rows);
            self.places.push((at * SUPER_BLOCK) as u32 + lane);
        }
        candidates.clear();
    }

    /// Hands the place and distance of each code to `push`, until there are none.
    #[inline(always)]
    fn score(&mut self, table: &Table, m: usize, mut push: impl FnMut(usize, f32)) {
        let mut start = 0;
        for places in self.places.chunks(score::TOGETHER) {
            let some = std::array::from_fn(|n| start + n.min(places.len() - 1));
            let distances: [f32; score::TOGETHER] = score::of_rows(table, m, &self.rows, some);
            places.iter().zip(distances).for_each(|(&place, distance)| push(place as usize, distance));
            start += places.len();
        }
        self.rows.clear();
        self.places.clear();
    }
}

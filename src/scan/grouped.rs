//! The [filter](super::filter) of blocked codes that are looked up as they lie, and scored from the blocks that they
//! were found in.

use std::ops::Range;

use super::{
    candidates::{Candidates, MAX_CANDIDATES},
    filter::{BOOTSTRAP, Blocks, Filter, Hits, Plain, STEP, Scorer, TakeSums},
    score::{self, OfferBlockPlaces},
};
use crate::{
    Codebook, Error, Query,
    bounds::lut::HALF,
    collector::Collector,
    geometry::with_m,
    groups::FINE,
    layout::{LINE, blocks::BlockedCodes},
    memory::{prefetch, prefetch_to_l1},
    query::{HasLut, Side},
    simd::{ByteVector, Level, Line, Routine},
    table::Table,
    variant::{Prepare, Scan, cannot_run},
};

/// Looked up by the six bits that name their fine groups.
pub type SixBitGroups<L> = GroupedCodes<L, FINE>;
/// Looked up whole.
pub type WholeBytes<L> = GroupedCodes<L, 256>;

/// Codes in blocks, that a LUT of `G` groups of centroids is looked up in: 64 by the low six bits of numbers that name
/// groups of similar ones, or 256 by the codebook's own numbers.
#[derive(Clone)]
pub struct GroupedCodes<L, const G: usize> {
    level: L,
    codebook: Codebook,
    codes: BlockedCodes,
}

impl<L: Level, const G: usize> Prepare for GroupedCodes<L, G>
where
    BlockedCodes: Blocks<L, G>,
    Side: HasLut<G>,
{
    fn prepare(codebook: &Codebook, rows: &[u8], _: usize) -> Result<Self, Error> {
        let level = L::get().ok_or_else(cannot_run)?;
        let m = codebook.geometry().m();
        let codes = if G == FINE {
            let mut renumbered = rows.to_vec();
            codebook.grouped().renumber(&mut renumbered);
            BlockedCodes::new(&renumbered, m)
        } else {
            BlockedCodes::new(rows, m)
        };
        Ok(GroupedCodes { level, codebook: codebook.clone(), codes })
    }
}

impl<L: Level, const G: usize> GroupedCodes<L, G> {
    fn side<'q>(&self, query: &'q mut Query) -> &'q mut Side {
        if G == FINE { query.grouped() } else { query.original() }
    }
}

impl<L: Level, const G: usize> Scan for GroupedCodes<L, G>
where
    BlockedCodes: Blocks<L, G>,
    Side: HasLut<G>,
{
    fn scan(&self, query: &mut Query, out: &mut Collector<'_>) {
        self.level.run(One { codes: &self.codes, side: self.side(query), out });
    }

    fn scan_batch(&self, queries: &mut [Query], outs: &mut [Collector<'_>]) {
        /// Queries side by side: their LUTs take 16 KB, which leaves half of any L1 to the codes.
        const SIDE_BY_SIDE: usize = 16;
        for (queries, outs) in queries.chunks_mut(SIDE_BY_SIDE).zip(outs.chunks_mut(SIDE_BY_SIDE)) {
            let sides = queries.iter_mut().map(|query| self.side(query)).collect();
            self.level.run(Several { codes: &self.codes, sides, outs });
        }
    }

    fn score(&self, query: &mut Query, places: &[u32], out: &mut Collector<'_>) {
        self.codes.score(&self.side(query).table, places, out);
    }

    /// A code is as many cache lines as it has sub-quantizers.
    fn sparse(&self) -> usize {
        512
    }

    fn to_rows(&self) -> Vec<u8> {
        let mut rows = self.codes.to_rows();
        if G == FINE {
            self.codebook.grouped().restore(&mut rows);
        }
        rows
    }

    fn memory_bytes(&self) -> usize {
        self.codes.memory_bytes()
    }
}

struct One<'a, 'o, const G: usize> {
    codes: &'a BlockedCodes,
    side: &'a mut Side,
    out: &'a mut Collector<'o>,
}

impl<L: Level, const G: usize> Routine<L> for One<'_, '_, G>
where
    BlockedCodes: Blocks<L, G>,
    Side: HasLut<G>,
{
    type Output = ();

    #[inline(always)]
    fn call(self, level: L) {
        let (table, lut) = self.side.lut::<G>();
        let lut = Plain { lut, most: HALF, raised_row: 0, looks_again: false };
        Filter::new(level, self.codes, lut, ByBlocks::new(self.codes, table), self.out).scan_all();
    }
}

/// A step comes from memory once for all queries.
struct Several<'a, 'o, const G: usize> {
    codes: &'a BlockedCodes,
    sides: Vec<&'a mut Side>,
    outs: &'a mut [Collector<'o>],
}

impl<L: Level, const G: usize> Routine<L> for Several<'_, '_, G>
where
    BlockedCodes: Blocks<L, G>,
    Side: HasLut<G>,
{
    type Output = ();

    #[inline(always)]
    fn call(self, level: L) {
        let Several { codes, sides, outs } = self;
        let mut filters = Vec::with_capacity(sides.len());
        for (side, out) in sides.into_iter().zip(outs) {
            let (table, lut) = side.lut::<G>();
            let lut = Plain { lut, most: HALF, raised_row: 0, looks_again: false };
            filters.push(Filter::new(level, codes, lut, ByBlocks::new(codes, table), out));
        }
        let num_blocks = codes.num_blocks();
        let first = num_blocks.min(BOOTSTRAP);
        filters.iter_mut().for_each(|filter| filter.scan_to(first));
        for at in (first..num_blocks).step_by(STEP) {
            let end = num_blocks.min(at + STEP);
            if let Some(filter) = filters.first() {
                filter.prefetch(end);
            }
            let mut queries: Vec<_> = filters.iter_mut().map(|filter| filter.begin(at)).collect();
            codes.note_for_all(level, at..end, &mut queries);
            for filter in &mut filters {
                filter.take_up(end < num_blocks);
            }
        }
    }
}

/// Codes are scored from their blocks.
struct ByBlocks<'a> {
    codes: &'a BlockedCodes,
    table: &'a Table,
    candidates: Candidates,
}

impl<'a> ByBlocks<'a> {
    #[inline(always)]
    fn new(codes: &'a BlockedCodes, table: &'a Table) -> Self {
        ByBlocks { codes, table, candidates: Candidates::new() }
    }

    /// Offers the candidates, until there are none.
    #[inline(always)]
    fn settle<L: Level>(&mut self, level: L, out: &mut Collector<'_>) {
        level.run_apart(self.codes.offer(self.table, self.candidates.places(), out));
        self.candidates.clear();
    }
}

impl<L: Level, const F: usize> Scorer<L, F> for ByBlocks<'_> {
    #[inline(always)]
    fn score(
        &mut self,
        level: L,
        _: Option<(&[[u8; F]], u8)>,
        hits: &[(usize, u64)],
        _: bool,
        out: &mut Collector<'_>,
    ) {
        for &(block, lanes) in hits {
            if lanes.count_ones() as usize > LINE / 2 {
                let (first, m) = ((block * LINE) as u32, self.codes.m());
                score::offer_lanes(self.table, m, self.codes.block(block), lanes, first, out);
            } else {
                self.candidates.add_lanes(block * LINE, lanes);
                if self.candidates.places().len() > MAX_CANDIDATES - LINE {
                    self.settle(level, out);
                }
            }
        }
        self.settle(level, out);
    }
}

impl BlockedCodes {
    /// Offers the codes at some places.
    pub fn score(&self, table: &Table, places: &[u32], out: &mut Collector<'_>) {
        self.offer(table, places, out).call(());
    }

    fn offer<'a, 'o>(
        &'a self,
        table: &'a Table,
        places: &'a [u32],
        out: &'a mut Collector<'o>,
    ) -> OfferBlockPlaces<'a, 'o> {
        OfferBlockPlaces { table, m: self.m(), lines: self.lines(), height: self.height(), places, out }
    }
}

/// What a query of several looks up in, and where what may be near is noted.
type ToNote<'a, const G: usize> = (&'a [[u8; G]], &'a mut Hits);

impl BlockedCodes {
    /// Notes what may be near in some blocks, block by block, for several queries.
    #[inline(always)]
    fn note_for_all<L: Level, const G: usize>(&self, level: L, blocks: Range<usize>, queries: &mut [ToNote<'_, G>])
    where
        Self: Blocks<L, G>,
    {
        /// Blocks from the one that is read to the one that is prefetched: with so much to compute between two blocks
        /// the hardware sees no stream.
        const AHEAD: usize = 5;
        for block in blocks {
            let lines = self.block(block);
            let of = |ahead: usize| lines.as_ptr().wrapping_add(ahead * lines.len());
            let (next, ahead) = (of(1), of(AHEAD));
            (0..lines.len()).for_each(|line| prefetch(ahead.wrapping_add(line)));
            for (at, (lut, hits)) in queries.iter_mut().enumerate() {
                // A line a query: all at once would be more than L1 can wait for.
                if at < lines.len() {
                    prefetch_to_l1(next.wrapping_add(at));
                }
                self.for_each_sum(level, lut, block..block + 1, *hits);
            }
        }
    }
}

impl<L: Level> Blocks<L, FINE> for BlockedCodes {
    fn num_vectors(&self) -> usize {
        self.num_vectors()
    }

    #[inline(always)]
    fn for_each_sum(&self, level: L, lut: &[[u8; FINE]], blocks: Range<usize>, take: &mut impl TakeSums<L>) {
        if let Ok(lut) = <&[[u8; FINE]; 16]>::try_from(lut) {
            // The whole LUT in registers, where there are as many.
            let mut tables = [L::Bytes::table_64(level, &lut[0]); 16];
            for (table, entries) in tables.iter_mut().zip(lut) {
                *table = L::Bytes::table_64(level, entries);
            }
            for block in blocks {
                let lines: &[[u8; LINE]; 16] = self.block(block).first_chunk().expect("16 lines");
                take.take(sums_in(level, &tables, lines));
            }
        } else {
            for block in blocks {
                let mut sums = Line::splat(level, 0);
                for (lut, lines) in lut.as_chunks::<4>().0.iter().zip(self.block(block).as_chunks::<4>().0) {
                    let mut tables = [L::Bytes::table_64(level, &lut[0]); 4];
                    for (table, entries) in tables.iter_mut().zip(lut) {
                        *table = L::Bytes::table_64(level, entries);
                    }
                    sums = sums.add_saturating(sums_in(level, &tables, lines));
                }
                take.take(sums);
            }
        }
    }

    fn block_bytes(&self) -> usize {
        self.height() * LINE
    }

    fn bytes(&self) -> &[u8] {
        self.lines().as_flattened()
    }
}

/// The saturating sums of the lanes of `N` lines, an even number.
#[inline(always)]
fn sums_in<L: Level, const N: usize>(
    level: L,
    tables: &[<L::Bytes as ByteVector>::Table64; N],
    lines: &[[u8; LINE]; N],
) -> Line<L::Bytes> {
    // Two sums, so that none waits for the other; two entries do not overflow: see [`HALF`].
    let mut sums = [Line::splat(level, 0); 2];
    for at in (0..N).step_by(2) {
        let a = Line::load(level, &lines[at]).look_up_in_64(tables[at]);
        let b = Line::load(level, &lines[at + 1]).look_up_in_64(tables[at + 1]);
        sums[at / 2 % 2] = sums[at / 2 % 2].add_saturating(a.add_wrapping(b));
    }
    sums[0].add_saturating(sums[1])
}

impl<L: Level> Blocks<L, 256> for BlockedCodes {
    fn num_vectors(&self) -> usize {
        self.num_vectors()
    }

    #[inline(always)]
    fn for_each_sum(&self, level: L, lut: &[[u8; 256]], blocks: Range<usize>, take: &mut impl TakeSums<L>) {
        /// Blocks that share the loads of the LUT, which would limit the scan of one at a time.
        const TOGETHER: usize = 4;
        let whole = blocks.len() / TOGETHER * TOGETHER;
        let (first, height) = (blocks.start, self.height());
        for at in (first..first + whole).step_by(TOGETHER) {
            let lines = &self.lines()[at * height..][..TOGETHER * height];
            for sums in with_m!(height, sums_of::<L, TOGETHER>(level, &lut[..height], lines, height)) {
                take.take(sums);
            }
        }
        for at in first + whole..blocks.end {
            let [sums] = with_m!(height, sums_of(level, &lut[..height], self.block(at), height));
            take.take(sums);
        }
    }

    fn block_bytes(&self) -> usize {
        self.height() * LINE
    }

    fn bytes(&self) -> &[u8] {
        self.lines().as_flattened()
    }
}

/// The saturating sums of `N` blocks of `height` lines.
#[inline(always)]
fn sums_of<L: Level, const N: usize>(
    level: L,
    lut: &[[u8; 256]],
    lines: &[[u8; LINE]],
    height: usize,
) -> [Line<L::Bytes>; N] {
    /// Blocks from the one that is read to the one that is prefetched: to the hardware several at once are no stream.
    const AHEAD: usize = 12;
    let lines = &lines[..N * height];
    let mut sums = [Line::splat(level, 0); N];
    for at in (0..height).step_by(2) {
        for (block, sum) in sums.iter_mut().enumerate() {
            let ahead = lines.as_ptr().wrapping_add((block + AHEAD) * height + at);
            prefetch(ahead);
            prefetch(ahead.wrapping_add(1));
            let a = Line::load(level, &lines[block * height + at]).look_up_in(&lut[at]);
            let b = Line::load(level, &lines[block * height + at + 1]).look_up_in(&lut[at + 1]);
            // Two do not overflow: see [`HALF`].
            *sum = sum.add_saturating(a.add_wrapping(b));
        }
    }
    sums
}

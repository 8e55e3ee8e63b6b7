//! The exact filter over row-major codes that nothing prepared, of 16 sub-quantizers with 8 bits.
//!
//! Codes have to be transposed to be looked up many at a time, which costs as much as the look-ups. So only half of
//! them are: those of the most informative sub-quantizers of the query. What their sums leave is looked up in all
//! sub-quantizers, as many candidates at a time as a vector has bytes, and scored.
//!
//! The centroids have the numbers that their codebook gave them, so a [group](crate::bounds::lut::GroupMinima) of those
//! whose low bits are equal is of any: groups of two bound a distance well enough, groups of four hardly.

use std::{marker::PhantomData, ops::Range};

use super::{
    filter::{Blocks, Filter, Plain, TakeSums},
    rows::{ByRows, Rows},
    score,
};
use crate::{
    Codebook, Error, Geometry, Query,
    collector::Collector,
    geometry::Bits,
    layout::LINE,
    query::{HasLut, Side},
    simd::{ByteVector, Level, Line, Routine},
    variant::{Prepare, ProbeFn, Scan, cannot_run},
};

/// Sub-quantizers.
const M: usize = 16;
/// A row-major code.
type Row = [u8; M];

/// Sub-quantizers that are looked up first.
const FIRST: usize = M / 2;
/// Codes in a list below which a filter costs more to set up than it saves.
const SHORT: usize = 1536;

/// Why a shape is not supported, if it is not.
pub fn unsupported(geometry: Geometry) -> Option<&'static str> {
    (geometry.m() != M || geometry.bits() != Bits::Eight).then_some("needs 16 sub-quantizers of 8 bits")
}

/// A list of codes as they come, scanned like those that nothing prepared.
#[derive(Clone)]
pub struct RowMajorCodes {
    rows: Rows,
    probe: ProbeFn,
}

impl RowMajorCodes {
    /// Copies row-major codes, for `probe` to scan.
    pub fn new(codebook: &Codebook, rows: &[u8], probe: ProbeFn) -> Self {
        RowMajorCodes { rows: Rows::new(rows, codebook.geometry().m()), probe }
    }
}

impl Scan for RowMajorCodes {
    fn scan(&self, query: &mut Query, out: &mut Collector<'_>) {
        (self.probe)(query, self.rows.all(), out);
    }

    fn score(&self, query: &mut Query, places: &[u32], out: &mut Collector<'_>) {
        self.rows.score(&query.original().table, places, out);
    }

    fn to_rows(&self) -> Vec<u8> {
        self.rows.all().to_vec()
    }

    fn memory_bytes(&self) -> usize {
        self.rows.memory_bytes()
    }
}

/// Offers what can be near of row-major `rows`, by look-ups in `G` groups with the vectors of `L`: a [`ProbeFn`] for a
/// variant that requires the level.
pub fn probe<L: Level, const G: usize>(query: &mut Query, rows: &[u8], out: &mut Collector<'_>)
where
    Side: HasLut<G>,
{
    let geometry = query.geometry();
    let worth_it = rows.len() >= SHORT * M && unsupported(geometry).is_none();
    let side = query.original();
    match L::get().filter(|_| worth_it) {
        Some(level) => level.run(Probe::<G> { rows, side, out }),
        None => score::offer_rows(&side.table, geometry.m(), rows, 0, out),
    }
}

struct Probe<'a, 'o, const G: usize> {
    rows: &'a [u8],
    side: &'a mut Side,
    out: &'a mut Collector<'o>,
}

impl<L: Level, const G: usize> Routine<L> for Probe<'_, '_, G>
where
    Side: HasLut<G>,
{
    type Output = ();

    #[inline(always)]
    fn call(self, level: L) {
        let Probe { rows, side, out } = self;
        let rows: &[Row] = rows.as_chunks().0;
        let (table, lut) = side.lut::<G>();
        // What an allocator aligns to 16 bytes only begins within a cache line; from the next one on no vector is
        // across two. Where not all are allowed, blocks are those of the bitmap.
        let ahead = match rows.as_ptr().align_offset(LINE) {
            ahead @ ..4 if !out.is_selective() => ahead,
            _ => 0,
        };
        let (first, rest) = rows.split_at(ahead);
        let last = rest.as_chunks::<LINE>().1;
        score::offer_rows(table, M, first.as_flattened(), 0, out);
        score::offer_rows(table, M, last.as_flattened(), (rows.len() - last.len()) as u32, out);

        let spreads = lut.minima().spreads();
        let mut order: [usize; M] = std::array::from_fn(|m| m);
        order.sort_unstable_by(|&a, &b| spreads[b].total_cmp(&spreads[a]));
        let informative = *order.first_chunk().expect("half of them");
        let lut = Plain { lut, most: u8::MAX, raised_row: informative[0], looks_again: true };
        let rows = &rest[..rest.len() - last.len()];
        let blocks = RowBlocks { rows, informative };
        let scorer = ByRows::summed(rows.as_flattened(), M, ahead as u32, table);
        Filter::new(level, &blocks, lut, scorer, out).scan_all();
    }
}

/// Row-major codes, 64 rows a block, whose most informative sub-quantizers are summed.
struct RowBlocks<'a> {
    rows: &'a [Row],
    informative: [usize; FIRST],
}

impl<L: Level, const G: usize> Blocks<L, G> for RowBlocks<'_> {
    fn num_vectors(&self) -> usize {
        self.rows.len()
    }

    #[inline(always)]
    fn for_each_sum(&self, level: L, lut: &[[u8; G]], blocks: Range<usize>, take: &mut impl TakeSums<L>) {
        let rows = &self.rows[blocks.start * LINE..blocks.end * LINE];
        // A function of its own, so that it has the registers to itself.
        level.run_apart(Sum { rows, informative: self.informative, lut, take });
    }

    fn block_bytes(&self) -> usize {
        LINE * M
    }

    fn bytes(&self) -> &[u8] {
        self.rows.as_flattened()
    }
}

struct Sum<'a, 't, T, const G: usize> {
    rows: &'a [Row],
    informative: [usize; FIRST],
    lut: &'a [[u8; G]],
    take: &'t mut T,
}

/// Begins with a cache line, so that no part of it that is loaded is in two.
#[repr(align(64))]
struct Aligned<T>(T);

impl<L: Level, T: TakeSums<L>, const G: usize> Routine<L> for Sum<'_, '_, T, G> {
    type Output = ();

    #[inline(always)]
    fn call(self, level: L) {
        let Sum { rows, informative, lut, take } = self;
        let index = L::Bytes::column_index(level, &informative);
        let mut entries = Aligned([[0; G]; FIRST]);
        for (entries, &m) in entries.0.iter_mut().zip(&informative) {
            *entries = L::Bytes::arrange(level, &lut[m % M]);
        }
        for block in rows.chunks_exact(LINE) {
            let mut columns = [[L::Bytes::splat(level, 0); FIRST]; 4];
            for (columns, rows) in columns.iter_mut().zip(block.chunks_exact(L::Bytes::LANES)) {
                *columns = L::Bytes::eight_columns(level, index, rows);
            }
            let mut sums = Line::<L::Bytes>::splat(level, 0);
            for (m, entries) in entries.0.iter().enumerate() {
                for (part, columns) in columns.iter().enumerate().take(LINE / L::Bytes::LANES) {
                    let found = L::Bytes::look_up_arranged(entries, columns[m]);
                    sums.set_part(part, sums.part(part).add_saturating(found));
                }
            }
            take.take(sums.interleave_sixteens());
        }
    }
}

/// A list for [`probe`] with groups of two centroids, which seven bits name.
#[derive(Clone)]
pub struct SevenBitRows<L> {
    rows: RowMajorCodes,
    level: PhantomData<L>,
}

impl<L: Level> Prepare for SevenBitRows<L> {
    fn prepare(codebook: &Codebook, rows: &[u8], _: usize) -> Result<Self, Error> {
        L::get().ok_or_else(cannot_run)?;
        Ok(SevenBitRows { rows: RowMajorCodes::new(codebook, rows, probe::<L, 128>), level: PhantomData })
    }
}

impl<L: Level> Scan for SevenBitRows<L> {
    fn scan(&self, query: &mut Query, out: &mut Collector<'_>) {
        self.rows.scan(query, out);
    }

    fn score(&self, query: &mut Query, places: &[u32], out: &mut Collector<'_>) {
        self.rows.score(query, places, out);
    }

    fn to_rows(&self) -> Vec<u8> {
        self.rows.to_rows()
    }

    fn memory_bytes(&self) -> usize {
        self.rows.memory_bytes()
    }
}

//! The [filter](super::filter) over labels that are fit for byte shuffles; the whole codes lie beside them.
//!
//! 1. A LUT of 16 or 32 groups is summed over the labels of all codes ([`Nibbles`], [`FiveBits`]). The groups are
//!    merged from the 64 fine groups of a sub-quantizer.
//! 2. Candidates are looked up from the whole codes, row-major, in the LUT of the fine groups, as many at a time as a
//!    vector has bytes.
//! 3. Survivors, one in four (of 32 groups) to one in twenty (of 16), are scored in f32.
//!
//! Where a vector can look up all 64 ([`SixBits`]) they stay as they are, and only the bits that name no group are left
//! out of the stream; there is no second step.
//!
//! A long list has groups fitted to its codes; short ones share their codebook's.

use std::{marker::PhantomData, ops::Range, sync::Arc};

use super::{
    filter::{Blocks, Coarse, Filter, Plain, TakeSums},
    rows::{ByRows, Rows},
};
use crate::{
    Codebook, Error, Query,
    bounds::lut::HALF,
    codebook::{FIVE_BIT_GROUPS, Grouped, NIBBLE_GROUPS},
    collector::Collector,
    groups::{FINE, Merged, fine_group},
    layout::{
        LINE,
        labels::{FiveBits, Labels, Nibbles, SixBits},
    },
    memory::HugeVec,
    query::{HasMerged, Side},
    simd::{ByteVector, Level, Routine},
    variant::{Prepare, Scan, cannot_run},
};

/// Codes in a list from which on groups are fitted to it.
const FITTED_FROM: usize = 1 << 14;

/// In 16 groups, two labels a byte.
pub type NibbleCodes<L> = MergedCodes<L, Nibbles, NIBBLE_GROUPS>;
/// In 32 groups.
pub type FiveBitCodes<L> = MergedCodes<L, FiveBits, FIVE_BIT_GROUPS>;

/// A list of codes, whole and as labels of `M` merged groups.
#[derive(Clone)]
pub struct MergedCodes<L, B, const M: usize> {
    level: L,
    codebook: Codebook,
    groups: Arc<Merged<M>>,
    labels: LabelledCodes<B>,
    rows: Rows,
}

/// That a codebook has `M` merged groups for all lists.
pub trait SharedGroups<const M: usize> {
    /// They.
    fn shared(&self) -> &Arc<Merged<M>>;
}

impl SharedGroups<NIBBLE_GROUPS> for Grouped {
    fn shared(&self) -> &Arc<Merged<NIBBLE_GROUPS>> {
        self.nibbles()
    }
}

impl SharedGroups<FIVE_BIT_GROUPS> for Grouped {
    fn shared(&self) -> &Arc<Merged<FIVE_BIT_GROUPS>> {
        self.five_bits()
    }
}

impl<L: Level, B: Labels<M>, const M: usize> Prepare for MergedCodes<L, B, M>
where
    Grouped: SharedGroups<M>,
    Side: HasMerged<M>,
{
    fn prepare(codebook: &Codebook, rows: &[u8], _: usize) -> Result<Self, Error> {
        let level = L::get().ok_or_else(cannot_run)?;
        let geometry = codebook.geometry();
        let (m, grouped) = (geometry.m(), codebook.grouped());
        let rows = Rows::renumbered(codebook, rows);
        let groups = if rows.num_vectors() >= FITTED_FROM {
            let mut counts = vec![[0u32; 256]; m];
            for row in rows.all().chunks_exact(m) {
                row.iter().zip(&mut counts).for_each(|(&code, counts)| counts[usize::from(code)] += 1);
            }
            Arc::new(Merged::fit(geometry, &grouped.centroids, |m, code| counts[m][code].into()))
        } else {
            grouped.shared().clone()
        };
        let labels = LabelledCodes::new(rows.all(), m, B::LINES, |lines, m, lane, code| {
            B::put(lines, m, lane, groups.label(m, code));
        });
        Ok(MergedCodes { level, codebook: codebook.clone(), groups, labels, rows })
    }
}

impl<L: Level, B: Labels<M>, const M: usize> Scan for MergedCodes<L, B, M>
where
    Grouped: SharedGroups<M>,
    Side: HasMerged<M>,
{
    fn scan(&self, query: &mut Query, out: &mut Collector<'_>) {
        self.level.run(ScanMerged { codes: self, side: query.grouped(), out });
    }

    fn score(&self, query: &mut Query, places: &[u32], out: &mut Collector<'_>) {
        self.rows.score(&query.grouped().table, places, out);
    }

    fn to_rows(&self) -> Vec<u8> {
        let mut rows = self.rows.all().to_vec();
        self.codebook.grouped().restore(&mut rows);
        rows
    }

    fn memory_bytes(&self) -> usize {
        let own = if self.rows.num_vectors() >= FITTED_FROM { self.groups.memory_bytes() } else { 0 };
        own + size_of_val(&*self.labels.lines) + self.rows.memory_bytes()
    }
}

struct ScanMerged<'a, 'o, L, B, const M: usize> {
    codes: &'a MergedCodes<L, B, M>,
    side: &'a mut Side,
    out: &'a mut Collector<'o>,
}

impl<L: Level, B: Labels<M>, const M: usize> Routine<L> for ScanMerged<'_, '_, L, B, M>
where
    Side: HasMerged<M>,
{
    type Output = ();

    #[inline(always)]
    fn call(self, level: L) {
        let ScanMerged { codes, side, out } = self;
        let (table, fine, merged) = side.merged::<M>();
        let lut = Coarse { fine, merged, groups: &codes.groups };
        let scorer = ByRows::apart(codes.rows.bytes(), codes.codebook.geometry().m(), table);
        Filter::new(level, &codes.labels, lut, scorer, out).scan_all();
    }
}

/// A list of codes, whole and as six bits each that name their fine groups.
#[derive(Clone)]
pub struct SixBitCodes<L> {
    level: L,
    codebook: Codebook,
    labels: LabelledCodes<SixBits>,
    rows: Rows,
}

impl<L: Level> Prepare for SixBitCodes<L> {
    fn prepare(codebook: &Codebook, rows: &[u8], _: usize) -> Result<Self, Error> {
        let level = L::get().ok_or_else(cannot_run)?;
        let rows = Rows::renumbered(codebook, rows);
        let labels = LabelledCodes::new(rows.all(), codebook.geometry().m(), SixBits::LINES, |lines, m, lane, code| {
            SixBits::put(lines, m, lane, fine_group(code) as u8);
        });
        Ok(SixBitCodes { level, codebook: codebook.clone(), labels, rows })
    }
}

impl<L: Level> Scan for SixBitCodes<L> {
    fn scan(&self, query: &mut Query, out: &mut Collector<'_>) {
        self.level.run(ScanSixBits { codes: self, side: query.grouped(), out });
    }

    fn score(&self, query: &mut Query, places: &[u32], out: &mut Collector<'_>) {
        self.rows.score(&query.grouped().table, places, out);
    }

    fn to_rows(&self) -> Vec<u8> {
        let mut rows = self.rows.all().to_vec();
        self.codebook.grouped().restore(&mut rows);
        rows
    }

    fn memory_bytes(&self) -> usize {
        size_of_val(&*self.labels.lines) + self.rows.memory_bytes()
    }
}

struct ScanSixBits<'a, 'o, L> {
    codes: &'a SixBitCodes<L>,
    side: &'a mut Side,
    out: &'a mut Collector<'o>,
}

impl<L: Level> Routine<L> for ScanSixBits<'_, '_, L> {
    type Output = ();

    #[inline(always)]
    fn call(self, level: L) {
        let ScanSixBits { codes, side, out } = self;
        let (table, lut) = side.lut::<FINE>();
        let lut = Plain { lut, most: HALF, raised_row: 0, looks_again: false };
        let scorer = ByRows::apart(codes.rows.bytes(), codes.codebook.geometry().m(), table);
        Filter::new(level, &codes.labels, lut, scorer, out).scan_all();
    }
}

/// Labels in blocks of 64 vectors, as `B` packs them.
#[derive(Clone)]
pub struct LabelledCodes<B> {
    lines: HugeVec<[u8; LINE]>,
    /// Lines of a block.
    height: usize,
    num_vectors: usize,
    packing: PhantomData<B>,
}

impl<B> LabelledCodes<B> {
    /// The labels of row-major `rows`, of which `put` sets one; four sub-quantizers take `lines`.
    fn new(rows: &[u8], m: usize, lines: usize, put: impl Fn(&mut [[u8; LINE]], usize, usize, u8)) -> Self {
        let (num_vectors, height) = (rows.len() / m, m.div_ceil(4) * lines);
        let mut lines = HugeVec::zeroed(num_vectors.div_ceil(LINE) * height);
        for (block, rows) in lines.chunks_exact_mut(height).zip(rows.chunks(LINE * m)) {
            for m_at in 0..m {
                for (lane, row) in rows.chunks_exact(m).enumerate() {
                    put(block, m_at, lane, row[m_at]);
                }
            }
        }
        LabelledCodes { lines, height, num_vectors, packing: PhantomData }
    }
}

impl<L: Level, B: Labels<G>, const G: usize> Blocks<L, G> for LabelledCodes<B> {
    fn num_vectors(&self) -> usize {
        self.num_vectors
    }

    #[inline(always)]
    fn for_each_sum(&self, level: L, lut: &[[u8; G]], blocks: Range<usize>, take: &mut impl TakeSums<L>) {
        // A loop without a count that is known has the registers of one turn; 16 or fewer would not do for all turns.
        if lut.len() == 16 && L::Bytes::LANES == LINE {
            self.sums(level, &lut[..16], blocks, take);
        } else {
            self.sums(level, lut, blocks, take);
        }
    }

    fn block_bytes(&self) -> usize {
        self.height * LINE
    }

    fn bytes(&self) -> &[u8] {
        self.lines.as_flattened()
    }
}

impl<B> LabelledCodes<B> {
    #[inline(always)]
    fn sums<L: Level, const G: usize>(
        &self,
        level: L,
        lut: &[[u8; G]],
        blocks: Range<usize>,
        take: &mut impl TakeSums<L>,
    ) where
        B: Labels<G>,
    {
        let height = lut.len() / 4 * B::LINES;
        let lines = &self.lines[blocks.start * height..blocks.end * height];
        for lines in lines.chunks_exact(height) {
            take.take(B::sums(level, lut, lines));
        }
    }
}

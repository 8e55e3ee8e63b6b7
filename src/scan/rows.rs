//! Whole codes, row-major: as a list, and as what the candidates of a filter are looked up in and scored from.

use super::{
    candidates::{Candidates, MAX_CANDIDATES},
    filter::Scorer,
    score::{self, OfferPlaces},
};
use crate::{
    Codebook,
    bounds::lut::LIMIT,
    collector::Collector,
    layout::{LINE, lanes},
    memory::{HugeVec, prefetch},
    simd::{ByteVector, Level, Routine},
    table::Table,
};

/// A copy of row-major codes.
#[derive(Clone)]
pub struct Rows {
    /// With a few bytes more, so that 16 can be read from anywhere in a row.
    bytes: HugeVec<u8>,
    m: usize,
    num_vectors: usize,
}

impl Rows {
    /// Copies `rows` of `m` bytes.
    pub fn new(rows: &[u8], m: usize) -> Rows {
        let slack = if m.is_multiple_of(16) { 0 } else { 16 };
        let mut bytes = HugeVec::zeroed(rows.len() + slack);
        bytes[..rows.len()].copy_from_slice(rows);
        Rows { bytes, m, num_vectors: rows.len() / m }
    }

    /// Copies rows under their grouped numbers.
    pub fn renumbered(codebook: &Codebook, rows: &[u8]) -> Rows {
        let mut this = Self::new(rows, codebook.geometry().m());
        codebook.grouped().renumber(&mut this.bytes[..rows.len()]);
        this
    }

    /// How many there are.
    pub fn num_vectors(&self) -> usize {
        self.num_vectors
    }

    /// The rows.
    pub fn all(&self) -> &[u8] {
        &self.bytes[..self.num_vectors * self.m]
    }

    /// The rows and a few bytes more.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Offers the rows at some places.
    pub fn score(&self, table: &Table, places: &[u32], out: &mut Collector<'_>) {
        Routine::call(OfferPlaces { table, m: self.m, rows: &self.bytes, places, first: 0, out }, ());
    }

    /// Bytes that it holds.
    pub fn memory_bytes(&self) -> usize {
        self.bytes.len()
    }
}

/// Candidates are looked up once more from whole codes, which are prefetched, in a finer LUT, and survivors are scored.
pub struct ByRows<'a> {
    /// Rows of `m` bytes; if that is no multiple of 16, with 16 bytes more.
    rows: &'a [u8],
    m: usize,
    /// The place of the first row.
    first: u32,
    table: &'a Table,
    candidates: Candidates,
    /// Whether rows are prefetched, since they lie apart from what was summed, and not in L2.
    far: bool,
}

/// Bytes of rows from which on they do not stay in L2.
const FAR: usize = 1 << 18;

impl<'a> ByRows<'a> {
    /// For `rows` of `m` bytes that lie apart from what is summed, and 16 bytes more if that is no multiple of 16.
    #[inline(always)]
    pub fn apart(rows: &'a [u8], m: usize, table: &'a Table) -> Self {
        ByRows { rows, m, first: 0, table, candidates: Candidates::new(), far: rows.len() > FAR }
    }

    /// For `rows` of `m` bytes, a multiple of 16, that have just been summed, and whose places begin with `first`.
    #[inline(always)]
    pub fn summed(rows: &'a [u8], m: usize, first: u32, table: &'a Table) -> Self {
        ByRows { rows, m, first, table, candidates: Candidates::new(), far: false }
    }

    /// Scores the candidates that a LUT, if there is one, leaves within its limit.
    #[inline(always)]
    fn settle<L: Level, const F: usize>(&mut self, level: L, finer: Option<(&[[u8; F]], u8)>, out: &mut Collector<'_>) {
        if let Some((lut, limit)) = finer {
            look_again(level, self.rows, self.m, lut, limit, &mut self.candidates);
        }
        let ByRows { rows, m, first, table, .. } = *self;
        level.run_apart(OfferPlaces { table, m, rows, places: self.candidates.places(), first, out });
        self.candidates.clear();
    }
}

impl<L: Level, const F: usize> Scorer<L, F> for ByRows<'_> {
    #[inline(always)]
    fn score(
        &mut self,
        level: L,
        finer: Option<(&[[u8; F]], u8)>,
        hits: &[(usize, u64)],
        more: bool,
        out: &mut Collector<'_>,
    ) {
        /// Lanes of a block that are scored without a second look at all, which would take as long.
        const MOST: usize = LINE / 4 * 3;
        /// Blocks whose candidates can wait together.
        const TOGETHER: usize = MAX_CANDIDATES / MOST;
        let far = self.far;
        // Where there is no finer LUT, few are left: those are scored while they arrive as fast as later.
        let keep = more && far && finer.is_some();
        let mut parts = hits.chunks(TOGETHER);
        for _ in 0..parts.len() + usize::from(!keep) {
            // Those of the part before have arrived by now.
            self.settle(level, finer, out);
            for &(block, lanes) in parts.next().unwrap_or_default() {
                let first = block * LINE;
                if lanes.count_ones() as usize > MOST {
                    let rows = &self.rows[first * self.m..];
                    score::offer_row_lanes(self.table, self.m, rows, lanes, self.first + first as u32, out);
                } else {
                    self.candidates.add_lanes(first, lanes);
                }
            }
            if far {
                self.candidates.places().iter().for_each(|&place| prefetch(&self.rows[place as usize * self.m]));
            }
        }
    }
}

/// Drops those `candidates` among `rows` of `m` bytes (and 16 more if that is no multiple of 16) whose sum in `lut`,
/// over all sub-quantizers, is more than `limit`, below 255.
#[inline(always)]
pub fn look_again<L: Level, const G: usize>(
    level: L,
    rows: &[u8],
    m: usize,
    lut: &[[u8; G]],
    limit: u8,
    candidates: &mut Candidates,
) {
    /// Fewer are scored in no more time.
    const WORTH_IT: usize = 4;
    if candidates.places().len() < WORTH_IT {
        return;
    }
    level.run_apart(LookAgain { rows, m, lut, limit, candidates });
}

struct LookAgain<'a, const G: usize> {
    rows: &'a [u8],
    m: usize,
    lut: &'a [[u8; G]],
    limit: u8,
    candidates: &'a mut Candidates,
}

impl<L: Level, const G: usize> Routine<L> for LookAgain<'_, G> {
    type Output = ();

    #[inline(always)]
    fn call(self, level: L) {
        let LookAgain { rows, m, lut, limit, candidates } = self;
        let mut near = [0; MAX_CANDIDATES / 16];
        for (places, near) in candidates.places().chunks(L::Bytes::LANES).zip(&mut near) {
            let mut sum = L::Bytes::splat(level, LIMIT - limit);
            if m == 16 {
                for (entries, codes) in lut[..16].iter().zip(columns::<L>(level, rows, 16, 0, places)) {
                    sum = sum.add_saturating(L::Bytes::look_up_in(entries, codes));
                }
            } else {
                for first in (0..m).step_by(16) {
                    let lut = &lut[first..m.min(first + 16)];
                    for (entries, codes) in lut.iter().zip(columns::<L>(level, rows, m, first, places)) {
                        sum = sum.add_saturating(L::Bytes::look_up_in(entries, codes));
                    }
                }
            }
            *near = sum.below_255() & lanes(places.len());
        }
        candidates.keep(&near, L::Bytes::LANES);
    }
}

/// Some of row-major codes of `m` bytes, by sub-quantizer: lane `i` of vector `n` is code `first + n` of the row at
/// `places[i]`. Lanes beyond the places repeat the last one, vectors beyond the sub-quantizers hold anything.
///
/// # Panics
/// There are no places, or the 16 bytes of one are not all in `rows`.
#[inline(always)]
fn columns<L: Level>(level: L, rows: &[u8], m: usize, first: usize, places: &[u32]) -> [L::Bytes; 16] {
    // Once, for a check of each would take a tenth of a query.
    let last = places.len().checked_sub(1).expect("places");
    let largest = places.iter().fold(0, |largest, &place| largest.max(place)) as usize;
    assert!(largest * m + first + 16 <= rows.len(), "place {largest} of {} bytes", rows.len());
    let mut columns = [L::Bytes::splat(level, 0); 16];
    for (i, column) in columns.iter_mut().enumerate() {
        let mut from = [&[0; 16]; 4];
        for (quarter, from) in from.iter_mut().enumerate().take(L::Bytes::LANES / 16) {
            let place = places[(16 * quarter + i).min(last)] as usize;
            // SAFETY: it is one of `places`, the largest of which has 16 bytes from there on.
            *from = unsafe { &*rows.as_ptr().add(place * m + first).cast() };
        }
        *column = L::Bytes::load_sixteens(level, from);
    }
    // Interleaving the first half with the second, four times.
    for _ in 0..4 {
        let rows = columns;
        for i in 0..8 {
            columns[2 * i] = rows[i].interleave_low(rows[i + 8]);
            columns[2 * i + 1] = rows[i].interleave_high(rows[i + 8]);
        }
    }
    columns
}

//! The exact filter over row-major codes that nothing prepared.
//!
//! Codes have to be transposed to be looked up many at a time, which costs as much as the look-ups. So only half of them are:
//! those of the sub-quantizers that tell most for the query. What their sums leave, the [filter](crate::filter) keeps until
//! there is enough, is looked up in all sub-quantizers, as many candidates at a time as a vector has bytes, and scored.
//!
//! The centroids have the numbers that their codebook gave them, so a [group](crate::lut::FilterLut) of those whose low bits are
//! equal is of any: groups of two bound a distance well enough, groups of four hardly.

use std::mem::MaybeUninit;

use crate::{
    Codebook, DIM, DistanceTable, NUM_SUB_VECTORS, TopKHeap,
    blocks::{BLOCK, lanes},
    byte_vector::{ByteVector, columns},
    candidates::{Candidates, MAX_CANDIDATES},
    filter::{Filter, FindNear, LaneSums, Near, Scorer, WriteSums},
    lut::{FallingLut, FilterLut, FilterTable, LIMIT, Lut},
    memory::HugeVec,
    registry::{ProbeFn, Scan},
    table::distance,
};

/// The kernel of a variant for codes that stay as they are: look-ups in groups of two centroids with `$vector`, which needs
/// `$features`.
macro_rules! row_major_kernel {
    ($vector:ident, $features:literal) => {
        const GROUPS: usize = $crate::NUM_CENTROIDS / 2;
        /// Vectors to a block.
        const PARTS: usize = $crate::blocks::BLOCK / <$vector as $crate::byte_vector::ByteVector>::LANES;

        type Lut = $crate::lut::FilterLut<GROUPS>;

        pub fn prepare(
            codebook: &$crate::Codebook,
            codes: &[u8],
        ) -> Result<Box<dyn $crate::registry::Scan>, $crate::Error> {
            Ok(Box::new($crate::row_major::RowMajorCodes::new(codebook, codes, probe)))
        }

        pub fn probe(table: &$crate::DistanceTable, codes: &[u8], top: &mut $crate::TopKHeap) {
            // SAFETY: the registry hands this function out only where the CPU has the features that the variant requires.
            unsafe { scan(table, codes, top) }
        }

        #[target_feature(enable = $features)]
        fn scan(table: &$crate::DistanceTable, codes: &[u8], top: &mut $crate::TopKHeap) {
            // SAFETY: this function is compiled for the very features; all sums are written.
            unsafe {
                $crate::row_major::scan::<$vector, GROUPS, _, _>(table, codes, top, |leading| {
                    let write_sums = move |lut: &_, blocks: &[_], out: &mut [_]| write_sums(&leading, lut, blocks, out);
                    (write_sums, move |lut: &_, blocks: &[_], near: &mut _| find_near(&leading, lut, blocks, near))
                });
            }
        }

        // Functions of their own, so that each has the registers to itself.

        #[inline(never)]
        #[target_feature(enable = $features)]
        fn find_near(
            leading: &$crate::row_major::Leading,
            lut: &Lut,
            blocks: &[$crate::row_major::RowBlock],
            near: &mut $crate::filter::Near,
        ) {
            // SAFETY: this function is compiled for the very features.
            unsafe { $crate::row_major::find_near::<$vector, GROUPS, PARTS>(leading, lut, blocks, near) };
        }

        #[inline(never)]
        #[target_feature(enable = $features)]
        fn write_sums(
            leading: &$crate::row_major::Leading,
            lut: &Lut,
            blocks: &[$crate::row_major::RowBlock],
            out: &mut [std::mem::MaybeUninit<$crate::filter::LaneSums>],
        ) {
            // SAFETY: as above.
            unsafe { $crate::row_major::write_sums::<$vector, GROUPS, PARTS>(leading, lut, blocks, out) };
        }
    };
}
pub(crate) use row_major_kernel;

/// A row-major code.
pub type Row = [u8; NUM_SUB_VECTORS];
/// As many rows as the filter takes for a block.
pub type RowBlock = [Row; BLOCK];

/// Sub-quantizers that are looked up first.
pub const LEADING: usize = NUM_SUB_VECTORS / 2;
/// Those of a query, the one that tells most first.
pub type Leading = [usize; LEADING];
/// Codes in a list below which a filter costs more to set up than it saves.
const SHORT: usize = 1536;

/// A list of codes as they come, scanned like those that nothing prepared.
#[derive(Clone)]
pub struct RowMajorCodes {
    codebook: Codebook,
    codes: HugeVec<u8>,
    probe: ProbeFn,
}

impl RowMajorCodes {
    /// Copies row-major `codes` `[n][16]`, for `probe` to scan.
    pub fn new(codebook: &Codebook, codes: &[u8], probe: ProbeFn) -> Self {
        let mut copy = HugeVec::zeroed(codes.len());
        copy.copy_from_slice(codes);
        RowMajorCodes { codebook: codebook.clone(), codes: copy, probe }
    }
}

impl Scan for RowMajorCodes {
    fn scan(&self, query: &[f32; DIM], top: &mut TopKHeap) {
        (self.probe)(&self.codebook.distance_table(query), &self.codes, top);
    }

    fn memory_bytes(&self) -> usize {
        self.codes.len()
    }
}

/// Offers all `rows` to `top`, with ids from `first_id`.
#[inline(always)]
pub fn score(table: &DistanceTable, rows: &[Row], first_id: u32, top: &mut TopKHeap) {
    for (row, id) in rows.iter().zip(first_id..) {
        top.push(id, distance(row, table));
    }
}

/// Offers to `top` those of a block's `rows` whose bit is set in `lanes`, with ids from `first_id`.
#[inline(always)]
pub fn score_lanes(table: &DistanceTable, rows: &[Row], lanes: u64, first_id: u32, top: &mut TopKHeap) {
    for ((row, id), lane) in rows.iter().zip(first_id..).zip(0..BLOCK) {
        if lanes >> lane & 1 == 1 {
            top.push(id, distance(row, table));
        }
    }
}

/// The distances of some rows: the table entries summed over the sub-quantizers in order.
///
/// Several at once, since one sum waits for each of its additions.
#[inline(always)]
pub fn distances<const N: usize>(rows: &[Row], table: &DistanceTable, places: [usize; N]) -> [f32; N] {
    let codes = places.map(|place| &rows[place]);
    let mut sums = [0.0; N];
    for (m, entries) in table.iter().enumerate() {
        for (sum, codes) in sums.iter_mut().zip(codes) {
            *sum += entries[usize::from(codes[m])];
        }
    }
    sums
}

/// Offers to `top` what can be near of row-major `codes`. `kernels` gets the leading sub-quantizers and gives what sums those
/// up.
///
/// # Safety
/// The CPU has the instruction set of `V`; the caller is compiled for it. The first kernel writes a sum for each block.
#[inline(always)]
pub unsafe fn scan<V: ByteVector, const G: usize, W: WriteSums<RowBlock, G>, F: FindNear<RowBlock, G>>(
    table: &DistanceTable,
    codes: &[u8],
    top: &mut TopKHeap,
    kernels: impl FnOnce(Leading) -> (W, F),
) {
    let rows = codes.as_chunks::<NUM_SUB_VECTORS>().0;
    if rows.len() < SHORT {
        return score(table, rows, 0, top);
    }
    // What an allocator aligns to 16 bytes only begins within a cache line; from the next one on no vector is across two.
    let ahead = match rows.as_ptr().align_offset(BLOCK) {
        ahead @ ..4 => ahead,
        _ => 0,
    };
    let (first, rest) = rows.split_at(ahead);
    let (blocks, last) = rest.as_chunks::<BLOCK>();
    score(table, first, 0, top);
    score(table, last, (rows.len() - last.len()) as u32, top);

    let (bounds, mut lut) = (FilterTable::new(table), FilterLut::zeroed());
    let spreads = bounds.spreads();
    let mut order: [usize; NUM_SUB_VECTORS] = std::array::from_fn(|m| m);
    order.sort_unstable_by(|&a, &b| spreads[b].total_cmp(&spreads[a]));
    let leading = *order.first_chunk().expect("half of them");
    let lut = FallingLut::new(&bounds, &mut lut, 255, leading[0]);
    let (rows, first_id, candidates) = (blocks.as_flattened(), ahead as u32, Candidates::new());
    let scorer = ByRows { rows, first_id, table, candidates };
    let (write_sums, find_near) = kernels(leading);
    // SAFETY: this function's contract.
    unsafe { Filter::new(blocks, rows.len(), lut, scorer).scan_up_to::<V>(blocks.len(), top, write_sums, find_near) };
}

/// What the leading sub-quantizers leave is looked up in all, and scored.
struct ByRows<'a> {
    rows: &'a [Row],
    first_id: u32,
    table: &'a DistanceTable,
    candidates: Candidates,
}

impl ByRows<'_> {
    /// Scores the candidates that a LUT, if there is one, leaves within its limit.
    #[inline(always)]
    unsafe fn settle<V: ByteVector, const G: usize>(&mut self, lut: Option<(&FilterLut<G>, u8)>, top: &mut TopKHeap) {
        if let Some((lut, limit)) = lut {
            // SAFETY: this function's contract.
            unsafe { look_again::<V, G>(self.rows, lut, limit, &mut self.candidates) };
        }
        for &place in self.candidates.places() {
            top.push(self.first_id + place, distance(&self.rows[place as usize], self.table));
        }
        self.candidates.clear();
    }
}

/// Drops those `candidates` among `rows` whose sum in `lut`, over all sub-quantizers, is more than `limit`, below 255.
///
/// # Safety
/// The CPU has the instruction set of `V`; the caller is compiled for it.
#[inline(always)]
pub unsafe fn look_again<V: ByteVector, const G: usize>(
    rows: &[Row],
    lut: &FilterLut<G>,
    limit: u8,
    candidates: &mut Candidates,
) {
    /// Fewer are scored in no more time.
    const WORTH_IT: usize = 4;
    if candidates.places().len() < WORTH_IT {
        return;
    }
    let mut near = [0; MAX_CANDIDATES / 16];
    for (places, near) in candidates.places().chunks(V::LANES).zip(&mut near) {
        // SAFETY: this function's contract.
        unsafe {
            let mut sum = V::splat(LIMIT - limit);
            for (entries, codes) in lut.0.iter().zip(columns::<V>(rows, places)) {
                sum = sum.add_saturating(V::look_up_in(entries, codes));
            }
            *near = sum.below_255() & lanes(places.len());
        }
    }
    candidates.keep(&near, V::LANES);
}

impl<const G: usize> Scorer<FallingLut<'_, G>> for ByRows<'_> {
    #[inline(always)]
    unsafe fn score<V: ByteVector>(
        &mut self,
        lut: &FallingLut<'_, G>,
        hits: &[(usize, u64)],
        limit: Option<u8>,
        _: bool,
        top: &mut TopKHeap,
    ) {
        /// Lanes of a block that are scored without a look at all, which would take as long.
        const MOST: u32 = BLOCK as u32 / 4 * 3;
        let lut = limit.map(|limit| (lut.entries(), limit));
        let mut hits = hits.iter();
        while hits.len() > 0 {
            for &(block, lanes) in hits.by_ref() {
                let first = block * BLOCK;
                if lanes.count_ones() > MOST {
                    score_lanes(self.table, &self.rows[first..], lanes, self.first_id + first as u32, top);
                    continue;
                }
                self.candidates.add_lanes(first, lanes);
                if self.candidates.places().len() > MAX_CANDIDATES - BLOCK {
                    break;
                }
            }
            // SAFETY: this method's contract.
            unsafe { self.settle::<V, G>(lut, top) };
        }
    }
}

/// [`Near::push`]es the lanes of `blocks` that the leading sub-quantizers can't rule out.
///
/// # Safety
/// The CPU has the instruction set of `V`; the caller is compiled for it.
#[inline(always)]
pub unsafe fn find_near<V: ByteVector, const G: usize, const N: usize>(
    leading: &Leading,
    lut: &FilterLut<G>,
    blocks: &[RowBlock],
    near: &mut Near,
) {
    // SAFETY: this function's contract.
    let entries = unsafe { entries_of::<V, G>(leading, lut) };
    for block in blocks {
        // SAFETY: this function's contract.
        unsafe { near.push_sums(sums::<V, G, N>(leading, &entries, block)) };
    }
}

/// Writes the leading sub-quantizers' sums of `blocks`.
///
/// # Safety
/// The CPU has the instruction set of `V`; the caller is compiled for it.
#[inline(always)]
pub unsafe fn write_sums<V: ByteVector, const G: usize, const N: usize>(
    leading: &Leading,
    lut: &FilterLut<G>,
    blocks: &[RowBlock],
    out: &mut [MaybeUninit<LaneSums>],
) {
    // SAFETY: this function's contract.
    let entries = unsafe { entries_of::<V, G>(leading, lut) };
    for (block, out) in blocks.iter().zip(out) {
        // SAFETY: this function's contract.
        unsafe { LaneSums::write(out, sums::<V, G, N>(leading, &entries, block)) };
    }
}

/// The LUT's rows of the leading sub-quantizers, arranged, side by side.
#[inline(always)]
unsafe fn entries_of<V: ByteVector, const G: usize>(leading: &Leading, lut: &FilterLut<G>) -> [[u8; G]; LEADING] {
    let mut entries = [[0; G]; LEADING];
    for (entries, &m) in entries.iter_mut().zip(leading) {
        // SAFETY: this function's contract.
        *entries = unsafe { V::arrange(&lut.0[m % NUM_SUB_VECTORS]) };
    }
    entries
}

/// The saturating sums of a block's leading sub-quantizers.
#[inline(always)]
unsafe fn sums<V: ByteVector, const G: usize, const N: usize>(
    leading: &Leading,
    entries: &[[u8; G]; LEADING],
    block: &RowBlock,
) -> [V; N] {
    // SAFETY: this function's contract.
    unsafe {
        let mut columns = [[V::splat(0); LEADING]; N];
        for (columns, rows) in columns.iter_mut().zip(block.chunks_exact(V::LANES)) {
            *columns = leading_columns(leading, rows);
        }
        let mut sums = [V::splat(0); N];
        for (m, entries) in entries.iter().enumerate() {
            for (sum, columns) in sums.iter_mut().zip(&columns) {
                *sum = sum.add_saturating(V::look_up_arranged(entries, columns[m]));
            }
        }
        for sums in &mut sums {
            *sums = sums.interleave_sixteens();
        }
        sums
    }
}

/// The codes of each leading sub-quantizer, of as many rows as a vector has bytes. Where that is several sixteens, consecutive
/// rows are in different ones, as a vector loads them.
#[inline(always)]
unsafe fn leading_columns<V: ByteVector>(leading: &Leading, rows: &[Row]) -> [V; LEADING] {
    assert_eq!(rows.len(), V::LANES);
    // A lane of 128 is looked up as zero.
    let [mut even, mut odd] = [[128; 16]; 2];
    for (i, &m) in leading.iter().enumerate() {
        even[2 * i] = m as u8;
        odd[2 * i + 1] = m as u8;
    }
    // SAFETY: there are 16 times as many bytes as a vector has; the instruction set is this function's contract.
    unsafe {
        let [even, odd] = [V::table(&even), V::table(&odd)];
        let vector = |at: usize| V::load(rows.as_ptr().cast::<u8>().add(at * V::LANES));
        let mut columns = [V::splat(0); LEADING];
        for (at, column) in columns.iter_mut().enumerate() {
            *column = vector(at).look_up(even).add_saturating(vector(at + LEADING).look_up(odd));
        }
        // Interleaving the first half with the second, three times, for one of four is done.
        for _ in 0..3 {
            let rows = columns;
            for i in 0..LEADING / 2 {
                columns[2 * i] = rows[i].interleave_low(rows[i + LEADING / 2]);
                columns[2 * i + 1] = rows[i].interleave_high(rows[i + LEADING / 2]);
            }
        }
        columns
    }
}

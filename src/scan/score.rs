//! The distances of single codes: table entries summed over the sub-quantizers in order.
//!
//! Several at once, since one sum waits for each of its additions. What scores most is compiled for each level, whose
//! instructions bring entries together in fewer operations; not for each variant.

use crate::{
    collector::Collector,
    geometry::{Bits, with_m},
    layout::LINE,
    simd::Routine,
    table::Table,
};

/// As many sums as it takes to be limited by loads rather than by waiting; of eight the compiler makes gathers.
pub const TOGETHER: usize = 4;

/// Sub-quantizers that most quantizers have. Of arrays of so many the compiler makes code that sums all codes side by
/// side, of slices of a length that it knows code that sums one after the other.
const COMMON_M: usize = 16;

#[inline(always)]
fn sums_of_rows<const N: usize, const K: usize>(
    table: &[[f32; K]],
    m: usize,
    rows: &[u8],
    places: [usize; N],
) -> [f32; N] {
    if let (COMMON_M, Some(table)) = (m, table.first_chunk::<COMMON_M>()) {
        let rows: &[[u8; COMMON_M]] = rows.as_chunks().0;
        let codes = places.map(|place| &rows[place]);
        let mut sums = [0.0; N];
        for (at, entries) in table.iter().enumerate() {
            for (sum, codes) in sums.iter_mut().zip(codes) {
                *sum += entries[usize::from(codes[at]) % K];
            }
        }
        return sums;
    }
    let mut codes = [&rows[..0]; N];
    for (codes, place) in codes.iter_mut().zip(places) {
        *codes = &rows[place * m..][..m];
    }
    let mut sums = [0.0; N];
    for (at, entries) in table[..m].iter().enumerate() {
        for (sum, codes) in sums.iter_mut().zip(codes) {
            *sum += entries[usize::from(codes[at]) % K];
        }
    }
    sums
}

#[inline(always)]
fn sums_of_lanes<const N: usize, const K: usize>(
    table: &[[f32; K]],
    m: usize,
    lanes: [(&[[u8; LINE]], usize); N],
) -> [f32; N] {
    if let (COMMON_M, Some(table)) = (m, table.first_chunk::<COMMON_M>()) {
        let blocks = lanes.map(|(lines, lane)| (lines.first_chunk::<COMMON_M>().expect("as many lines"), lane));
        let mut sums = [0.0; N];
        for (at, entries) in table.iter().enumerate() {
            for (sum, (lines, lane)) in sums.iter_mut().zip(blocks) {
                *sum += entries[usize::from(lines[at][lane % LINE]) % K];
            }
        }
        return sums;
    }
    let mut blocks = lanes;
    for (lines, _) in &mut blocks {
        *lines = &lines[..m];
    }
    let mut sums = [0.0; N];
    for (at, entries) in table[..m].iter().enumerate() {
        for (sum, (lines, lane)) in sums.iter_mut().zip(blocks) {
            *sum += entries[usize::from(lines[at][lane % LINE]) % K];
        }
    }
    sums
}

/// The distances of codes at some `places` among row-major `rows` of `m` bytes.
#[inline(always)]
pub fn of_rows<const N: usize>(table: &Table, m: usize, rows: &[u8], places: [usize; N]) -> [f32; N] {
    match table.bits() {
        Bits::Eight => sums_of_rows::<N, 256>(table.rows(), m, rows, places),
        Bits::Four => sums_of_rows::<N, 16>(table.rows(), m, rows, places),
    }
}

/// The distances of codes in some lanes of blocks: the lines of each one's block, and the lane.
#[inline(always)]
pub fn of_lanes<const N: usize>(table: &Table, m: usize, lanes: [(&[[u8; LINE]], usize); N]) -> [f32; N] {
    match table.bits() {
        Bits::Eight => sums_of_lanes::<N, 256>(table.rows(), m, lanes),
        Bits::Four => sums_of_lanes::<N, 16>(table.rows(), m, lanes),
    }
}

/// Offers the codes at some `places` of blocks of `height` lines. Run [apart](crate::simd::Level::run_apart): it needs
/// many registers.
pub struct OfferBlockPlaces<'a, 'o> {
    pub table: &'a Table,
    pub m: usize,
    pub lines: &'a [[u8; LINE]],
    pub height: usize,
    pub places: &'a [u32],
    pub out: &'a mut Collector<'o>,
}

impl<L> Routine<L> for OfferBlockPlaces<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn call(self, _: L) {
        let OfferBlockPlaces { table, m, lines, height, places, out } = self;
        for places in places.chunks(TOGETHER) {
            let mut some = [(lines, 0); TOGETHER];
            for (n, (block, lane)) in some.iter_mut().enumerate() {
                let place = places[n.min(places.len() - 1)] as usize;
                (*block, *lane) = (&lines[place / LINE * height..], place % LINE);
            }
            for (&place, distance) in places.iter().zip(of_lanes(table, m, some)) {
                out.push(place, distance);
            }
        }
    }
}

/// `$body` with `$rows` the rows of a table, an array of `[f32; K]`, and `$m` known where it is 16.
macro_rules! with_rows {
    ($table:ident, $m:ident, $rows:ident, $body:expr) => {
        with_m!(
            $m,
            match $table.bits() {
                Bits::Eight => {
                    let $rows = &$table.rows::<256>()[..$m];
                    $body
                }
                Bits::Four => {
                    let $rows = &$table.rows::<16>()[..$m];
                    $body
                }
            }
        )
    };
}

/// The distance of one row.
#[inline(always)]
fn of_row<const K: usize>(table: &[[f32; K]], row: &[u8]) -> f32 {
    row.iter().zip(table).fold(0.0, |sum, (&code, entries)| sum + entries[usize::from(code) % K])
}

/// Offers the codes at some `places` among row-major `rows` of `m` bytes, whose own places begin with `first`. Run
/// [apart](crate::simd::Level::run_apart): it needs many registers.
pub struct OfferPlaces<'a, 'o> {
    pub table: &'a Table,
    pub m: usize,
    pub rows: &'a [u8],
    pub places: &'a [u32],
    pub first: u32,
    pub out: &'a mut Collector<'o>,
}

impl<L> Routine<L> for OfferPlaces<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn call(self, _: L) {
        let OfferPlaces { table, m, rows, places, first, out } = self;
        for places in places.chunks(TOGETHER) {
            let mut some = [0; TOGETHER];
            for (n, some) in some.iter_mut().enumerate() {
                *some = places[n.min(places.len() - 1)] as usize;
            }
            for (&place, distance) in places.iter().zip(of_rows(table, m, rows, some)) {
                out.push(first + place, distance);
            }
        }
    }
}

/// Offers row-major `rows` of `m` bytes, whose places begin with `first`.
pub fn offer_rows(table: &Table, m: usize, rows: &[u8], first: u32, out: &mut Collector<'_>) {
    with_rows!(table, m, entries, {
        for (row, place) in rows.chunks_exact(m).zip(first..) {
            out.push(place, of_row(entries, row));
        }
    });
}

/// Offers those of up to 64 rows of `m` bytes, whose places begin with `first`, that have a bit in `lanes`.
pub fn offer_row_lanes(table: &Table, m: usize, rows: &[u8], lanes: u64, first: u32, out: &mut Collector<'_>) {
    with_rows!(table, m, entries, {
        for (row, lane) in rows.chunks_exact(m).zip(0..LINE as u32) {
            if lanes >> lane & 1 == 1 {
                out.push(first + lane, of_row(entries, row));
            }
        }
    });
}

/// Offers those lanes of the block in `lines`, whose places begin with `first`, that have a bit in `lanes`.
pub fn offer_lanes(table: &Table, m: usize, lines: &[[u8; LINE]], mut lanes: u64, first: u32, out: &mut Collector<'_>) {
    if lanes == u64::MAX {
        for start in (0..LINE).step_by(TOGETHER) {
            let mut some = [(lines, start); TOGETHER];
            some.iter_mut().enumerate().for_each(|(n, (_, lane))| *lane += n);
            for (distance, lane) in of_lanes(table, m, some).into_iter().zip(start..) {
                out.push(first + lane as u32, distance);
            }
        }
        return;
    }
    while lanes != 0 {
        let mut some = [(lines, 0); TOGETHER];
        let count = (lanes.count_ones() as usize).min(TOGETHER);
        for (_, lane) in &mut some {
            *lane = lanes.trailing_zeros() as usize;
            lanes &= lanes.wrapping_sub(1);
        }
        for ((_, lane), distance) in some.into_iter().zip(of_lanes(table, m, some)).take(count) {
            out.push(first + lane as u32, distance);
        }
    }
}

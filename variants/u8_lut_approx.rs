//! An approximate scan: one byte a table entry, whole numbers summed, nothing scored again.
//!
//! The LUT is a quarter of the f32 table, and whole numbers add in one cycle, but it is two loads an entry all the
//! same. A sum is off by up to half a step for each entry; the step is a 255th of half the span from the smallest
//! possible distance to the k-th of the first codes, which is fine enough that the recall stays.
//!
//! **Loses** to every exact filter, and gains nothing over `scalar`: giving up exactness buys nothing here.

use crate::{
    Codebook, Error, Geometry, Query,
    collector::Collector,
    geometry::{Bits, with_m},
    register,
    registry::Fidelity,
    scan::{row_major::RowMajorCodes, score},
    table::Table,
    variant::Scan,
};

register! {
    name: "u8-lut-approx",
    summary: "row-major codes, u8 LUT, whole-number sums, not scored again",
    fidelity: Fidelity::Approximate("distances are rounded to about 1/500 of the k-th; near ties may swap"),
    rank: 5,
    unsupported: unsupported,
    prepare: prepare,
    probe: probe,
}

fn unsupported(geometry: Geometry) -> Option<&'static str> {
    (geometry.m() > 32).then_some("loses too much with more than 32 sub-quantizers")
}

/// Codes that are scored in f32 to find the scale, or `k` if that is more.
const SAMPLE: usize = 1024;

fn prepare(codebook: &Codebook, rows: &[u8], _: usize) -> Result<Box<dyn Scan>, Error> {
    Ok(Box::new(RowMajorCodes::new(codebook, rows, probe)))
}

fn probe(query: &mut Query, rows: &[u8], out: &mut Collector<'_>) {
    let (m, table) = (query.geometry().m(), &query.original().table);
    match table.bits() {
        Bits::Eight => with_m!(m, scan::<256>(m, table, rows, out)),
        Bits::Four => scan::<16>(m, table, rows, out),
    }
}

/// Offers row-major `rows` of `m` bytes: some by their distance, the others by the steps that they are worth.
#[inline(always)]
fn scan<const K: usize>(m: usize, table: &Table, rows: &[u8], out: &mut Collector<'_>) {
    let (sample, rest) = rows.split_at(rows.len().min(SAMPLE.max(out.k()).saturating_mul(m)));
    score::offer_rows(table, m, sample, 0, out);
    if rest.is_empty() {
        return;
    }
    let first = (sample.len() / m) as u32;
    let lut = Lut::<K>::new(&table.rows()[..m], out.threshold());
    if !lut.base.is_finite() || !out.threshold().is_finite() {
        // There are no steps above an infinite minimum, or up to an infinite threshold.
        return score::offer_rows(table, m, rest, first, out);
    }
    let mut limit = lut.steps(out.threshold());
    let entries = &lut.entries[..m];
    for (row, place) in rest.chunks_exact(m).zip(first..) {
        let sum =
            row.iter().zip(entries).fold(0, |sum, (&code, entries)| sum + u32::from(entries[usize::from(code) % K]));
        if sum <= limit {
            out.push(place, lut.distance(sum));
            limit = lut.steps(out.threshold());
        }
    }
}

/// `[m][k]` in steps above the row's minimum, and what a step is worth.
struct Lut<const K: usize> {
    entries: Vec<[u8; K]>,
    base: f32,
    step: f32,
}

impl<const K: usize> Lut<K> {
    fn new(table: &[[f32; K]], threshold: f32) -> Self {
        let minimum = |row: &[f32; K]| row.iter().copied().fold(f32::INFINITY, f32::min);
        let minima: Vec<f32> = table.iter().map(minimum).collect();
        let base = minima.iter().sum::<f32>();
        let step = ((threshold - base) / (2.0 * f32::from(u8::MAX))).clamp(f32::MIN_POSITIVE, f32::MAX);
        let mut entries = vec![[0; K]; table.len()];
        for ((row, steps), least) in table.iter().zip(&mut entries).zip(minima) {
            for (entry, steps) in row.iter().zip(steps) {
                // A float-to-int cast saturates.
                *steps = ((entry - least) / step + 0.5) as u8;
            }
        }
        Lut { entries, base, step }
    }

    /// The most steps that a sum within `threshold` has.
    fn steps(&self, threshold: f32) -> u32 {
        ((threshold - self.base) / self.step + 0.5) as u32
    }

    fn distance(&self, steps: u32) -> f32 {
        self.base + steps as f32 * self.step
    }
}

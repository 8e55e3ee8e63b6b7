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
    geometry::with_m,
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
    let (m, k) = (query.geometry().m(), query.geometry().num_centroids());
    let table = &query.original().table;
    let (sample, rest) = rows.split_at(rows.len().min(SAMPLE.max(out.k()).saturating_mul(m)));
    let first = (sample.len() / m) as u32;
    score::offer_rows(table, m, sample, 0, out);
    let lut = Lut::new(table, k, out.threshold());
    if !lut.base.is_finite() || !out.threshold().is_finite() {
        // There are no steps above an infinite minimum, or up to an infinite threshold.
        return score::offer_rows(table, m, rest, first, out);
    }
    match k {
        256 => with_m!(m, scan::<256>(m, &lut, rest, first, out)),
        _ => scan::<16>(m, &lut, rest, first, out),
    }
}

/// Offers the steps' worth of row-major `rows` of `m` bytes.
#[inline(always)]
fn scan<const K: usize>(m: usize, lut: &Lut, rows: &[u8], first: u32, out: &mut Collector<'_>) {
    let mut limit = lut.steps(out.threshold());
    let entries = &lut.entries.as_chunks::<K>().0[..m];
    for (row, place) in rows.chunks_exact(m).zip(first..) {
        let sum =
            row.iter().zip(entries).fold(0, |sum, (&code, entries)| sum + u32::from(entries[usize::from(code) % K]));
        if sum <= limit {
            out.push(place, lut.distance(sum));
            limit = lut.steps(out.threshold());
        }
    }
}

/// `[m][k]` in steps above the row's minimum, and what a step is worth.
struct Lut {
    entries: Vec<u8>,
    base: f32,
    step: f32,
}

impl Lut {
    fn new(table: &Table, k: usize, threshold: f32) -> Lut {
        let minimum = |row: &[f32]| row.iter().copied().fold(f32::INFINITY, f32::min);
        let base = table.entries().chunks_exact(k).map(minimum).sum::<f32>();
        let step = ((threshold - base) / (2.0 * f32::from(u8::MAX))).clamp(f32::MIN_POSITIVE, f32::MAX);
        let mut entries = vec![0; table.entries().len()];
        for (row, entries) in table.entries().chunks_exact(k).zip(entries.chunks_exact_mut(k)) {
            let least = minimum(row);
            for (entry, steps) in row.iter().zip(entries) {
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

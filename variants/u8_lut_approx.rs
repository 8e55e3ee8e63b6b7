//! An approximate scan: one byte a table entry, whole numbers summed, nothing scored again.
//!
//! The LUT is 4 KiB rather than 16 and whole numbers add in one cycle, but it is two loads an entry all the same: 0.9 to 1.1
//! times as fast as `scalar` on Intel. It shows that giving up exactness buys nothing here; an exact filter is faster. A sum of
//! 16 entries is off by up to 8 steps; the step is a 255th of half the span from the smallest possible distance to the k-th of
//! the first codes, which is fine enough that the recall stays.

use crate::{
    Codebook, DistanceTable, Error, NUM_CENTROIDS, NUM_SUB_VECTORS, TopKHeap, register,
    registry::{Fidelity, Scan},
    row_major::{RowMajorCodes, score},
};

register! {
    name: "u8-lut-approx",
    summary: "row-major codes, u8 LUT, whole-number sums, not scored again",
    requires: [],
    fidelity: Fidelity::Approximate("distances are rounded to about 1/500 of the k-th; near ties may swap"),
    rank: 5,
    prepare: prepare,
    probe: probe,
}

/// Codes that are scored in f32 to find the scale, or `k` if that is more.
const SAMPLE: usize = 1024;

fn prepare(codebook: &Codebook, codes: &[u8]) -> Result<Box<dyn Scan>, Error> {
    Ok(Box::new(RowMajorCodes::new(codebook, codes, probe)))
}

fn probe(table: &DistanceTable, codes: &[u8], top: &mut TopKHeap) {
    let rows = codes.as_chunks::<NUM_SUB_VECTORS>().0;
    let (sample, rest) = rows.split_at(rows.len().min(SAMPLE.max(top.k())));
    score(table, sample, 0, top);
    let lut = Lut::new(table, top.threshold());
    if !lut.base.is_finite() {
        // There are no steps above an infinite minimum.
        return score(table, rest, sample.len() as u32, top);
    }
    let mut limit = lut.steps(top.threshold());
    for (row, id) in rest.iter().zip(sample.len() as u32..) {
        let sum =
            row.iter().zip(&lut.entries).fold(0, |sum, (&code, entries)| sum + u32::from(entries[usize::from(code)]));
        if sum <= limit {
            top.push(id, lut.distance(sum));
            limit = lut.steps(top.threshold());
        }
    }
}

/// `[m][k]` in steps above the row's minimum, and what a step is worth.
struct Lut {
    entries: [[u8; NUM_CENTROIDS]; NUM_SUB_VECTORS],
    base: f32,
    step: f32,
}

impl Lut {
    fn new(table: &DistanceTable, threshold: f32) -> Lut {
        let minima = table.each_ref().map(|row| row.iter().copied().fold(f32::INFINITY, f32::min));
        let base = minima.iter().sum::<f32>();
        let step = ((threshold - base) / (2.0 * f32::from(u8::MAX))).clamp(f32::MIN_POSITIVE, f32::MAX);
        let mut entries = [[0; NUM_CENTROIDS]; NUM_SUB_VECTORS];
        for ((row, out), least) in table.iter().zip(&mut entries).zip(minima) {
            for (entry, steps) in row.iter().zip(out) {
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

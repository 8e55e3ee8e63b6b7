//! The baseline: one code after the other, a look-up for each sub-quantizer, as an index does it today.
//!
//! Row-major codes, the f32 table, a heap; what every speed-up is measured against, so it is kept plain for ever. Two
//! loads an entry (the code, then the table) make it load-bound: with 16 sub-quantizers 32 loads a vector, at two or
//! three a cycle.
//!
//! **Loses** to everything with a bound that holds.

use crate::{Codebook, Error, Query, collector::Collector, register, registry::Fidelity, variant::Scan};

register! {
    name: "scalar",
    summary: "row-major codes, f32 table, heap: the baseline",
    fidelity: Fidelity::Exact,
    rank: 10,
    prepare: prepare,
    probe: probe,
}

#[derive(Clone)]
struct Scalar {
    rows: Vec<u8>,
}

fn prepare(_: &Codebook, rows: &[u8], _: usize) -> Result<Box<dyn Scan>, Error> {
    Ok(Box::new(Scalar { rows: rows.to_vec() }))
}

impl Scan for Scalar {
    fn scan(&self, query: &mut Query, out: &mut Collector<'_>) {
        probe(query, &self.rows, out);
    }

    fn score(&self, query: &mut Query, places: &[u32], out: &mut Collector<'_>) {
        let geometry = query.geometry();
        for &place in places {
            let row = &self.rows[place as usize * geometry.m()..][..geometry.m()];
            out.push(place, distance(row, query.table(), geometry.num_centroids()));
        }
    }

    fn to_rows(&self) -> Vec<u8> {
        self.rows.clone()
    }

    fn memory_bytes(&self) -> usize {
        self.rows.len()
    }
}

fn probe(query: &mut Query, rows: &[u8], out: &mut Collector<'_>) {
    let geometry = query.geometry();
    let (m, k, table) = (geometry.m(), geometry.num_centroids(), query.table());
    // The same loop, of which the compiler knows the most common numbers.
    match (m, k) {
        (16, 256) => scan(16, 256, table, rows, out),
        _ => scan(m, k, table, rows, out),
    }
}

#[inline(always)]
fn scan(m: usize, k: usize, table: &[f32], rows: &[u8], out: &mut Collector<'_>) {
    let table = &table[..m * k];
    for (id, row) in rows.chunks_exact(m).enumerate() {
        out.push(id as u32, distance(row, table, k));
    }
}

#[inline(always)]
fn distance(row: &[u8], table: &[f32], k: usize) -> f32 {
    row.iter().zip(table.chunks_exact(k)).fold(0.0, |sum, (&code, entries)| sum + entries[usize::from(code)])
}

//! The baseline: one code after the other, 16 look-ups each, as an index does it today.
//!
//! Row-major codes, the f32 table, a heap; what every speed-up is measured against, so it is kept plain for ever. Two loads
//! an entry (the code, then the table) make it load-bound: 32 loads a vector at two or three a cycle.

use crate::{
    Codebook, DIM, DistanceTable, Error, NUM_CENTROIDS, NUM_SUB_VECTORS, TopKHeap, register,
    registry::{Fidelity, Scan},
    table,
};

register! {
    name: "scalar",
    summary: "row-major codes, f32 table, heap: the baseline",
    requires: [],
    fidelity: Fidelity::Exact,
    rank: 10,
    prepare: prepare,
    probe: probe,
}

#[derive(Clone)]
struct Scalar {
    centroids: Vec<f32>,
    codes: Vec<u8>,
}

fn prepare(codebook: &Codebook, codes: &[u8]) -> Result<Box<dyn Scan>, Error> {
    let centroids = (0..NUM_SUB_VECTORS).flat_map(|m| codebook.centroids(m)).flatten().copied().collect();
    Ok(Box::new(Scalar { centroids, codes: codes.to_vec() }))
}

impl Scan for Scalar {
    fn scan(&self, query: &[f32; DIM], top: &mut TopKHeap) {
        probe(&table::from_centroids(query, &self.centroids), &self.codes, top);
    }

    fn memory_bytes(&self) -> usize {
        self.codes.len()
    }
}

fn probe(table: &DistanceTable, codes: &[u8], top: &mut TopKHeap) {
    let (rows, _) = codes.as_chunks::<NUM_SUB_VECTORS>();
    for (id, row) in rows.iter().enumerate() {
        let mut distance = 0.0;
        for m in 0..NUM_SUB_VECTORS {
            let entries: &[f32; NUM_CENTROIDS] = &table[m];
            distance += entries[usize::from(row[m])];
        }
        top.push(id as u32, distance);
    }
}

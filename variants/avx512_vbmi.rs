//! An 8-bit exact filter: a LUT of all 256 entries is two `vpermi2b` and a blend.
//!
//! `vpermi2b` looks up 64 bytes in 128 entries, so two of them, chosen between by a code's top bit, are the whole table:
//! no renumbering, and it scans row-major codes that nothing prepared as well, transposing a few blocks at a time in L1.
//!
//! A row of 64 codes: load, two `vpermi2b` (1/cycle on Intel's port 5, 2 on Zen), `vpmovb2m`, blend, saturating add; 64
//! registers of LUT don't fit, so four loads from L1 a row besides. The shuffle port limits it.

use crate::{register, registry::Fidelity};

register! {
    name: "avx512-vbmi",
    summary: "8-bit filter by two vpermi2b a row over blocked codes; candidates scored in f32",
    arch: "x86_64",
    requires: [Avx512f, Avx512bw, Avx512vbmi],
    fidelity: Fidelity::Exact,
    rank: 70,
    prepare: kernel::prepare,
    probe: kernel::probe,
}

#[cfg(target_arch = "x86_64")]
mod kernel {
    use std::arch::x86_64::*;

    use crate::{
        Codebook, DIM, DistanceTable, Error, NUM_CENTROIDS, NUM_SUB_VECTORS, TopKHeap,
        blocks::{BLOCK, Block, BlockedCodes},
        filter::Filter,
        lut::FilterLut,
        registry::Scan,
    };

    #[derive(Clone)]
    struct Avx512Vbmi {
        codebook: Codebook,
        codes: BlockedCodes,
    }

    pub fn prepare(codebook: &Codebook, codes: &[u8]) -> Result<Box<dyn Scan>, Error> {
        Ok(Box::new(Avx512Vbmi { codebook: codebook.clone(), codes: BlockedCodes::new(codes) }))
    }

    impl Scan for Avx512Vbmi {
        fn scan(&self, query: &[f32; DIM], top: &mut TopKHeap) {
            let table = self.codebook.distance_table(query);
            // SAFETY: the registry prepares this variant only where the CPU has the features that it requires.
            unsafe { scan(&table, &self.codes, top) }
        }

        fn memory_bytes(&self) -> usize {
            self.codes.memory_bytes()
        }
    }

    pub fn probe(table: &DistanceTable, codes: &[u8], top: &mut TopKHeap) {
        // SAFETY: the registry hands this function out only where the CPU has the features that the variant requires.
        unsafe { scan_rows(table, codes, top) }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    fn scan(table: &DistanceTable, codes: &BlockedCodes, top: &mut TopKHeap) {
        Filter::<NUM_CENTROIDS>::new(table)
            .scan(codes.blocks(), codes.num_vectors(), 0, top, |lut, blocks, from| next_candidates(lut, blocks, from));
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    fn scan_rows(table: &DistanceTable, codes: &[u8], top: &mut TopKHeap) {
        let mut filter = Filter::<NUM_CENTROIDS>::new(table);
        let mut first_id = 0;
        for rows in codes.as_chunks::<NUM_SUB_VECTORS>().0.chunks(16 * BLOCK) {
            let blocks = BlockedCodes::new(rows.as_flattened());
            filter.scan(blocks.blocks(), rows.len(), first_id, top, |lut, blocks, from| {
                next_candidates(lut, blocks, from)
            });
            first_id += rows.len() as u32;
        }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    fn next_candidates(lut: &FilterLut<NUM_CENTROIDS>, blocks: &[Block], from: usize) -> Option<(usize, u64)> {
        for (at, block) in blocks.iter().enumerate().skip(from) {
            let mut sum = _mm512_setzero_si512();
            for (row, entries) in block.0.iter().zip(&lut.0) {
                // SAFETY: a row has 64 bytes, `entries` four times as many.
                let (codes, e0, e1, e2, e3) = unsafe {
                    let load = |at: *const u8| _mm512_loadu_si512(at.cast());
                    let entries = entries.as_ptr();
                    let (e0, e1) = (load(entries), load(entries.add(64)));
                    (load(row.as_ptr()), e0, e1, load(entries.add(128)), load(entries.add(192)))
                };
                let lower = _mm512_permutex2var_epi8(e0, codes, e1);
                let upper = _mm512_permutex2var_epi8(e2, codes, e3);
                sum = _mm512_adds_epu8(sum, _mm512_mask_blend_epi8(_mm512_movepi8_mask(codes), lower, upper));
            }
            let near = _mm512_cmpneq_epu8_mask(sum, _mm512_set1_epi8(-1));
            if near != 0 {
                return Some((at, near));
            }
        }
        None
    }
}

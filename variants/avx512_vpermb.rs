//! A 6-bit exact filter: `vpermb` looks up 64 codes in a table of 64 group minima, one instruction.
//!
//! The centroids are renumbered until the low six bits of a code name a group of four similar ones, and the LUT holds each
//! group's smallest entry. The sum is a lower bound of the distance: what it rules out is out, the rest is scored in f32 from
//! the same block, which is in L1. The idea is PQ Fast Scan's (André et al., VLDB 2015) with AVX-512 VBMI's wide look-up, on
//! Faiss's blocked layout. `vpermb` ignores an index's upper two bits, so the codes are used as they lie.
//!
//! A row of 64 codes: load, `vpermb` (port 5 on Intel, 1/cycle; 2 on Zen 5), saturating add; the whole LUT is in 16 registers.

use crate::{register, registry::Fidelity};

register! {
    name: "avx512-vpermb",
    summary: "6-bit filter by vpermb over blocked, renumbered codes; candidates scored in f32",
    arch: "x86_64",
    requires: [Avx512f, Avx512bw, Avx512vbmi],
    fidelity: Fidelity::Exact,
    rank: 75,
    prepare: kernel::prepare,
}

#[cfg(target_arch = "x86_64")]
mod kernel {
    use std::arch::x86_64::*;

    use crate::{
        Codebook, DIM, Error, NUM_SUB_VECTORS, TopKHeap,
        blocks::{Block, BlockedCodes},
        filter::{self, Filter},
        grouping,
        lut::FilterLut,
        registry::Scan,
    };

    const GROUPS: usize = 64;

    #[derive(Clone)]
    struct Avx512Vpermb {
        codebook: Codebook,
        codes: BlockedCodes,
    }

    pub fn prepare(codebook: &Codebook, codes: &[u8]) -> Result<Box<dyn Scan>, Error> {
        let order = grouping::similar_centroids_together(codebook);
        let codes = BlockedCodes::relabelled(codes, &grouping::inverse(&order));
        Ok(Box::new(Avx512Vpermb { codebook: codebook.reordered(&order), codes }))
    }

    impl Scan for Avx512Vpermb {
        fn scan(&self, query: &[f32; DIM], top: &mut TopKHeap) {
            // SAFETY: the registry prepares this variant only where the CPU has the features that it requires.
            unsafe { scan(self, query, top) }
        }

        fn scan_batch(&self, queries: &[[f32; DIM]], tops: &mut [TopKHeap]) {
            // SAFETY: as above.
            unsafe { scan_batch(self, queries, tops) }
        }

        fn memory_bytes(&self) -> usize {
            self.codes.memory_bytes()
        }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    fn scan(list: &Avx512Vpermb, query: &[f32; DIM], top: &mut TopKHeap) {
        let table = list.codebook.distance_table(query);
        let next = |lut: &FilterLut<GROUPS>, blocks: &[Block], from| next_candidates(lut, blocks, from);
        Filter::new(&table).scan(list.codes.blocks(), list.codes.num_vectors(), 0, top, next);
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    fn scan_batch(list: &Avx512Vpermb, queries: &[[f32; DIM]], tops: &mut [TopKHeap]) {
        let tables: Vec<_> = queries.iter().map(|query| list.codebook.distance_table(query)).collect();
        let next = |lut: &FilterLut<GROUPS>, blocks: &[Block], from| next_candidates(lut, blocks, from);
        filter::scan_batch(&tables, &list.codes, tops, next);
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    fn next_candidates(lut: &FilterLut<GROUPS>, blocks: &[Block], from: usize) -> Option<(usize, u64)> {
        let tables = load_all(lut);
        for (at, block) in (from..).zip(&blocks[from..]) {
            let near = _mm512_cmpneq_epu8_mask(sums(&tables, block), _mm512_set1_epi8(-1));
            if near != 0 {
                return Some((at, near));
            }
        }
        None
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    fn sums(tables: &[__m512i; NUM_SUB_VECTORS], block: &Block) -> __m512i {
        // Two sums, so that none waits for the other.
        let mut sums = [_mm512_setzero_si512(); 2];
        for (m, (row, &table)) in block.0.iter().zip(tables).enumerate() {
            sums[m % 2] = _mm512_adds_epu8(sums[m % 2], _mm512_permutexvar_epi8(load(row), table));
        }
        _mm512_adds_epu8(sums[0], sums[1])
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    fn load_all(lut: &FilterLut<GROUPS>) -> [__m512i; NUM_SUB_VECTORS] {
        let mut tables = [_mm512_setzero_si512(); NUM_SUB_VECTORS];
        tables.iter_mut().zip(&lut.0).for_each(|(table, entries)| *table = load(entries));
        tables
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    fn load(bytes: &[u8; 64]) -> __m512i {
        // SAFETY: the array has the 64 bytes.
        unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
    }
}

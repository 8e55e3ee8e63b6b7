//! A 4-bit exact filter: 32 look-ups a shuffle in 16-entry tables of group minima.
//!
//! `vpshufb` looks up 16 entries, so the centroids are renumbered until the high nibble of a code names a group of 16
//! similar ones, and the LUT holds each group's smallest entry. The sum is a lower bound of the distance: what it rules out
//! is out, the rest is scored in f32. PQ Fast Scan (André et al., VLDB 2015) on Faiss's blocked layout.
//!
//! A row of 32 codes: load, shift, and, `vpshufb` (1/cycle on Intel's port 5, 2 on Zen), saturating add.
//! It loses where 4 bits can't tell codes apart: on uniformly random codes nearly everything is scored again.

use crate::{register, registry::Fidelity};

register! {
    name: "avx2-pshufb",
    summary: "4-bit filter by byte shuffles over blocked, renumbered codes; candidates scored in f32",
    arch: "x86_64",
    requires: [Avx2],
    fidelity: Fidelity::Exact,
    rank: 60,
    prepare: kernel::prepare,
}

#[cfg(target_arch = "x86_64")]
mod kernel {
    use std::arch::x86_64::*;

    use crate::{
        Codebook, DIM, Error, TopKHeap,
        blocks::{BLOCK, Block, BlockedCodes},
        filter::Filter,
        grouping,
        lut::FilterLut,
        registry::Scan,
    };

    const GROUPS: usize = 16;

    #[derive(Clone)]
    struct Avx2Pshufb {
        codebook: Codebook,
        codes: BlockedCodes,
    }

    pub fn prepare(codebook: &Codebook, codes: &[u8]) -> Result<Box<dyn Scan>, Error> {
        let order = grouping::similar_centroids_together(codebook);
        let codes = BlockedCodes::relabelled(codes, &grouping::inverse(&order));
        Ok(Box::new(Avx2Pshufb { codebook: codebook.reordered(&order), codes }))
    }

    impl Scan for Avx2Pshufb {
        fn scan(&self, query: &[f32; DIM], top: &mut TopKHeap) {
            // SAFETY: the registry prepares this variant only where the CPU has AVX2.
            unsafe { scan(self, query, top) }
        }

        fn memory_bytes(&self) -> usize {
            self.codes.memory_bytes()
        }
    }

    #[target_feature(enable = "avx2")]
    fn scan(list: &Avx2Pshufb, query: &[f32; DIM], top: &mut TopKHeap) {
        let table = list.codebook.distance_table(query);
        let mut filter = Filter::<GROUPS>::new(&table);
        filter.scan(list.codes.blocks(), list.codes.num_vectors(), 0, top, |lut, blocks, from| {
            next_candidates(lut, blocks, from)
        });
    }

    #[target_feature(enable = "avx2")]
    fn next_candidates(lut: &FilterLut<GROUPS>, blocks: &[Block], from: usize) -> Option<(usize, u64)> {
        for (at, block) in blocks.iter().enumerate().skip(from) {
            let low = reaches_255(lut, block, 0);
            let high = reaches_255(lut, block, BLOCK / 2);
            let out = _mm256_movemask_epi8(low) as u32 as u64 | (_mm256_movemask_epi8(high) as u32 as u64) << 32;
            if out != u64::MAX {
                return Some((at, !out));
            }
        }
        None
    }

    /// Which of 32 lanes from `first` on are certainly too far, as bytes of ones.
    #[target_feature(enable = "avx2")]
    fn reaches_255(lut: &FilterLut<GROUPS>, block: &Block, first: usize) -> __m256i {
        let nibble = _mm256_set1_epi8(0x0f);
        let mut sum = _mm256_setzero_si256();
        for (row, entries) in block.0.iter().zip(&lut.0) {
            // SAFETY: `first` is 0 or 32 and a row has 64 bytes; `entries` has 16.
            let (codes, entries) = unsafe {
                (
                    _mm256_loadu_si256(row.as_ptr().add(first).cast()),
                    _mm256_broadcastsi128_si256(_mm_loadu_si128(entries.as_ptr().cast())),
                )
            };
            let groups = _mm256_and_si256(_mm256_srli_epi16::<4>(codes), nibble);
            sum = _mm256_adds_epu8(sum, _mm256_shuffle_epi8(entries, groups));
        }
        _mm256_cmpeq_epi8(sum, _mm256_set1_epi8(-1))
    }
}

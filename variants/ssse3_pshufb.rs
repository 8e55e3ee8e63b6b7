//! `avx2-pshufb` for CPUs without AVX: 16 look-ups a shuffle in 16-entry tables of group minima.
//!
//! SSSE3's `pshufb` is all it needs, which every x86-64 CPU since 2006 (Intel) and 2011 (AMD) has; so have emulators and
//! clouds that hide newer features. The filter, the layout and the bound are those of `avx2-pshufb`, from PQ Fast Scan
//! (André et al., VLDB 2015).
//!
//! Two rows of 16 codes: load, two ands, shift, two copies of the LUT's rows (no third operand before AVX), two `pshufb`
//! (1/cycle on Intel's port 5, 2 on Zen), two saturating adds: 4.7 instructions a code, 1.2 times the time of AVX2's.
//! It loses where `avx2-pshufb` does.

use crate::{register, registry::Fidelity};

register! {
    name: "ssse3-pshufb",
    summary: "4-bit filter by byte shuffles over the packed low nibbles of renumbered codes; candidates scored in f32",
    arch: "x86_64",
    requires: [Ssse3],
    fidelity: Fidelity::Exact,
    rank: 50,
    prepare: kernel::prepare,
}

#[cfg(target_arch = "x86_64")]
mod kernel {
    use std::arch::x86_64::*;

    use crate::{
        Codebook, DIM, Error, TopKHeap,
        blocks::BLOCK,
        lut::FilterLut,
        nibbles::{GROUPS, NibbleBlock, NibbleCodes},
        registry::Scan,
    };

    #[derive(Clone)]
    struct Ssse3Pshufb(NibbleCodes);

    pub fn prepare(codebook: &Codebook, codes: &[u8]) -> Result<Box<dyn Scan>, Error> {
        Ok(Box::new(Ssse3Pshufb(NibbleCodes::new(codebook, codes))))
    }

    impl Scan for Ssse3Pshufb {
        fn scan(&self, query: &[f32; DIM], top: &mut TopKHeap) {
            // SAFETY: the registry prepares this variant only where the CPU has SSSE3.
            unsafe { scan(&self.0, query, top) }
        }

        fn memory_bytes(&self) -> usize {
            self.0.memory_bytes()
        }
    }

    #[target_feature(enable = "ssse3")]
    fn scan(codes: &NibbleCodes, query: &[f32; DIM], top: &mut TopKHeap) {
        codes.scan(query, top, |lut, blocks, near| candidates(lut, blocks, near));
    }

    #[target_feature(enable = "ssse3")]
    fn candidates(lut: &FilterLut<GROUPS>, blocks: &[NibbleBlock], near: &mut [u64]) {
        let nibble = _mm_set1_epi8(0x0f);
        for (block, near) in blocks.iter().zip(near) {
            let mut sums = [_mm_setzero_si128(); BLOCK / 16];
            for (row, entries) in block.0.iter().zip(lut.0.as_chunks::<2>().0) {
                // SAFETY: the LUT's rows have 16 bytes each.
                let [even, odd] = [0, 1].map(|i| unsafe { _mm_load_si128(entries[i].as_ptr().cast()) });
                for (codes, sum) in row.as_chunks::<16>().0.iter().zip(&mut sums) {
                    // SAFETY: `codes` has 16 bytes and the block is aligned.
                    let codes = unsafe { _mm_load_si128(codes.as_ptr().cast()) };
                    let low = _mm_and_si128(codes, nibble);
                    let high = _mm_and_si128(_mm_srli_epi16::<4>(codes), nibble);
                    *sum = _mm_adds_epu8(*sum, _mm_shuffle_epi8(even, low));
                    *sum = _mm_adds_epu8(*sum, _mm_shuffle_epi8(odd, high));
                }
            }
            let ones = _mm_set1_epi8(-1);
            let far = sums.map(|sum| _mm_movemask_epi8(_mm_cmpeq_epi8(sum, ones)) as u64);
            *near = !(far[0] | far[1] << 16 | far[2] << 32 | far[3] << 48);
        }
    }
}

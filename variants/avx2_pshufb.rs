//! A 4-bit exact filter over half the bytes: 32 look-ups a shuffle in 16-entry tables of group minima.
//!
//! `vpshufb` looks up 16 entries, so each sub-quantizer's 64 groups of similar centroids are merged into 16 that suit the list, and
//! the LUT holds each one's smallest entry: a lower bound, exact once candidates are scored (PQ Fast Scan, André et al., VLDB
//! 2015). Only these labels are read for every code, two in a byte. The whole codes lie apart; what passes, one code in fifty at
//! a million, is looked up there in the 64 groups, 32 candidates at a time, and one in twenty of those is scored
//! ([`merged`](crate::merged)).
//!
//! Two rows of 32 codes: load, two ands, shift, two `vpshufb` (1/cycle on Intel's port 5, 2 on Zen), two saturating adds;
//! with the LUT's loads 2.3 instructions a code. On Intel reading 8 MB a million codes from L3 takes longer than that.
//! It loses in short lists, where the threshold is still high and 4 bits let one code in ten pass, and it can't win on
//! uniformly random codes, where they let nearly all pass.

use crate::{register, registry::Fidelity};

register! {
    name: "avx2-pshufb",
    summary: "4-bit filter by byte shuffles over the packed low nibbles of renumbered codes; candidates scored in f32",
    arch: "x86_64",
    requires: [Avx2, Bmi1, Popcnt],
    fidelity: Fidelity::Exact,
    rank: 60,
    prepare: kernel::prepare,
}

#[cfg(target_arch = "x86_64")]
mod kernel {
    use std::arch::x86_64::*;

    use crate::{
        Codebook, DIM, Error, TopKHeap,
        blocks::BLOCK,
        byte_vector::Avx2,
        filter::{LaneSums, Near},
        lut::FilterLut,
        merged::{MergedCodes, NIBBLES, NibbleBlock},
        registry::Scan,
    };

    type Codes = MergedCodes<NibbleBlock, NIBBLES>;

    #[derive(Clone)]
    struct Avx2Pshufb(Codes);

    pub fn prepare(codebook: &Codebook, codes: &[u8]) -> Result<Box<dyn Scan>, Error> {
        Ok(Box::new(Avx2Pshufb(Codes::new(codebook, codes))))
    }

    impl Scan for Avx2Pshufb {
        fn scan(&self, query: &[f32; DIM], top: &mut TopKHeap) {
            // SAFETY: the registry prepares this variant only where the CPU has AVX2.
            unsafe { scan(&self.0, query, top) }
        }

        fn memory_bytes(&self) -> usize {
            self.0.memory_bytes()
        }
    }

    #[target_feature(enable = "avx2,bmi1,popcnt")]
    fn scan(codes: &Codes, query: &[f32; DIM], top: &mut TopKHeap) {
        let write_sums = |lut: &_, blocks: &[_], out: &mut [_]| write_sums(lut, blocks, out);
        // SAFETY: this function is compiled for the very features.
        unsafe { codes.scan::<Avx2>(query, top, write_sums, |lut, blocks, near| find_near(lut, blocks, near)) }
    }

    #[target_feature(enable = "avx2,bmi1,popcnt")]
    fn find_near(lut: &FilterLut<NIBBLES>, blocks: &[NibbleBlock], near: &mut Near) {
        let ones = _mm256_set1_epi8(-1);
        for block in blocks {
            let [a, b] = sums(lut, block);
            let far = |sums| _mm256_movemask_epi8(_mm256_cmpeq_epi8(sums, ones)) as u32 as u64;
            near.push(!(far(a) | far(b) << 32));
        }
    }

    #[target_feature(enable = "avx2,bmi1,popcnt")]
    fn write_sums(lut: &FilterLut<NIBBLES>, blocks: &[NibbleBlock], out: &mut [LaneSums]) {
        for (block, out) in blocks.iter().zip(out) {
            for (sums, out) in sums(lut, block).into_iter().zip(out.0.as_chunks_mut::<32>().0) {
                // SAFETY: the chunk has the 32 bytes.
                unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), sums) };
            }
        }
    }

    /// The saturating sums of a block's 64 lanes.
    #[target_feature(enable = "avx2,bmi1,popcnt")]
    fn sums(lut: &FilterLut<NIBBLES>, block: &NibbleBlock) -> [__m256i; BLOCK / 32] {
        let nibble = _mm256_set1_epi8(0x0f);
        let mut sums = [_mm256_setzero_si256(); BLOCK / 32];
        for (row, entries) in block.0.iter().zip(lut.0.as_chunks::<2>().0) {
            // SAFETY: the LUT's rows have 16 bytes each.
            let [even, odd] =
                [0, 1].map(|i| unsafe { _mm256_broadcastsi128_si256(_mm_load_si128(entries[i].as_ptr().cast())) });
            for (codes, sum) in row.as_chunks::<32>().0.iter().zip(&mut sums) {
                // SAFETY: `codes` has 32 bytes and the block is aligned.
                let codes = unsafe { _mm256_load_si256(codes.as_ptr().cast()) };
                let low = _mm256_and_si256(codes, nibble);
                let high = _mm256_and_si256(_mm256_srli_epi16::<4>(codes), nibble);
                *sum = _mm256_adds_epu8(*sum, _mm256_shuffle_epi8(even, low));
                *sum = _mm256_adds_epu8(*sum, _mm256_shuffle_epi8(odd, high));
            }
        }
        sums
    }
}

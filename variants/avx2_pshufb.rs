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
    reads_less: true,
    prepare: kernel::prepare,
}

#[cfg(target_arch = "x86_64")]
mod kernel {
    use std::arch::x86_64::*;

    use crate::{
        blocks::BLOCK,
        byte_vector::Avx2,
        lut::FilterLut,
        merged::{NIBBLES, NibbleBlock, merged_kernel},
    };

    merged_kernel!(NibbleBlock, NIBBLES, Avx2, "avx2,bmi1,popcnt");

    /// The saturating sums of a block's 64 lanes.
    #[target_feature(enable = "avx2,bmi1,popcnt")]
    fn sums(lut: &FilterLut<NIBBLES>, block: &NibbleBlock) -> [Avx2; BLOCK / 32] {
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
        sums.map(Avx2)
    }
}

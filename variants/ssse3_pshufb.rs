//! `avx2-pshufb` for CPUs without AVX: 16 look-ups a shuffle in 16-entry tables of group minima.
//!
//! SSSE3's `pshufb` is all it needs, which every x86-64 CPU since 2006 (Intel) and 2011 (AMD) has; so have emulators and
//! clouds that hide newer features. The filter, the layout and the bound are those of `avx2-pshufb`, from PQ Fast Scan
//! (André et al., VLDB 2015).
//!
//! Two rows of 16 codes: load, two ands, shift, two copies of the LUT's rows (no third operand before AVX), two `pshufb`
//! (1/cycle on Intel's port 5, 2 on Zen), two saturating adds: 4.7 instructions a code. On Zen 4 a query takes 1.3 to 1.6 times
//! as long as with AVX2. In lists below some 50,000 codes it is ahead of `ssse3-ordered`.

use crate::{register, registry::Fidelity};

register! {
    name: "ssse3-pshufb",
    summary: "4-bit filter by byte shuffles over the packed low nibbles of renumbered codes; candidates scored in f32",
    arch: "x86_64",
    requires: [Ssse3],
    fidelity: Fidelity::Exact,
    rank: 50,
    reads_less: true,
    prepare: kernel::prepare,
}

#[cfg(target_arch = "x86_64")]
mod kernel {
    use std::arch::x86_64::*;

    use crate::{
        blocks::BLOCK,
        byte_vector::Ssse3,
        lut::FilterLut,
        merged::{NIBBLES, NibbleBlock, merged_kernel},
    };

    merged_kernel!(NibbleBlock, NIBBLES, Ssse3, "ssse3");

    /// The saturating sums of a block's 64 lanes.
    #[target_feature(enable = "ssse3")]
    fn sums(lut: &FilterLut<NIBBLES>, block: &NibbleBlock) -> [Ssse3; BLOCK / 16] {
        let nibble = _mm_set1_epi8(0x0f);
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
        sums.map(Ssse3)
    }
}

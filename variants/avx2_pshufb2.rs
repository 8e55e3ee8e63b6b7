//! A 5-bit exact filter over whole codes: two byte shuffles look up 32 codes in a table of 32 group minima.
//!
//! The centroids are renumbered until the low five bits of a code name a group of eight similar ones, and the LUT holds each
//! group's smallest entry: a lower bound, exact once candidates are scored (PQ Fast Scan, André et al., VLDB 2015). It is made
//! for short lists. There the threshold is high and four bits let one code in ten pass; five let a third of those pass, for one
//! shuffle and a blend more. The first blocks are scanned in two passes ([`filter`](crate::filter)).
//!
//! A row of 32 codes: load, and, shift, two `vpshufb` (1/cycle on Intel's port 5, 2 on Zen), blend (2 micro-operations on
//! Intel), saturating add. Measured on Zen 4: 2.7 times as fast as `scalar` at 1,000 codes, 3.5 at 4,000, 4.9 at 16,000, where
//! a third of the time goes into summing and as much into candidates. With 6 bits, four shuffles and three blends, it is an
//! eighth faster at 1,000 codes and a tenth slower at 16,000. From some 45,000 codes on it loses to `avx2-ordered`, which looks at
//! few of them.

use crate::{register, registry::Fidelity};

register! {
    name: "avx2-pshufb2",
    summary: "5-bit filter by two byte shuffles over blocked, renumbered codes; candidates scored in f32",
    arch: "x86_64",
    requires: [Avx2, Bmi1, Popcnt],
    fidelity: Fidelity::Exact,
    rank: 40,
    rank_below: (50_000, 65),
    prepare: kernel::prepare,
}

#[cfg(target_arch = "x86_64")]
mod kernel {
    use std::arch::x86_64::*;

    use crate::{
        blocks::BLOCK,
        byte_vector::Avx2,
        lut::FilterLut,
        merged::{FiveBitBlock, merged_kernel},
    };

    const GROUPS: usize = 32;

    merged_kernel!(FiveBitBlock, GROUPS, Avx2, "avx2,bmi1,popcnt");

    /// The saturating sums of a block's 64 lanes.
    #[target_feature(enable = "avx2,bmi1,popcnt")]
    fn sums(lut: &FilterLut<GROUPS>, block: &FiveBitBlock) -> [Avx2; BLOCK / 32] {
        let top = _mm256_set1_epi8(i8::MIN);
        let mut sums = [_mm256_setzero_si256(); BLOCK / 32];
        // Four rows a turn, for which LLVM makes no loop.
        for (rows, entries) in block.0.as_chunks::<4>().0.iter().zip(lut.0.as_chunks::<4>().0) {
            for (row, entries) in rows.iter().zip(entries) {
                let [lower, upper] = *entries.as_chunks::<16>().0 else { unreachable!("two times 16 entries") };
                // SAFETY: they have 16 bytes each.
                let (lower, upper) =
                    unsafe { (_mm_loadu_si128(lower.as_ptr().cast()), _mm_loadu_si128(upper.as_ptr().cast())) };
                let (lower, upper) = (_mm256_broadcastsi128_si256(lower), _mm256_broadcastsi128_si256(upper));
                for (codes, sum) in row.as_chunks::<32>().0.iter().zip(&mut sums) {
                    // SAFETY: `codes` has 32 bytes and the block is aligned.
                    let codes = unsafe { _mm256_load_si256(codes.as_ptr().cast()) };
                    // Each gives zero where the other one's entry is meant.
                    let found = _mm256_shuffle_epi8(lower, codes);
                    let other = _mm256_shuffle_epi8(upper, _mm256_xor_si256(codes, top));
                    *sum = _mm256_adds_epu8(*sum, _mm256_or_si256(found, other));
                }
            }
        }
        sums.map(Avx2)
    }
}

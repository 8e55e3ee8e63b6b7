//! A 6-bit exact filter: `tbl` on four registers looks up 16 codes in a table of 64 group minima.
//!
//! The centroids are renumbered until the low six bits of a code name a group of four similar ones, and the LUT holds each
//! group's smallest entry. The sum is a lower bound of the distance: what it rules out is out, the rest is scored in f32.
//! PQ Fast Scan (André et al., VLDB 2015) with NEON's wide look-up, on Faiss's blocked layout.
//!
//! A row of 64 codes: four `ldp`, then four times `and`, `tbl`, `uqadd`, and a quarter of the loop around four rows: 17
//! instructions, 4.25 a code. Executed under emulation for a whole query over real codes, table and scoring included: 5.1 a
//! code at a million codes, 5.7 at 200,000; `scalar` 56, so 1/11 and 1/9.8 of it.
//!
//! `tbl` limits it: by LLVM's scheduling models a row takes 12 cycles on Neoverse N1 and 6 on V1. On two registers, 5 bits,
//! it would take 7 and 4.5, but let nearly five times as many candidates through. It loses where 6 bits can't tell codes
//! apart.

use crate::{register, registry::Fidelity};

register! {
    name: "neon-tbl",
    summary: "6-bit filter by four-register tbl over blocked, renumbered codes; candidates scored in f32",
    arch: "aarch64",
    requires: [Neon],
    fidelity: Fidelity::Exact,
    rank: 60,
    prepare: kernel::prepare,
}

#[cfg(target_arch = "aarch64")]
mod kernel {
    use std::{arch::aarch64::*, mem::MaybeUninit};

    use crate::{
        blocks::Block,
        by_blocks::grouped_kernel,
        byte_vector::Neon,
        filter::{LaneSums, Near},
        grouping::GROUPS,
        lut::FilterLut,
    };

    grouped_kernel!(Neon, "neon");

    #[target_feature(enable = "neon")]
    fn find_near(lut: &FilterLut<GROUPS>, blocks: &[Block], near: &mut Near) {
        for block in blocks {
            let [a, b, c, d] = sums(lut, block);
            // Whether there is one is asked first, for it takes fewer instructions than the lanes.
            let least = vminq_u8(vminq_u8(a, b), vminq_u8(c, d));
            near.push(if vminvq_u8(least) == u8::MAX { 0 } else { below_255([a, b, c, d]) });
        }
    }

    #[target_feature(enable = "neon")]
    fn find_all_near(blocks: &[Block], queries: &mut [(&FilterLut<GROUPS>, &mut Near)]) {
        queries.iter_mut().for_each(|(lut, near)| find_near(lut, blocks, near));
    }

    #[target_feature(enable = "neon")]
    fn write_sums(lut: &FilterLut<GROUPS>, blocks: &[Block], out: &mut [MaybeUninit<LaneSums>]) {
        for (block, out) in blocks.iter().zip(out) {
            // SAFETY: this function is compiled for the very features.
            unsafe { LaneSums::write(out, sums(lut, block).map(Neon)) };
        }
    }

    /// The saturating sums of a block's 64 lanes.
    #[target_feature(enable = "neon")]
    fn sums(lut: &FilterLut<GROUPS>, block: &Block) -> [uint8x16_t; 4] {
        let mut sums = [vdupq_n_u8(0); 4];
        // Four rows a turn: all sixteen unrolled overflow the compiler's patience, one alone pays a fifth for the loop.
        let turns = block.0.as_chunks::<4>().0.iter().zip(lut.0.as_chunks::<4>().0);
        for (rows, luts) in turns {
            for (row, entries) in rows.iter().zip(luts) {
                // SAFETY: a row and `entries` have 64 bytes each.
                let (codes, entries) = unsafe { (vld1q_u8_x4(row.as_ptr()), vld1q_u8_x4(entries.as_ptr())) };
                for (sum, codes) in sums.iter_mut().zip([codes.0, codes.1, codes.2, codes.3]) {
                    *sum = vqaddq_u8(*sum, vqtbl4q_u8(entries, vandq_u8(codes, vdupq_n_u8(GROUPS as u8 - 1))));
                }
            }
        }
        sums
    }

    /// One bit for each of 64 lanes, set where the sum has not saturated.
    #[target_feature(enable = "neon")]
    fn below_255(sums: [uint8x16_t; 4]) -> u64 {
        const BITS: [u8; 16] = [1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128];
        // SAFETY: the array has 16 bytes.
        let bits = unsafe { vld1q_u8(BITS.as_ptr()) };
        // Three rounds of sums of neighbours gather eight lanes' bits in a byte.
        let [a, b, c, d] = sums.map(|sum| vandq_u8(vcltq_u8(sum, vdupq_n_u8(u8::MAX)), bits));
        let eights = vpaddq_u8(vpaddq_u8(a, b), vpaddq_u8(c, d));
        vgetq_lane_u64::<0>(vreinterpretq_u64_u8(vpaddq_u8(eights, eights)))
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use crate::blocks::BLOCK;

        fn noise(seed: u32) -> impl Iterator<Item = u32> {
            (0..).scan(seed, |state: &mut u32, _: u32| {
                *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                Some(*state >> 8)
            })
        }

        #[test]
        fn masks_name_the_lanes_that_have_not_saturated() {
            let lut = FilterLut(std::array::from_fn(|m| std::array::from_fn(|g| (m * 7 + g * 5) as u8 % 40)));
            let mut random = noise(5);
            for _ in 0..200 {
                let block = Block(std::array::from_fn(|_| std::array::from_fn(|_| random.next().unwrap() as u8)));
                let expected = (0..BLOCK).fold(0, |mask, lane| {
                    let sum = (0..16)
                        .fold(0u8, |sum, m| sum.saturating_add(lut.0[m][usize::from(block.0[m][lane]) % GROUPS]));
                    mask | u64::from(sum != 255) << lane
                });
                let mut near = Near::from(0);
                // SAFETY: NEON is part of every aarch64 that std runs on.
                unsafe { find_near(&lut, &[block], &mut near) };
                assert!(near.hits().iter().copied().eq((expected != 0).then_some((0, expected))));
            }
        }
    }
}

//! A 6-bit exact filter: `vpermb` looks up 64 codes in a table of 64 group minima, one instruction.
//!
//! The centroids are renumbered until the low six bits of a code name a group of four similar ones, and the LUT holds each
//! group's smallest entry. The sum is a lower bound of the distance: what it rules out is out, the rest is scored in f32
//! from the same block, dozens at a time. The idea is PQ Fast Scan's (André et al., VLDB 2015) with AVX-512 VBMI's wide
//! look-up, on Faiss's blocked layout. `vpermb` ignores an index's upper two bits, so the codes are used as they lie.
//!
//! A row of 64 codes: load, `vpermb` (port 5 on Intel, 1/cycle; 1/cycle on Zen 4, 2 on Zen 5), an addition, of which every
//! other one saturates: no entry is above half of the limit, so that two do not overflow ([`HALF`](crate::lut::HALF)). On
//! Zen 4 an addition that saturates shares one of its two ports with the shuffles. The whole LUT is in 16 registers.
//! Expected: 20 cycles a block of 64 codes, so that one query over a list beyond the caches takes the time of reading it. A
//! batch shares the reading: it goes block by block, the codes in registers and the queries' LUTs in L1. Measured at 1M:
//! 0.58 ns a code on an Intel Xeon (2 MB of L2), as long as just reading; on Zen 4, which reads three times as fast, 0.22 to
//! 0.27 ns, 1.2 to 1.35 times reading, and 0.13 to 0.14 ns in batches of 16: three quarters of that is the loop, the rest
//! the first threshold and a thousand candidates.
//!
//! It is the best one for batches and, with `avx512-6bit`, which takes more memory, for short lists, where the distance
//! table, the first threshold and a few hundred candidates take most of the time. From about 55,000 codes on it loses to
//! those that skip codes.

use crate::{register, registry::Fidelity};

register! {
    name: "avx512-vpermb",
    summary: "6-bit filter by vpermb over blocked, renumbered codes; candidates scored in f32",
    arch: "x86_64",
    requires: [Avx512f, Avx512bw, Avx512vbmi, Bmi1, Popcnt],
    fidelity: Fidelity::Exact,
    rank: 75,
    rank_below: (55_000, 85),
    prepare: kernel::prepare,
}

#[cfg(target_arch = "x86_64")]
mod kernel {
    use std::{arch::x86_64::*, mem::MaybeUninit, ptr};

    use crate::{
        NUM_SUB_VECTORS,
        blocks::Block,
        by_blocks::grouped_kernel,
        byte_vector::Avx512,
        filter::{LaneSums, Near},
        grouping::GROUPS,
        lut::FilterLut,
    };

    grouped_kernel!(Avx512, "avx512f,avx512bw,avx512vbmi,bmi1,popcnt");

    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi,bmi1,popcnt")]
    fn find_near(lut: &FilterLut<GROUPS>, blocks: &[Block], near: &mut Near) {
        let tables = load_all(&lut.0);
        for block in blocks {
            // SAFETY: this function is compiled for the very features.
            unsafe { near.push_sums([Avx512(sums(&load_all(&block.0), &tables))]) };
        }
    }

    /// A block's codes stay in registers, and the LUTs, an operand in memory, in L1.
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi,bmi1,popcnt")]
    fn find_all_near(blocks: &[Block], queries: &mut [(&FilterLut<GROUPS>, &mut Near)]) {
        /// Blocks from the one that is read to the one that is asked for: with so much to compute between two blocks the hardware
        /// sees no stream.
        const AHEAD: usize = 5;
        for block in blocks {
            let codes = load_all(&block.0);
            let rows_of = |ahead| ptr::from_ref(block).wrapping_add(ahead).cast::<[u8; 64]>();
            let (next, ahead) = (rows_of(1), rows_of(AHEAD));
            (0..NUM_SUB_VECTORS).for_each(|row| _mm_prefetch::<_MM_HINT_T1>(ahead.wrapping_add(row).cast()));
            for (at, (lut, near)) in queries.iter_mut().enumerate() {
                // From the second cache to the first, a row a query: all at once would be more than it can wait for.
                _mm_prefetch::<_MM_HINT_T0>(next.wrapping_add(at).cast());
                // SAFETY: this function is compiled for the very features.
                unsafe { near.push_sums([Avx512(sums(&codes, &load_all(&lut.0)))]) };
            }
        }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi,bmi1,popcnt")]
    fn write_sums(lut: &FilterLut<GROUPS>, blocks: &[Block], out: &mut [MaybeUninit<LaneSums>]) {
        let tables = load_all(&lut.0);
        for (block, out) in blocks.iter().zip(out) {
            // SAFETY: this function is compiled for the very features.
            unsafe { LaneSums::write(out, [Avx512(sums(&load_all(&block.0), &tables))]) };
        }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi,bmi1,popcnt")]
    fn sums(codes: &[__m512i; NUM_SUB_VECTORS], tables: &[__m512i; NUM_SUB_VECTORS]) -> __m512i {
        // Two sums, so that none waits for the other.
        let mut sums = [_mm512_setzero_si512(); 2];
        let pairs = codes.as_chunks::<2>().0.iter().zip(tables.as_chunks::<2>().0);
        for (at, (codes, tables)) in pairs.enumerate() {
            // Which does not overflow: see [`HALF`](crate::lut::HALF).
            let pair = _mm512_add_epi8(
                _mm512_permutexvar_epi8(codes[0], tables[0]),
                _mm512_permutexvar_epi8(codes[1], tables[1]),
            );
            sums[at % 2] = _mm512_adds_epu8(sums[at % 2], pair);
        }
        _mm512_adds_epu8(sums[0], sums[1])
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi,bmi1,popcnt")]
    fn load_all(rows: &[[u8; 64]; NUM_SUB_VECTORS]) -> [__m512i; NUM_SUB_VECTORS] {
        let mut all = [_mm512_setzero_si512(); NUM_SUB_VECTORS];
        all.iter_mut().zip(rows).for_each(|(vector, row)| *vector = load(row));
        all
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi,bmi1,popcnt")]
    fn load(bytes: &[u8; 64]) -> __m512i {
        // SAFETY: the array has the 64 bytes.
        unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
    }
}

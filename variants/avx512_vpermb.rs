//! A 6-bit exact filter: `vpermb` looks up 64 codes in a table of 64 group minima, one instruction.
//!
//! The centroids are renumbered until the low six bits of a code name a group of four similar ones, and the LUT holds each
//! group's smallest entry. The sum is a lower bound of the distance: what it rules out is out, the rest is scored in f32
//! from the same block, dozens at a time. The idea is PQ Fast Scan's (André et al., VLDB 2015) with AVX-512 VBMI's wide
//! look-up, on Faiss's blocked layout. `vpermb` ignores an index's upper two bits, so the codes are used as they lie.
//!
//! A row of 64 codes: load, `vpermb` (port 5 on Intel, 1/cycle; 1/cycle on Zen 4, 2 on Zen 5), an addition, of which every
//! other one saturates: no entry is above half of the limit, so that two do not overflow ([`HALF`](crate::bounds::lut::HALF)). On
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

use crate::{register, registry::Fidelity, scan::grouped::SixBitGroups};

register! {
    name: "avx512-vpermb",
    summary: "6-bit filter by vpermb over blocked, renumbered codes; candidates scored in f32",
    level: Avx512,
    fidelity: Fidelity::Exact,
    rank: 75,
    rank_below: (55_000, 85),
    list: SixBitGroups,
}

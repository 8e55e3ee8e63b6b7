//! A 6-bit exact filter: `vpermb` looks up 64 codes in a table of 64 group minima, one instruction.
//!
//! The centroids are renumbered until the low six bits of a code name a group of four similar ones, and the LUT holds
//! each group's smallest entry. The sum is a lower bound of the distance: what it rules out is out, candidates are
//! scored in f32 from the same block, dozens at a time. The idea is PQ Fast Scan's (André et al., VLDB 2015) with
//! AVX-512 VBMI's wide look-up, on Faiss's [blocks](crate::layout::blocks). `vpermb` ignores an index's upper two bits,
//! so the codes are used as they lie.
//!
//! **Instructions.** A row of 64 codes: load, `vpermb` (one a cycle on Intel's port 5 and on Zen 4, two on Zen 5), an
//! addition, of which every other one saturates: no entry is above half of the limit, so that two do not overflow
//! ([`HALF`](crate::bounds::lut::HALF)). On Zen 4 an addition that saturates shares one of its two ports with the
//! shuffles. With 16 sub-quantizers the whole LUT is in registers. A batch goes block by block, the codes in registers
//! and the queries' LUTs in L1.
//!
//! It is the best one for batches, which share the reading, and with `avx512-6bit`, which takes more memory, for short
//! lists.
//!
//! **Loses** in long lists to those that skip codes.

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

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

use crate::{register, registry::Fidelity, scan::grouped::SixBitGroups};

register! {
    name: "neon-tbl",
    summary: "6-bit filter by four-register tbl over blocked, renumbered codes; candidates scored in f32",
    level: Neon,
    fidelity: Fidelity::Exact,
    rank: 60,
    list: SixBitGroups,
}

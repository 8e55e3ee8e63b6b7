//! A 6-bit exact filter: `tbl` on four registers looks up 16 codes in a table of 64 group minima.
//!
//! The centroids are renumbered until the low six bits of a code name a group of four similar ones, and the LUT holds
//! each group's smallest entry. The sum is a lower bound of the distance: what it rules out is out, candidates are
//! scored in f32. PQ Fast Scan (André et al., VLDB 2015) with NEON's wide look-up, on Faiss's
//! [blocks](crate::layout::blocks).
//!
//! **Instructions.** A row of 64 codes: four `ldp`, then four times `and`, `tbl`, `uqadd`, and a quarter of the loop
//! around four rows. `tbl` limits it: by LLVM's scheduling models a row takes 12 cycles on Neoverse N1 and 6 on V1. On
//! two registers, 5 bits, it would take 7 and 4.5, but let several times as many candidates through. Its time was not
//! measured.
//!
//! **Loses** where 6 bits can't tell codes apart.

use crate::{register, registry::Fidelity, scan::grouped::SixBitGroups};

register! {
    name: "neon-tbl",
    summary: "6-bit filter by four-register tbl over blocked, renumbered codes; candidates scored in f32",
    level: Neon,
    fidelity: Fidelity::Exact,
    rank: 60,
    list: SixBitGroups,
}

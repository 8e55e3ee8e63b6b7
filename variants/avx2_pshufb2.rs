//! A 5-bit exact filter for short lists: two byte shuffles look up 32 codes in a table of 32 group minima.
//!
//! Each sub-quantizer's 64 groups of similar centroids are merged into 32 that suit the list, and the LUT holds each
//! one's smallest entry: a lower bound, exact once candidates are scored (PQ Fast Scan, André et al., VLDB 2015). In
//! short lists the threshold is high, and four bits let many codes pass; five let a third of those pass, for twice the
//! shuffles. The first blocks are scanned in two passes ([`filter`](crate::scan::filter)), and candidates are looked up
//! from the whole codes in the LUT of the 64 groups before they are scored ([`coarse`](crate::scan::coarse)).
//!
//! ```text
//! block of 64: line m, a byte a lane:  bit 7 [b4]  bits 6 to 4 [0]  bits 3 to 0 [b3 b2 b1 b0]
//!              whole codes, row-major, beside them
//! ```
//!
//! **Instructions.** A row of 32 codes: load, xor, two `vpshufb` (one a cycle on Intel's port 5, two on Zen), or,
//! saturating addition. A label's fifth bit is its byte's top one, which makes each shuffle give zero where the other
//! one's entry is meant.
//!
//! **Loses** in long lists to `avx2-ordered`, which looks at few of the codes.

use crate::{register, registry::Fidelity, scan::coarse::FiveBitCodes};

register! {
    name: "avx2-pshufb2",
    summary: "5-bit filter by two byte shuffles over labels of 32 groups; candidates scored in f32",
    level: Avx2,
    fidelity: Fidelity::Exact,
    rank: 40,
    rank_below: (60_000, 65),
    list: FiveBitCodes,
}

//! A 4-bit exact filter over half the bytes: 32 look-ups a shuffle in 16-entry tables of group minima.
//!
//! `vpshufb` looks up 16 entries, so each sub-quantizer's 64 groups of similar centroids are merged into 16 that suit
//! the list, and the LUT holds each one's smallest entry: a lower bound, exact once candidates are scored (PQ Fast
//! Scan, André et al., VLDB 2015). Only these labels are read for every code. Candidates are looked up from the whole
//! codes in the LUT of the 64 groups, 32 at a time, and the survivors are scored ([`coarse`](crate::scan::coarse)).
//!
//! ```text
//! block of 64: line 0  [m 1|m 0] of lane 0 ... of lane 63
//!              line 1  [m 3|m 2] ...                           whole codes, row-major, beside them
//! ```
//!
//! **Instructions.** Two rows of 32 codes: load, two ands, shift, two `vpshufb` (one a cycle on Intel's port 5, two on
//! Zen), two saturating additions.
//!
//! **Loses** in short lists, where the threshold is still high and 4 bits let many codes pass, and on uniformly random
//! codes, where they let nearly all pass.

use crate::{register, registry::Fidelity, scan::coarse::NibbleCodes};

register! {
    name: "avx2-pshufb",
    summary: "4-bit filter by byte shuffles over packed labels of 16 fitted groups; candidates scored in f32",
    level: Avx2,
    fidelity: Fidelity::Exact,
    rank: 60,
    reads_less: true,
    list: NibbleCodes,
}

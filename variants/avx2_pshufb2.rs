//! A 5-bit exact filter for short lists: two byte shuffles look up 32 codes in a table of 32 group minima.
//!
//! Each sub-quantizer's 64 groups of similar centroids are merged into 32 that suit the list, and the LUT holds each one's
//! smallest entry: a lower bound, exact once candidates are scored (PQ Fast Scan, André et al., VLDB 2015). In short lists the
//! threshold is high, and four bits let one code in ten pass; five let a third of those pass, for twice the shuffles.
//! The first blocks are scanned in two passes ([`filter`](crate::scan::filter)), and what passes is looked up from the whole codes,
//! which lie beside the labels, in the 64 groups before it is scored ([`coarse`](crate::scan::coarse)).
//!
//! A row of 32 codes: load, xor, two `vpshufb` (1/cycle on Intel's port 5, 2 on Zen), or, saturating add: a label's fifth bit
//! is its byte's top one, which makes each shuffle give zero where the other one's entry is meant. Measured on Zen 4: 2.9
//! times as fast as `scalar` at 1,000 codes, 4.0 at 4,000, 5.8 to 6.0 at 16,000, where a third of the time goes into summing
//! and nearly half into candidates. From some 60,000 codes on it loses to `avx2-ordered`, which looks at few of them.

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

//! Similar codes together, blocks that cannot win skipped: see [`ordered`](crate::scan::ordered), with AVX-512.
//!
//! Codes are looked up whole, among all 256 centroids: four times the work of one `vpermb` in groups of four, hidden by
//! reading; fewer lines are read then, and far fewer codes are candidates. What a super-block adds at least is a masked
//! minimum of 256 entries for each sub-quantizer.
//!
//! ```text
//! super-block: m 0  [code 0][code 1] ... [code 8191]
//!              m 1  [code 0][code 1] ... [code 8191]
//! ```
//!
//! **Instructions.** A row of 64 codes: load, two `vpermi2b` (on Intel each three operations, two of them on port 5;
//! one a cycle on Zen 4), `vpmovb2m`, blend, saturating addition.
//!
//! **Loses** in short lists, where its order has little to skip and its set-up shows; there `avx512-vpermb` is faster.

use crate::{register, registry::Fidelity, scan::ordered::ByteCodes};

register! {
    name: "avx512-ordered",
    summary: "similar codes together; blocks that cannot win are skipped",
    level: Avx512,
    fidelity: Fidelity::Exact,
    rank: 90,
    rank_below: (55_000, 45),
    reads_less: true,
    list: ByteCodes,
}

//! Similar codes together, 4 bits each, blocks that cannot win skipped: see [`ordered`](crate::scan::ordered), with
//! AVX2.
//!
//! ```text
//! super-block: pair 0  [m 1|m 0] of code 0, of code 1, ... of code 8191
//!              pair 1  [m 3|m 2] ...                           whole codes, row-major, beside them
//! ```
//!
//! **Instructions.** A pair of sub-quantizers, 32 codes: load, two ands, shift, two `vpshufb`, two saturating
//! additions.
//!
//! Half the width of `avx512-ordered`, and groups of 16 where that tells 256 centroids apart: half as many lines to
//! read at first, but twice as many steps, and far more candidates, each of them a cache line more.
//!
//! **Loses** in short lists, where its order has little to skip and its set-up shows.

use crate::{register, registry::Fidelity, scan::ordered::NibbleCodes};

register! {
    name: "avx2-ordered",
    summary: "similar codes together in nibbles; blocks that cannot win are skipped",
    level: Avx2,
    fidelity: Fidelity::Exact,
    rank: 80,
    rank_below: (60_000, 45),
    reads_less: true,
    list: NibbleCodes,
}

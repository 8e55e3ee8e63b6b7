//! Similar codes together, 4 bits each, blocks that cannot win skipped: see [`ordered`](crate::scan::ordered), with SSSE3.
//!
//! A quarter of the width of `avx512-ordered`, without AVX's third operand, and still ahead of every variant that reads all
//! codes: what it does not read it need not compute either. It loses where `avx2-ordered` does.

use crate::{register, registry::Fidelity, scan::ordered::NibbleCodes};

register! {
    name: "ssse3-ordered",
    summary: "similar codes together in nibbles; blocks that cannot win are skipped",
    level: Ssse3,
    fidelity: Fidelity::Exact,
    rank: 55,
    rank_below: (50_000, 45),
    reads_less: true,
    list: NibbleCodes,
}

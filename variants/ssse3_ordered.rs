//! Similar codes together, 4 bits each, blocks that cannot win skipped: see [`ordered`](crate::scan::ordered), with
//! SSSE3.
//!
//! The layout is that of `avx2-ordered`.
//!
//! **Instructions.** Those of `avx2-ordered` at half the width, and copies besides, for there is no third operand
//! before AVX. It is still ahead of most variants that read all codes: what is not read need not be computed either.
//!
//! **Loses** in short lists, as `avx2-ordered` does.

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

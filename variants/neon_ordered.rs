//! Similar codes together, 4 bits each, blocks that cannot win skipped: see [`ordered`](crate::scan::ordered), with
//! NEON.
//!
//! The layout is that of `avx2-ordered`.
//!
//! **Instructions.** One-register `tbl` for the nibbles, four-register `tbl` for the LUT of a super-block. There is no
//! movemask: whether a block still has a lane below 255 is a `uminv`, and only the blocks that are left at the end pay
//! for their bits.
//!
//! Counted under emulation it takes fewer instructions a code than `neon-tbl`, and it reads less besides; only a timing
//! on real hardware can weigh that.
//!
//! **Loses** in shorter lists to `neon-tbl`.

use crate::{register, registry::Fidelity, scan::ordered::NibbleCodes};

register! {
    name: "neon-ordered",
    summary: "similar codes together in nibbles; blocks that cannot win are skipped",
    level: Neon,
    fidelity: Fidelity::Exact,
    rank: 65,
    rank_below: (200_000, 55),
    reads_less: true,
    list: NibbleCodes,
}

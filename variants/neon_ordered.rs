//! Similar codes together, 4 bits each, blocks that cannot win skipped: see [`ordered`](crate::scan::ordered), with NEON.
//!
//! One-register `tbl` for the nibbles, four-register `tbl` for the LUT of a super-block. There is no movemask: whether a block
//! still has a lane below 255 is a `uminv`, and only the blocks that are left at the end pay for their bits.
//!
//! Executed under emulation for a whole query over real codes: 4.8 instructions a code at 200,000 codes, and 3.2 at a million
//! (with super-blocks of 4,096, which took 5.2 at 200,000); `scalar` 56, `neon-tbl` 5.7 and 5.1. It reads less besides, which
//! only a timing on real hardware can weigh. In shorter lists it loses to that one.

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

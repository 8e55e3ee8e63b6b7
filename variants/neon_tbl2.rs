//! A 7-bit exact filter for row-major codes that nothing prepared: `tbl` and `tbx` look up 16 codes in 128 entries.
//!
//! `avx2-pshufb8` for NEON, where a table of 64 entries is one instruction ([`row_major`](crate::scan::row_major)).
//!
//! **Instructions.** The codes of the most informative half of the sub-quantizers are moved together by `tbl`,
//! transposed by `zip`, and looked up in groups of two centroids by `tbl` and `tbx`: 64 look-ups on four registers for
//! 64 codes, which on some cores take three cycles each. Its time was not measured.
//!
//! **Loses** to everything that prepares its codes, and where most codes pass.

use crate::{
    register,
    registry::Fidelity,
    scan::row_major::{self, SevenBitRows},
    simd::Neon,
};

register! {
    name: "neon-tbl2",
    summary: "row-major codes: 7-bit filter by tbl and tbx over half of the sub-quantizers; candidates scored in f32",
    level: Neon,
    fidelity: Fidelity::Exact,
    rank: 40,
    unsupported: row_major::unsupported,
    list: SevenBitRows,
    probe: row_major::probe::<Neon, 128>,
}

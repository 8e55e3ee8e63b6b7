//! A 7-bit exact filter for row-major codes that nothing prepared: `tbl` and `tbx` look up 16 codes in 128 entries.
//!
//! `avx2-pshufb8` for NEON, where a table of 64 entries is one instruction: half of the sub-quantizers, those that tell most
//! for the query, are moved together by `tbl`, transposed by `zip`, and looked up in groups of two centroids by `tbl` and
//! `tbx`.
//!
//! Executed under emulation for a whole query over real codes, table and scoring included: 11.1 instructions a code at a
//! million codes, 13.0 at 200,000 (eleven queries); `pair-lut` 15.2 and 22.0, `scalar` 55. 64 codes are 64 look-ups on four
//! registers, which on some cores take three cycles each: its time was not measured.

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

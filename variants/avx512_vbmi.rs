//! An 8-bit exact filter: a LUT of all 256 entries is two `vpermi2b` and a blend.
//!
//! `vpermi2b` looks up 64 bytes in 128 entries, so two of them, chosen between by a code's top bit, are the whole table: no
//! renumbering, and it scans row-major codes that nothing prepared as well.
//!
//! A row of 64 codes: load, two `vpermi2b` (port 5 on Intel), `vpmovb2m`, blend, an addition, every other one saturating. 64
//! registers of LUT don't fit, and four loads a row besides that of the codes take as long as 80 loads do (one a cycle on
//! Zen 4): so four blocks share the loads of the LUT. The shuffle port limits it then, 32 of its cycles for 64 codes on
//! Intel, about 50 in all on Zen 4.
//!
//! Row-major codes are transposed in registers, but only half of them: the eight sub-quantizers that tell most for the
//! query. `vpermi2b` takes those of 8 rows into one register, whatever places they have, and 24 shuffles of 8-byte numbers
//! turn 64 rows into eight registers: 32 shuffles for 64 codes, where all sixteen would take 64. What passes, by the query
//! 600 to 40,000 of a million codes, is looked up in all sixteen, 64 candidates at a time, and some 70 of those are scored.
//!
//! Prepared codes at 1M on Zen 4: 0.27 ns a code, 1.4 to 1.5 times just reading, 1.2 times the time of `avx512-vpermb`; it
//! needs no renumbering and scores the fewest.
//!
//! Row-major codes at 1M on Zen 4: 0.34 to 0.38 ns a code, ten times as fast as `scalar`, 1.8 to 2.0 times just reading
//! them. Its loop takes 17 ns for 64 codes from L1, of which the transposing is 8, and 18 from the third cache. (An earlier
//! one, which scored what the eight leave: 0.65 to 0.82 ns on an Intel Xeon, 1.2 to 1.5 times just reading.) Lists below
//! 1,536 codes gain nothing: a filter's set-up takes as long as scoring them.

use crate::{
    register,
    registry::Fidelity,
    scan::{grouped::WholeBytes, row_major},
    simd::Avx512,
};

register! {
    name: "avx512-vbmi",
    summary: "8-bit filter by two vpermi2b a row over blocked codes; candidates scored in f32",
    level: Avx512,
    fidelity: Fidelity::Exact,
    rank: 70,
    list: WholeBytes,
    probe: row_major::probe::<Avx512, 256>,
}

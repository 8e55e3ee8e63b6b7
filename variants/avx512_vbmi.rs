//! An 8-bit exact filter: a LUT of all 256 entries is two `vpermi2b` and a blend.
//!
//! `vpermi2b` looks up 64 bytes in 128 entries, so two of them, chosen between by a code's top bit, are the whole
//! table: no renumbering, the fewest candidates, and it scans row-major codes that nothing prepared as well. The bound
//! is PQ Fast Scan's (André et al., VLDB 2015), the layout Faiss's [blocks](crate::layout::blocks).
//!
//! **Instructions, prepared codes.** A row of 64: load, two `vpermi2b` (port 5 on Intel), `vpmovb2m`, blend, an
//! addition, every other one saturating. 64 registers of LUT don't fit, and four loads a row besides that of the codes
//! would limit it: so four blocks share the loads of the LUT, and the shuffle port limits it then.
//!
//! **Instructions, row-major codes.** They are transposed in registers, but only the eight most informative
//! sub-quantizers of the query. `vpermi2b` takes those of 8 rows into one register, whatever places they have, and 24
//! shuffles of 8-byte numbers turn 64 rows into eight registers: 32 shuffles for 64 codes, where all sixteen would take
//! 64. Candidates are looked up in all sixteen, 64 at a time, and the survivors are scored.
//!
//! **Loses** to `avx512-vpermb`, which has half of the shuffles. Very short row-major lists are scored plainly, since a
//! filter's set-up takes as long.

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

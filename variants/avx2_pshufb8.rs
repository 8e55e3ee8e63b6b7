//! A 7-bit exact filter for row-major codes that nothing prepared: eight `pshufb` look up 32 codes in 128 entries.
//!
//! An index's centroids have the numbers that k-means gave them, so the low bits of a code name a group of centroids
//! that have nothing in common: a minimum over the 16 that a nibble leaves bounds nothing, one over two bounds well
//! enough. Hence tables of 128 entries: a `pshufb` for each 16, which gives what changes from the 16 before, and
//! nothing for a code below its own; a blend chooses between two halves. Looked up are the eight most informative
//! sub-quantizers of the query, as in `avx512-vbmi`; their codes are moved together by `pshufb` and transposed by
//! interleaving. Candidates are looked up in all sub-quantizers, and the survivors are scored
//! ([`row_major`](crate::scan::row_major)).
//!
//! **Instructions.** 64 codes: 32 loads, 32 `pshufb` and 48 interleavings to transpose; then 128 `pshufb` (one a cycle
//! on Intel before Ice Lake, two since and on Zen), 96 xors, 48 subtractions, 16 blends (two or three operations on
//! Intel) and as many shifts, which the vector units limit.
//!
//! **Loses** to everything that prepares its codes, and to the scalar loop where most codes pass.

use crate::{
    register,
    registry::Fidelity,
    scan::row_major::{self, SevenBitRows},
    simd::Avx2,
};

register! {
    name: "avx2-pshufb8",
    summary: "row-major codes: 7-bit filter by eight pshufb over half of the sub-quantizers; candidates scored in f32",
    level: Avx2,
    fidelity: Fidelity::Exact,
    rank: 40,
    unsupported: row_major::unsupported,
    list: SevenBitRows,
    probe: row_major::probe::<Avx2, 128>,
}

//! A 7-bit exact filter for row-major codes that nothing prepared: eight `pshufb` look up 32 codes in 128 entries.
//!
//! An index's centroids have the numbers that k-means gave them, so that the low bits of a code name a group of centroids
//! that have nothing in common: a minimum over the 16 that a nibble leaves bounds nothing, one over two bounds well enough.
//! Hence tables of 128 entries: a `pshufb` for each 16, which gives what changes from the 16 before, and nothing for a code
//! below its own; a blend chooses between two halves. (Blends alone took 1.16 times as long.) Looked up are the eight
//! sub-quantizers that tell most for the query, as in `avx512-vbmi`; their codes are moved together by `pshufb` and
//! transposed by interleaving.
//!
//! 64 codes: 32 loads, 32 `pshufb` and 48 interleavings bring the codes of a sub-quantizer together, which takes 11 ns on
//! Zen 4. Then 128 `pshufb` (1/cycle on Intel before Ice Lake, 2 since and on Zen), 96 xors, 48 subtractions, 16 blends (two
//! or three operations on Intel) and as many shifts: 29 ns, which the vector units limit. What passes, by the query 7,000 to
//! 210,000 of a million codes, is looked up in all sub-quantizers, and 600 or so of those are scored.
//!
//! Measured at 1M on Zen 4: 0.86 ns a code, 4.3 times as fast as `scalar`, 4.2 to 4.5 times just reading. Intel was not
//! measured. Where most codes pass it loses: equal codes take 1.1 to 1.2 times as long as with `scalar`, whose distance
//! table included; without, 1.9 times at 2,000 codes, 1.3 at 16,000, 1.1 at 100,000.

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

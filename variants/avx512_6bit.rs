//! A 6-bit exact filter that streams 12 bytes of a code instead of 16, for lists beyond the caches.
//!
//! `avx512-vpermb` uses six bits of each byte that it reads, and reading is what limits it. Here the labels of four
//! sub-quantizers lie in three lines ([`SixBits`](crate::layout::labels::SixBits)): three in the low bits, as `vpermb`
//! takes them, the fourth in the upper two of all three. Candidates are scored from the whole codes
//! ([`coarse`](crate::scan::coarse)): one cache line each, where blocks cost one a sub-quantizer. The filter is PQ Fast
//! Scan's idea (André et al., VLDB 2015); bits that are packed to save bandwidth are as old as databases that scan
//! columns.
//!
//! ```text
//! block of 64: line 0  [m 3, bits 1 0|m 0] of lane 0 ... of lane 63
//!              line 1  [m 3, bits 3 2|m 1] ...
//!              line 2  [m 3, bits 5 4|m 2] ...                 whole codes, row-major, beside them
//! ```
//!
//! **Instructions.** Four rows of 64 codes: three loads, three shifts and two `vpternlog` for the fourth, four
//! `vpermb`, four additions, two of which saturate. With 16 sub-quantizers the whole LUT is in registers.
//!
//! **Loses** to `avx512-vpermb` in batches, which share the reading, and to `avx512-ordered` in long lists.

use crate::{register, registry::Fidelity, scan::coarse::SixBitCodes};

register! {
    name: "avx512-6bit",
    summary: "6-bit filter by vpermb over packed, renumbered codes; candidates scored in f32",
    level: Avx512,
    fidelity: Fidelity::Exact,
    rank: 80,
    reads_less: true,
    list: SixBitCodes,
}

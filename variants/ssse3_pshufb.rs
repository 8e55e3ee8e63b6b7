//! `avx2-pshufb` for CPUs without AVX: 16 look-ups a shuffle in 16-entry tables of group minima.
//!
//! SSSE3's `pshufb` is all it needs, which every x86-64 CPU since 2006 (Intel) and 2011 (AMD) has; so have emulators
//! and clouds that hide newer features. The filter, the layout and the bound are those of `avx2-pshufb`, from PQ Fast
//! Scan (André et al., VLDB 2015).
//!
//! **Instructions.** Two rows of 16 codes: load, two ands, shift, two copies of the LUT's rows (no third operand before
//! AVX), two `pshufb` (one a cycle on Intel's port 5, two on Zen), two saturating additions.
//!
//! **Loses** in long lists to `ssse3-ordered`.

use crate::{register, registry::Fidelity, scan::coarse::NibbleCodes};

register! {
    name: "ssse3-pshufb",
    summary: "4-bit filter by byte shuffles over packed labels of 16 fitted groups; candidates scored in f32",
    level: Ssse3,
    fidelity: Fidelity::Exact,
    rank: 50,
    reads_less: true,
    list: NibbleCodes,
}

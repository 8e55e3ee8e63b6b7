//! `avx2-pshufb` for CPUs without AVX: 16 look-ups a shuffle in 16-entry tables of group minima.
//!
//! SSSE3's `pshufb` is all it needs, which every x86-64 CPU since 2006 (Intel) and 2011 (AMD) has; so have emulators and
//! clouds that hide newer features. The filter, the layout and the bound are those of `avx2-pshufb`, from PQ Fast Scan
//! (André et al., VLDB 2015).
//!
//! Two rows of 16 codes: load, two ands, shift, two copies of the LUT's rows (no third operand before AVX), two `pshufb`
//! (1/cycle on Intel's port 5, 2 on Zen), two saturating adds: 4.7 instructions a code. On Zen 4 a query takes 1.3 to 1.6 times
//! as long as with AVX2. In lists below some 50,000 codes it is ahead of `ssse3-ordered`.

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

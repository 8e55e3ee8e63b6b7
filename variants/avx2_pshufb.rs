//! A 4-bit exact filter over half the bytes: 32 look-ups a shuffle in 16-entry tables of group minima.
//!
//! `vpshufb` looks up 16 entries, so each sub-quantizer's 64 groups of similar centroids are merged into 16 that suit the list, and
//! the LUT holds each one's smallest entry: a lower bound, exact once candidates are scored (PQ Fast Scan, André et al., VLDB
//! 2015). Only these labels are read for every code, two in a byte. The whole codes lie apart; what passes, one code in fifty at
//! a million, is looked up there in the 64 groups, 32 candidates at a time, and one in twenty of those is scored
//! ([`coarse`](crate::scan::coarse)).
//!
//! Two rows of 32 codes: load, two ands, shift, two `vpshufb` (1/cycle on Intel's port 5, 2 on Zen), two saturating adds;
//! with the LUT's loads 2.3 instructions a code. On Intel reading 8 MB a million codes from L3 takes longer than that.
//! It loses in short lists, where the threshold is still high and 4 bits let one code in ten pass, and it can't win on
//! uniformly random codes, where they let nearly all pass.

use crate::{register, registry::Fidelity, scan::coarse::NibbleCodes};

register! {
    name: "avx2-pshufb",
    summary: "4-bit filter by byte shuffles over packed labels of 16 fitted groups; candidates scored in f32",
    level: Avx2,
    fidelity: Fidelity::Exact,
    rank: 60,
    reads_less: true,
    list: NibbleCodes,
}

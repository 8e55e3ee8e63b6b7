//! Similar codes together, blocks that cannot win skipped: see [`ordered`](crate::scan::ordered), with AVX-512.
//!
//! A row of 64 codes: load, two `vpermi2b` (on Intel each three operations, two of them on port 5; 1/cycle on Zen 4),
//! `vpmovb2m`, blend, saturating add. What a super-block adds at least is a masked minimum of 256 entries for each of 16
//! rows. Measured on Zen 4: 0.11 to 0.12 ns a code at a million codes, where reading them takes 0.19; one `vpermb` a row, in
//! groups of four centroids, is 1.2 times as slow, since a third more lines are read then and there are twenty times as many
//! candidates. It loses on lists below about 55,000 codes, where its order has little to skip and its set-up shows; there
//! `avx512-6bit` and `avx512-vpermb` are faster.

use crate::{register, registry::Fidelity, scan::ordered::ByteCodes};

register! {
    name: "avx512-ordered",
    summary: "similar codes together; blocks that cannot win are skipped",
    level: Avx512,
    fidelity: Fidelity::Exact,
    rank: 90,
    rank_below: (55_000, 45),
    reads_less: true,
    list: ByteCodes,
}

//! Similar codes together, blocks that cannot win skipped: see [`ordered`](crate::ordered), with AVX-512.
//!
//! A row of 64 codes: load, `vpermb` (port 5 on Intel, 1/cycle; 1/cycle on Zen 4, 2 on Zen 5), saturating add. What a
//! super-block adds at least is a masked minimum of 64 entries for each of 16 rows. With what it skips, reading is no longer
//! all that limits it: in batches of 16, whose queries share every line, each takes as long as alone. It loses on lists below
//! about 90,000 codes, where its order has little to skip and its set-up shows; there `avx512-vpermb` is faster.

use crate::{ordered::ordered_kernel, register, registry::Fidelity};

register! {
    name: "avx512-ordered",
    summary: "similar codes together; blocks that cannot win are skipped",
    arch: "x86_64",
    requires: [Avx512f, Avx512bw, Avx512vbmi, Bmi1, Popcnt],
    fidelity: Fidelity::Exact,
    rank: 90,
    rank_below: (70_000, 45),
    skips_codes: true,
    prepare: kernel::prepare,
}

ordered_kernel!("x86_64", ByteCodes, Avx512, "avx512f,avx512bw,avx512vbmi,bmi1,popcnt");

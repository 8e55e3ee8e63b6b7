//! Similar codes together, 4 bits each, blocks that cannot win skipped: see [`ordered`](crate::ordered), with AVX-512.
//!
//! A line of 64 codes, two sub-quantizers: load, two ands, shift, two `vpshufb` (port 5 on Intel, 1/cycle; 2 on Zen 5), two
//! saturating adds: 8 instructions for 128 look-ups. A super-block's LUT is two `vpermb` a sub-quantizer. With what it skips,
//! reading is no longer all that limits it: in batches of 16, whose queries share every line, each takes as long as alone.
//! It loses on lists below about 100,000 codes, where its order has little to skip and its set-up shows; there `avx512-vpermb`
//! is faster.

use crate::{ordered::ordered_kernel, register, registry::Fidelity};

register! {
    name: "avx512-ordered",
    summary: "similar codes together in nibbles; blocks that cannot win are skipped",
    arch: "x86_64",
    requires: [Avx512f, Avx512bw, Avx512vbmi, Bmi1, Popcnt],
    fidelity: Fidelity::Exact,
    rank: 90,
    rank_below: (100_000, 45),
    skips_codes: true,
    prepare: kernel::prepare,
}

ordered_kernel!("x86_64", Bytes, Avx512, "avx512f,avx512bw,avx512vbmi,bmi1,popcnt");

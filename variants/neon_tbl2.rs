//! A 7-bit exact filter for row-major codes that nothing prepared: two four-register `tbl` look up 16 codes in 128 entries.
//!
//! `avx2-pshufb8` for NEON, where a table of 64 entries is one instruction: half of the sub-quantizers, those that tell most for
//! the query, are moved together by `tbl`, transposed by `zip`, and looked up in groups of two centroids.

use crate::{register, registry::Fidelity};

register! {
    name: "neon-tbl2",
    summary: "row-major codes: 7-bit filter by two tbl over half of the sub-quantizers; candidates scored in f32",
    arch: "aarch64",
    requires: [Neon],
    fidelity: Fidelity::Exact,
    rank: 40,
    prepare: kernel::prepare,
    probe: kernel::probe,
}

#[cfg(target_arch = "aarch64")]
mod kernel {
    use crate::{byte_vector::Neon, row_major::row_major_kernel};

    row_major_kernel!(Neon, "neon");
}

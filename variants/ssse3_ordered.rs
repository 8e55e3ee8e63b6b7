//! Similar codes together, 4 bits each, blocks that cannot win skipped: see [`ordered`](crate::ordered), with SSSE3.
//!
//! A quarter of the width of `avx512-ordered`, without AVX's third operand, and still ahead of every variant that reads all
//! codes: what it does not read it need not compute either. It loses where `avx512-ordered` does.

use crate::{register, registry::Fidelity};

register! {
    name: "ssse3-ordered",
    summary: "similar codes together in nibbles; blocks that cannot win are skipped",
    arch: "x86_64",
    requires: [Ssse3],
    fidelity: Fidelity::Exact,
    rank: 55,
    skips_codes: true,
    prepare: kernel::prepare,
}

#[cfg(target_arch = "x86_64")]
mod kernel {
    use crate::{Codebook, DIM, Error, TopKHeap, byte_vector::Ssse3, ordered::OrderedCodes, registry::Scan};

    #[derive(Clone)]
    struct Ordered(OrderedCodes);

    pub fn prepare(codebook: &Codebook, codes: &[u8]) -> Result<Box<dyn Scan>, Error> {
        Ok(Box::new(Ordered(OrderedCodes::new(codebook, codes))))
    }

    impl Scan for Ordered {
        fn scan(&self, query: &[f32; DIM], top: &mut TopKHeap) {
            // SAFETY: the registry prepares this variant only where the CPU has the features that it requires.
            unsafe { scan(&self.0, query, top) }
        }

        fn memory_bytes(&self) -> usize {
            self.0.memory_bytes()
        }
    }

    #[target_feature(enable = "ssse3")]
    fn scan(codes: &OrderedCodes, query: &[f32; DIM], top: &mut TopKHeap) {
        // SAFETY: this function is compiled for the very features.
        unsafe { codes.scan::<Ssse3>(query, top) }
    }
}

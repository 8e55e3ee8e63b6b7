//! Similar codes together, 4 bits each, blocks that cannot win skipped: see [`ordered`](crate::ordered), with AVX2.
//!
//! Half the width of `avx512-ordered`, and four `vpshufb` where that has one `vpermb` for a super-block's LUT; since both wait
//! for memory most of the time, it is only a little slower. It loses where `avx512-ordered` does.

use crate::{register, registry::Fidelity};

register! {
    name: "avx2-ordered",
    summary: "similar codes together in nibbles; blocks that cannot win are skipped",
    arch: "x86_64",
    requires: [Avx2],
    fidelity: Fidelity::Exact,
    rank: 80,
    skips_codes: true,
    prepare: kernel::prepare,
}

#[cfg(target_arch = "x86_64")]
mod kernel {
    use crate::{Codebook, DIM, Error, TopKHeap, byte_vector::Avx2, ordered::OrderedCodes, registry::Scan};

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

    #[target_feature(enable = "avx2")]
    fn scan(codes: &OrderedCodes, query: &[f32; DIM], top: &mut TopKHeap) {
        // SAFETY: this function is compiled for the very features.
        unsafe { codes.scan::<Avx2>(query, top) }
    }
}

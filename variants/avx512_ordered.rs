//! Similar codes together, 4 bits each, blocks that cannot win skipped: see [`ordered`](crate::ordered), with AVX-512.
//!
//! A line of 64 codes, two sub-quantizers: load, two ands, shift, two `vpshufb` (port 5 on Intel, 1/cycle; 2 on Zen 5), two
//! saturating adds: 8 instructions for 128 look-ups. A super-block's LUT is two `vpermb` a sub-quantizer. The reads limit it,
//! not the instructions: most of its time is spent waiting for lines that no prefetcher can guess.
//! It loses on lists below about 16,000 codes, where its order has little to skip and its set-up shows.

use crate::{register, registry::Fidelity};

register! {
    name: "avx512-ordered",
    summary: "similar codes together in nibbles; blocks that cannot win are skipped",
    arch: "x86_64",
    requires: [Avx512f, Avx512bw, Avx512vbmi],
    fidelity: Fidelity::Exact,
    rank: 90,
    skips_codes: true,
    prepare: kernel::prepare,
}

#[cfg(target_arch = "x86_64")]
mod kernel {
    use crate::{Codebook, DIM, Error, TopKHeap, byte_vector::Avx512, ordered::OrderedCodes, registry::Scan};

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

    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    fn scan(codes: &OrderedCodes, query: &[f32; DIM], top: &mut TopKHeap) {
        // SAFETY: this function is compiled for the very features.
        unsafe { codes.scan::<Avx512>(query, top) }
    }
}

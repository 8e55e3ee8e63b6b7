//! Similar codes together, 4 bits each, blocks that cannot win skipped: see [`ordered`](crate::ordered), with NEON.
//!
//! One-register `tbl` for the nibbles, four-register `tbl` for the LUT of a super-block. There is no movemask: whether a block
//! still has a lane below 255 is a `uminv`, and only the blocks that are left at the end pay for their bits.
//!
//! Executed under emulation for a whole query over real codes: 6.5 instructions a code at a million codes, 13 at 200,000,
//! where it scores 7 % of the codes; `scalar` 63, `neon-tbl` 5.0 and 5.9. So it ranks behind that one;
//! what it saves is reading, which only a timing on real hardware can weigh.

use crate::{register, registry::Fidelity};

register! {
    name: "neon-ordered",
    summary: "similar codes together in nibbles; blocks that cannot win are skipped",
    arch: "aarch64",
    requires: [Neon],
    fidelity: Fidelity::Exact,
    rank: 55,
    skips_codes: true,
    prepare: kernel::prepare,
}

#[cfg(target_arch = "aarch64")]
mod kernel {
    use crate::{Codebook, DIM, Error, TopKHeap, byte_vector::Neon, ordered::OrderedCodes, registry::Scan};

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

    #[target_feature(enable = "neon")]
    fn scan(codes: &OrderedCodes, query: &[f32; DIM], top: &mut TopKHeap) {
        // SAFETY: this function is compiled for the very features.
        unsafe { codes.scan::<Neon>(query, top) }
    }
}

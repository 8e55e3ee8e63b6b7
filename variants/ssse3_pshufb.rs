//! `avx2-pshufb` for CPUs without AVX: 16 look-ups a shuffle in 16-entry tables of group minima.
//!
//! SSSE3's `pshufb` is all it needs, which every x86-64 CPU since 2006 (Intel) and 2011 (AMD) has; so have emulators and
//! clouds that hide newer features. The filter, the layout and the bound are those of `avx2-pshufb`, from PQ Fast Scan
//! (André et al., VLDB 2015).
//!
//! Two rows of 16 codes: load, two ands, shift, two copies of the LUT's rows (no third operand before AVX), two `pshufb`
//! (1/cycle on Intel's port 5, 2 on Zen), two saturating adds: 4.7 instructions a code. On Zen 4 a query takes 1.3 to 1.6 times
//! as long as with AVX2. In lists below some 43,000 codes it is ahead of `ssse3-ordered`.

use crate::{register, registry::Fidelity};

register! {
    name: "ssse3-pshufb",
    summary: "4-bit filter by byte shuffles over the packed low nibbles of renumbered codes; candidates scored in f32",
    arch: "x86_64",
    requires: [Ssse3],
    fidelity: Fidelity::Exact,
    rank: 50,
    prepare: kernel::prepare,
}

#[cfg(target_arch = "x86_64")]
mod kernel {
    use std::arch::x86_64::*;

    use crate::{
        Codebook, DIM, Error, TopKHeap,
        blocks::BLOCK,
        byte_vector::Ssse3,
        filter::{LaneSums, Near},
        lut::FilterLut,
        merged::{MergedCodes, NIBBLES, NibbleBlock},
        registry::Scan,
    };

    type Codes = MergedCodes<NibbleBlock, NIBBLES>;

    #[derive(Clone)]
    struct Ssse3Pshufb(Codes);

    pub fn prepare(codebook: &Codebook, codes: &[u8]) -> Result<Box<dyn Scan>, Error> {
        Ok(Box::new(Ssse3Pshufb(Codes::new(codebook, codes))))
    }

    impl Scan for Ssse3Pshufb {
        fn scan(&self, query: &[f32; DIM], top: &mut TopKHeap) {
            // SAFETY: the registry prepares this variant only where the CPU has SSSE3.
            unsafe { scan(&self.0, query, top) }
        }

        fn memory_bytes(&self) -> usize {
            self.0.memory_bytes()
        }
    }

    #[target_feature(enable = "ssse3")]
    fn scan(codes: &Codes, query: &[f32; DIM], top: &mut TopKHeap) {
        let write_sums = |lut: &_, blocks: &[_], out: &mut [_]| write_sums(lut, blocks, out);
        // SAFETY: this function is compiled for the very features.
        unsafe { codes.scan::<Ssse3>(query, top, write_sums, |lut, blocks, near| find_near(lut, blocks, near)) }
    }

    #[target_feature(enable = "ssse3")]
    fn find_near(lut: &FilterLut<NIBBLES>, blocks: &[NibbleBlock], near: &mut Near) {
        let ones = _mm_set1_epi8(-1);
        for block in blocks {
            let [a, b, c, d] = sums(lut, block);
            let far = |sums| _mm_movemask_epi8(_mm_cmpeq_epi8(sums, ones)) as u64;
            near.push(!(far(a) | far(b) << 16 | far(c) << 32 | far(d) << 48));
        }
    }

    #[target_feature(enable = "ssse3")]
    fn write_sums(lut: &FilterLut<NIBBLES>, blocks: &[NibbleBlock], out: &mut [LaneSums]) {
        for (block, out) in blocks.iter().zip(out) {
            for (sums, out) in sums(lut, block).into_iter().zip(out.0.as_chunks_mut::<16>().0) {
                // SAFETY: the chunk has the 16 bytes.
                unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), sums) };
            }
        }
    }

    /// The saturating sums of a block's 64 lanes.
    #[target_feature(enable = "ssse3")]
    fn sums(lut: &FilterLut<NIBBLES>, block: &NibbleBlock) -> [__m128i; BLOCK / 16] {
        let nibble = _mm_set1_epi8(0x0f);
        let mut sums = [_mm_setzero_si128(); BLOCK / 16];
        for (row, entries) in block.0.iter().zip(lut.0.as_chunks::<2>().0) {
            // SAFETY: the LUT's rows have 16 bytes each.
            let [even, odd] = [0, 1].map(|i| unsafe { _mm_load_si128(entries[i].as_ptr().cast()) });
            for (codes, sum) in row.as_chunks::<16>().0.iter().zip(&mut sums) {
                // SAFETY: `codes` has 16 bytes and the block is aligned.
                let codes = unsafe { _mm_load_si128(codes.as_ptr().cast()) };
                let low = _mm_and_si128(codes, nibble);
                let high = _mm_and_si128(_mm_srli_epi16::<4>(codes), nibble);
                *sum = _mm_adds_epu8(*sum, _mm_shuffle_epi8(even, low));
                *sum = _mm_adds_epu8(*sum, _mm_shuffle_epi8(odd, high));
            }
        }
        sums
    }
}

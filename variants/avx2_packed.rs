//! x
use crate::{register, registry::Fidelity};

register! {
    name: "avx2-packed",
    summary: "4-bit filter by pshufb over packed high nibbles of renumbered codes; candidates scored in f32",
    arch: "x86_64",
    requires: [Avx2],
    fidelity: Fidelity::Exact,
    rank: 61,
    prepare: kernel::prepare,
}

#[cfg(target_arch = "x86_64")]
mod kernel {
    use std::arch::x86_64::*;

    use crate::{
        Codebook, DIM, Error, TopKHeap,
        blocks::BLOCK,
        grouping,
        lut::FilterLut,
        nibbles::{GROUPS, NibbleBlock, NibbleCodes},
        registry::Scan,
    };

    #[derive(Clone)]
    struct Avx2Packed {
        codebook: Codebook,
        codes: NibbleCodes,
    }

    pub fn prepare(codebook: &Codebook, codes: &[u8]) -> Result<Box<dyn Scan>, Error> {
        let order = grouping::similar_centroids_together(codebook);
        let rows = grouping::renumbered(codes, &grouping::inverse(&order));
        Ok(Box::new(Avx2Packed { codebook: codebook.reordered(&order), codes: NibbleCodes::new(&rows) }))
    }

    impl Scan for Avx2Packed {
        fn scan(&self, query: &[f32; DIM], top: &mut TopKHeap) {
            // SAFETY: the registry prepares this variant only where the CPU has AVX2.
            unsafe { scan(self, query, top) }
        }

        fn memory_bytes(&self) -> usize {
            self.codes.memory_bytes()
        }
    }

    #[target_feature(enable = "avx2")]
    fn scan(list: &Avx2Packed, query: &[f32; DIM], top: &mut TopKHeap) {
        let table = list.codebook.distance_table(query);
        list.codes.scan(&table, top, |lut, blocks, near| candidates(lut, blocks, near));
    }

    #[target_feature(enable = "avx2")]
    fn candidates(lut: &FilterLut<GROUPS>, blocks: &[NibbleBlock], near: &mut [u64]) {
        let nibble = _mm256_set1_epi8(0x0f);
        for (block, near) in blocks.iter().zip(near) {
            let mut sums = [_mm256_setzero_si256(); BLOCK / 32];
            for (row, entries) in block.0.iter().zip(lut.0.as_chunks::<2>().0) {
                // SAFETY: the LUT's rows have 16 bytes each.
                let [even, odd] =
                    [0, 1].map(|i| unsafe { _mm256_broadcastsi128_si256(_mm_load_si128(entries[i].as_ptr().cast())) });
                for (codes, sum) in row.as_chunks::<32>().0.iter().zip(&mut sums) {
                    // SAFETY: `codes` has 32 bytes and the block is aligned.
                    let codes = unsafe { _mm256_load_si256(codes.as_ptr().cast()) };
                    let low = _mm256_and_si256(codes, nibble);
                    let high = _mm256_and_si256(_mm256_srli_epi16::<4>(codes), nibble);
                    *sum = _mm256_adds_epu8(*sum, _mm256_shuffle_epi8(even, low));
                    *sum = _mm256_adds_epu8(*sum, _mm256_shuffle_epi8(odd, high));
                }
            }
            let ones = _mm256_set1_epi8(-1);
            let far = sums.map(|sum| _mm256_movemask_epi8(_mm256_cmpeq_epi8(sum, ones)) as u32 as u64);
            *near = !(far[0] | far[1] << 32);
        }
    }
}

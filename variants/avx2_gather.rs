//! Eight codes at a time by `vpgatherdps` from the f32 table: the obvious SIMD, here to show why nobody wins with it.
//!
//! A gather is eight loads all the same: about 1 element a cycle on Zen (microcoded), 8 elements in 5 to 8 cycles on Intel,
//! more with the mitigation of Downfall. So the load ports limit it as they limit the scalar loop, and only the additions
//! and the comparison with the threshold get cheaper.
//!
//! A row of 8 codes: `vpmovzxbd`, `vpgatherdps`, `vaddps`, the sums in the canonical order. It loses to everything that
//! filters, and to the scalar loop on Zen.

use crate::{register, registry::Fidelity};

register! {
    name: "avx2-gather",
    summary: "vpgatherdps from the f32 table, 8 vectors at a time over blocked codes",
    arch: "x86_64",
    requires: [Avx2],
    fidelity: Fidelity::Exact,
    rank: 15,
    prepare: kernel::prepare,
    probe: kernel::probe,
}

#[cfg(target_arch = "x86_64")]
mod kernel {
    use std::arch::x86_64::*;

    use crate::{
        Codebook, DIM, DistanceTable, Error, NUM_SUB_VECTORS, TopKHeap,
        blocks::{BLOCK, Block, BlockedCodes, lanes},
        registry::Scan,
    };

    #[derive(Clone)]
    struct Avx2Gather {
        codebook: Codebook,
        codes: BlockedCodes,
    }

    pub fn prepare(codebook: &Codebook, codes: &[u8]) -> Result<Box<dyn Scan>, Error> {
        Ok(Box::new(Avx2Gather { codebook: codebook.clone(), codes: BlockedCodes::new(codes) }))
    }

    impl Scan for Avx2Gather {
        fn scan(&self, query: &[f32; DIM], top: &mut TopKHeap) {
            let table = self.codebook.distance_table(query);
            for (at, block) in self.codes.blocks().iter().enumerate() {
                // SAFETY: the registry prepares this variant only where the CPU has AVX2.
                unsafe { scan_block(&table, block, self.codes.lanes(at), (at * BLOCK) as u32, top) }
            }
        }

        fn memory_bytes(&self) -> usize {
            self.codes.memory_bytes()
        }
    }

    pub fn probe(table: &DistanceTable, codes: &[u8], top: &mut TopKHeap) {
        for (at, rows) in codes.as_chunks::<NUM_SUB_VECTORS>().0.chunks(BLOCK).enumerate() {
            // SAFETY: the registry hands this function out only where the CPU has AVX2.
            unsafe { scan_block(table, &Block::from_rows(rows), lanes(rows.len()), (at * BLOCK) as u32, top) }
        }
    }

    /// Offers the codes of `block` whose bit is set in `lanes` to `top`.
    #[target_feature(enable = "avx2")]
    fn scan_block(table: &DistanceTable, block: &Block, lanes: u64, first_id: u32, top: &mut TopKHeap) {
        for first in (0..BLOCK).step_by(8) {
            let distances = distances(table, block, first);
            // Not "greater" rather than "less or equal", for a threshold or a distance that is infinite or NaN.
            let far = _mm256_cmp_ps::<_CMP_GT_OQ>(distances, _mm256_set1_ps(top.threshold()));
            let mut near = !_mm256_movemask_ps(far) as u64 & 0xff & (lanes >> first);
            if near == 0 {
                continue;
            }
            let mut scored = [0.0; 8];
            // SAFETY: `scored` has the 32 bytes.
            unsafe { _mm256_storeu_ps(scored.as_mut_ptr(), distances) };
            while near != 0 {
                let lane = near.trailing_zeros();
                near &= near - 1;
                top.push(first_id + first as u32 + lane, scored[lane as usize]);
            }
        }
    }

    /// The distances of the 8 lanes from `first` on.
    #[target_feature(enable = "avx2")]
    fn distances(table: &DistanceTable, block: &Block, first: usize) -> __m256 {
        let mut sum = _mm256_setzero_ps();
        for (row, entries) in block.0.iter().zip(table) {
            // SAFETY: `first` is at most 56 and a row has 64 bytes; a code is less than 256 and `entries` has as many.
            let found = unsafe {
                let codes = _mm_loadl_epi64(row.as_ptr().add(first).cast());
                _mm256_i32gather_ps::<4>(entries.as_ptr(), _mm256_cvtepu8_epi32(codes))
            };
            sum = _mm256_add_ps(sum, found);
        }
        sum
    }
}

//! An 8-bit exact filter: a LUT of all 256 entries is two `vpermi2b` and a blend.
//!
//! `vpermi2b` looks up 64 bytes in 128 entries, so two of them, chosen between by a code's top bit, are the whole table: no
//! renumbering, and it scans row-major codes that nothing prepared as well.
//!
//! A row of 64 codes: load, two `vpermi2b` (port 5 on Intel), `vpmovb2m`, blend, an addition, every other one saturating. 64
//! registers of LUT don't fit, and four loads a row besides that of the codes take as long as 80 loads do (one a cycle on
//! Zen 4): so four blocks share the loads of the LUT. The shuffle port limits it then, 32 of its cycles for 64 codes on
//! Intel, about 50 in all on Zen 4.
//!
//! Row-major codes are transposed in registers, but only half of them: the eight sub-quantizers that tell most for the
//! query. `vpermi2b` takes those of 8 rows into one register, whatever places they have, and 24 shuffles of 8-byte numbers
//! turn 64 rows into eight registers: 32 shuffles for 64 codes, where all sixteen would take 64. What passes, by the query
//! 600 to 40,000 of a million codes, is looked up in all sixteen, 64 candidates at a time, and some 70 of those are scored.
//!
//! Prepared codes at 1M on Zen 4: 0.27 ns a code, 1.4 to 1.5 times just reading, 1.2 times the time of `avx512-vpermb`; it
//! needs no renumbering and scores the fewest.
//!
//! Row-major codes at 1M on Zen 4: 0.34 to 0.38 ns a code, ten times as fast as `scalar`, 1.8 to 2.0 times just reading
//! them. Its loop takes 17 ns for 64 codes from L1, of which the transposing is 8, and 18 from the third cache. (An earlier
//! one, which scored what the eight leave: 0.65 to 0.82 ns on an Intel Xeon, 1.2 to 1.5 times just reading.) Lists below
//! 1,536 codes gain nothing: a filter's set-up takes as long as scoring them.

use crate::{register, registry::Fidelity};

register! {
    name: "avx512-vbmi",
    summary: "8-bit filter by two vpermi2b a row over blocked codes; candidates scored in f32",
    arch: "x86_64",
    requires: [Avx512f, Avx512bw, Avx512vbmi, Bmi1, Popcnt],
    fidelity: Fidelity::Exact,
    rank: 70,
    prepare: kernel::prepare,
    probe: kernel::probe,
}

#[cfg(target_arch = "x86_64")]
mod kernel {
    use std::{arch::x86_64::*, array, mem::MaybeUninit, ptr};

    use crate::{
        Codebook, DIM, DistanceTable, Error, NUM_CENTROIDS, NUM_SUB_VECTORS, TopKHeap,
        blocks::{BLOCK, Block, BlockedCodes},
        byte_vector::{Avx512, ByteVector as _},
        filter::{LaneSums, Near},
        lut::{FilterLut, FilterTable},
        registry::Scan,
        row_major::{self, LEADING, Leading, RowBlock},
    };

    type Lut = FilterLut<NUM_CENTROIDS>;

    #[derive(Clone)]
    struct Avx512Vbmi {
        codebook: Codebook,
        codes: BlockedCodes,
    }

    pub fn prepare(codebook: &Codebook, codes: &[u8]) -> Result<Box<dyn Scan>, Error> {
        Ok(Box::new(Avx512Vbmi { codebook: codebook.clone(), codes: BlockedCodes::new(codes) }))
    }

    impl Scan for Avx512Vbmi {
        fn scan(&self, query: &[f32; DIM], top: &mut TopKHeap) {
            let mut table = MaybeUninit::uninit();
            let table = self.codebook.distance_table_in(query, &mut table);
            // SAFETY: the registry prepares this variant only where the CPU has the features that it requires.
            unsafe { scan(table, &self.codes, top) }
        }

        fn memory_bytes(&self) -> usize {
            self.codes.memory_bytes()
        }
    }

    pub fn probe(table: &DistanceTable, codes: &[u8], top: &mut TopKHeap) {
        // SAFETY: the registry hands this function out only where the CPU has the features that the variant requires.
        unsafe { scan_rows(table, codes, top) }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi,bmi1,popcnt")]
    fn scan(table: &DistanceTable, codes: &BlockedCodes, top: &mut TopKHeap) {
        let (bounds, mut lut) = (FilterTable::new(table), FilterLut::zeroed());
        // SAFETY: this function is compiled for the very features; all sums are written.
        unsafe {
            codes.filter(table, &bounds, &mut lut).scan_up_to::<Avx512>(
                codes.blocks().len(),
                top,
                |lut, blocks, out| write_sums(lut, blocks, out),
                |lut, blocks, near| find_near(lut, blocks, near),
            );
        }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi,bmi1,popcnt")]
    fn scan_rows(table: &DistanceTable, codes: &[u8], top: &mut TopKHeap) {
        // SAFETY: this function is compiled for the very features; all sums are written.
        unsafe {
            row_major::scan::<Avx512, NUM_CENTROIDS, _, _>(table, codes, top, |leading| {
                let columns = columns_of(leading);
                (
                    move |lut: &_, blocks: &[_], out: &mut [_]| write_leading_sums(leading, columns, lut, blocks, out),
                    move |lut: &_, blocks: &[_], near: &mut _| find_by_leading(leading, columns, lut, blocks, near),
                )
            });
        }
    }

    // Functions of their own, so that each has the registers to itself.

    /// Finds the rows that the leading sub-quantizers can't rule out.
    #[inline(never)]
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi,bmi1,popcnt")]
    fn find_by_leading(leading: Leading, columns: __m512i, lut: &Lut, blocks: &[RowBlock], near: &mut Near) {
        for block in blocks {
            // SAFETY: this function is compiled for the very features.
            unsafe { near.push_sums([Avx512(sum_of_leading(leading, columns, lut, block))]) };
        }
    }

    #[inline(never)]
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi,bmi1,popcnt")]
    fn write_leading_sums(
        leading: Leading,
        columns: __m512i,
        lut: &Lut,
        blocks: &[RowBlock],
        out: &mut [MaybeUninit<LaneSums>],
    ) {
        for (block, out) in blocks.iter().zip(out) {
            // SAFETY: this function is compiled for the very features.
            unsafe { LaneSums::write(out, [Avx512(sum_of_leading(leading, columns, lut, block))]) };
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi,bmi1,popcnt")]
    fn sum_of_leading(leading: Leading, columns: __m512i, lut: &Lut, block: &RowBlock) -> __m512i {
        let mut sum = _mm512_setzero_si512();
        for (m, codes) in leading.into_iter().zip(transposed(block, columns)) {
            sum = _mm512_adds_epu8(sum, look_up(&lut.0[m % NUM_SUB_VECTORS], codes));
        }
        sum
    }

    /// The index for `vpermi2b` that takes some codes of 8 rows, those of one sub-quantizer side by side.
    fn columns_of(sub_quantizers: Leading) -> __m512i {
        let index: [u8; BLOCK] = array::from_fn(|at| (at % 8 * NUM_SUB_VECTORS + sub_quantizers[at / 8]) as u8);
        // SAFETY: `index` has the 64 bytes.
        unsafe { _mm512_loadu_si512(index.as_ptr().cast()) }
    }

    /// The codes of each of the sub-quantizers that `columns` names, in the order of the rows.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi,bmi1,popcnt")]
    fn transposed(rows: &RowBlock, columns: __m512i) -> [__m512i; LEADING] {
        let eights: [__m512i; LEADING] = array::from_fn(|at| {
            let (eight, _) = rows[8 * at..].as_chunks::<4>();
            // SAFETY: four rows are 64 bytes, and there are eight.
            let (a, b) =
                unsafe { (_mm512_loadu_si512(eight[0].as_ptr().cast()), _mm512_loadu_si512(eight[1].as_ptr().cast())) };
            _mm512_permutex2var_epi8(a, columns, b)
        });
        // 8 x 8 numbers of 8 bytes.
        let [a, b, c, d, e, f, g, h] = eights;
        let quarter = |a, b, c, d| {
            let (ab, cd) = (_mm512_unpacklo_epi64(a, b), _mm512_unpacklo_epi64(c, d));
            let (ab1, cd1) = (_mm512_unpackhi_epi64(a, b), _mm512_unpackhi_epi64(c, d));
            // columns 0 and 4, 2 and 6, 1 and 5, 3 and 7
            [
                _mm512_shuffle_i64x2::<0x88>(ab, cd),
                _mm512_shuffle_i64x2::<0xdd>(ab, cd),
                _mm512_shuffle_i64x2::<0x88>(ab1, cd1),
                _mm512_shuffle_i64x2::<0xdd>(ab1, cd1),
            ]
        };
        let (low, high) = (quarter(a, b, c, d), quarter(e, f, g, h));
        let even = |at: usize| _mm512_shuffle_i64x2::<0x88>(low[at], high[at]);
        let odd = |at: usize| _mm512_shuffle_i64x2::<0xdd>(low[at], high[at]);
        [even(0), even(2), even(1), even(3), odd(0), odd(2), odd(1), odd(3)]
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi,bmi1,popcnt")]
    fn look_up(entries: &[u8; NUM_CENTROIDS], codes: __m512i) -> __m512i {
        // SAFETY: this function is compiled for the very features.
        unsafe { Avx512::look_up_in(entries, Avx512(codes)).0 }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi,bmi1,popcnt")]
    fn find_near(lut: &Lut, blocks: &[Block], near: &mut Near) {
        // SAFETY: this function is compiled for the very features.
        for_each_sum(lut, blocks, |sum| unsafe { near.push_sums([Avx512(sum)]) });
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi,bmi1,popcnt")]
    fn write_sums(lut: &Lut, blocks: &[Block], out: &mut [MaybeUninit<LaneSums>]) {
        let mut out = out.iter_mut();
        for_each_sum(lut, blocks, |sum| {
            let out = out.next().expect("as many as there are blocks");
            // SAFETY: this function is compiled for the very features.
            unsafe { LaneSums::write(out, [Avx512(sum)]) }
        });
    }

    /// Sums up each block's lanes, saturating.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi,bmi1,popcnt")]
    fn for_each_sum(lut: &Lut, blocks: &[Block], mut take: impl FnMut(__m512i)) {
        /// Blocks that share the loads of the LUT, which would limit the scan of one at a time.
        const AT_ONCE: usize = 4;
        let (groups, rest) = blocks.as_chunks::<AT_ONCE>();
        groups.iter().for_each(|group| sums(lut, group).into_iter().for_each(&mut take));
        rest.iter().for_each(|block| sums(lut, array::from_ref(block)).into_iter().for_each(&mut take));
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi,bmi1,popcnt")]
    fn sums<const N: usize>(lut: &Lut, blocks: &[Block; N]) -> [__m512i; N] {
        /// Blocks from the one that is read to the one that is asked for: to the hardware several at once are no stream.
        const AHEAD: usize = 12;
        let mut sums = [_mm512_setzero_si512(); N];
        for (pair, entries) in lut.0.as_chunks::<2>().0.iter().enumerate() {
            for (sum, block) in sums.iter_mut().zip(blocks) {
                let rows = &block.0.as_chunks::<2>().0[pair];
                let ahead = ptr::from_ref(block).wrapping_add(AHEAD).cast::<[u8; BLOCK]>().wrapping_add(2 * pair);
                _mm_prefetch::<_MM_HINT_T1>(ahead.cast());
                _mm_prefetch::<_MM_HINT_T1>(ahead.wrapping_add(1).cast());
                // SAFETY: a row has 64 bytes.
                let [a, b] = unsafe {
                    [_mm512_loadu_si512(rows[0].as_ptr().cast()), _mm512_loadu_si512(rows[1].as_ptr().cast())]
                };
                // Two do not overflow: see [`HALF`](crate::lut::HALF).
                let both = _mm512_add_epi8(look_up(&entries[0], a), look_up(&entries[1], b));
                *sum = _mm512_adds_epu8(*sum, both);
            }
        }
        sums
    }
}

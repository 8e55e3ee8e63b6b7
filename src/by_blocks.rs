//! The [filter](crate::filter) of blocked codes, whose candidates are scored from the blocks that they were found in.

use std::mem::MaybeUninit;

use crate::{
    Codebook, DIM, DistanceTable, TopKHeap,
    blocks::{BLOCK, Block, BlockedCodes},
    byte_vector::ByteVector,
    candidates::{Candidates, MAX_CANDIDATES},
    filter::{FIRST, Filter, FindAllNear, FindNear, STRETCH, Scorer, WriteSums, ask_for},
    grouping::GROUPS,
    lut::{FallingLut, FilterLut, FilterTable, HALF},
};

/// Codes are scored from their blocks.
pub struct ByBlocks<'a> {
    blocks: &'a [Block],
    table: &'a DistanceTable,
    candidates: Candidates,
}

impl ByBlocks<'_> {
    /// Offers the candidates to `top`, until there are none.
    #[inline(always)]
    fn settle(&mut self, top: &mut TopKHeap) {
        /// As many sums as it takes not to wait for each addition.
        const AT_ONCE: usize = 4;
        let ByBlocks { blocks, table, candidates, .. } = self;
        for places in candidates.places().chunks(AT_ONCE) {
            let mut codes = [(&blocks[0], 0); AT_ONCE];
            for (code, &place) in codes.iter_mut().zip(places) {
                *code = (&blocks[place as usize / BLOCK], place as usize % BLOCK);
            }
            let mut sums = [0.0; AT_ONCE];
            for (m, entries) in table.iter().enumerate() {
                for (sum, (block, lane)) in sums.iter_mut().zip(codes) {
                    *sum += entries[usize::from(block.0[m][lane])];
                }
            }
            for (&place, distance) in places.iter().zip(sums) {
                top.push(place, distance);
            }
        }
        candidates.clear();
    }
}

impl<L> Scorer<L> for ByBlocks<'_> {
    #[inline(always)]
    unsafe fn score<V: ByteVector>(
        &mut self,
        _: &L,
        hits: &[(usize, u64)],
        _: Option<u8>,
        _: bool,
        top: &mut TopKHeap,
    ) {
        for &(block, lanes) in hits {
            if lanes.count_ones() as usize > BLOCK / 2 {
                self.blocks[block].score(self.table, lanes, (block * BLOCK) as u32, top);
            } else {
                self.candidates.add_lanes(block * BLOCK, lanes);
                if self.candidates.places().len() > MAX_CANDIDATES - BLOCK {
                    self.settle(top);
                }
            }
        }
        self.settle(top);
    }
}

impl BlockedCodes {
    /// One query's filter for the list. `bounds` are those of `table`, and `lut` lets everything pass; its entries will be [`HALF`]
    /// at most.
    #[inline(always)]
    pub fn filter<'a, const G: usize>(
        &'a self,
        table: &'a DistanceTable,
        bounds: &'a FilterTable<G>,
        lut: &'a mut FilterLut<G>,
    ) -> Filter<'a, Block, FallingLut<'a, G>, ByBlocks<'a>, G> {
        let (blocks, lut, candidates) = (self.blocks(), FallingLut::new(bounds, lut, HALF, 0), Candidates::new());
        Filter::new(blocks, self.num_vectors(), lut, ByBlocks { blocks, table, candidates })
    }
}

/// The kernel of a variant, around its functions `find_near(&FilterLut<GROUPS>, &[Block], &mut Near)`,
/// `find_all_near(&[Block], &mut [(&FilterLut<GROUPS>, &mut Near)])` and
/// `write_sums(&FilterLut<GROUPS>, &[Block], &mut [MaybeUninit<LaneSums>])`. `$features` is what `$vector` needs.
macro_rules! grouped_kernel {
    ($vector:ident, $features:literal) => {
        #[derive(Clone)]
        struct Kernel($crate::by_blocks::GroupedCodes);

        pub fn prepare(
            codebook: &$crate::Codebook,
            codes: &[u8],
        ) -> Result<Box<dyn $crate::registry::Scan>, $crate::Error> {
            Ok(Box::new(Kernel($crate::by_blocks::GroupedCodes::new(codebook, codes))))
        }

        impl $crate::registry::Scan for Kernel {
            fn scan(&self, query: &[f32; $crate::DIM], top: &mut $crate::TopKHeap) {
                // SAFETY: the registry prepares this variant only where the CPU has the features that it requires.
                unsafe { scan(&self.0, query, top) }
            }

            fn scan_batch(&self, queries: &[[f32; $crate::DIM]], tops: &mut [$crate::TopKHeap]) {
                // SAFETY: as above.
                unsafe { scan_batch(&self.0, queries, tops) }
            }

            fn memory_bytes(&self) -> usize {
                self.0.memory_bytes()
            }
        }

        #[target_feature(enable = $features)]
        fn scan(codes: &$crate::by_blocks::GroupedCodes, query: &[f32; $crate::DIM], top: &mut $crate::TopKHeap) {
            let write_sums = |lut: &_, blocks: &[_], out: &mut [_]| write_sums(lut, blocks, out);
            // SAFETY: this function is compiled for the very features; all sums are written.
            unsafe { codes.scan::<$vector>(query, top, write_sums, |lut, blocks, near| find_near(lut, blocks, near)) }
        }

        #[target_feature(enable = $features)]
        fn scan_batch(
            codes: &$crate::by_blocks::GroupedCodes,
            queries: &[[f32; $crate::DIM]],
            tops: &mut [$crate::TopKHeap],
        ) {
            let write_sums = |lut: &_, blocks: &[_], out: &mut [_]| write_sums(lut, blocks, out);
            let find_near = |lut: &_, blocks: &[_], near: &mut _| find_near(lut, blocks, near);
            // SAFETY: as above.
            unsafe {
                codes.scan_batch::<$vector>(queries, tops, write_sums, find_near, |blocks, near| {
                    find_all_near(blocks, near)
                })
            }
        }
    };
}
pub(crate) use grouped_kernel;

/// A list of blocked codes, under new numbers whose low bits name groups of similar centroids.
#[derive(Clone)]
pub struct GroupedCodes {
    codebook: Codebook,
    codes: BlockedCodes,
}

impl GroupedCodes {
    /// Renumbers row-major `codes` `[n][16]` and their codebook.
    pub fn new(codebook: &Codebook, codes: &[u8]) -> GroupedCodes {
        let grouped = codebook.grouped();
        GroupedCodes { codebook: grouped.codebook.clone(), codes: BlockedCodes::relabelled(codes, &grouped.labels) }
    }

    /// Bytes that the list holds.
    pub fn memory_bytes(&self) -> usize {
        self.codes.memory_bytes()
    }

    /// Offers to `top` what can be near `query`.
    ///
    /// # Safety
    /// The CPU has the instruction set of `V`; the caller is compiled for it. `write_sums` writes a sum for each block.
    #[inline(always)]
    pub unsafe fn scan<V: ByteVector>(
        &self,
        query: &[f32; DIM],
        top: &mut TopKHeap,
        write_sums: impl WriteSums<Block, GROUPS>,
        find_near: impl FindNear<Block, GROUPS>,
    ) {
        let mut table = MaybeUninit::uninit();
        let table = self.codebook.distance_table_in(query, &mut table);
        let (bounds, mut lut) = (FilterTable::new(table), FilterLut::zeroed());
        let mut filter = self.codes.filter(table, &bounds, &mut lut);
        // SAFETY: this function's contract.
        unsafe { filter.scan_up_to::<V>(self.codes.blocks().len(), top, write_sums, find_near) };
    }

    /// [`scan`](GroupedCodes::scan) for several queries: a stretch comes from memory once for all of them.
    ///
    /// # Safety
    /// As for [`scan`](GroupedCodes::scan).
    #[inline(always)]
    pub unsafe fn scan_batch<V: ByteVector>(
        &self,
        queries: &[[f32; DIM]],
        tops: &mut [TopKHeap],
        write_sums: impl WriteSums<Block, GROUPS>,
        find_near: impl FindNear<Block, GROUPS>,
        find_all_near: impl FindAllNear<Block, GROUPS>,
    ) {
        /// Queries side by side: their LUTs take 16 KB, which leaves half of any L1 to the codes.
        const SIDE_BY_SIDE: usize = 16;
        let blocks = self.codes.blocks();
        for (queries, tops) in queries.chunks(SIDE_BY_SIDE).zip(tops.chunks_mut(SIDE_BY_SIDE)) {
            let tables: Vec<_> = queries.iter().map(|query| self.codebook.distance_table(query)).collect();
            let bounds: Vec<_> = tables.iter().map(FilterTable::new).collect();
            // Next to each other, so that they spread evenly over the sets of L1.
            let mut luts = vec![FilterLut::zeroed(); queries.len()];
            let filters = tables.iter().zip(&bounds).zip(&mut luts);
            let mut filters: Vec<_> =
                filters.map(|((table, bounds), lut)| self.codes.filter(table, bounds, lut)).collect();
            let first = blocks.len().min(FIRST);
            for (filter, top) in filters.iter_mut().zip(&mut *tops) {
                // SAFETY: this function's contract.
                unsafe { filter.scan_up_to::<V>(first, top, &write_sums, &find_near) };
            }
            for at in (first..blocks.len()).step_by(STRETCH) {
                let end = blocks.len().min(at + STRETCH);
                ask_for(&blocks[end..]);
                let mut near = Vec::with_capacity(SIDE_BY_SIDE);
                for (filter, top) in filters.iter_mut().zip(&*tops) {
                    // SAFETY: this function's contract.
                    near.push(unsafe { filter.begin::<V>(at, top) });
                }
                find_all_near(&blocks[at..end], &mut near);
                for (filter, top) in filters.iter_mut().zip(&mut *tops) {
                    // SAFETY: this function's contract.
                    unsafe { filter.take_up::<V>(end < blocks.len(), top) };
                }
            }
        }
    }
}

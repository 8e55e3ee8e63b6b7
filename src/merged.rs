//! Coarse labels for a list's codes, fit for byte shuffles, and the exact filter over them; the whole codes lie beside them.
//!
//! The 64 fine [groups](crate::grouping) of a sub-quantizer are merged into 16 or 32 that suit the codes of a list. A filter sums
//! a LUT of these over all codes: of 16 a nibble is enough, so that it streams half of what reading the codes would
//! ([`NibbleBlock`]); of 32 two byte shuffles look up a vector ([`FiveBitBlock`]). What it leaves is looked up from the whole
//! codes, row-major, in the LUT of the fine groups, as many candidates at a time as a vector has bytes, and only what that
//! leaves, one in four (of 32 groups) to one in twenty (of 16), is scored. Where a vector can look up all 64, they stay as they
//! are, and only the bits that name no group are left out of the stream ([`SixBitBlock`]).

use std::mem::MaybeUninit;

use crate::{
    Codebook, DIM, DistanceTable, NUM_SUB_VECTORS, SUB_VECTOR_DIM, TopKHeap,
    blocks::BLOCK,
    byte_vector::ByteVector,
    candidates::{Candidates, MAX_CANDIDATES},
    exchange::Weighted,
    filter::{Filter, FindNear, Scorer, WriteSums},
    grouping::{self, GROUPS},
    lut::{FallingLut, FilterLut, FilterTable, HALF, Lut},
    memory::{HugeVec, Plain, prefetch},
    row_major::{Row, distances, look_again, score_lanes},
};

/// The kernel of a variant, around its function `sums(&FilterLut<$groups>, &$block) -> [$vector; _]`, a block's saturating sums:
/// `$block` is how the labels are stored, `$features` is what `$vector` needs.
#[cfg(target_arch = "x86_64")]
macro_rules! merged_kernel {
    ($block:ident, $groups:ident, $vector:ident, $features:literal) => {
        #[derive(Clone)]
        struct Kernel($crate::merged::MergedCodes<$block, $groups>);

        pub fn prepare(
            codebook: &$crate::Codebook,
            codes: &[u8],
        ) -> Result<Box<dyn $crate::registry::Scan>, $crate::Error> {
            Ok(Box::new(Kernel($crate::merged::MergedCodes::new(codebook, codes))))
        }

        impl $crate::registry::Scan for Kernel {
            fn scan(&self, query: &[f32; $crate::DIM], top: &mut $crate::TopKHeap) {
                // SAFETY: the registry prepares this variant only where the CPU has the features that it requires.
                unsafe { scan(&self.0, query, top) }
            }

            fn memory_bytes(&self) -> usize {
                self.0.memory_bytes()
            }
        }

        #[target_feature(enable = $features)]
        fn scan(
            codes: &$crate::merged::MergedCodes<$block, $groups>,
            query: &[f32; $crate::DIM],
            top: &mut $crate::TopKHeap,
        ) {
            let write_sums = |lut: &_, blocks: &[_], out: &mut [_]| write_sums(lut, blocks, out);
            // SAFETY: this function is compiled for the very features; all sums are written.
            unsafe { codes.scan::<$vector>(query, top, write_sums, |lut, blocks, near| find_near(lut, blocks, near)) }
        }

        #[target_feature(enable = $features)]
        fn find_near(lut: &$crate::lut::FilterLut<$groups>, blocks: &[$block], near: &mut $crate::filter::Near) {
            for block in blocks {
                // SAFETY: this function is compiled for the very features.
                unsafe { near.push_sums(sums(lut, block)) };
            }
        }

        #[target_feature(enable = $features)]
        fn write_sums(
            lut: &$crate::lut::FilterLut<$groups>,
            blocks: &[$block],
            out: &mut [std::mem::MaybeUninit<$crate::filter::LaneSums>],
        ) {
            for (block, out) in blocks.iter().zip(out) {
                // SAFETY: this function is compiled for the very features.
                unsafe { $crate::filter::LaneSums::write(out, sums(lut, block)) };
            }
        }
    };
}
#[cfg(target_arch = "x86_64")]
pub(crate) use merged_kernel;

/// Groups that a nibble can name.
pub const NIBBLES: usize = 16;
/// Bytes that name the members of all groups of a sub-quantizer: half as many again as there are fine groups, so that rare ones
/// can be lumped together. Each costs a query its look-ups, whether it is there or not.
const MEMBERS: usize = GROUPS / 2 * 3;

/// The fine groups of each of `M` groups, `[m][place][group]`; a group of fewer repeats its last.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub struct Merged<const M: usize>([[u8; MEMBERS]; NUM_SUB_VECTORS]);

// SAFETY: arrays of bytes.
unsafe impl<const M: usize> Plain for Merged<M> {}

impl<const M: usize> Merged<M> {
    /// Settles the groups of sub-quantizer `m` for some renumbered codes, at least one: what is frequent among them gets groups of
    /// its own, what is rare is lumped together. Returns the group of each fine one.
    pub fn fit(&mut self, codebook: &Codebook, rows: &[Row], m: usize) -> [u8; GROUPS] {
        let mut sums = [[0.0f64; SUB_VECTOR_DIM]; GROUPS];
        let mut counts = [0.0; GROUPS];
        for row in rows {
            let centroid = &codebook.centroids(m)[usize::from(row[m])];
            let fine = fine_group(row[m]);
            counts[fine] += 1.0;
            sums[fine].iter_mut().zip(centroid).for_each(|(sum, &c)| *sum += f64::from(c));
        }
        let present = (0..GROUPS).filter(|&fine| counts[fine] > 0.0).map(|fine| Weighted {
            number: fine as u8,
            weight: counts[fine],
            point: sums[fine].map(|sum| sum / counts[fine]),
        });
        let groups = grouping::merge(present.collect(), M, MEMBERS / M);

        let mut labels = [0u8; GROUPS];
        for (group, members) in groups.iter().enumerate() {
            members.iter().for_each(|member| labels[usize::from(member.number)] = group as u8);
        }
        for (place, numbers) in self.0[m].as_chunks_mut::<M>().0.iter_mut().enumerate() {
            for (group, number) in numbers.iter_mut().enumerate() {
                // A group that is not used repeats the first.
                let members = groups.get(group).unwrap_or(&groups[0]);
                *number = members[place.min(members.len() - 1)].number;
            }
        }
        labels
    }

    /// The least entry of each group of sub-quantizer `m` in a LUT of the fine groups.
    ///
    /// # Safety
    /// The CPU has the instruction set of `V`; the caller is compiled for it.
    #[inline(always)]
    pub unsafe fn least<V: ByteVector>(&self, lut: &FilterLut<GROUPS>, m: usize) -> [u8; M] {
        const { assert!(MEMBERS >= V::LANES) };
        let members = &self.0[m];
        let mut entries = [0u8; MEMBERS];
        for start in (0..MEMBERS).step_by(V::LANES) {
            // The last vector may overlap the one before.
            let start = start.min(MEMBERS - V::LANES);
            // SAFETY: both have a whole vector from there on; a fine group is below 64.
            unsafe {
                let found = V::look_up_64(&lut.0[m], V::load(members.as_ptr().add(start)));
                found.store(entries.as_mut_ptr().add(start));
            }
        }
        let mut least = [u8::MAX; M];
        for entries in entries.as_chunks::<M>().0 {
            least.iter_mut().zip(entries).for_each(|(least, &entry)| *least = entry.min(*least));
        }
        least
    }

    /// Asks for all of it.
    #[inline(always)]
    pub fn prefetch(&self) {
        self.0.as_flattened().iter().step_by(64).for_each(prefetch);
    }
}

/// The fine group of a renumbered code.
pub fn fine_group(code: u8) -> usize {
    usize::from(code) % GROUPS
}

/// The labels of [`BLOCK`] vectors, zero until they are put.
pub trait LabelBlock: Plain {
    /// The largest entry of a LUT for them.
    const MOST: u8 = 255;

    /// Sets the label of sub-quantizer `m` in a lane.
    fn put(&mut self, m: usize, lane: usize, label: u8);
}

/// One of 16 labels, `[m / 2][lane]`: of an even sub-quantizer in a byte's low half, of the next one in its high half.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub struct NibbleBlock(pub [[u8; BLOCK]; NUM_SUB_VECTORS / 2]);

// SAFETY: an array of bytes.
unsafe impl Plain for NibbleBlock {}

impl LabelBlock for NibbleBlock {
    fn put(&mut self, m: usize, lane: usize, label: u8) {
        self.0[m / 2][lane] |= label << (4 * (m % 2));
    }
}

/// One of 32 labels, `[m][lane]`: four bits below, the fifth on top, where it makes a byte shuffle give zero.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub struct FiveBitBlock(pub [[u8; BLOCK]; NUM_SUB_VECTORS]);

// SAFETY: an array of bytes.
unsafe impl Plain for FiveBitBlock {}

impl LabelBlock for FiveBitBlock {
    fn put(&mut self, m: usize, lane: usize, label: u8) {
        self.0[m][lane] = label & 0x0f | (label & 0x10) << 3;
    }
}

/// One of 64 labels in six bits, four sub-quantizers in three rows of bytes: three have the low bits of one each, and the fourth
/// is in the upper two of all three, its low bits in the first.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub struct SixBitBlock(pub [[u8; BLOCK]; NUM_SUB_VECTORS / 4 * 3]);

// SAFETY: an array of bytes.
unsafe impl Plain for SixBitBlock {}

impl LabelBlock for SixBitBlock {
    const MOST: u8 = HALF;

    fn put(&mut self, m: usize, lane: usize, label: u8) {
        let rows = &mut self.0[m / 4 * 3..][..3];
        match m % 4 {
            3 => rows.iter_mut().zip(0..).for_each(|(row, part)| row[lane] |= label >> (2 * part) << 6),
            row => rows[row][lane] |= label,
        }
    }
}

/// A list of codes, whole and as labels of `M` groups in blocks.
#[derive(Clone)]
pub struct MergedCodes<B: LabelBlock, const M: usize> {
    /// With the centroids renumbered so that the low six bits of a code name its fine group.
    codebook: Codebook,
    groups: Box<Merged<M>>,
    blocks: HugeVec<B>,
    rows: HugeVec<Row>,
}

impl<B: LabelBlock, const M: usize> MergedCodes<B, M> {
    /// Renumbers row-major `codes` `[n][16]` and their codebook.
    pub fn new(codebook: &Codebook, codes: &[u8]) -> Self {
        let grouped = codebook.grouped();
        let renumbered = grouping::renumbered(codes, &grouped.labels);
        let mut rows = HugeVec::zeroed(renumbered.len());
        rows.copy_from_slice(&renumbered);
        let mut groups = Box::new(Merged([[0; MEMBERS]; NUM_SUB_VECTORS]));
        let mut blocks = HugeVec::<B>::zeroed(rows.len().div_ceil(BLOCK));
        if !rows.is_empty() {
            for m in 0..NUM_SUB_VECTORS {
                let labels = groups.fit(&grouped.codebook, &rows, m);
                for (block, rows) in blocks.iter_mut().zip(rows.chunks(BLOCK)) {
                    for (lane, row) in rows.iter().enumerate() {
                        block.put(m, lane, labels[fine_group(row[m])]);
                    }
                }
            }
        }
        MergedCodes { codebook: grouped.codebook.clone(), groups, blocks, rows }
    }

    /// Bytes that the list holds.
    pub fn memory_bytes(&self) -> usize {
        size_of_val(&*self.groups) + size_of_val(&*self.blocks) + size_of_val(&*self.rows)
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
        write_sums: impl WriteSums<B, M>,
        find_near: impl FindNear<B, M>,
    ) {
        let mut table = MaybeUninit::uninit();
        let table = self.codebook.distance_table_in(query, &mut table);
        let (bounds, mut lut) = (FilterTable::new(table), FilterLut::zeroed());
        let lut = MergedLut {
            fine: FallingLut::new(&bounds, &mut lut, B::MOST, 0),
            merged: FilterLut::zeroed(),
            groups: &self.groups,
        };
        let scorer = ByRows { rows: &self.rows, table, candidates: Candidates::new() };
        let mut filter = Filter::new(&self.blocks, self.rows.len(), lut, scorer);
        // SAFETY: this function's contract.
        unsafe { filter.scan_up_to::<V>(self.blocks.len(), top, write_sums, find_near) };
    }
}

/// A LUT of `M` groups, from that of the fine ones.
struct MergedLut<'a, const M: usize> {
    fine: FallingLut<'a, GROUPS>,
    merged: FilterLut<M>,
    groups: &'a Merged<M>,
}

impl<const M: usize> MergedLut<'_, M> {
    /// Follows the first rows of the fine LUT.
    #[inline(always)]
    unsafe fn merge<V: ByteVector>(&mut self, rows: usize) {
        for m in 0..rows {
            // SAFETY: this function's contract.
            self.merged.0[m] = unsafe { self.groups.least::<V>(self.fine.entries(), m) };
        }
    }
}

impl<const M: usize> Lut<M> for MergedLut<'_, M> {
    #[inline(always)]
    fn guess(&self) -> f32 {
        self.fine.guess()
    }

    #[inline(always)]
    unsafe fn quantize<V: ByteVector>(&mut self, threshold: f32) {
        // SAFETY: this function's contract.
        unsafe {
            self.fine.quantize::<V>(threshold);
            self.merge::<V>(NUM_SUB_VECTORS);
        }
    }

    #[inline(always)]
    fn limit(&self, threshold: f32, quantized_for: f32) -> u8 {
        self.fine.limit(threshold, quantized_for)
    }

    #[inline(always)]
    fn entries(&self) -> &FilterLut<M> {
        &self.merged
    }

    #[inline(always)]
    unsafe fn tighten<V: ByteVector>(&mut self, threshold: f32) {
        let changed = self.fine.follow(threshold);
        // SAFETY: this function's contract.
        unsafe { self.merge::<V>(changed) };
    }
}

/// What the merged groups leave is looked up from whole codes, fetched ahead of time, in the LUT of the fine groups, and what
/// that leaves is scored.
struct ByRows<'a> {
    rows: &'a [Row],
    table: &'a DistanceTable,
    candidates: Candidates,
}

/// Candidates whose sums are under way at a time.
const AT_ONCE: usize = 4;
/// Codes in a list from which on they are too many to lie in a near cache.
const PREFETCH_FROM: usize = 1 << 14;

impl ByRows<'_> {
    /// Scores the candidates that a LUT, if there is one, leaves within its limit.
    #[inline(always)]
    unsafe fn settle<V: ByteVector>(&mut self, lut: Option<(&FilterLut<GROUPS>, u8)>, top: &mut TopKHeap) {
        if let Some((lut, limit)) = lut {
            // SAFETY: this function's contract.
            unsafe { look_again::<V, GROUPS>(self.rows, lut, limit, &mut self.candidates) };
        }
        for places in self.candidates.places().chunks(AT_ONCE) {
            let some = std::array::from_fn::<_, AT_ONCE, _>(|i| places[i.min(places.len() - 1)] as usize);
            let distances = distances(self.rows, self.table, some);
            places.iter().zip(distances).for_each(|(&id, distance)| top.push(id, distance));
        }
        self.candidates.clear();
    }
}

impl<const M: usize> Scorer<MergedLut<'_, M>> for ByRows<'_> {
    #[inline(always)]
    unsafe fn score<V: ByteVector>(
        &mut self,
        lut: &MergedLut<'_, M>,
        hits: &[(usize, u64)],
        limit: Option<u8>,
        more: bool,
        top: &mut TopKHeap,
    ) {
        /// Blocks whose candidates can wait together.
        const AT_ONCE: usize = MAX_CANDIDATES / (BLOCK / 2);
        let far = self.rows.len() > PREFETCH_FROM;
        // Where there are no finer groups, few are left: those are scored while they arrive as fast as later.
        let looks_again = M < GROUPS;
        let fine = limit.filter(|_| looks_again).map(|limit| (lut.fine.entries(), limit));
        let keep = more && far && looks_again;
        let mut parts = hits.chunks(AT_ONCE);
        for _ in 0..parts.len() + usize::from(!keep) {
            // Those of the part before have arrived by now.
            // SAFETY: this function's contract.
            unsafe { self.settle::<V>(fine, top) };
            for &(block, lanes) in parts.next().unwrap_or_default() {
                let first = block * BLOCK;
                if lanes.count_ones() as usize > BLOCK / 2 {
                    score_lanes(self.table, &self.rows[first..], lanes, first as u32, top);
                } else {
                    self.candidates.add_lanes(first, lanes);
                }
            }
            if far {
                self.candidates.places().iter().for_each(|&id| prefetch(&self.rows[id as usize]));
            }
        }
    }
}

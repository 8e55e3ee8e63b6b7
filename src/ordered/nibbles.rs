//! Half a byte a code: one of 16 groups that suit the super-block, which any byte shuffle looks up.
//!
//! For each super-block and sub-quantizer the 64 groups of four similar centroids are merged into at most 16 that suit the
//! codes that occur there: what is frequent gets groups of its own, what is rare is lumped together. A query makes its LUT of
//! 64 entries into one of 16 for each super-block and sub-quantizer.

use super::{GROUPS as FINE_GROUPS, Layout, LookUp, PAIRS, STRIDE, SUPER_BLOCK, descending};
use crate::{
    Codebook, DistanceTable, NUM_SUB_VECTORS, SUB_VECTOR_DIM,
    byte_vector::ByteVector,
    grouping,
    lut::FilterLut,
    memory::{Plain, prefetch},
};

/// Groups of a sub-quantizer: what a nibble can name.
const GROUPS: usize = 16;
/// Fine groups that one group can merge. More than the even share of four lets rare ones be lumped together; each costs a plan
/// its look-ups, whether it is there or not.
const MAX_MEMBERS: usize = 6;

/// The codes of a super-block as nibbles, and whole.
#[derive(Clone)]
#[repr(C, align(64))]
pub struct Nibbles {
    /// `[pair][lane]`: the groups of sub-quantizers 2·pair (low nibble) and 2·pair + 1.
    lines: [[u8; STRIDE]; PAIRS],
    /// `[m][place][group]`: the fine groups of each group; a smaller one repeats its last.
    members: [[[u8; GROUPS]; MAX_MEMBERS]; NUM_SUB_VECTORS],
    /// `[lane][m]`
    rows: [[u8; NUM_SUB_VECTORS]; SUPER_BLOCK],
}

// SAFETY: arrays of bytes.
unsafe impl Plain for Nibbles {}

/// The LUT of a super-block, and the order of its lines.
#[derive(Clone, Copy, Default)]
#[repr(C, align(64))]
pub struct Plan {
    /// `[m][group]`, less each row's least entry.
    lut: [[u8; GROUPS]; NUM_SUB_VECTORS],
    order: [u8; PAIRS],
}

impl Plan {
    #[inline(always)]
    fn line(&self, place: usize) -> usize {
        usize::from(self.order[place % PAIRS]) % PAIRS
    }
}

/// A line and its tables.
#[derive(Clone, Copy)]
pub struct Pair<'a, V> {
    line: &'a [u8; STRIDE],
    low: V,
    high: V,
}

impl<V: ByteVector> LookUp<V> for Pair<'_, V> {
    #[inline(always)]
    unsafe fn look_up(&self, lane: usize) -> V {
        // SAFETY: this function's contract.
        unsafe {
            let codes = V::load(self.line.as_ptr().add(lane));
            self.low.look_up(codes.low_nibbles()).add_saturating(self.high.look_up(codes.high_nibbles()))
        }
    }

    #[inline(always)]
    fn prefetch(&self, lane: usize) {
        prefetch(&self.line[lane % SUPER_BLOCK]);
    }
}

impl Layout for Nibbles {
    type Plan = Plan;
    type Pair<'a, V: ByteVector> = Pair<'a, V>;

    fn fill(&mut self, codebook: &Codebook, rows: &[[u8; NUM_SUB_VECTORS]]) {
        self.rows[..rows.len()].copy_from_slice(rows);
        for m in 0..NUM_SUB_VECTORS {
            let mut sums = [[0.0f64; SUB_VECTOR_DIM]; FINE_GROUPS];
            let mut counts = [0.0; FINE_GROUPS];
            for row in rows {
                let centroid = &codebook.centroids(m)[usize::from(row[m])];
                let fine = fine_group(row[m]);
                counts[fine] += 1.0;
                sums[fine].iter_mut().zip(centroid).for_each(|(sum, &c)| *sum += f64::from(c));
            }
            let present = (0..FINE_GROUPS).filter(|&fine| counts[fine] > 0.0).map(|fine| grouping::Weighted {
                number: fine as u8,
                weight: counts[fine],
                point: sums[fine].map(|sum| sum / counts[fine]),
            });
            let groups = grouping::merge(present.collect(), GROUPS, MAX_MEMBERS);

            let mut labels = [0u8; FINE_GROUPS];
            for (group, members) in groups.iter().enumerate() {
                members.iter().for_each(|member| labels[usize::from(member.number)] = group as u8);
            }
            for group in 0..GROUPS {
                // A group that is not used repeats the first.
                let members = groups.get(group).unwrap_or(&groups[0]);
                for place in 0..MAX_MEMBERS {
                    self.members[m][place][group] = members[place.min(members.len() - 1)].number;
                }
            }
            for (row, byte) in rows.iter().zip(&mut self.lines[m / 2]) {
                *byte |= labels[fine_group(row[m])] << (4 * (m % 2));
            }
        }
    }

    #[inline(always)]
    unsafe fn plan<V: ByteVector>(&self, lut: &FilterLut<FINE_GROUPS>) -> (Plan, [u8; NUM_SUB_VECTORS]) {
        let mut plan = Plan::default();
        let mut least = [0; NUM_SUB_VECTORS];
        for (m, least) in least.iter_mut().enumerate() {
            let mut minima = [[0u8; GROUPS]; MAX_MEMBERS];
            let members = self.members[m].as_flattened();
            for start in (0..members.len()).step_by(V::LANES) {
                // SAFETY: `members` and `minima` have the same whole number of vectors; a fine group is below 64.
                unsafe {
                    let entries = V::look_up_64(&lut.0[m], V::load(members.as_ptr().add(start)));
                    entries.store(minima.as_flattened_mut().as_mut_ptr().add(start));
                }
            }
            let mut row = minima[0];
            for entries in &minima[1..] {
                row.iter_mut().zip(entries).for_each(|(least, &entry)| *least = entry.min(*least));
            }
            *least = row.iter().fold(255, |least, &entry| entry.min(least));
            row.iter_mut().for_each(|entry| *entry -= *least);
            plan.lut[m] = row;
        }
        (plan, least)
    }

    #[inline(always)]
    fn order(plan: &mut Plan, expected: &[i32; NUM_SUB_VECTORS]) {
        let mut lines = [0; PAIRS];
        for (line, [a, b]) in lines.iter_mut().zip(expected.as_chunks().0) {
            *line = a + b;
        }
        plan.order = descending(&lines);
    }

    #[inline(always)]
    unsafe fn pair<V: ByteVector>(&self, plan: &Plan, _: &FilterLut<FINE_GROUPS>, place: usize) -> Pair<'_, V> {
        let line = plan.line(place);
        // SAFETY: this function's contract.
        let (low, high) = unsafe { (V::table(&plan.lut[2 * line]), V::table(&plan.lut[2 * line + 1])) };
        Pair { line: &self.lines[line], low, high }
    }

    #[inline(always)]
    fn prefetch_summary(&self) {
        // A place of all groups is 16 bytes, four of them a cache line.
        self.members.as_flattened().iter().step_by(4).for_each(prefetch);
    }

    #[inline(always)]
    fn prefetch_code(&self, lane: usize) {
        prefetch(&self.rows[lane % SUPER_BLOCK]);
    }

    #[inline(always)]
    fn distances<const N: usize>(&self, table: &DistanceTable, lanes: [usize; N]) -> [f32; N] {
        let mut sums = [0.0; N];
        for (m, entries) in table.iter().enumerate() {
            for (sum, lane) in sums.iter_mut().zip(lanes) {
                *sum += entries[usize::from(self.rows[lane % SUPER_BLOCK][m])];
            }
        }
        sums
    }
}

fn fine_group(code: u8) -> usize {
    usize::from(code) % FINE_GROUPS
}

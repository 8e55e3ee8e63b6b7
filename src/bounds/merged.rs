//! LUTs of merged groups, made from those of the fine groups.

use std::ops::Range;

use super::lut::{ByteLut, Version};
use crate::{
    groups::{FINE, Merged},
    memory::HugeVec,
    simd::{Level, Routine},
};

/// A LUT of `M` groups, each entry the least of the fine groups' that are merged in it.
#[derive(Clone)]
pub struct MergedLut<const M: usize> {
    lut: HugeVec<[u8; M]>,
    made_from: Version,
    /// The [`id`](Merged::id) of the groups.
    groups: u64,
}

impl<const M: usize> MergedLut<M> {
    /// One that is not made yet.
    pub fn new(m: usize) -> Self {
        MergedLut { lut: HugeVec::zeroed(m.next_multiple_of(4)), made_from: Version::default(), groups: 0 }
    }

    /// Makes all of it anew the next time.
    pub fn forget(&mut self) {
        self.made_from = Version::default();
    }

    /// Makes what has changed since the last time, with the groups of some lists or of one.
    #[inline(always)]
    pub fn follow<L: Level>(&mut self, level: L, fine: &ByteLut<FINE>, groups: &Merged<M>) {
        if self.groups != groups.id() {
            (self.groups, self.made_from) = (groups.id(), Version::default());
        }
        if self.made_from != fine.version() {
            let rows = fine.changed_since(self.made_from);
            level.run_apart(Merge { lut: &mut self.lut, fine, groups, rows });
            self.made_from = fine.version();
        }
    }

    /// The LUT, `[m][group]`.
    #[inline(always)]
    pub fn entries(&self) -> &[[u8; M]] {
        &self.lut
    }
}

struct Merge<'a, const M: usize> {
    lut: &'a mut [[u8; M]],
    fine: &'a ByteLut<FINE>,
    groups: &'a Merged<M>,
    rows: Range<usize>,
}

impl<L: Level, const M: usize> Routine<L> for Merge<'_, M> {
    type Output = ();

    #[inline(always)]
    fn call(self, level: L) {
        for m in self.rows {
            self.lut[m] = self.groups.least(level, &self.fine.entries()[m], m);
        }
    }
}

//! The 64 fine groups of a sub-quantizer, merged into the 16 or 32 that a byte shuffle looks up.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{Weighted, merge};
use crate::{
    Geometry,
    geometry::Bits,
    memory::{HugeVec, prefetch},
    simd::{ByteVector, Level},
};

/// Fine groups of a sub-quantizer: what six bits can name.
pub const FINE: usize = 64;
/// Bytes that name the members of all groups of a sub-quantizer: half as many again as there are fine groups, so that
/// rare ones can be lumped together. Each costs a query its look-ups, whether it is there or not.
const MEMBERS: usize = FINE / 2 * 3;

/// The fine group of a renumbered code.
#[inline(always)]
pub fn fine_group(code: u8) -> usize {
    usize::from(code) % FINE
}

/// The fine groups of each of `M` groups.
#[derive(Clone)]
pub struct Merged<const M: usize> {
    /// `[m][place][group]`; a group of fewer members repeats its last.
    members: HugeVec<[u8; MEMBERS]>,
    /// `[m]`: the group of each fine one.
    labels: HugeVec<[u8; FINE]>,
    /// See [`id`](Self::id).
    id: u64,
}

impl<const M: usize> Merged<M> {
    /// Settles the groups for renumbered centroids `[m][k][d]`, of which `count` tells how often each occurs: what is
    /// frequent gets groups of its own, what is rare is lumped together.
    pub fn fit(geometry: Geometry, centroids: &[f32], count: impl Fn(usize, usize) -> f64) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let (m, d, k) = (geometry.m(), geometry.sub_dim(), geometry.num_centroids());
        let mut this = Merged {
            members: HugeVec::zeroed(m.next_multiple_of(4)),
            labels: HugeVec::zeroed(m.next_multiple_of(4)),
            id: NEXT.fetch_add(1, Ordering::Relaxed),
        };
        for m in 0..m {
            let mut sums = vec![0.0f64; FINE * d];
            let mut counts = [0.0; FINE];
            for (code, centroid) in centroids[m * k * d..][..k * d].chunks_exact(d).enumerate() {
                let (fine, count) = (code % FINE, count(m, code));
                counts[fine] += count;
                sums[fine * d..][..d].iter_mut().zip(centroid).for_each(|(sum, &c)| *sum += count * f64::from(c));
            }
            let present: Vec<_> = (0..FINE)
                .filter(|&fine| counts[fine] > 0.0)
                .map(|fine| Weighted {
                    number: fine as u8,
                    weight: counts[fine],
                    point: sums[fine * d..][..d].iter().map(|sum| sum / counts[fine]).collect(),
                })
                .collect();
            let groups = match geometry.bits() {
                // Each centroid is a group.
                Bits::Four => (0..present.len()).map(|at| vec![present[at].clone()]).collect(),
                Bits::Eight if present.is_empty() => continue,
                Bits::Eight => merge(present, M, MEMBERS / M),
            };
            this.put(m, &groups);
        }
        this
    }

    fn put(&mut self, m: usize, groups: &[Vec<Weighted>]) {
        for (group, members) in groups.iter().enumerate() {
            members.iter().for_each(|member| self.labels[m][usize::from(member.number)] = group as u8);
        }
        let Some(first) = groups.first() else { return };
        for (place, numbers) in self.members[m].as_chunks_mut::<M>().0.iter_mut().enumerate() {
            for (group, number) in numbers.iter_mut().enumerate() {
                // A group that is not used repeats the first.
                let members = groups.get(group).unwrap_or(first);
                *number = members[place.min(members.len() - 1)].number;
            }
        }
    }

    /// A number, not 0, that no other groups have. (An address would not do: it is given again to what comes after
    /// them.)
    #[inline(always)]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The group of a renumbered code of sub-quantizer `m`.
    #[inline(always)]
    pub fn label(&self, m: usize, code: u8) -> u8 {
        self.labels[m][fine_group(code)]
    }

    /// The least entry of each group of sub-quantizer `m`, given its entries for the fine groups.
    #[inline(always)]
    pub fn least<L: Level>(&self, level: L, entries: &[u8; FINE], m: usize) -> [u8; M] {
        let members = &self.members[m];
        let table = L::Bytes::table_64(level, entries);
        let mut found = [0u8; MEMBERS];
        for start in (0..MEMBERS).step_by(L::Bytes::LANES) {
            // The last vector may overlap the one before.
            let start = start.min(MEMBERS - L::Bytes::LANES);
            L::Bytes::look_up_64(table, L::Bytes::load(level, &members[start..])).store(&mut found[start..]);
        }
        let mut least = [u8::MAX; M];
        for entries in found.as_chunks::<M>().0 {
            least.iter_mut().zip(entries).for_each(|(least, &entry)| *least = entry.min(*least));
        }
        least
    }

    /// Prefetches what [`least`](Self::least) reads.
    #[inline(always)]
    pub fn prefetch(&self) {
        self.members.as_flattened().iter().step_by(64).for_each(|at| prefetch(at));
    }

    /// Bytes that it holds.
    pub fn memory_bytes(&self) -> usize {
        size_of_val(&*self.members) + size_of_val(&*self.labels)
    }
}

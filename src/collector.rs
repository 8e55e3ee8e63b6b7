//! Where a scan offers what it finds: places of one list become ids, and those that are not allowed are left out.

use crate::TopK;

/// The ids of a list's codes.
#[derive(Clone, Copy, Debug)]
pub enum Ids<'a> {
    /// The first code's; each other one has the next.
    From(u64),
    /// Each code's own.
    Map(&'a [u64]),
}

/// Collects the nearest codes of a list. Kernels name them by their place in it, from 0.
#[derive(Debug)]
pub struct Collector<'a> {
    top: &'a mut TopK,
    ids: Ids<'a>,
    allow: Option<&'a [u64]>,
}

impl<'a> Collector<'a> {
    /// Collects into `top`. `ids` and `allow`, a bit for each code, the first code's lowest in the first word, are as
    /// long as the list.
    pub fn new(top: &'a mut TopK, ids: Ids<'a>, allow: Option<&'a [u64]>) -> Self {
        Collector { top, ids, allow }
    }

    /// How many are wanted.
    pub fn k(&self) -> usize {
        self.top.k()
    }

    /// The distance that a code must not exceed to be of interest.
    #[inline(always)]
    pub fn threshold(&self) -> f32 {
        self.top.threshold()
    }

    /// Whether some codes may not be allowed.
    #[inline(always)]
    pub fn is_selective(&self) -> bool {
        self.allow.is_some()
    }

    /// How many codes there are for each that is allowed, about.
    pub fn sparseness(&self) -> usize {
        self.allow.map_or(1, |allow| {
            let allowed = allow.iter().map(|word| word.count_ones() as usize).sum::<usize>();
            (allow.len() * 64).div_ceil(allowed.max(1))
        })
    }

    /// One bit for each of the 64 codes from `64 * block` on, set where it is allowed. Bits beyond the list may be set.
    #[inline(always)]
    pub fn allowed(&self, block: usize) -> u64 {
        self.allow.map_or(u64::MAX, |allow| allow.get(block).copied().unwrap_or(0))
    }

    /// Whether the code at `place` is allowed.
    #[inline(always)]
    pub fn allows(&self, place: u32) -> bool {
        self.allow.is_none() || self.allowed(place as usize / 64) >> (place % 64) & 1 == 1
    }

    /// Offers the code at `place`.
    #[inline(always)]
    pub fn push(&mut self, place: u32, distance: f32) {
        // Settles nearly every push.
        if distance > self.top.threshold() || !self.allows(place) {
            return;
        }
        let id = match self.ids {
            Ids::From(first) => first.wrapping_add(u64::from(place)),
            Ids::Map(ids) => ids[place as usize],
        };
        self.top.push(id, distance);
    }

    /// A collector into another `top`, with the same ids and filter.
    #[inline(always)]
    pub fn with_top<'t>(&self, top: &'t mut TopK) -> Collector<'t>
    where
        'a: 't,
    {
        Collector { top, ids: self.ids, allow: self.allow }
    }

    /// Takes over what another one has collected.
    #[inline(always)]
    pub fn take_over(&mut self, top: TopK) {
        top.into_sorted().into_iter().for_each(|(id, distance)| self.top.push(id, distance));
    }
}

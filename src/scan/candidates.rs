//! Codes that a filter let pass, until they are scored: gathered without branches that depend on the codes.

use std::mem::MaybeUninit;

/// Capacity.
pub const MAX_CANDIDATES: usize = 1024;
/// Places that are written without asking whether there are as many.
const UNCONDITIONAL: usize = 4;

/// Places of codes in a list or a piece of one.
#[derive(Debug)]
pub struct Candidates {
    /// Written up to `count`: zeros first would cost a short list one percent.
    places: [MaybeUninit<u32>; MAX_CANDIDATES + UNCONDITIONAL],
    count: usize,
}

impl Candidates {
    /// None yet.
    #[allow(clippy::new_without_default)] // seen with `unstable-kernels` only
    #[inline(always)]
    pub fn new() -> Self {
        // A constant, or else LLVM would write zeros.
        Candidates { places: [const { MaybeUninit::uninit() }; MAX_CANDIDATES + UNCONDITIONAL], count: 0 }
    }

    /// Those that were added, in the order in which they were.
    pub fn places(&self) -> &[u32] {
        // SAFETY: `count` grows only over places that have been written.
        unsafe { std::slice::from_raw_parts(self.places.as_ptr().cast(), self.count) }
    }

    /// None any more.
    pub fn clear(&mut self) {
        self.count = 0;
    }

    /// Makes them the places of what is `near`, without a branch, of [`MAX_CANDIDATES`] at most.
    #[inline(always)]
    pub fn select(&mut self, near: impl ExactSizeIterator<Item = bool>) {
        assert!(near.len() <= MAX_CANDIDATES);
        // In a register, which `self.count` could not be next to the writes.
        let mut count = 0;
        for (place, near) in near.enumerate() {
            self.places[count].write(place as u32);
            count += usize::from(near);
        }
        self.count = count;
    }

    /// Keeps those that are `near`, without a branch.
    #[inline(always)]
    pub fn retain(&mut self, near: impl Fn(usize) -> bool) {
        let mut count = 0;
        for at in 0..self.count {
            let place = self.places()[at];
            self.places[count].write(place);
            count += usize::from(near(place as usize));
        }
        self.count = count;
    }

    /// Keeps those whose bit is set: `near` has a word for each `lanes` of them.
    #[inline(always)]
    pub fn keep(&mut self, near: &[u64], lanes: usize) {
        let mut count = 0;
        for (group, &near) in near.iter().enumerate() {
            let mut near = near;
            while near != 0 {
                let place = self.places()[group * lanes + near.trailing_zeros() as usize];
                self.places[count].write(place);
                count += 1;
                near &= near - 1;
            }
        }
        self.count = count;
    }

    /// Adds the places from `first` on whose bit is set in `lanes`.
    #[inline(always)]
    pub fn add_lanes(&mut self, first: usize, lanes: u64) {
        self.add_lanes_and(first, lanes, |_| ());
    }

    /// [`add_lanes`](Candidates::add_lanes), and does something for each place, and perhaps for the one behind the 64
    /// lanes. A loop of its own for that would be hard to predict.
    #[inline(always)]
    pub fn add_lanes_and(&mut self, first: usize, mut lanes: u64, mut each: impl FnMut(usize)) {
        let end = self.count + lanes.count_ones() as usize;
        while self.count < end {
            // A few at a time, needed or not: how many there are is hard to predict, that they are few is easy.
            for place in &mut self.places[self.count..][..UNCONDITIONAL] {
                let next = first as u32 + lanes.trailing_zeros();
                place.write(next);
                each(next as usize);
                lanes &= lanes.wrapping_sub(1);
            }
            self.count = end.min(self.count + UNCONDITIONAL);
        }
    }
}

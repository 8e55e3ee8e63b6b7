//! The scan of row-major codes that nothing prepared: a filter names the rows that may be near, f32 sums decide.
//!
//! The threshold is looked at once a stretch, so a filter runs without a branch that depends on the codes; what it finds is
//! scored while the stretch is in L1. Where it finds too much, it is left out for a while: data that defeats it (uniform
//! codes, or the nearest ones last) then costs little more than scoring everything.

use crate::{DistanceTable, NUM_SUB_VECTORS, TopKHeap, blocks::BLOCK, table::distance};

/// A row-major code.
pub type Row = [u8; NUM_SUB_VECTORS];

/// Rows between two looks at the threshold: 16 KB, which L1 keeps until the candidates are scored.
pub const STRETCH: usize = 1024;
/// Codes in a list below which a filter costs more to set up than it saves.
pub const SHORT: usize = 2048;
/// Stretches that are scored without a filter once one has let most codes pass.
const UNFILTERED: usize = 16;
/// Places that are written without asking whether there are as many.
const UNCONDITIONAL: usize = 4;

/// What a kernel does: given the distance that still counts (finite) and at most [`STRETCH`] rows, it writes down all rows
/// that may be as near.
pub trait FindCandidates: FnMut(f32, &[Row], &mut Candidates) {}
impl<F: FnMut(f32, &[Row], &mut Candidates)> FindCandidates for F {}

/// Places of rows in a stretch.
#[derive(Debug)]
pub struct Candidates {
    places: [u32; STRETCH + UNCONDITIONAL],
    count: usize,
}

impl Candidates {
    /// None yet.
    #[expect(clippy::new_without_default, reason = "scratch space of a probe")]
    pub fn new() -> Self {
        Candidates { places: [0; STRETCH + UNCONDITIONAL], count: 0 }
    }

    /// Those that were added, in the order in which they were.
    pub fn places(&self) -> &[u32] {
        &self.places[..self.count]
    }

    /// Makes them the places of what is `near`, without a branch, of [`STRETCH`] at most.
    #[inline(always)]
    pub fn select(&mut self, near: impl ExactSizeIterator<Item = bool>) {
        assert!(near.len() <= STRETCH);
        // In a register, which `self.count` could not be next to the writes.
        let mut count = 0;
        for (place, near) in near.enumerate() {
            self.places[count] = place as u32;
            count += usize::from(near);
        }
        self.count = count;
    }

    /// Keeps those that are `near`, without a branch.
    #[inline(always)]
    pub fn retain(&mut self, near: impl Fn(usize) -> bool) {
        let mut count = 0;
        for at in 0..self.count {
            let place = self.places[at];
            self.places[count] = place;
            count += usize::from(near(place as usize));
        }
        self.count = count;
    }

    /// Adds the places from `first` on whose bit is set in `lanes`.
    #[inline(always)]
    pub fn add_lanes(&mut self, first: usize, mut lanes: u64) {
        let end = self.count + lanes.count_ones() as usize;
        while self.count < end {
            // A few at a time, needed or not: how many there are is hard to predict, that they are few is easy.
            for place in &mut self.places[self.count..][..UNCONDITIONAL] {
                *place = first as u32 + lanes.trailing_zeros();
                lanes &= lanes.wrapping_sub(1);
            }
            self.count = end.min(self.count + UNCONDITIONAL);
        }
    }
}

/// Offers to `top` all of `rows` that `find` can't rule out, with ids from 0.
#[inline(always)]
pub fn probe(table: &DistanceTable, rows: &[Row], top: &mut TopKHeap, mut find: impl FindCandidates) {
    let mut found = Candidates::new();
    let mut unfiltered = 0;
    let mut at = 0;
    while at < rows.len() {
        // A block to find a threshold, then longer and longer stretches.
        let stretch = &rows[at..rows.len().min(at + at.clamp(BLOCK, STRETCH))];
        let threshold = top.threshold();
        if threshold < f32::INFINITY && unfiltered == 0 {
            found.count = 0;
            find(threshold, stretch, &mut found);
            for &place in found.places() {
                top.push(at as u32 + place, distance(&stretch[place as usize], table));
            }
            if found.count > stretch.len() / 2 {
                unfiltered = UNFILTERED;
            }
        } else {
            score(table, stretch, at as u32, top);
            unfiltered = usize::saturating_sub(unfiltered, 1);
        }
        at += stretch.len();
    }
}

/// Offers all `rows` to `top`, with ids from `first_id`.
#[inline(always)]
pub fn score(table: &DistanceTable, rows: &[Row], first_id: u32, top: &mut TopKHeap) {
    for (row, id) in rows.iter().zip(first_id..) {
        top.push(id, distance(row, table));
    }
}

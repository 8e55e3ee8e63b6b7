//! The scan of row-major codes that nothing prepared: a filter names the rows that may be near, f32 sums decide.
//!
//! The threshold is looked at once a stretch, so a filter runs without a branch that depends on the codes; what it finds is
//! scored while the stretch is in L1. Where it finds too much, it is left out for a while: data that defeats it (uniform
//! codes, or the nearest ones last) then costs little more than scoring everything.

use crate::{
    DistanceTable, NUM_SUB_VECTORS, TopKHeap,
    blocks::BLOCK,
    candidates::{Candidates, MAX_CANDIDATES},
    table::distance,
};

/// A row-major code.
pub type Row = [u8; NUM_SUB_VECTORS];

/// Rows between two looks at the threshold: 16 KB, which L1 keeps until the candidates are scored.
pub const STRETCH: usize = MAX_CANDIDATES;
/// Codes in a list below which a filter costs more to set up than it saves.
pub const SHORT: usize = 2048;
/// Stretches that are scored without a filter once one has let most codes pass.
const UNFILTERED: usize = 16;
/// What a kernel does: given the distance that still counts (finite) and at most [`STRETCH`] rows, it writes down all rows
/// that may be as near.
pub trait FindCandidates: FnMut(f32, &[Row], &mut Candidates) {}
impl<F: FnMut(f32, &[Row], &mut Candidates)> FindCandidates for F {}

/// Offers to `top` all of `rows` that `find` can't rule out, with ids from 0.
#[inline(always)]
pub fn probe(table: &DistanceTable, rows: &[Row], top: &mut TopKHeap, mut find: impl FindCandidates) {
    let mut found = Candidates::new();
    let mut unfiltered = 0;
    let ahead = to_alignment(rows);
    score(table, &rows[..ahead], 0, top);
    let mut at = ahead;
    while at < rows.len() {
        // A block to find a threshold, then longer and longer stretches.
        let stretch = &rows[at..rows.len().min(at + (at - ahead).clamp(BLOCK, STRETCH))];
        let threshold = top.threshold();
        if threshold < f32::INFINITY && unfiltered == 0 {
            found.clear();
            find(threshold, stretch, &mut found);
            for &place in found.places() {
                top.push(at as u32 + place, distance(&stretch[place as usize], table));
            }
            if found.places().len() > stretch.len() / 2 {
                unfiltered = UNFILTERED;
            }
        } else {
            score(table, stretch, at as u32, top);
            unfiltered = usize::saturating_sub(unfiltered, 1);
        }
        at += stretch.len();
    }
}

/// Rows before the first that begins a cache line: what an allocator aligns to 16 bytes only begins within one; from the next
/// one on no vector is across two.
pub fn to_alignment(rows: &[Row]) -> usize {
    match rows.as_ptr().align_offset(BLOCK) {
        ahead @ ..4 => ahead.min(rows.len()),
        _ => 0,
    }
}

/// Offers all `rows` to `top`, with ids from `first_id`.
#[inline(always)]
pub fn score(table: &DistanceTable, rows: &[Row], first_id: u32, top: &mut TopKHeap) {
    for (row, id) in rows.iter().zip(first_id..) {
        top.push(id, distance(row, table));
    }
}

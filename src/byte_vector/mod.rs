//! Vectors of bytes, one type for each instruction set, so that a scan is written once.
//!
//! The pattern is memchr's: every method is inlined into a caller that has the instruction set enabled, so that generic
//! code compiles to the very instructions, and the one boundary where features matter is that caller's.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "x86_64")]
mod x86_64;

use crate::NUM_SUB_VECTORS;

#[cfg(target_arch = "aarch64")]
pub use aarch64::Neon;
#[cfg(target_arch = "x86_64")]
pub use x86_64::{Avx2, Avx512, Ssse3};

/// A vector of `LANES` bytes, a multiple of 16.
///
/// # Safety
/// Every method may execute the instruction set that the type stands for: call them only where the CPU has it, inlined into
/// a function with `#[target_feature]` for it.
#[expect(clippy::missing_safety_doc, reason = "one contract for all the methods, stated above")]
pub unsafe trait ByteVector: Copy {
    /// Bytes in the vector.
    const LANES: usize;

    /// `byte` in every lane.
    unsafe fn splat(byte: u8) -> Self;
    /// Reads `LANES` bytes at any alignment; they must be readable.
    unsafe fn load(from: *const u8) -> Self;
    /// Writes `LANES` bytes at any alignment; they must be writable.
    unsafe fn store(self, to: *mut u8);
    /// A table of 16 entries for [`look_up`](ByteVector::look_up).
    unsafe fn table(entries: &[u8; 16]) -> Self;
    /// With `self` a table: its entry for each lane of `index` below 16, zero for one of 128 or more. There are no others.
    unsafe fn look_up(self, index: Self) -> Self;
    /// The sum, or 255 where it is larger.
    unsafe fn add_saturating(self, other: Self) -> Self;
    /// The smaller of each two lanes.
    unsafe fn min(self, other: Self) -> Self;
    /// The low four bits of every lane.
    unsafe fn low_nibbles(self) -> Self;
    /// The high four bits of every lane.
    unsafe fn high_nibbles(self) -> Self;
    /// One bit for each lane that is not 255, the first lane lowest.
    unsafe fn below_255(self) -> u64;
    /// Whether a lane is not 255.
    #[inline(always)]
    unsafe fn any_below_255(self) -> bool {
        // SAFETY: this method's contract.
        unsafe { self.below_255() != 0 }
    }
    /// Sixteen bytes from each of as many addresses as there are sixteens of lanes.
    unsafe fn load_sixteens(from: [*const u8; 4]) -> Self;
    /// In every sixteen lanes the first eight of `self` and of `other`, by turns.
    unsafe fn interleave_low(self, other: Self) -> Self;
    /// In every sixteen lanes the last eight of `self` and of `other`, by turns.
    unsafe fn interleave_high(self, other: Self) -> Self;
    /// The lanes of the sixteens by turns: the first of each, then the second of each, and so on.
    #[inline(always)]
    unsafe fn interleave_sixteens(self) -> Self {
        const { assert!(Self::LANES == 16, "of several sixteens each instruction set has its own way") };
        self
    }
    /// The entry of a table of 64 for the low six bits of each lane of `index`.
    unsafe fn look_up_64(entries: &[u8; 64], index: Self) -> Self;
    /// The entry of a table of `G`, 64, 128 or 256, for the low bits of each lane of `index`.
    #[inline(always)]
    unsafe fn look_up_in<const G: usize>(entries: &[u8; G], index: Self) -> Self {
        const { assert!(Self::LANES <= 64) };
        let mut lanes = [0; 64];
        // SAFETY: `lanes` has as many bytes; the instruction set is this method's contract.
        unsafe {
            if let [entries] = entries.as_chunks().0 {
                return Self::look_up_64(entries, index);
            }
            index.store(lanes.as_mut_ptr());
            lanes.iter_mut().for_each(|lane| *lane = entries[usize::from(*lane) % G]);
            Self::load(lanes.as_ptr())
        }
    }
    /// A table for [`look_up_arranged`](ByteVector::look_up_arranged), which takes less time than
    /// [`look_up_in`](ByteVector::look_up_in) where it is used often.
    #[inline(always)]
    unsafe fn arrange<const G: usize>(entries: &[u8; G]) -> [u8; G] {
        *entries
    }
    /// [`look_up_in`](ByteVector::look_up_in) an [arranged](ByteVector::arrange) table.
    #[inline(always)]
    unsafe fn look_up_arranged<const G: usize>(arranged: &[u8; G], index: Self) -> Self {
        // SAFETY: this method's contract.
        unsafe { Self::look_up_in(arranged, index) }
    }
    /// The least of the entries whose bit is set in `present`, or 255.
    #[inline(always)]
    unsafe fn least_present(entries: &[u8; 256], present: &[u64; 4]) -> u8 {
        let present = (0..256).filter(|k| present[k / 64] >> (k % 64) & 1 == 1);
        present.fold(255, |least, k| entries[k].min(least))
    }
}

/// Some of row-major codes, by sub-quantizer: lane `i` of vector `m` is code `m` of the row at `places[i]`. Lanes beyond the
/// places repeat the last one.
///
/// # Panics
/// There are no places, or one is not in `rows`.
///
/// # Safety
/// The CPU has the instruction set of `V`; the caller is compiled for it.
#[inline(always)]
pub unsafe fn columns<V: ByteVector>(rows: &[[u8; NUM_SUB_VECTORS]], places: &[u32]) -> [V; NUM_SUB_VECTORS] {
    // Once, for a check of each would take a tenth of a query.
    let last = places.len().checked_sub(1).expect("places");
    let largest = places.iter().fold(0, |largest, &place| largest.max(place));
    assert!((largest as usize) < rows.len(), "place {largest} of {} rows", rows.len());
    // SAFETY: all places up to `last` are in `rows`, whose rows have 16 bytes; the instruction set is this function's contract.
    unsafe {
        let mut columns = [V::splat(0); NUM_SUB_VECTORS];
        for (i, column) in columns.iter_mut().enumerate() {
            let mut from = [rows.as_ptr().cast(); 4];
            for (quarter, from) in from.iter_mut().enumerate().take(V::LANES / 16) {
                let place = *places.get_unchecked((16 * quarter + i).min(last));
                *from = rows.as_ptr().add(place as usize).cast();
            }
            *column = V::load_sixteens(from);
        }
        // Interleaving the first half with the second, four times.
        for _ in 0..4 {
            let rows = columns;
            for i in 0..8 {
                columns[2 * i] = rows[i].interleave_low(rows[i + 8]);
                columns[2 * i + 1] = rows[i].interleave_high(rows[i + 8]);
            }
        }
        columns
    }
}

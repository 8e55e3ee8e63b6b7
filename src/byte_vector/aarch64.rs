//! AArch64: NEON.

use std::arch::aarch64::*;

use super::ByteVector;

/// 16 bytes, with Advanced SIMD.
#[derive(Clone, Copy)]
pub struct Neon(pub uint8x16_t);

// SAFETY (for every block below): the trait's contract gives the instruction set and the readable or writable bytes.
unsafe impl ByteVector for Neon {
    const LANES: usize = 16;
    #[inline(always)]
    unsafe fn splat(byte: u8) -> Self {
        unsafe { Neon(vdupq_n_u8(byte)) }
    }
    #[inline(always)]
    unsafe fn load(from: *const u8) -> Self {
        unsafe { Neon(vld1q_u8(from)) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut u8) {
        unsafe { vst1q_u8(to, self.0) }
    }
    #[inline(always)]
    unsafe fn table(entries: &[u8; 16]) -> Self {
        unsafe { Self::load(entries.as_ptr()) }
    }
    #[inline(always)]
    unsafe fn look_up(self, index: Self) -> Self {
        unsafe { Neon(vqtbl1q_u8(self.0, index.0)) }
    }
    #[inline(always)]
    unsafe fn add_saturating(self, other: Self) -> Self {
        unsafe { Neon(vqaddq_u8(self.0, other.0)) }
    }
    #[inline(always)]
    unsafe fn min(self, other: Self) -> Self {
        unsafe { Neon(vminq_u8(self.0, other.0)) }
    }
    #[inline(always)]
    unsafe fn low_nibbles(self) -> Self {
        unsafe { Neon(vandq_u8(self.0, vdupq_n_u8(0x0f))) }
    }
    #[inline(always)]
    unsafe fn high_nibbles(self) -> Self {
        unsafe { Neon(vshrq_n_u8::<4>(self.0)) }
    }
    #[inline(always)]
    unsafe fn below_255(self) -> u64 {
        // One bit of each byte, weighted by its place, summed in each half: there is no movemask.
        const PLACES: [u8; 16] = [1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128];
        unsafe {
            let below = vcltq_u8(self.0, vdupq_n_u8(255));
            let bits = vandq_u8(below, vld1q_u8(PLACES.as_ptr()));
            u64::from(vaddv_u8(vget_low_u8(bits))) | u64::from(vaddv_u8(vget_high_u8(bits))) << 8
        }
    }
    #[inline(always)]
    unsafe fn any_below_255(self) -> bool {
        unsafe { vminvq_u8(self.0) != 255 }
    }
    #[inline(always)]
    unsafe fn load_sixteens(from: [*const u8; 4]) -> Self {
        unsafe { Self::load(from[0]) }
    }
    #[inline(always)]
    unsafe fn interleave_low(self, other: Self) -> Self {
        unsafe { Neon(vzip1q_u8(self.0, other.0)) }
    }
    #[inline(always)]
    unsafe fn interleave_high(self, other: Self) -> Self {
        unsafe { Neon(vzip2q_u8(self.0, other.0)) }
    }
    #[inline(always)]
    unsafe fn look_up_in<const G: usize>(entries: &[u8; G], index: Self) -> Self {
        unsafe {
            // An index beyond its 64 entries, as one below them is after the subtraction, leaves what was found before.
            let mut index = vandq_u8(index.0, vdupq_n_u8((G - 1) as u8));
            let mut found = vdupq_n_u8(0);
            for entries in entries.as_chunks::<64>().0 {
                found = vqtbx4q_u8(found, vld1q_u8_x4(entries.as_ptr()), index);
                index = vsubq_u8(index, vdupq_n_u8(64));
            }
            Neon(found)
        }
    }
    #[inline(always)]
    unsafe fn look_up_64(entries: &[u8; 64], index: Self) -> Self {
        unsafe { Neon(vqtbl4q_u8(vld1q_u8_x4(entries.as_ptr()), vandq_u8(index.0, vdupq_n_u8(0x3f)))) }
    }
}

//! AArch64: NEON.

use std::arch::aarch64::*;

use super::{ByteVector, Neon};

/// 16 bytes, with Advanced SIMD.
#[derive(Clone, Copy, Debug)]
pub struct U8x16(uint8x16_t);

/// Intrinsics of a level, in a method that is given the level or one of its vectors.
macro_rules! proven {
    ($body:expr) => {
        // SAFETY: the method has a level or one of its vectors, neither of which exists where the CPU lacks the
        // instructions; and where it reads or writes memory, that is an array of as many bytes.
        unsafe { $body }
    };
}

/// One bit for each lane of eight.
const PLACES: [u8; 16] = [1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128];

impl ByteVector for U8x16 {
    type Level = Neon;
    type Table64 = uint8x16x4_t;
    const LANES: usize = 16;

    #[inline(always)]
    fn splat(_: Neon, byte: u8) -> Self {
        proven!(U8x16(vdupq_n_u8(byte)))
    }
    #[inline(always)]
    fn load(_: Neon, from: &[u8]) -> Self {
        let from: &[u8; 16] = from.first_chunk().expect("a whole vector");
        proven!(U8x16(vld1q_u8(from.as_ptr())))
    }
    #[inline(always)]
    fn store(self, to: &mut [u8]) {
        let to: &mut [u8; 16] = to.first_chunk_mut().expect("a whole vector");
        proven!(vst1q_u8(to.as_mut_ptr(), self.0));
    }
    #[inline(always)]
    fn table(level: Neon, entries: &[u8; 16]) -> Self {
        Self::load(level, entries)
    }
    #[inline(always)]
    fn look_up(self, index: Self) -> Self {
        proven!(U8x16(vqtbl1q_u8(self.0, index.0)))
    }
    #[inline(always)]
    fn add_wrapping(self, other: Self) -> Self {
        proven!(U8x16(vaddq_u8(self.0, other.0)))
    }
    #[inline(always)]
    fn add_saturating(self, other: Self) -> Self {
        proven!(U8x16(vqaddq_u8(self.0, other.0)))
    }
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        proven!(U8x16(vminq_u8(self.0, other.0)))
    }
    #[inline(always)]
    fn or(self, other: Self) -> Self {
        proven!(U8x16(vorrq_u8(self.0, other.0)))
    }
    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        proven!(U8x16(veorq_u8(self.0, other.0)))
    }
    #[inline(always)]
    fn interleave_low(self, other: Self) -> Self {
        proven!(U8x16(vzip1q_u8(self.0, other.0)))
    }
    #[inline(always)]
    fn interleave_high(self, other: Self) -> Self {
        proven!(U8x16(vzip2q_u8(self.0, other.0)))
    }
    #[inline(always)]
    fn low_nibbles(self) -> Self {
        proven!(U8x16(vandq_u8(self.0, vdupq_n_u8(0x0f))))
    }
    #[inline(always)]
    fn high_nibbles(self) -> Self {
        proven!(U8x16(vshrq_n_u8::<4>(self.0)))
    }
    #[inline(always)]
    fn upper_pairs(a: Self, b: Self, c: Self) -> Self {
        proven!({
            let low = vsliq_n_u8::<2>(vshrq_n_u8::<6>(a.0), vshrq_n_u8::<6>(b.0));
            U8x16(vsliq_n_u8::<4>(low, vshrq_n_u8::<6>(c.0)))
        })
    }
    #[inline(always)]
    fn below_255(self) -> u64 {
        // One bit of each byte, weighted by its place, summed in each half: there is no movemask.
        proven!({
            let below = vcltq_u8(self.0, vdupq_n_u8(255));
            let bits = vandq_u8(below, vld1q_u8(PLACES.as_ptr()));
            u64::from(vaddv_u8(vget_low_u8(bits))) | u64::from(vaddv_u8(vget_high_u8(bits))) << 8
        })
    }
    #[inline(always)]
    fn any_below_255(self) -> bool {
        proven!(vminvq_u8(self.0) != 255)
    }
    #[inline(always)]
    fn line_below_255(parts: [Self; 4]) -> u64 {
        let [a, b, c, d] = parts;
        // Whether there is one is asked first, for it takes fewer instructions than the lanes.
        if !a.min(b).min(c.min(d)).any_below_255() {
            return 0;
        }
        proven!({
            // Three rounds of sums of neighbours gather eight lanes' bits in a byte.
            let bits = vld1q_u8(PLACES.as_ptr());
            let [a, b, c, d] = parts.map(|sum| vandq_u8(vcltq_u8(sum.0, vdupq_n_u8(255)), bits));
            let eights = vpaddq_u8(vpaddq_u8(a, b), vpaddq_u8(c, d));
            vgetq_lane_u64::<0>(vreinterpretq_u64_u8(vpaddq_u8(eights, eights)))
        })
    }
    #[inline(always)]
    fn load_sixteens(level: Neon, from: [&[u8; 16]; 4]) -> Self {
        Self::load(level, from[0])
    }
    #[inline(always)]
    fn interleave_sixteens(self) -> Self {
        self
    }
    #[inline(always)]
    fn table_64(_: Neon, entries: &[u8; 64]) -> uint8x16x4_t {
        proven!(vld1q_u8_x4(entries.as_ptr()))
    }
    #[inline(always)]
    fn look_up_64(table: uint8x16x4_t, index: Self) -> Self {
        proven!(U8x16(vqtbl4q_u8(table, vandq_u8(index.0, vdupq_n_u8(0x3f)))))
    }
    #[inline(always)]
    fn look_up_in<const G: usize>(entries: &[u8; G], index: Self) -> Self {
        proven!({
            // An index beyond its 64 entries, as one below them is after the subtraction, leaves what was found before.
            let mut index = vandq_u8(index.0, vdupq_n_u8((G - 1) as u8));
            let mut found = vdupq_n_u8(0);
            for entries in entries.as_chunks::<64>().0 {
                found = vqtbx4q_u8(found, vld1q_u8_x4(entries.as_ptr()), index);
                index = vsubq_u8(index, vdupq_n_u8(64));
            }
            U8x16(found)
        })
    }
}

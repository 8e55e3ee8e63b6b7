//! Vectors of bytes, one type for each instruction set, so that a scan is written once.
//!
//! The pattern is memchr's: every method is inlined into a caller that has the instruction set enabled, so that generic
//! code compiles to the very instructions, and the one boundary where features matter is that caller's.

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
    /// With `self` a table: its entry for each lane of `index`, all below 16.
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
    /// The entry of a table of 64 for the low six bits of each lane of `index`.
    unsafe fn look_up_64(entries: &[u8; 64], index: Self) -> Self;
    /// The least of the entries whose bit is set in `present`, or 255.
    #[inline(always)]
    unsafe fn least_of_64(entries: &[u8; 64], present: u64) -> u8 {
        let present = (0..64).filter(|g| present >> g & 1 == 1);
        present.fold(255, |least, g| entries[g].min(least))
    }
}

#[cfg(target_arch = "aarch64")]
pub use aarch64::Neon;
#[cfg(target_arch = "x86_64")]
pub use x86_64::{Avx2, Avx512, Ssse3};

#[cfg(target_arch = "x86_64")]
mod x86_64 {
    use super::ByteVector;
    use std::arch::x86_64::*;

    /// 16 bytes, with SSSE3.
    #[derive(Clone, Copy)]
    pub struct Ssse3(__m128i);

    /// 32 bytes, with AVX2.
    #[derive(Clone, Copy)]
    pub struct Avx2(__m256i);

    /// 64 bytes, with AVX-512 BW and VBMI.
    #[derive(Clone, Copy)]
    pub struct Avx512(__m512i);

    /// Four shuffles with the entries where the index's high bits are theirs, and zeros elsewhere: `index ^ 16·t` is below
    /// 16 for the right quarter only, and adding 0x70 then keeps the top bit clear, without which a shuffle gives zero.
    macro_rules! look_up_64_by_shuffles {
        ($entries:expr, $index:expr, $load:expr, $splat:ident, $and:ident, $xor:ident, $adds:ident, $shuffle:ident, $or:ident) => {{
            let (quarters, _) = $entries.as_chunks::<16>();
            let index = $and($index, $splat(0x3f));
            let quarter = |t: usize| {
                let own = $adds($xor(index, $splat((16 * t) as i8)), $splat(0x70));
                $shuffle($load(&quarters[t]), own)
            };
            $or($or(quarter(0), quarter(1)), $or(quarter(2), quarter(3)))
        }};
    }

    // SAFETY (for every block below): the trait's contract gives the instruction set and the readable or writable bytes.
    unsafe impl ByteVector for Ssse3 {
        const LANES: usize = 16;
        #[inline(always)]
        unsafe fn splat(byte: u8) -> Self {
            unsafe { Ssse3(_mm_set1_epi8(byte as i8)) }
        }
        #[inline(always)]
        unsafe fn load(from: *const u8) -> Self {
            unsafe { Ssse3(_mm_loadu_si128(from.cast())) }
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut u8) {
            unsafe { _mm_storeu_si128(to.cast(), self.0) }
        }
        #[inline(always)]
        unsafe fn table(entries: &[u8; 16]) -> Self {
            unsafe { Self::load(entries.as_ptr()) }
        }
        #[inline(always)]
        unsafe fn look_up(self, index: Self) -> Self {
            unsafe { Ssse3(_mm_shuffle_epi8(self.0, index.0)) }
        }
        #[inline(always)]
        unsafe fn add_saturating(self, other: Self) -> Self {
            unsafe { Ssse3(_mm_adds_epu8(self.0, other.0)) }
        }
        #[inline(always)]
        unsafe fn min(self, other: Self) -> Self {
            unsafe { Ssse3(_mm_min_epu8(self.0, other.0)) }
        }
        #[inline(always)]
        unsafe fn low_nibbles(self) -> Self {
            unsafe { Ssse3(_mm_and_si128(self.0, _mm_set1_epi8(0x0f))) }
        }
        #[inline(always)]
        unsafe fn high_nibbles(self) -> Self {
            unsafe { Ssse3(_mm_and_si128(_mm_srli_epi16::<4>(self.0), _mm_set1_epi8(0x0f))) }
        }
        #[inline(always)]
        unsafe fn below_255(self) -> u64 {
            let at_255 = unsafe { _mm_movemask_epi8(_mm_cmpeq_epi8(self.0, _mm_set1_epi8(-1))) };
            u64::from(!(at_255 as u16))
        }
        #[inline(always)]
        unsafe fn look_up_64(entries: &[u8; 64], index: Self) -> Self {
            unsafe {
                let load = |quarter: &[u8; 16]| _mm_loadu_si128(quarter.as_ptr().cast());
                Ssse3(look_up_64_by_shuffles!(
                    entries,
                    index.0,
                    load,
                    _mm_set1_epi8,
                    _mm_and_si128,
                    _mm_xor_si128,
                    _mm_adds_epu8,
                    _mm_shuffle_epi8,
                    _mm_or_si128
                ))
            }
        }
    }

    unsafe impl ByteVector for Avx2 {
        const LANES: usize = 32;
        #[inline(always)]
        unsafe fn splat(byte: u8) -> Self {
            unsafe { Avx2(_mm256_set1_epi8(byte as i8)) }
        }
        #[inline(always)]
        unsafe fn load(from: *const u8) -> Self {
            unsafe { Avx2(_mm256_loadu_si256(from.cast())) }
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut u8) {
            unsafe { _mm256_storeu_si256(to.cast(), self.0) }
        }
        #[inline(always)]
        unsafe fn table(entries: &[u8; 16]) -> Self {
            unsafe { Avx2(_mm256_broadcastsi128_si256(_mm_loadu_si128(entries.as_ptr().cast()))) }
        }
        #[inline(always)]
        unsafe fn look_up(self, index: Self) -> Self {
            unsafe { Avx2(_mm256_shuffle_epi8(self.0, index.0)) }
        }
        #[inline(always)]
        unsafe fn add_saturating(self, other: Self) -> Self {
            unsafe { Avx2(_mm256_adds_epu8(self.0, other.0)) }
        }
        #[inline(always)]
        unsafe fn min(self, other: Self) -> Self {
            unsafe { Avx2(_mm256_min_epu8(self.0, other.0)) }
        }
        #[inline(always)]
        unsafe fn low_nibbles(self) -> Self {
            unsafe { Avx2(_mm256_and_si256(self.0, _mm256_set1_epi8(0x0f))) }
        }
        #[inline(always)]
        unsafe fn high_nibbles(self) -> Self {
            unsafe { Avx2(_mm256_and_si256(_mm256_srli_epi16::<4>(self.0), _mm256_set1_epi8(0x0f))) }
        }
        #[inline(always)]
        unsafe fn below_255(self) -> u64 {
            let at_255 = unsafe { _mm256_movemask_epi8(_mm256_cmpeq_epi8(self.0, _mm256_set1_epi8(-1))) };
            u64::from(!(at_255 as u32))
        }
        #[inline(always)]
        unsafe fn look_up_64(entries: &[u8; 64], index: Self) -> Self {
            unsafe {
                let load = |quarter: &[u8; 16]| Self::table(quarter).0;
                Avx2(look_up_64_by_shuffles!(
                    entries,
                    index.0,
                    load,
                    _mm256_set1_epi8,
                    _mm256_and_si256,
                    _mm256_xor_si256,
                    _mm256_adds_epu8,
                    _mm256_shuffle_epi8,
                    _mm256_or_si256
                ))
            }
        }
    }

    unsafe impl ByteVector for Avx512 {
        const LANES: usize = 64;
        #[inline(always)]
        unsafe fn splat(byte: u8) -> Self {
            unsafe { Avx512(_mm512_set1_epi8(byte as i8)) }
        }
        #[inline(always)]
        unsafe fn load(from: *const u8) -> Self {
            unsafe { Avx512(_mm512_loadu_si512(from.cast())) }
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut u8) {
            unsafe { _mm512_storeu_si512(to.cast(), self.0) }
        }
        #[inline(always)]
        unsafe fn table(entries: &[u8; 16]) -> Self {
            unsafe { Avx512(_mm512_broadcast_i32x4(_mm_loadu_si128(entries.as_ptr().cast()))) }
        }
        #[inline(always)]
        unsafe fn look_up(self, index: Self) -> Self {
            unsafe { Avx512(_mm512_shuffle_epi8(self.0, index.0)) }
        }
        #[inline(always)]
        unsafe fn add_saturating(self, other: Self) -> Self {
            unsafe { Avx512(_mm512_adds_epu8(self.0, other.0)) }
        }
        #[inline(always)]
        unsafe fn min(self, other: Self) -> Self {
            unsafe { Avx512(_mm512_min_epu8(self.0, other.0)) }
        }
        #[inline(always)]
        unsafe fn low_nibbles(self) -> Self {
            unsafe { Avx512(_mm512_and_si512(self.0, _mm512_set1_epi8(0x0f))) }
        }
        #[inline(always)]
        unsafe fn high_nibbles(self) -> Self {
            unsafe { Avx512(_mm512_and_si512(_mm512_srli_epi16::<4>(self.0), _mm512_set1_epi8(0x0f))) }
        }
        #[inline(always)]
        unsafe fn below_255(self) -> u64 {
            unsafe { _mm512_cmpneq_epu8_mask(self.0, _mm512_set1_epi8(-1)) }
        }
        #[inline(always)]
        unsafe fn least_of_64(entries: &[u8; 64], present: u64) -> u8 {
            unsafe {
                let entries = _mm512_mask_blend_epi8(present, _mm512_set1_epi8(-1), Self::load(entries.as_ptr()).0);
                let least = _mm256_min_epu8(_mm512_castsi512_si256(entries), _mm512_extracti64x4_epi64::<1>(entries));
                let least = _mm_min_epu8(_mm256_castsi256_si128(least), _mm256_extracti128_si256::<1>(least));
                // The least of each two bytes in the lower one, with zeros above it.
                let pairs = _mm_min_epu8(least, _mm_srli_epi16::<8>(least));
                _mm_cvtsi128_si32(_mm_minpos_epu16(pairs)) as u8
            }
        }
        #[inline(always)]
        unsafe fn look_up_64(entries: &[u8; 64], index: Self) -> Self {
            unsafe { Avx512(_mm512_permutexvar_epi8(index.0, Self::load(entries.as_ptr()).0)) }
        }
    }
}

#[cfg(target_arch = "aarch64")]
mod aarch64 {
    use super::ByteVector;
    use std::arch::aarch64::*;

    /// 16 bytes, with Advanced SIMD.
    #[derive(Clone, Copy)]
    pub struct Neon(uint8x16_t);

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
        unsafe fn look_up_64(entries: &[u8; 64], index: Self) -> Self {
            unsafe { Neon(vqtbl4q_u8(vld1q_u8_x4(entries.as_ptr()), vandq_u8(index.0, vdupq_n_u8(0x3f)))) }
        }
    }
}

//! x86-64: SSSE3, AVX2, AVX-512.

use std::arch::{asm, x86_64::*};

use super::ByteVector;

/// 16 bytes, with SSSE3.
#[derive(Clone, Copy)]
pub struct Ssse3(pub __m128i);

/// 32 bytes, with AVX2.
#[derive(Clone, Copy)]
pub struct Avx2(pub __m256i);

/// 64 bytes, with AVX-512 BW and VBMI.
#[derive(Clone, Copy)]
pub struct Avx512(pub __m512i);

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
    unsafe fn load_sixteens(from: [*const u8; 4]) -> Self {
        unsafe { Self::load(from[0]) }
    }
    #[inline(always)]
    unsafe fn interleave_low(self, other: Self) -> Self {
        unsafe { Ssse3(_mm_unpacklo_epi8(self.0, other.0)) }
    }
    #[inline(always)]
    unsafe fn interleave_high(self, other: Self) -> Self {
        unsafe { Ssse3(_mm_unpackhi_epi8(self.0, other.0)) }
    }
    #[inline(always)]
    unsafe fn look_up_64(entries: &[u8; 64], index: Self) -> Self {
        unsafe {
            let tables: [__m128i; 4] = std::array::from_fn(|t| Self::table(&entries.as_chunks::<16>().0[t]).0);
            let index = _mm_and_si128(index.0, _mm_set1_epi8(0x3f));
            // A shuffle gives zero where its index is below its own 16 entries, for that is negative, and from there on
            // takes back what the one before it gave.
            let mut found = _mm_shuffle_epi8(tables[0], index);
            for t in 1..4 {
                let change = _mm_xor_si128(tables[t - 1], tables[t]);
                let index = _mm_sub_epi8(index, _mm_set1_epi8(16 * t as i8));
                found = _mm_xor_si128(found, _mm_shuffle_epi8(change, index));
            }
            Ssse3(found)
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
    unsafe fn load_sixteens(from: [*const u8; 4]) -> Self {
        unsafe { Avx2(_mm256_loadu2_m128i(from[1].cast(), from[0].cast())) }
    }
    #[inline(always)]
    unsafe fn interleave_low(self, other: Self) -> Self {
        unsafe { Avx2(_mm256_unpacklo_epi8(self.0, other.0)) }
    }
    #[inline(always)]
    unsafe fn interleave_high(self, other: Self) -> Self {
        unsafe { Avx2(_mm256_unpackhi_epi8(self.0, other.0)) }
    }
    #[inline(always)]
    unsafe fn interleave_sixteens(self) -> Self {
        const BY_TURNS: [u8; 16] = [0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15];
        unsafe {
            let halves = Avx2(_mm256_permute4x64_epi64::<0b11_01_10_00>(self.0));
            halves.look_up(Self::table(&BY_TURNS))
        }
    }
    #[inline(always)]
    unsafe fn look_up_64(entries: &[u8; 64], index: Self) -> Self {
        unsafe { Self::look_up_in(entries, index) }
    }
    #[inline(always)]
    unsafe fn look_up_in<const G: usize>(entries: &[u8; G], index: Self) -> Self {
        unsafe {
            let low = index.low_nibbles();
            let mut found = [Self::splat(0); 16];
            for (found, entries) in found.iter_mut().zip(entries.as_chunks::<16>().0) {
                *found = Self::table(entries).look_up(low);
            }
            choose::<4, G>(&mut found, index)
        }
    }
    /// Within each 64, sixteen entries are what changes from those before to them.
    #[inline(always)]
    unsafe fn arrange<const G: usize>(entries: &[u8; G]) -> [u8; G] {
        let mut arranged = *entries;
        for (from, to) in entries.as_chunks::<64>().0.iter().zip(arranged.as_chunks_mut::<64>().0) {
            let (from, to) = (from.as_chunks::<16>().0, to.as_chunks_mut::<16>().0);
            for i in 1..4 {
                unsafe {
                    let change = _mm_xor_si128(Ssse3::table(&from[i - 1]).0, Ssse3::table(&from[i]).0);
                    Ssse3(change).store(to[i].as_mut_ptr());
                }
            }
        }
        arranged
    }
    #[inline(always)]
    unsafe fn look_up_arranged<const G: usize>(arranged: &[u8; G], index: Self) -> Self {
        unsafe {
            let low = _mm256_and_si256(index.0, _mm256_set1_epi8(0x3f));
            let mut found = [Self::splat(0); 4];
            for (found, arranged) in found.iter_mut().zip(arranged.as_chunks::<64>().0) {
                for (t, change) in (0..).zip(arranged.as_chunks::<16>().0) {
                    // A shuffle gives zero where its index is below its own 16 entries, for that is negative.
                    let index = _mm256_sub_epi8(low, _mm256_set1_epi8(16 * t));
                    let change = _mm256_shuffle_epi8(Self::table(change).0, index);
                    *found = Avx2(_mm256_xor_si256(found.0, change));
                }
            }
            choose::<6, G>(&mut found, index)
        }
    }
}

/// Chooses between what was `found` in each part of a table of `G`, for the bits of `index` from `BIT` on.
#[inline(always)]
unsafe fn choose<const BIT: usize, const G: usize>(found: &mut [Avx2], index: Avx2) -> Avx2 {
    for bit in BIT..8 {
        // It becomes the top one, which is all that a blend looks at.
        // SAFETY: the callers have AVX2, as the trait's contract gives it to them.
        unsafe {
            let upper = _mm256_sll_epi16(index.0, _mm_cvtsi32_si128(7 - bit as i32));
            for i in 0..G >> (bit + 1) {
                found[i] = Avx2(_mm256_blendv_epi8(found[2 * i].0, found[2 * i + 1].0, upper));
            }
        }
    }
    found[0]
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
        unsafe {
            let mut lanes = _mm512_cmpneq_epu8_mask(self.0, _mm512_set1_epi8(-1));
            // No instruction, but LLVM no longer knows where the number comes from: to tell whether it is zero, it would compare
            // the vectors a second time.
            asm!("/* {0} */", inout(reg) lanes, options(pure, nomem, nostack, preserves_flags));
            lanes
        }
    }
    #[inline(always)]
    unsafe fn any_below_255(self) -> bool {
        // Without a detour through a number.
        unsafe { _mm512_cmpneq_epu8_mask(self.0, _mm512_set1_epi8(-1)) != 0 }
    }
    #[inline(always)]
    unsafe fn least_present(entries: &[u8; 256], present: &[u64; 4]) -> u8 {
        unsafe {
            let mut least = _mm512_set1_epi8(-1);
            for (entries, &present) in entries.as_chunks::<64>().0.iter().zip(present) {
                least = _mm512_mask_min_epu8(least, present, least, Self::load(entries.as_ptr()).0);
            }
            let least = _mm256_min_epu8(_mm512_castsi512_si256(least), _mm512_extracti64x4_epi64::<1>(least));
            let least = _mm_min_epu8(_mm256_castsi256_si128(least), _mm256_extracti128_si256::<1>(least));
            // The least of each two bytes in the lower one, with zeros above it.
            let pairs = _mm_min_epu8(least, _mm_srli_epi16::<8>(least));
            _mm_cvtsi128_si32(_mm_minpos_epu16(pairs)) as u8
        }
    }
    #[inline(always)]
    unsafe fn load_sixteens(from: [*const u8; 4]) -> Self {
        unsafe {
            let [a, b, c, d] = from.map(|from| _mm_loadu_si128(from.cast()));
            Avx512(_mm512_inserti32x4::<3>(
                _mm512_inserti32x4::<2>(_mm512_inserti32x4::<1>(_mm512_castsi128_si512(a), b), c),
                d,
            ))
        }
    }
    #[inline(always)]
    unsafe fn interleave_low(self, other: Self) -> Self {
        unsafe { Avx512(_mm512_unpacklo_epi8(self.0, other.0)) }
    }
    #[inline(always)]
    unsafe fn interleave_high(self, other: Self) -> Self {
        unsafe { Avx512(_mm512_unpackhi_epi8(self.0, other.0)) }
    }
    #[inline(always)]
    unsafe fn look_up_in<const G: usize>(entries: &[u8; G], index: Self) -> Self {
        unsafe {
            let look_up_128 = |entries: &[[u8; 64]; 2]| {
                let [a, b] = [0, 1].map(|at: usize| Self::load(entries[at].as_ptr()).0);
                Avx512(_mm512_permutex2var_epi8(a, index.0, b))
            };
            let quarters = entries.as_chunks::<64>().0;
            match quarters.as_chunks::<2>().0 {
                [] => Self::look_up_64(&quarters[0], index),
                [all] => look_up_128(all),
                [lower, upper] => {
                    let upper_half = _mm512_movepi8_mask(index.0);
                    Avx512(_mm512_mask_blend_epi8(upper_half, look_up_128(lower).0, look_up_128(upper).0))
                }
                _ => unreachable!("tables have 64, 128 or 256 entries"),
            }
        }
    }
    #[inline(always)]
    unsafe fn look_up_64(entries: &[u8; 64], index: Self) -> Self {
        unsafe { Avx512(_mm512_permutexvar_epi8(index.0, Self::load(entries.as_ptr()).0)) }
    }
}

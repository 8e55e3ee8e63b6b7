//! x86-64: SSSE3, AVX2, AVX-512.

use std::arch::{asm, x86_64::*};

use super::{Avx2, Avx512, ByteVector, Ssse3};

/// 16 bytes, with SSSE3.
#[derive(Clone, Copy, Debug)]
pub struct U8x16(__m128i);

/// 32 bytes, with AVX2.
#[derive(Clone, Copy, Debug)]
pub struct U8x32(__m256i);

/// 64 bytes, with AVX-512 BW and VBMI.
#[derive(Clone, Copy, Debug)]
pub struct U8x64(__m512i);

/// Intrinsics of a level, in a method that is given the level or one of its vectors.
macro_rules! proven {
    ($body:expr) => {
        // SAFETY: the method has a level or one of its vectors, neither of which exists where the CPU lacks the
        // instructions; and where it reads or writes memory, that is an array of as many bytes.
        unsafe { $body }
    };
}

impl ByteVector for U8x16 {
    type Level = Ssse3;
    type Table64 = [Self; 4];
    const LANES: usize = 16;

    #[inline(always)]
    fn splat(_: Ssse3, byte: u8) -> Self {
        proven!(U8x16(_mm_set1_epi8(byte as i8)))
    }
    #[inline(always)]
    fn load(_: Ssse3, from: &[u8]) -> Self {
        let from: &[u8; 16] = from.first_chunk().expect("a whole vector");
        proven!(U8x16(_mm_loadu_si128(from.as_ptr().cast())))
    }
    #[inline(always)]
    fn store(self, to: &mut [u8]) {
        let to: &mut [u8; 16] = to.first_chunk_mut().expect("a whole vector");
        proven!(_mm_storeu_si128(to.as_mut_ptr().cast(), self.0));
    }
    #[inline(always)]
    fn look_up(self, index: Self) -> Self {
        proven!(U8x16(_mm_shuffle_epi8(self.0, index.0)))
    }
    #[inline(always)]
    fn add_wrapping(self, other: Self) -> Self {
        proven!(U8x16(_mm_add_epi8(self.0, other.0)))
    }
    #[inline(always)]
    fn add_saturating(self, other: Self) -> Self {
        proven!(U8x16(_mm_adds_epu8(self.0, other.0)))
    }
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        proven!(U8x16(_mm_min_epu8(self.0, other.0)))
    }
    #[inline(always)]
    fn or(self, other: Self) -> Self {
        proven!(U8x16(_mm_or_si128(self.0, other.0)))
    }
    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        proven!(U8x16(_mm_xor_si128(self.0, other.0)))
    }
    #[inline(always)]
    fn interleave_low(self, other: Self) -> Self {
        proven!(U8x16(_mm_unpacklo_epi8(self.0, other.0)))
    }
    #[inline(always)]
    fn interleave_high(self, other: Self) -> Self {
        proven!(U8x16(_mm_unpackhi_epi8(self.0, other.0)))
    }
    #[inline(always)]
    fn low_nibbles(self) -> Self {
        proven!(U8x16(_mm_and_si128(self.0, _mm_set1_epi8(0x0f))))
    }
    #[inline(always)]
    fn high_nibbles(self) -> Self {
        proven!(U8x16(_mm_and_si128(_mm_srli_epi16::<4>(self.0), _mm_set1_epi8(0x0f))))
    }
    #[inline(always)]
    fn table(level: Ssse3, entries: &[u8; 16]) -> Self {
        Self::load(level, entries)
    }
    #[inline(always)]
    fn below_255(self) -> u64 {
        let at_255 = proven!(_mm_movemask_epi8(_mm_cmpeq_epi8(self.0, _mm_set1_epi8(-1))));
        u64::from(!(at_255 as u16))
    }
    #[inline(always)]
    fn load_sixteens(level: Ssse3, from: [&[u8; 16]; 4]) -> Self {
        Self::load(level, from[0])
    }
    #[inline(always)]
    fn interleave_sixteens(self) -> Self {
        self
    }
    #[inline(always)]
    fn table_64(level: Ssse3, entries: &[u8; 64]) -> [Self; 4] {
        [
            Self::load(level, &entries[..16]),
            Self::load(level, &entries[16..]),
            Self::load(level, &entries[32..]),
            Self::load(level, &entries[48..]),
        ]
    }
    #[inline(always)]
    fn look_up_64(table: [Self; 4], index: Self) -> Self {
        proven!({
            let index = _mm_and_si128(index.0, _mm_set1_epi8(0x3f));
            // A shuffle gives zero where its index is below its own 16 entries, for that is negative, and from there on
            // takes back what the one before it gave.
            let mut found = _mm_shuffle_epi8(table[0].0, index);
            for t in 1..4 {
                let change = _mm_xor_si128(table[t - 1].0, table[t].0);
                let index = _mm_sub_epi8(index, _mm_set1_epi8(16 * t as i8));
                found = _mm_xor_si128(found, _mm_shuffle_epi8(change, index));
            }
            U8x16(found)
        })
    }
    #[inline(always)]
    fn look_up_in<const G: usize>(entries: &[u8; G], index: Self) -> Self {
        if G == 64 {
            let [a, b, c, d] = [0, 1, 2, 3].map(|at| entries.as_chunks::<16>().0[at]);
            return Self::look_up_64(proven!([load_16(&a), load_16(&b), load_16(&c), load_16(&d)]), index);
        }
        let mut lanes = [0; 16];
        index.store(&mut lanes);
        lanes.iter_mut().for_each(|lane| *lane = entries[usize::from(*lane) % G]);
        proven!(U8x16(_mm_loadu_si128(lanes.as_ptr().cast())))
    }
    #[inline(always)]
    fn upper_pairs(a: Self, b: Self, c: Self) -> Self {
        proven!({
            let low = _mm_and_si128(_mm_srli_epi16::<6>(a.0), _mm_set1_epi8(0x03));
            let middle = _mm_and_si128(_mm_srli_epi16::<4>(b.0), _mm_set1_epi8(0x0c));
            let high = _mm_and_si128(_mm_srli_epi16::<2>(c.0), _mm_set1_epi8(0x30));
            U8x16(_mm_or_si128(_mm_or_si128(low, middle), high))
        })
    }
}

impl ByteVector for U8x32 {
    type Level = Avx2;
    type Table64 = [Self; 4];
    const LANES: usize = 32;

    #[inline(always)]
    fn splat(_: Avx2, byte: u8) -> Self {
        proven!(U8x32(_mm256_set1_epi8(byte as i8)))
    }
    #[inline(always)]
    fn load(_: Avx2, from: &[u8]) -> Self {
        let from: &[u8; 32] = from.first_chunk().expect("a whole vector");
        proven!(U8x32(_mm256_loadu_si256(from.as_ptr().cast())))
    }
    #[inline(always)]
    fn store(self, to: &mut [u8]) {
        let to: &mut [u8; 32] = to.first_chunk_mut().expect("a whole vector");
        proven!(_mm256_storeu_si256(to.as_mut_ptr().cast(), self.0));
    }
    #[inline(always)]
    fn look_up(self, index: Self) -> Self {
        proven!(U8x32(_mm256_shuffle_epi8(self.0, index.0)))
    }
    #[inline(always)]
    fn add_wrapping(self, other: Self) -> Self {
        proven!(U8x32(_mm256_add_epi8(self.0, other.0)))
    }
    #[inline(always)]
    fn add_saturating(self, other: Self) -> Self {
        proven!(U8x32(_mm256_adds_epu8(self.0, other.0)))
    }
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        proven!(U8x32(_mm256_min_epu8(self.0, other.0)))
    }
    #[inline(always)]
    fn or(self, other: Self) -> Self {
        proven!(U8x32(_mm256_or_si256(self.0, other.0)))
    }
    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        proven!(U8x32(_mm256_xor_si256(self.0, other.0)))
    }
    #[inline(always)]
    fn interleave_low(self, other: Self) -> Self {
        proven!(U8x32(_mm256_unpacklo_epi8(self.0, other.0)))
    }
    #[inline(always)]
    fn interleave_high(self, other: Self) -> Self {
        proven!(U8x32(_mm256_unpackhi_epi8(self.0, other.0)))
    }
    #[inline(always)]
    fn low_nibbles(self) -> Self {
        proven!(U8x32(_mm256_and_si256(self.0, _mm256_set1_epi8(0x0f))))
    }
    #[inline(always)]
    fn high_nibbles(self) -> Self {
        proven!(U8x32(_mm256_and_si256(_mm256_srli_epi16::<4>(self.0), _mm256_set1_epi8(0x0f))))
    }
    #[inline(always)]
    fn table(_: Avx2, entries: &[u8; 16]) -> Self {
        proven!(table_32(entries))
    }
    #[inline(always)]
    fn below_255(self) -> u64 {
        let at_255 = proven!(_mm256_movemask_epi8(_mm256_cmpeq_epi8(self.0, _mm256_set1_epi8(-1))));
        u64::from(!(at_255 as u32))
    }
    #[inline(always)]
    fn load_sixteens(_: Avx2, from: [&[u8; 16]; 4]) -> Self {
        proven!(U8x32(_mm256_loadu2_m128i(from[1].as_ptr().cast(), from[0].as_ptr().cast())))
    }
    #[inline(always)]
    fn interleave_sixteens(self) -> Self {
        const BY_TURNS: [u8; 16] = [0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15];
        proven!(U8x32(_mm256_permute4x64_epi64::<0b11_01_10_00>(self.0)).look_up(table_32(&BY_TURNS)))
    }
    #[inline(always)]
    fn table_64(level: Avx2, entries: &[u8; 64]) -> [Self; 4] {
        let [a, b, c, d] = entries.as_chunks::<16>().0 else { unreachable!("four times 16 entries") };
        [Self::table(level, a), Self::table(level, b), Self::table(level, c), Self::table(level, d)]
    }
    #[inline(always)]
    fn look_up_64(table: [Self; 4], index: Self) -> Self {
        let low = index.low_nibbles();
        let [a, b, c, d] = table;
        let mut found = [a.look_up(low), b.look_up(low), c.look_up(low), d.look_up(low)];
        choose::<4, 64>(&mut found, index)
    }
    #[inline(always)]
    fn look_up_in<const G: usize>(entries: &[u8; G], index: Self) -> Self {
        let low = index.low_nibbles();
        let mut found = [low; 16];
        for (found, entries) in found.iter_mut().zip(entries.as_chunks::<16>().0) {
            *found = proven!(table_32(entries)).look_up(low);
        }
        choose::<4, G>(&mut found, index)
    }
    /// Within each 64, sixteen entries are what changes from those before to them.
    #[inline(always)]
    fn arrange<const G: usize>(_: Avx2, entries: &[u8; G]) -> [u8; G] {
        let mut arranged = *entries;
        for (from, to) in entries.as_chunks::<64>().0.iter().zip(arranged.as_chunks_mut::<64>().0) {
            let [mut before, ..] = *from.as_chunks::<16>().0 else { continue };
            for to in &mut to.as_chunks_mut::<16>().0[1..] {
                let now = *to;
                *to = (u128::from_ne_bytes(before) ^ u128::from_ne_bytes(now)).to_ne_bytes();
                before = now;
            }
        }
        arranged
    }
    #[inline(always)]
    fn look_up_arranged<const G: usize>(arranged: &[u8; G], index: Self) -> Self {
        let mut found = [index; 4];
        proven!({
            let low = _mm256_and_si256(index.0, _mm256_set1_epi8(0x3f));
            for (found, arranged) in found.iter_mut().zip(arranged.as_chunks::<64>().0) {
                found.0 = _mm256_setzero_si256();
                for (t, change) in (0..).zip(arranged.as_chunks::<16>().0) {
                    // A shuffle gives zero where its index is below its own 16 entries, for that is negative.
                    let index = _mm256_sub_epi8(low, _mm256_set1_epi8(16 * t));
                    let change = _mm256_shuffle_epi8(table_32(change).0, index);
                    found.0 = _mm256_xor_si256(found.0, change);
                }
            }
        });
        choose::<6, G>(&mut found, index)
    }
    #[inline(always)]
    fn upper_pairs(a: Self, b: Self, c: Self) -> Self {
        proven!({
            let low = _mm256_and_si256(_mm256_srli_epi16::<6>(a.0), _mm256_set1_epi8(0x03));
            let middle = _mm256_and_si256(_mm256_srli_epi16::<4>(b.0), _mm256_set1_epi8(0x0c));
            let high = _mm256_and_si256(_mm256_srli_epi16::<2>(c.0), _mm256_set1_epi8(0x30));
            U8x32(_mm256_or_si256(_mm256_or_si256(low, middle), high))
        })
    }
}

#[inline]
#[target_feature(enable = "ssse3")]
fn load_16(entries: &[u8; 16]) -> U8x16 {
    // SAFETY: the array has 16 bytes.
    U8x16(unsafe { _mm_loadu_si128(entries.as_ptr().cast()) })
}

/// 16 entries in both halves.
#[inline]
#[target_feature(enable = "avx2")]
fn table_32(entries: &[u8; 16]) -> U8x32 {
    // SAFETY: the array has 16 bytes.
    U8x32(_mm256_broadcastsi128_si256(unsafe { _mm_loadu_si128(entries.as_ptr().cast()) }))
}

/// Chooses between what was `found` in each part of a table of `G`, for the bits of `index` from `BIT` on.
#[inline(always)]
fn choose<const BIT: usize, const G: usize>(found: &mut [U8x32], index: U8x32) -> U8x32 {
    for bit in BIT..8 {
        // It becomes the top one, which is all that a blend looks at.
        proven!({
            let upper = _mm256_sll_epi16(index.0, _mm_cvtsi32_si128(7 - bit as i32));
            for i in 0..G >> (bit + 1) {
                found[i] = U8x32(_mm256_blendv_epi8(found[2 * i].0, found[2 * i + 1].0, upper));
            }
        });
    }
    found[0]
}

impl ByteVector for U8x64 {
    type Level = Avx512;
    type Table64 = Self;
    const LANES: usize = 64;

    #[inline(always)]
    fn splat(_: Avx512, byte: u8) -> Self {
        proven!(U8x64(_mm512_set1_epi8(byte as i8)))
    }
    #[inline(always)]
    fn load(_: Avx512, from: &[u8]) -> Self {
        let from: &[u8; 64] = from.first_chunk().expect("a whole vector");
        proven!(U8x64(_mm512_loadu_si512(from.as_ptr().cast())))
    }
    #[inline(always)]
    fn store(self, to: &mut [u8]) {
        let to: &mut [u8; 64] = to.first_chunk_mut().expect("a whole vector");
        proven!(_mm512_storeu_si512(to.as_mut_ptr().cast(), self.0));
    }
    #[inline(always)]
    fn look_up(self, index: Self) -> Self {
        proven!(U8x64(_mm512_shuffle_epi8(self.0, index.0)))
    }
    #[inline(always)]
    fn add_wrapping(self, other: Self) -> Self {
        proven!(U8x64(_mm512_add_epi8(self.0, other.0)))
    }
    #[inline(always)]
    fn add_saturating(self, other: Self) -> Self {
        proven!(U8x64(_mm512_adds_epu8(self.0, other.0)))
    }
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        proven!(U8x64(_mm512_min_epu8(self.0, other.0)))
    }
    #[inline(always)]
    fn or(self, other: Self) -> Self {
        proven!(U8x64(_mm512_or_si512(self.0, other.0)))
    }
    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        proven!(U8x64(_mm512_xor_si512(self.0, other.0)))
    }
    #[inline(always)]
    fn interleave_low(self, other: Self) -> Self {
        proven!(U8x64(_mm512_unpacklo_epi8(self.0, other.0)))
    }
    #[inline(always)]
    fn interleave_high(self, other: Self) -> Self {
        proven!(U8x64(_mm512_unpackhi_epi8(self.0, other.0)))
    }
    #[inline(always)]
    fn low_nibbles(self) -> Self {
        proven!(U8x64(_mm512_and_si512(self.0, _mm512_set1_epi8(0x0f))))
    }
    #[inline(always)]
    fn high_nibbles(self) -> Self {
        proven!(U8x64(_mm512_and_si512(_mm512_srli_epi16::<4>(self.0), _mm512_set1_epi8(0x0f))))
    }
    #[inline(always)]
    fn table(_: Avx512, entries: &[u8; 16]) -> Self {
        proven!(U8x64(_mm512_broadcast_i32x4(_mm_loadu_si128(entries.as_ptr().cast()))))
    }
    #[inline(always)]
    fn upper_pairs(a: Self, b: Self, c: Self) -> Self {
        /// For `vpternlog`: where the first operand has ones the second, else the third.
        const SELECT: i32 = 0xca;
        proven!({
            // What shifts bring across from the next byte is replaced, or above the six bits.
            let low = _mm512_ternarylogic_epi32::<SELECT>(
                _mm512_set1_epi8(0x03),
                _mm512_srli_epi16::<6>(a.0),
                _mm512_srli_epi16::<4>(b.0),
            );
            U8x64(_mm512_ternarylogic_epi32::<SELECT>(_mm512_set1_epi8(0x0f), low, _mm512_srli_epi16::<2>(c.0)))
        })
    }
    #[inline(always)]
    fn below_255(self) -> u64 {
        proven!({
            let mut lanes = _mm512_cmpneq_epu8_mask(self.0, _mm512_set1_epi8(-1));
            // No instruction, but LLVM no longer knows where the number comes from: to tell whether it is zero, it
            // would compare the vectors a second time.
            asm!("/* {0} */", inout(reg) lanes, options(pure, nomem, nostack, preserves_flags));
            lanes
        })
    }
    #[inline(always)]
    fn any_below_255(self) -> bool {
        // Without a detour through a number.
        proven!(_mm512_cmpneq_epu8_mask(self.0, _mm512_set1_epi8(-1)) != 0)
    }
    #[inline(always)]
    fn least_present(level: Avx512, entries: &[u8; 256], present: &[u64; 4]) -> u8 {
        let mut least = Self::splat(level, 255);
        proven!({
            for (entries, &present) in entries.as_chunks::<64>().0.iter().zip(present) {
                least.0 = _mm512_mask_min_epu8(least.0, present, least.0, Self::load(level, entries).0);
            }
            let half = _mm256_min_epu8(_mm512_castsi512_si256(least.0), _mm512_extracti64x4_epi64::<1>(least.0));
            let quarter = _mm_min_epu8(_mm256_castsi256_si128(half), _mm256_extracti128_si256::<1>(half));
            // The least of each two bytes in the lower one, with zeros above it.
            let pairs = _mm_min_epu8(quarter, _mm_srli_epi16::<8>(quarter));
            _mm_cvtsi128_si32(_mm_minpos_epu16(pairs)) as u8
        })
    }
    #[inline(always)]
    fn load_sixteens(_: Avx512, from: [&[u8; 16]; 4]) -> Self {
        proven!({
            let [a, b, c, d] = [
                _mm_loadu_si128(from[0].as_ptr().cast()),
                _mm_loadu_si128(from[1].as_ptr().cast()),
                _mm_loadu_si128(from[2].as_ptr().cast()),
                _mm_loadu_si128(from[3].as_ptr().cast()),
            ];
            U8x64(_mm512_inserti32x4::<3>(
                _mm512_inserti32x4::<2>(_mm512_inserti32x4::<1>(_mm512_castsi128_si512(a), b), c),
                d,
            ))
        })
    }
    /// The columns of [`eight_columns`](ByteVector::eight_columns) are in their order already.
    #[inline(always)]
    fn interleave_sixteens(self) -> Self {
        self
    }
    #[inline(always)]
    fn table_64(level: Avx512, entries: &[u8; 64]) -> Self {
        Self::load(level, entries)
    }
    #[inline(always)]
    fn look_up_64(table: Self, index: Self) -> Self {
        proven!(U8x64(_mm512_permutexvar_epi8(index.0, table.0)))
    }
    #[inline(always)]
    fn look_up_in<const G: usize>(entries: &[u8; G], index: Self) -> Self {
        let quarters = entries.as_chunks::<64>().0;
        match quarters.as_chunks::<2>().0 {
            [] => proven!(U8x64(_mm512_permutexvar_epi8(index.0, _mm512_loadu_si512(quarters[0].as_ptr().cast())))),
            [all] => look_up_128(all, index),
            [lower, upper] => proven!({
                let upper_half = _mm512_movepi8_mask(index.0);
                let (lower, upper) = (look_up_128(lower, index).0, look_up_128(upper, index).0);
                U8x64(_mm512_mask_blend_epi8(upper_half, lower, upper))
            }),
            _ => unreachable!("tables have 64, 128 or 256 entries"),
        }
    }
    /// The index for `vpermi2b` that takes the columns of eight rows, each one's side by side.
    #[inline(always)]
    fn column_index(level: Avx512, columns: &[usize; 8]) -> [Self; 2] {
        let index: [u8; 64] = std::array::from_fn(|at| (at % 8 * 16 + columns[at / 8]) as u8);
        [Self::load(level, &index); 2]
    }
    #[inline(always)]
    fn eight_columns(level: Avx512, [index, _]: [Self; 2], rows: &[[u8; 16]]) -> [Self; 8] {
        let rows: &[[u8; 16]; 64] = rows.first_chunk().expect("as many rows as lanes");
        let bytes = rows.as_flattened();
        let mut eights = [index.0; 8];
        for (at, eight) in eights.iter_mut().enumerate() {
            let (a, b) = (Self::load(level, &bytes[128 * at..]), Self::load(level, &bytes[128 * at + 64..]));
            *eight = proven!(_mm512_permutex2var_epi8(a.0, index.0, b.0));
        }
        // 8 x 8 numbers of 8 bytes.
        let [a, b, c, d, e, f, g, h] = eights;
        // Columns 0 and 4, 2 and 6, 1 and 5, 3 and 7.
        let (low, high) = proven!((interleave_64(a, b, c, d), interleave_64(e, f, g, h)));
        let mut columns = [index; 8];
        for (at, to) in [0, 2, 1, 3].into_iter().enumerate() {
            columns[to] = proven!(U8x64(_mm512_shuffle_i64x2::<0x88>(low[at], high[at])));
            columns[to + 4] = proven!(U8x64(_mm512_shuffle_i64x2::<0xdd>(low[at], high[at])));
        }
        columns
    }
}

/// Half of a transposition of numbers of 8 bytes.
#[inline]
#[target_feature(enable = "avx512f")]
fn interleave_64(a: __m512i, b: __m512i, c: __m512i, d: __m512i) -> [__m512i; 4] {
    let (ab, cd) = (_mm512_unpacklo_epi64(a, b), _mm512_unpacklo_epi64(c, d));
    let (ab1, cd1) = (_mm512_unpackhi_epi64(a, b), _mm512_unpackhi_epi64(c, d));
    [
        _mm512_shuffle_i64x2::<0x88>(ab, cd),
        _mm512_shuffle_i64x2::<0xdd>(ab, cd),
        _mm512_shuffle_i64x2::<0x88>(ab1, cd1),
        _mm512_shuffle_i64x2::<0xdd>(ab1, cd1),
    ]
}

#[inline(always)]
fn look_up_128(entries: &[[u8; 64]; 2], index: U8x64) -> U8x64 {
    proven!({
        let [a, b] = [_mm512_loadu_si512(entries[0].as_ptr().cast()), _mm512_loadu_si512(entries[1].as_ptr().cast())];
        U8x64(_mm512_permutex2var_epi8(a, index.0, b))
    })
}

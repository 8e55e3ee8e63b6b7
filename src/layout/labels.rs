//! Labels of groups instead of codes, packed into fewer bits, in blocks of 64 vectors.

use super::LINE;
use crate::simd::{ByteVector, Level, Line};

/// How the labels of a block are packed, and how a LUT of `G` groups is summed over them.
pub trait Labels<const G: usize>: Clone + Send + Sync + 'static {
    /// Lines that the labels of four sub-quantizers take.
    const LINES: usize;

    /// Sets the label of sub-quantizer `m` in a lane, where nothing was put before.
    fn put(lines: &mut [[u8; LINE]], m: usize, lane: usize, label: u8);

    /// The saturating sums of a block's lanes. There are rows in `lut` for all of its `lines`.
    fn sums<L: Level>(level: L, lut: &[[u8; G]], lines: &[[u8; LINE]]) -> Line<L::Bytes>;
}

/// One of 16 labels: of an even sub-quantizer in a byte's low half, of the next one in its high half.
///
/// ```text
/// line 0:  [m 1 | m 0] of lane 0, [m 1 | m 0] of lane 1, ...
/// line 1:  [m 3 | m 2] of lane 0, ...
/// ```
#[derive(Clone)]
pub struct Nibbles;

impl Labels<16> for Nibbles {
    const LINES: usize = 2;

    #[inline(always)]
    fn put(lines: &mut [[u8; LINE]], m: usize, lane: usize, label: u8) {
        lines[m / 2][lane] |= label << (4 * (m % 2));
    }

    #[inline(always)]
    fn sums<L: Level>(level: L, lut: &[[u8; 16]], lines: &[[u8; LINE]]) -> Line<L::Bytes> {
        let mut sums = Line::<L::Bytes>::splat(level, 0);
        for (line, [even, odd]) in lines.iter().zip(lut.as_chunks::<2>().0) {
            let (even, odd) = (L::Bytes::table(level, even), L::Bytes::table(level, odd));
            for part in 0..LINE / L::Bytes::LANES {
                let codes = L::Bytes::load(level, &line[part * L::Bytes::LANES..]);
                let sum = sums.part(part).add_saturating(even.look_up(codes.low_nibbles()));
                sums.set_part(part, sum.add_saturating(odd.look_up(codes.high_nibbles())));
            }
        }
        sums
    }
}

/// One of 32 labels a byte: four bits below, the fifth on top, where it makes a byte shuffle give zero.
///
/// ```text
/// line m:  bit 7: label's bit 4 · bits 6 to 4: zero · bits 3 to 0: label's bits 3 to 0
/// ```
#[derive(Clone)]
pub struct FiveBits;

impl Labels<32> for FiveBits {
    const LINES: usize = 4;

    #[inline(always)]
    fn put(lines: &mut [[u8; LINE]], m: usize, lane: usize, label: u8) {
        lines[m][lane] = label & 0x0f | (label & 0x10) << 3;
    }

    #[inline(always)]
    fn sums<L: Level>(level: L, lut: &[[u8; 32]], lines: &[[u8; LINE]]) -> Line<L::Bytes> {
        let top = L::Bytes::splat(level, 0x80);
        let mut sums = Line::<L::Bytes>::splat(level, 0);
        // Four rows a turn, for which LLVM makes no loop.
        for (lines, lut) in lines.as_chunks::<4>().0.iter().zip(lut.as_chunks::<4>().0) {
            for (line, entries) in lines.iter().zip(lut) {
                let [lower, upper] = entries.as_chunks::<16>().0 else { unreachable!("two times 16 entries") };
                let (lower, upper) = (L::Bytes::table(level, lower), L::Bytes::table(level, upper));
                for part in 0..LINE / L::Bytes::LANES {
                    let codes = L::Bytes::load(level, &line[part * L::Bytes::LANES..]);
                    // Each gives zero where the other one's entry is meant.
                    let found = lower.look_up(codes).or(upper.look_up(codes.xor(top)));
                    sums.set_part(part, sums.part(part).add_saturating(found));
                }
            }
        }
        sums
    }
}

/// One of 64 labels in six bits, four sub-quantizers in three bytes: three have the low bits of one each, and the
/// fourth is in the upper two of all three, its low bits in the first.
///
/// ```text
/// line 0:  [m 3, bits 1 0 | m 0]
/// line 1:  [m 3, bits 3 2 | m 1]
/// line 2:  [m 3, bits 5 4 | m 2]
/// line 3:  [m 7, bits 1 0 | m 4] ...
/// ```
#[derive(Clone)]
pub struct SixBits;

impl Labels<64> for SixBits {
    const LINES: usize = 3;

    #[inline(always)]
    fn put(lines: &mut [[u8; LINE]], m: usize, lane: usize, label: u8) {
        let lines = &mut lines[m / 4 * 3..][..3];
        match m % 4 {
            3 => lines.iter_mut().zip(0..).for_each(|(line, part)| line[lane] |= label >> (2 * part) << 6),
            at => lines[at][lane] |= label,
        }
    }

    #[inline(always)]
    fn sums<L: Level>(level: L, lut: &[[u8; 64]], lines: &[[u8; LINE]]) -> Line<L::Bytes> {
        // Two sums, so that none waits for the other.
        let mut sums = [Line::splat(level, 0); 2];
        for (lines, lut) in lines.as_chunks::<3>().0.iter().zip(lut.as_chunks::<4>().0) {
            let [a, b, c] =
                [Line::<L::Bytes>::load(level, &lines[0]), Line::load(level, &lines[1]), Line::load(level, &lines[2])];
            let mut d = a;
            for part in 0..LINE / L::Bytes::LANES {
                d.set_part(part, L::Bytes::upper_pairs(a.part(part), b.part(part), c.part(part)));
            }
            let a = a.look_up_in_64(L::Bytes::table_64(level, &lut[0]));
            let b = b.look_up_in_64(L::Bytes::table_64(level, &lut[1]));
            let c = c.look_up_in_64(L::Bytes::table_64(level, &lut[2]));
            let d = d.look_up_in_64(L::Bytes::table_64(level, &lut[3]));
            // Two do not overflow: see [`HALF`](crate::bounds::lut::HALF).
            sums[0] = sums[0].add_saturating(a.add_wrapping(b));
            sums[1] = sums[1].add_saturating(c.add_wrapping(d));
        }
        sums[0].add_saturating(sums[1])
    }
}

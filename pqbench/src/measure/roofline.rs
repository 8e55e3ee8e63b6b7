//! The roofline: the time only to read the codes, which no scan that looks at all of them can beat.
//!
//! It is only worth its name if nothing reads faster. So the codes lie on the same kind of pages as prepared ones, the
//! loads are the widest that the CPU has (and that the mask leaves), and of a few ways to walk through the memory the
//! one is taken that is the fastest here: how far the hardware prefetchers reach differs between CPUs and list sizes.

use std::{hint::black_box, time::Instant};

use pqscan::{
    cpu::{self, Feature},
    memory::{self, HugeVec, PAGE},
};

/// A cache line, and the unit of all reading.
const LINE: usize = 64;
/// How long each way of reading is tried, in ns.
const TRIAL_NS: u128 = 2_000_000;

/// Bytes from a page that is read to the one whose first line is asked for.
const PAGES_AHEAD: usize = 4 * PAGE;

/// Reads whole lines from the start of the slice, and whatever they hold comes out.
type Read = unsafe fn(&[[u8; LINE]]) -> u64;

/// Bytes to read, and the fastest way to read them.
#[derive(Clone)]
pub struct Reader {
    lines: HugeVec<[u8; LINE]>,
    read: Read,
}

impl Reader {
    /// Copies `bytes` and tries which way of reading them is the fastest.
    ///
    /// # Errors
    /// `PQBENCH_CPU` is not a mask.
    pub fn new(bytes: &[u8]) -> Result<Reader, pqscan::Error> {
        let mut lines = HugeVec::zeroed(bytes.len().div_ceil(LINE));
        lines.as_flattened_mut()[..bytes.len()].copy_from_slice(bytes);
        Self::with_lines(lines)
    }

    /// A reader of `bytes` bytes that hold nothing.
    ///
    /// # Errors
    /// `PQBENCH_CPU` is not a mask.
    pub fn of_size(bytes: usize) -> Result<Reader, pqscan::Error> {
        Self::with_lines(HugeVec::zeroed(bytes.div_ceil(LINE)))
    }

    fn with_lines(lines: HugeVec<[u8; LINE]>) -> Result<Reader, pqscan::Error> {
        let ways = ways()?;
        let mut reader = Reader { lines, read: ways[0] };
        let time = |read: &Read| {
            reader.read = *read;
            reader.fastest_ns()
        };
        let times: Vec<u128> = ways.iter().map(time).collect();
        reader.read = ways[(0..ways.len()).min_by_key(|&way| times[way]).unwrap_or(0)];
        Ok(reader)
    }

    /// Reads everything once.
    pub fn read(&self) {
        // SAFETY: `ways` lists only what this CPU can execute.
        black_box(unsafe { (self.read)(black_box(&self.lines)) });
    }

    fn fastest_ns(&self) -> u128 {
        let (mut fastest, begin) = (u128::MAX, Instant::now());
        for _ in 0..3 {
            while {
                let start = Instant::now();
                self.read();
                fastest = fastest.min(start.elapsed().as_nanos());
                begin.elapsed().as_nanos() < TRIAL_NS
            } {}
        }
        fastest
    }

    /// Bytes read.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.lines)
    }
}

/// Writes a function for each way: plainly; with prefetches of every line ahead; in four streams; both; with a prefetch
/// of each page's first line.
macro_rules! ways {
    ($lanes:ty $(, $feature:literal)?) => {{
        $(#[target_feature(enable = $feature)])?
        fn read<const STREAMS: usize, const AHEAD: usize>(lines: &[[u8; LINE]]) -> u64 {
            // SAFETY: the features that `$lanes` needs are this function's own.
            unsafe { walk::<$lanes, STREAMS, AHEAD>(lines) }
        }
        [read::<1, 0> as Read, read::<1, 2048>, read::<4, 0>, read::<4, 2048>, read::<1, PAGES_AHEAD>]
    }};
}

/// The ways to read that this CPU can execute, all with its widest loads.
fn ways() -> Result<[Read; 5], pqscan::Error> {
    let features = cpu::features()?;
    #[cfg(target_arch = "x86_64")]
    {
        if features.has(Feature::Avx512f) {
            return Ok(ways!(x86::Avx512, "avx512f"));
        }
        if features.has(Feature::Avx2) {
            return Ok(ways!(x86::Avx2, "avx2"));
        }
    }
    #[cfg(target_arch = "aarch64")]
    if features.has(Feature::Neon) {
        return Ok(ways!(aarch64::Neon, "neon"));
    }
    Ok(ways!(Plain))
}

/// Reads all `lines`, from `STREAMS` places at once, and asks for those `AHEAD` bytes on; if that is [`PAGES_AHEAD`],
/// only for the first one of each page, from where the hardware goes on by itself.
///
/// # Safety
/// The CPU has the features of `L`.
#[inline(always)]
unsafe fn walk<L: Lanes, const STREAMS: usize, const AHEAD: usize>(lines: &[[u8; LINE]]) -> u64 {
    let mut sums = [L::zero(); 4];
    let (quarters, rest) = lines.split_at(lines.len() / (4 * STREAMS) * (4 * STREAMS));
    let stream = quarters.len() / STREAMS;
    for step in (0..stream).step_by(4) {
        for first in (0..STREAMS).map(|s| s * stream + step) {
            if AHEAD == PAGES_AHEAD
                && first.is_multiple_of(PAGE / LINE)
                && let Some(line) = lines.get(first + AHEAD / LINE)
            {
                memory::prefetch(line);
            }
            for (sum, line) in sums.iter_mut().zip(&quarters[first..first + 4]) {
                if AHEAD > 0 && AHEAD != PAGES_AHEAD {
                    prefetch(line.as_ptr().wrapping_add(AHEAD));
                }
                // SAFETY: the caller's promise.
                *sum = unsafe { sum.with(line) };
            }
        }
    }
    for line in rest {
        // SAFETY: the caller's promise.
        sums[0] = unsafe { sums[0].with(line) };
    }
    sums.iter().fold(0, |all, sum| all | sum.word())
}

#[inline(always)]
fn prefetch(at: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint, for any address; SSE is part of x86-64.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(at.cast())
    };
    _ = at;
}

/// One line in registers.
trait Lanes: Copy {
    fn zero() -> Self;

    /// This or `line`.
    ///
    /// # Safety
    /// The CPU has the features of the implementation.
    unsafe fn with(self, line: &[u8; LINE]) -> Self;

    /// Something that every byte read so far has a part in.
    fn word(&self) -> u64;
}

/// For a CPU of which nothing is known: what the compiler makes of it, 16 bytes at a time on x86-64 and aarch64.
#[derive(Clone, Copy)]
struct Plain([u64; 8]);

impl Lanes for Plain {
    #[inline(always)]
    fn zero() -> Self {
        Plain([0; 8])
    }

    #[inline(always)]
    unsafe fn with(mut self, line: &[u8; LINE]) -> Self {
        for (sum, word) in self.0.iter_mut().zip(line.as_chunks().0) {
            *sum |= u64::from_ne_bytes(*word);
        }
        self
    }

    #[inline(always)]
    fn word(&self) -> u64 {
        self.0.iter().fold(0, |all, word| all | word)
    }
}

/// Implements [`Lanes`] for registers `$vector`, of which `$count` are a line.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! lanes {
    ($name:ident, $vector:ty, $count:literal, $load:expr, $or:expr) => {
        #[derive(Clone, Copy)]
        pub(super) struct $name([$vector; $count]);

        impl Lanes for $name {
            #[inline(always)]
            fn zero() -> Self {
                // SAFETY: all bytes zero is a value of a vector register.
                $name(unsafe { std::mem::zeroed() })
            }

            #[inline(always)]
            unsafe fn with(mut self, line: &[u8; LINE]) -> Self {
                for (at, sum) in self.0.iter_mut().enumerate() {
                    // SAFETY: the load stays in the line, and the caller promises the feature.
                    *sum = unsafe { $or(*sum, $load(line.as_ptr().add(at * LINE / $count).cast())) };
                }
                self
            }

            #[inline(always)]
            fn word(&self) -> u64 {
                // SAFETY: a line's worth of registers is as good as eight words.
                let words: [u64; LINE / 8] = unsafe { std::mem::transmute(self.0) };
                words.iter().fold(0, |all, word| all | word)
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{LINE, Lanes};

    lanes!(Avx512, __m512i, 1, _mm512_loadu_si512, _mm512_or_si512);
    lanes!(Avx2, __m256i, 2, _mm256_loadu_si256, _mm256_or_si256);
}

#[cfg(target_arch = "aarch64")]
mod aarch64 {
    use std::arch::aarch64::*;

    use super::{LINE, Lanes};

    lanes!(Neon, uint8x16_t, 4, vld1q_u8, vorrq_u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_reads_every_byte() {
        for len in [1, 3, 4, 15, 16, 17, 40] {
            for at in 0..len * LINE {
                let mut lines = vec![[0u8; LINE]; len];
                lines.as_flattened_mut()[at] = 1;
                for read in ways().unwrap() {
                    // SAFETY: `ways` lists only what this CPU can execute.
                    assert_ne!(unsafe { read(&lines) }, 0, "byte {at} of {len} lines");
                }
            }
        }
    }
}

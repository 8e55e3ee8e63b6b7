//! Vectors that are arrays: the operations as they are meant, on every CPU. Nothing is inlined by force, for what is
//! meant to be right need not take long to build.

use super::{ByteVector, Level, Routine};

/// A level of vectors of `N` bytes, 16, 32 or 64, without instructions of its own.
#[derive(Clone, Copy, Debug)]
pub struct Emulated<const N: usize>;

/// `N` bytes.
#[derive(Clone, Copy, Debug)]
pub struct Array<const N: usize>([u8; N]);

impl<const N: usize> Level for Emulated<N> {
    type Bytes = Array<N>;

    fn get() -> Option<Self> {
        Some(Emulated)
    }

    fn run<R: Routine<Self>>(self, routine: R) -> R::Output {
        routine.call(self)
    }

    fn run_apart<R: Routine<Self>>(self, routine: R) -> R::Output {
        routine.call(self)
    }
}

impl<const N: usize> Array<N> {
    fn zip(self, other: Self, f: impl Fn(u8, u8) -> u8) -> Self {
        Array(std::array::from_fn(|lane| f(self.0[lane], other.0[lane])))
    }

    fn interleaved(self, other: Self, first: usize) -> Self {
        let lane = |lane: usize| {
            let at = lane / 16 * 16 + first + lane % 16 / 2;
            if lane.is_multiple_of(2) { self.0[at] } else { other.0[at] }
        };
        Array(std::array::from_fn(lane))
    }
}

impl<const N: usize> ByteVector for Array<N> {
    type Level = Emulated<N>;
    type Table64 = [u8; 64];
    const LANES: usize = N;

    fn splat(_: Emulated<N>, byte: u8) -> Self {
        Array([byte; N])
    }
    fn load(_: Emulated<N>, from: &[u8]) -> Self {
        Array(*from.first_chunk().expect("a whole vector"))
    }
    fn store(self, to: &mut [u8]) {
        *to.first_chunk_mut().expect("a whole vector") = self.0;
    }
    fn table(_: Emulated<N>, entries: &[u8; 16]) -> Self {
        Array(std::array::from_fn(|lane| entries[lane % 16]))
    }
    fn look_up(self, index: Self) -> Self {
        let lane = |lane: usize| {
            let index = index.0[lane];
            if index < 128 { self.0[lane / 16 * 16 + usize::from(index % 16)] } else { 0 }
        };
        Array(std::array::from_fn(lane))
    }
    fn add_wrapping(self, other: Self) -> Self {
        self.zip(other, u8::wrapping_add)
    }
    fn add_saturating(self, other: Self) -> Self {
        self.zip(other, u8::saturating_add)
    }
    fn min(self, other: Self) -> Self {
        self.zip(other, u8::min)
    }
    fn or(self, other: Self) -> Self {
        self.zip(other, |a, b| a | b)
    }
    fn xor(self, other: Self) -> Self {
        self.zip(other, |a, b| a ^ b)
    }
    fn low_nibbles(self) -> Self {
        Array(self.0.map(|byte| byte & 0x0f))
    }
    fn high_nibbles(self) -> Self {
        Array(self.0.map(|byte| byte >> 4))
    }
    fn upper_pairs(a: Self, b: Self, c: Self) -> Self {
        Array(std::array::from_fn(|lane| a.0[lane] >> 6 | b.0[lane] >> 6 << 2 | c.0[lane] >> 6 << 4))
    }
    fn below_255(self) -> u64 {
        self.0.iter().enumerate().fold(0, |lanes, (lane, &byte)| lanes | u64::from(byte != 255) << lane)
    }
    fn load_sixteens(_: Emulated<N>, from: [&[u8; 16]; 4]) -> Self {
        Array(std::array::from_fn(|lane| from[lane / 16][lane % 16]))
    }
    fn interleave_low(self, other: Self) -> Self {
        self.interleaved(other, 0)
    }
    fn interleave_high(self, other: Self) -> Self {
        self.interleaved(other, 8)
    }
    fn interleave_sixteens(self) -> Self {
        Array(std::array::from_fn(|lane| self.0[lane % (N / 16) * 16 + lane / (N / 16)]))
    }
    fn table_64(_: Emulated<N>, entries: &[u8; 64]) -> [u8; 64] {
        *entries
    }
    fn look_up_64(table: [u8; 64], index: Self) -> Self {
        Self::look_up_in(&table, index)
    }
    fn look_up_in<const G: usize>(entries: &[u8; G], index: Self) -> Self {
        Array(index.0.map(|index| entries[usize::from(index) % G]))
    }
}

//! Vectors that there are not.

use super::ByteVector;

/// The vector of a level that is not of this architecture: there is none.
#[derive(Clone, Copy, Debug)]
pub struct Never<L>(L);

macro_rules! never {
    ($($level:ident),*) => {$(
        impl ByteVector for Never<super::$level> {
            type Level = super::$level;
            type Table64 = ();
            const LANES: usize = 16;

            fn splat(level: Self::Level, _: u8) -> Self {
                match level {}
            }
            fn load(level: Self::Level, _: &[u8]) -> Self {
                match level {}
            }
            fn store(self, _: &mut [u8]) {
                match self.0 {}
            }
            fn table(level: Self::Level, _: &[u8; 16]) -> Self {
                match level {}
            }
            fn look_up(self, _: Self) -> Self {
                self
            }
            fn add_wrapping(self, _: Self) -> Self {
                self
            }
            fn add_saturating(self, _: Self) -> Self {
                self
            }
            fn min(self, _: Self) -> Self {
                self
            }
            fn or(self, _: Self) -> Self {
                self
            }
            fn xor(self, _: Self) -> Self {
                self
            }
            fn low_nibbles(self) -> Self {
                self
            }
            fn high_nibbles(self) -> Self {
                self
            }
            fn upper_pairs(a: Self, _: Self, _: Self) -> Self {
                a
            }
            fn below_255(self) -> u64 {
                match self.0 {}
            }
            fn load_sixteens(level: Self::Level, _: [&[u8; 16]; 4]) -> Self {
                match level {}
            }
            fn interleave_low(self, _: Self) -> Self {
                self
            }
            fn interleave_high(self, _: Self) -> Self {
                self
            }
            fn interleave_sixteens(self) -> Self {
                self
            }
            fn table_64(level: Self::Level, _: &[u8; 64]) {
                match level {}
            }
            fn look_up_64((): (), index: Self) -> Self {
                index
            }
            fn look_up_in<const G: usize>(_: &[u8; G], index: Self) -> Self {
                index
            }
        }
    )*};
}

#[cfg(not(target_arch = "aarch64"))]
never!(Neon);
#[cfg(not(target_arch = "x86_64"))]
never!(Ssse3, Avx2, Avx512);

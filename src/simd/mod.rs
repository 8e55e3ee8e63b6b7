//! CPU levels as values, and vectors of bytes.
//!
//! A [`Level`] such as [`Avx2`] is a value that exists only where the CPU has the level: [`Level::get`] is the one way
//! to it. So holding one proves that its instructions may run, and so does holding a vector, which is made from one.
//! Every operation is therefore safe; it is compiled to single instructions inside of [`Level::run`], the one place
//! where features are switched on. (The pattern is Highway's and diskann-wide's.)
//!
//! A level of another architecture has no values. Code that is written for it compiles all the same, to nothing.
//! `Emulated` has arrays for vectors and runs everywhere: under Miri, on big-endian and other architectures.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(feature = "unstable-kernels")]
mod emulated;
mod never;
#[cfg(target_arch = "x86_64")]
mod x86_64;

use crate::{cpu::Feature, layout::LINE};

#[cfg(feature = "unstable-kernels")]
pub use emulated::{Array, Emulated};

/// A CPU level that this CPU has.
pub trait Level: Copy + Send + Sync + 'static {
    /// Its vectors.
    type Bytes: ByteVector<Level = Self>;

    /// The level, where this CPU has it and `PQBENCH_CPU` does not take it away.
    fn get() -> Option<Self>;

    /// Calls `routine`, compiled for the level: what is inlined into it becomes the level's instructions.
    fn run<R: Routine<Self>>(self, routine: R) -> R::Output;

    /// [`run`](Level::run) in a function of its own, which has the registers to itself.
    fn run_apart<R: Routine<Self>>(self, routine: R) -> R::Output;
}

/// What a level asks for.
#[derive(Clone, Copy, Debug)]
pub struct Info {
    /// The architecture, as in `cfg(target_arch)`; none for a level of every one.
    pub arch: Option<&'static str>,
    /// The CPU features without which it is not there.
    pub requires: &'static [Feature],
}

/// Work for [`Level::run`]. Its `call` is `#[inline(always)]`.
pub trait Routine<L> {
    /// What comes out.
    type Output;
    /// Does it.
    fn call(self, level: L) -> Self::Output;
}

/// Calls `routine`, plain loops that the compiler makes vectors of, for the widest level that this CPU has.
#[inline]
pub fn run_widest<T>(
    routine: impl Routine<Avx512, Output = T> + Routine<Avx2, Output = T> + Routine<(), Output = T>,
) -> T {
    if let Some(level) = Avx512::get() {
        level.run(routine)
    } else if let Some(level) = Avx2::get() {
        level.run(routine)
    } else {
        routine.call(())
    }
}

/// Declares a level: its token, its vector and its features, each once. `run` enables them by the names in quotes,
/// which the compiler holds against those of [`Feature`].
macro_rules! level {
    ($(#[$doc:meta])* $level:ident, $vector:ident, $arch:literal, $module:ident: $($feature:ident $name:literal),*) => {
        #[cfg(target_arch = $arch)]
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $level(());

        #[cfg(not(target_arch = $arch))]
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub enum $level {}

        const _: () = {
            $(assert!(Feature::$feature.is_named($name), "the feature has another name");)*
        };

        impl $level {
            /// What the level is, for any CPU.
            pub const INFO: Info = Info { arch: Some($arch), requires: &[$(Feature::$feature),*] };
        }

        #[cfg(target_arch = $arch)]
        impl Level for $level {
            type Bytes = $module::$vector;

            fn get() -> Option<Self> {
                crate::cpu::features().is_ok_and(|features| features.has_all(Self::INFO.requires)).then_some($level(()))
            }

            #[inline(always)]
            fn run<R: Routine<Self>>(self, routine: R) -> R::Output {
                #[target_feature($(enable = $name),*)]
                fn enabled<R: Routine<$level>>(level: $level, routine: R) -> R::Output {
                    routine.call(level)
                }
                // SAFETY: `self` exists only where the CPU has these features.
                unsafe { enabled(self, routine) }
            }

            #[inline(always)]
            fn run_apart<R: Routine<Self>>(self, routine: R) -> R::Output {
                #[inline(never)]
                #[target_feature($(enable = $name),*)]
                fn enabled<R: Routine<$level>>(level: $level, routine: R) -> R::Output {
                    routine.call(level)
                }
                // SAFETY: as above.
                unsafe { enabled(self, routine) }
            }
        }

        #[cfg(not(target_arch = $arch))]
        impl Level for $level {
            type Bytes = never::Never<$level>;

            fn get() -> Option<Self> {
                None
            }

            fn run<R: Routine<Self>>(self, _: R) -> R::Output {
                match self {}
            }

            fn run_apart<R: Routine<Self>>(self, _: R) -> R::Output {
                match self {}
            }
        }
    };
}

level! {
    /// 16 bytes a vector: `pshufb`.
    Ssse3, U8x16, "x86_64", x86_64: Ssse3 "ssse3"
}
level! {
    /// 32 bytes a vector.
    Avx2, U8x32, "x86_64", x86_64: Avx2 "avx2", Bmi1 "bmi1", Popcnt "popcnt"
}
level! {
    /// 64 bytes a vector, with VBMI: `vpermb`, `vpermi2b`.
    Avx512, U8x64, "x86_64", x86_64:
        Avx512f "avx512f", Avx512bw "avx512bw", Avx512vbmi "avx512vbmi", Bmi1 "bmi1", Popcnt "popcnt"
}
level! {
    /// 16 bytes a vector: `tbl`.
    Neon, U8x16, "aarch64", aarch64: Neon "neon"
}

/// Bytes in a vector of `L`.
#[cfg(feature = "unstable-kernels")]
#[doc(hidden)]
pub const fn lanes<L: Level>() -> usize {
    L::Bytes::LANES
}

/// A vector of `LANES` bytes: 16, 32 or 64.
pub trait ByteVector: Copy + 'static {
    /// What proves that its operations may run.
    type Level: Level<Bytes = Self>;

    /// A table of 64 entries.
    type Table64: Copy;

    /// Bytes in the vector.
    const LANES: usize;

    /// `byte` in every lane.
    fn splat(level: Self::Level, byte: u8) -> Self;
    /// The first `LANES` bytes of `from`.
    ///
    /// # Panics
    /// There are fewer.
    fn load(level: Self::Level, from: &[u8]) -> Self;
    /// Writes the first `LANES` bytes of `to`.
    ///
    /// # Panics
    /// There are fewer.
    fn store(self, to: &mut [u8]);
    /// A table of 16 entries for [`look_up`](ByteVector::look_up).
    fn table(level: Self::Level, entries: &[u8; 16]) -> Self;
    /// With `self` a table: its entry for each lane of `index` below 16, zero for one of 128 or more. For the others an
    /// entry or zero, as the level has it.
    fn look_up(self, index: Self) -> Self;
    /// The sum, modulo 256.
    fn add_wrapping(self, other: Self) -> Self;
    /// The sum, or 255 where it is larger.
    fn add_saturating(self, other: Self) -> Self;
    /// The smaller of each two lanes.
    fn min(self, other: Self) -> Self;
    /// The bits that either lane has.
    fn or(self, other: Self) -> Self;
    /// The bits that one of the two lanes has.
    fn xor(self, other: Self) -> Self;
    /// The low four bits of every lane.
    fn low_nibbles(self) -> Self;
    /// The high four bits of every lane.
    fn high_nibbles(self) -> Self;
    /// The upper two bits of each lane of `a`, `b` and `c`, those of `a` lowest: six bits, and anything above them.
    fn upper_pairs(a: Self, b: Self, c: Self) -> Self;
    /// One bit for each lane that is not 255, the first lane lowest.
    fn below_255(self) -> u64;
    /// Whether a lane is not 255.
    #[inline(always)]
    fn any_below_255(self) -> bool {
        self.below_255() != 0
    }
    /// [`below_255`](ByteVector::below_255) of the vectors of a line; those beyond its 64 bytes are not looked at.
    #[inline(always)]
    fn line_below_255(parts: [Self; 4]) -> u64 {
        let mut lanes = 0;
        for (part, sums) in parts.into_iter().take(LINE / Self::LANES).enumerate() {
            lanes |= sums.below_255() << (part * Self::LANES);
        }
        lanes
    }
    /// Sixteen bytes from each of as many places as there are sixteens of lanes; the others are not read.
    fn load_sixteens(level: Self::Level, from: [&[u8; 16]; 4]) -> Self;
    /// In every sixteen lanes the first eight of `self` and of `other`, by turns.
    fn interleave_low(self, other: Self) -> Self;
    /// In every sixteen lanes the last eight of `self` and of `other`, by turns.
    fn interleave_high(self, other: Self) -> Self;
    /// The lanes of the sixteens by turns: the first of each, then the second of each, and so on.
    fn interleave_sixteens(self) -> Self;
    /// A table for [`look_up_64`](ByteVector::look_up_64): in registers where there are enough.
    fn table_64(level: Self::Level, entries: &[u8; 64]) -> Self::Table64;
    /// The entry of a table of 64 for the low six bits of each lane of `index`.
    fn look_up_64(table: Self::Table64, index: Self) -> Self;
    /// The entry of a table of `G`, 64, 128 or 256, for the low bits of each lane of `index`.
    fn look_up_in<const G: usize>(entries: &[u8; G], index: Self) -> Self;
    /// A table for [`look_up_arranged`](ByteVector::look_up_arranged), which takes less time than
    /// [`look_up_in`](ByteVector::look_up_in) where it is used often.
    #[inline(always)]
    fn arrange<const G: usize>(_: Self::Level, entries: &[u8; G]) -> [u8; G] {
        *entries
    }
    /// [`look_up_in`](ByteVector::look_up_in) an [arranged](ByteVector::arrange) table.
    #[inline(always)]
    fn look_up_arranged<const G: usize>(arranged: &[u8; G], index: Self) -> Self {
        Self::look_up_in(arranged, index)
    }
    /// The least of the entries whose bit is set in `present`, or 255.
    #[inline(always)]
    fn least_present(_: Self::Level, entries: &[u8; 256], present: &[u64; 4]) -> u8 {
        let present = (0..256).filter(|k| present[k / 64] >> (k % 64) & 1 == 1);
        present.fold(255, |least, k| entries[k].min(least))
    }
    /// What [`eight_columns`](ByteVector::eight_columns) needs to find these columns of rows of 16 bytes.
    #[inline(always)]
    fn column_index(level: Self::Level, columns: &[usize; 8]) -> [Self; 2] {
        // A lane of 128 is looked up as zero.
        let [mut even, mut odd] = [[128; 16]; 2];
        for (i, &column) in columns.iter().enumerate() {
            even[2 * i] = column as u8 % 16;
            odd[2 * i + 1] = column as u8 % 16;
        }
        [Self::table(level, &even), Self::table(level, &odd)]
    }
    /// Eight columns of `LANES` rows; lane `i` is of row `i` once it has been through
    /// [`interleave_sixteens`](ByteVector::interleave_sixteens).
    ///
    /// # Panics
    /// There are fewer rows.
    #[inline(always)]
    fn eight_columns(level: Self::Level, index: [Self; 2], rows: &[[u8; 16]]) -> [Self; 8] {
        let bytes = rows[..Self::LANES].as_flattened();
        let mut columns = [Self::splat(level, 0); 8];
        for (at, column) in columns.iter_mut().enumerate() {
            let even = Self::load(level, &bytes[at * Self::LANES..]);
            let odd = Self::load(level, &bytes[(at + 8) * Self::LANES..]);
            *column = even.look_up(index[0]).or(odd.look_up(index[1]));
        }
        // Interleaving the first half with the second, three times, for one of four is done.
        for _ in 0..3 {
            let rows = columns;
            for i in 0..4 {
                columns[2 * i] = rows[i].interleave_low(rows[i + 4]);
                columns[2 * i + 1] = rows[i].interleave_high(rows[i + 4]);
            }
        }
        columns
    }
}

/// 64 bytes, one for each vector of a block, in as many vectors as it takes.
#[derive(Clone, Copy)]
pub struct Line<V>([V; 4]);

/// Operations of vectors, on each of a line. (No closure goes through them: what it does would be compiled apart,
/// without the level's instructions, unless it is inlined, which nothing forces.)
macro_rules! each {
    ($($(#[$doc:meta])* $name:ident($($other:ident)?);)*) => {$(
        $(#[$doc])*
        #[inline(always)]
        pub fn $name(mut self $(, $other: Self)?) -> Self {
            for part in 0..Self::PARTS {
                self.0[part] = self.0[part].$name($($other.0[part])?);
            }
            self
        }
    )*};
}

impl<V: ByteVector> Line<V> {
    each! {
        /// The sum, modulo 256.
        add_wrapping(other);
        /// The sum, or 255 where it is larger.
        add_saturating(other);
        /// The smaller of each two lanes.
        min(other);
        /// See [`ByteVector::interleave_sixteens`].
        interleave_sixteens();
    }

    /// The entries of a table of 64 for `self`, see [`ByteVector::look_up_64`].
    #[inline(always)]
    pub fn look_up_in_64(mut self, table: V::Table64) -> Self {
        for part in 0..Self::PARTS {
            self.0[part] = V::look_up_64(table, self.0[part]);
        }
        self
    }

    /// The entries of a table of `G` for `self`, see [`ByteVector::look_up_in`].
    #[inline(always)]
    pub fn look_up_in<const G: usize>(mut self, entries: &[u8; G]) -> Self {
        for part in 0..Self::PARTS {
            self.0[part] = V::look_up_in(entries, self.0[part]);
        }
        self
    }

    /// Vectors to a line.
    const PARTS: usize = LINE / V::LANES;

    /// `byte` in every lane.
    #[inline(always)]
    pub fn splat(level: V::Level, byte: u8) -> Self {
        Line([V::splat(level, byte); 4])
    }

    /// The bytes of `from`.
    #[inline(always)]
    pub fn load(level: V::Level, from: &[u8; LINE]) -> Self {
        let mut line = Self::splat(level, 0);
        for (part, vector) in line.0.iter_mut().take(Self::PARTS).enumerate() {
            *vector = V::load(level, &from[part * V::LANES..]);
        }
        line
    }

    /// Overwrites `to`.
    #[inline(always)]
    pub fn store(self, to: &mut [u8; LINE]) {
        for (part, vector) in self.0.into_iter().take(Self::PARTS).enumerate() {
            vector.store(&mut to[part * V::LANES..]);
        }
    }

    /// One vector of the line.
    #[inline(always)]
    pub fn part(&self, part: usize) -> V {
        self.0[part % Self::PARTS]
    }

    /// Puts one vector of the line.
    #[inline(always)]
    pub fn set_part(&mut self, part: usize, vector: V) {
        self.0[part % Self::PARTS] = vector;
    }

    /// One bit for each lane that is not 255.
    #[inline(always)]
    pub fn below_255(self) -> u64 {
        V::line_below_255(self.0)
    }

    /// Whether a lane is not 255.
    #[inline(always)]
    pub fn any_below_255(self) -> bool {
        let mut least = self.0[0];
        for part in 1..Self::PARTS {
            least = least.min(self.0[part]);
        }
        least.any_below_255()
    }

    /// One bit for each lane up to `limit`, which is below 255.
    #[inline(always)]
    pub fn up_to(self, level: V::Level, limit: u8) -> u64 {
        // What is above the limit saturates.
        self.add_saturating(Self::splat(level, 254 - limit)).below_255()
    }
}

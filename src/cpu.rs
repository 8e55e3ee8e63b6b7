//! What this CPU can do, and what the environment forbids it to do.
//!
//! Detection is the `cpufeatures` crate's on x86-64 and the standard library's on aarch64. `PQBENCH_CPU` can take
//! features away, so that one machine can test every level; it can never add one. [`features`] is the only answer that
//! the rest of the library acts on, which is what makes the mask govern everything.

use std::{fmt, sync::OnceLock};

use crate::{Error, environment};

/// The environment variable that takes CPU features away: `avx2`, `avx2,-fma`, `-avx512vbmi`.
pub const MASK_VARIABLE: &str = "PQBENCH_CPU";

/// Declares [`Feature`] with each feature's name, architecture and the features that it implies.
macro_rules! features {
    ($($feature:ident $name:literal $arch:literal [$($implied:ident)*] $doc:literal;)*) => {
        /// A CPU feature beyond what its architecture guarantees, under the name that Rust gives it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Feature { $(#[doc = $doc] $feature),* }

        impl Feature {
            /// Every feature that the library knows, of all architectures.
            pub const ALL: &[Feature] = &[$(Feature::$feature),*];

            /// The name in Rust's `target_feature`, such as `avx512vbmi`.
            pub const fn name(self) -> &'static str {
                match self { $(Feature::$feature => $name),* }
            }

            /// Whether that is its name, for a check when a level is compiled.
            pub(crate) const fn is_named(self, name: &str) -> bool {
                let (own, name) = (self.name().as_bytes(), name.as_bytes());
                let mut at = 0;
                while at < own.len() && at < name.len() && own[at] == name[at] {
                    at += 1;
                }
                at == own.len() && at == name.len()
            }

            /// The architecture that the feature belongs to, as in `cfg(target_arch)`.
            pub const fn arch(self) -> &'static str {
                match self { $(Feature::$feature => $arch),* }
            }

            /// The features that a CPU with this one always has too.
            pub const fn implies(self) -> &'static [Feature] {
                match self { $(Feature::$feature => &[$(Feature::$implied),*]),* }
            }
        }
    };
}

features! {
    Sse3 "sse3" "x86_64" [] "SSE3.";
    Ssse3 "ssse3" "x86_64" [Sse3] "Supplemental SSE3: `pshufb` on 16 bytes.";
    Sse41 "sse4.1" "x86_64" [Ssse3] "SSE4.1.";
    Sse42 "sse4.2" "x86_64" [Sse41] "SSE4.2.";
    Popcnt "popcnt" "x86_64" [] "Bit count.";
    Bmi1 "bmi1" "x86_64" [] "Bit manipulation 1: `tzcnt`, `blsr`.";
    Bmi2 "bmi2" "x86_64" [] "Bit manipulation 2: `pext`, `pdep`.";
    Avx "avx" "x86_64" [Sse42] "256-bit floats.";
    Fma "fma" "x86_64" [Avx] "Fused multiply-add. Exact variants must not fuse.";
    Avx2 "avx2" "x86_64" [Avx] "256-bit integers, gather.";
    Avx512f "avx512f" "x86_64" [Avx2 Fma] "AVX-512 foundation.";
    Avx512cd "avx512cd" "x86_64" [Avx512f] "AVX-512 conflict detection.";
    Avx512dq "avx512dq" "x86_64" [Avx512f] "AVX-512 on double and quad words.";
    Avx512bw "avx512bw" "x86_64" [Avx512f] "AVX-512 on bytes and words.";
    Avx512vl "avx512vl" "x86_64" [Avx512f] "AVX-512 at 128 and 256 bits.";
    Avx512vbmi "avx512vbmi" "x86_64" [Avx512bw] "`vpermb`, `vpermi2b`: byte look-ups in 64 and 128 entries.";
    Avx512vbmi2 "avx512vbmi2" "x86_64" [Avx512bw] "Byte compress and expand.";
    Avx512bitalg "avx512bitalg" "x86_64" [Avx512bw] "Bit counts in bytes and words.";
    Avx512vpopcntdq "avx512vpopcntdq" "x86_64" [Avx512f] "Bit counts in double and quad words.";
    Gfni "gfni" "x86_64" [Sse42] "Galois-field arithmetic: any bit permutation inside a byte.";
    Neon "neon" "aarch64" [] "Advanced SIMD: `tbl` on 16 to 64 bytes.";
    Dotprod "dotprod" "aarch64" [Neon] "8-bit dot products.";
}

/// A set of CPU features.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features(u64);

impl Features {
    /// No feature: the plain architecture.
    pub const NONE: Features = Features(0);

    /// The set of `list`.
    pub fn of(list: &[Feature]) -> Features {
        list.iter().fold(Features::NONE, |set, &feature| set.with(feature))
    }

    /// This set and one more feature.
    pub fn with(self, feature: Feature) -> Features {
        Features(self.0 | 1 << feature as u32)
    }

    /// Whether `feature` is in the set.
    pub fn has(self, feature: Feature) -> bool {
        self.0 & 1 << feature as u32 != 0
    }

    /// Whether every feature of `list` is in the set.
    pub fn has_all(self, list: &[Feature]) -> bool {
        list.iter().all(|&feature| self.has(feature))
    }

    /// The features of the set, in the order of [`Feature::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Feature> {
        Feature::ALL.iter().copied().filter(move |&feature| self.has(feature))
    }

    /// This set without `gone` and without every feature that implies it.
    fn without(self, gone: Feature) -> Features {
        self.iter().filter(|&feature| !implies(feature, gone)).fold(Features::NONE, Features::with)
    }

    /// What `mask` leaves of the set; the grammar is [`MASK_VARIABLE`]'s.
    ///
    /// # Errors
    /// A word that is neither a level of this architecture (first place only) nor a feature with a `-` before it.
    pub fn masked(self, mask: &str) -> Result<Features, Error> {
        let mut left = self;
        for (place, word) in mask.split(',').map(str::trim).enumerate() {
            let bad = || Error::Mask { mask: mask.to_owned(), word: word.to_owned() };
            if let Some(name) = word.strip_prefix('-') {
                let gone = Feature::ALL.iter().find(|feature| feature.name() == name).ok_or_else(bad)?;
                left = left.without(*gone);
            } else {
                let (_, top) = LEVELS.iter().find(|(name, _)| *name == word && place == 0).ok_or_else(bad)?;
                left = left.iter().filter(|&f| top.iter().any(|&t| implies(t, f))).fold(Features::NONE, Features::with);
            }
        }
        Ok(left)
    }
}

impl fmt::Display for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.iter().map(Feature::name).collect();
        f.write_str(if names.is_empty() { "none" } else { "" })?;
        f.write_str(&names.join(" "))
    }
}

/// Whether a CPU with `feature` always has `other` too (itself included).
fn implies(feature: Feature, other: Feature) -> bool {
    feature == other || feature.implies().iter().any(|&implied| implies(implied, other))
}

/// The ceilings that `PQBENCH_CPU` can name here, each with the features at its top.
#[cfg(target_arch = "x86_64")]
pub const LEVELS: &[(&str, &[Feature])] = {
    use Feature::*;
    &[("baseline", &[]), ("ssse3", &[Ssse3]), ("avx2", &[Avx2, Fma, Bmi1, Bmi2, Popcnt]), ("avx512", Feature::ALL)]
};
/// The ceilings that `PQBENCH_CPU` can name here, each with the features at its top.
#[cfg(target_arch = "aarch64")]
pub const LEVELS: &[(&str, &[Feature])] = &[("baseline", &[]), ("neon", &[Feature::Neon])];
/// The ceilings that `PQBENCH_CPU` can name here, each with the features at its top.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub const LEVELS: &[(&str, &[Feature])] = &[("baseline", &[])];

/// What the CPU reports, before any mask.
pub fn detected() -> Features {
    static DETECTED: OnceLock<Features> = OnceLock::new();
    *DETECTED.get_or_init(detect)
}

/// What the library may use: what the CPU reports, less what `PQBENCH_CPU` takes away. Read once, at the first call.
///
/// # Errors
/// `PQBENCH_CPU` is not a mask.
pub fn features() -> Result<Features, Error> {
    static FEATURES: OnceLock<Result<Features, Error>> = OnceLock::new();
    FEATURES
        .get_or_init(|| match environment::read(MASK_VARIABLE) {
            Some(mask) => detected().masked(&mask),
            None => Ok(detected()),
        })
        .clone()
}

#[cfg(target_arch = "x86_64")]
fn detect() -> Features {
    macro_rules! detect {
        ($($feature:ident $module:ident $name:tt),* $(,)?) => {{
            $(cpufeatures::new!($module, $name);)*
            [$((Feature::$feature, $module::get())),*]
        }};
    }
    let found = detect! {
        Sse3 sse3 "sse3", Ssse3 ssse3 "ssse3", Sse41 sse41 "sse4.1", Sse42 sse42 "sse4.2", Popcnt popcnt "popcnt",
        Bmi1 bmi1 "bmi1", Bmi2 bmi2 "bmi2", Avx avx "avx", Fma fma "fma", Avx2 avx2 "avx2",
        Avx512f avx512f "avx512f", Avx512cd avx512cd "avx512cd", Avx512dq avx512dq "avx512dq",
        Avx512bw avx512bw "avx512bw", Avx512vl avx512vl "avx512vl", Avx512vbmi avx512vbmi "avx512vbmi",
        Avx512vbmi2 avx512vbmi2 "avx512vbmi2", Avx512bitalg avx512bitalg "avx512bitalg",
        Avx512vpopcntdq avx512vpopcntdq "avx512vpopcntdq", Gfni gfni "gfni",
    };
    let reported = Features::of(&found.iter().filter(|(_, has)| *has).map(|(feature, _)| *feature).collect::<Vec<_>>());
    closed(reported)
}

#[cfg(target_arch = "aarch64")]
fn detect() -> Features {
    let mut found = Features::NONE;
    if std::arch::is_aarch64_feature_detected!("neon") {
        found = found.with(Feature::Neon);
    }
    if std::arch::is_aarch64_feature_detected!("dotprod") {
        found = found.with(Feature::Dotprod);
    }
    closed(found)
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn detect() -> Features {
    Features::NONE
}

/// Drops a feature whose implied features are not all there, as a hypervisor may report them.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
fn closed(reported: Features) -> Features {
    Feature::ALL
        .iter()
        .filter(|feature| !reported.has(**feature))
        .fold(reported, |left, &missing| left.without(missing))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taking_a_feature_away_takes_what_implies_it() {
        let all = Features::of(Feature::ALL);
        let left = all.masked("-avx").unwrap();
        assert!(left.has_all(&[Feature::Sse42, Feature::Popcnt, Feature::Gfni]));
        for gone in [Feature::Avx, Feature::Avx2, Feature::Fma, Feature::Avx512f, Feature::Avx512vbmi] {
            assert!(!left.has(gone), "{}", gone.name());
        }
    }

    #[test]
    fn a_mask_never_adds() {
        for (level, _) in LEVELS {
            assert_eq!(Features::NONE.masked(level).unwrap(), Features::NONE);
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn ceilings_are_what_their_names_say() {
        use Feature::*;
        let all = Features::of(Feature::ALL);
        assert_eq!(all.masked("baseline").unwrap(), Features::NONE);
        assert_eq!(all.masked("ssse3").unwrap(), Features::of(&[Sse3, Ssse3]));
        let avx2 = all.masked("avx2").unwrap();
        assert!(avx2.has_all(&[Ssse3, Sse42, Avx, Avx2, Fma, Bmi2]) && !avx2.has(Avx512f) && !avx2.has(Gfni));
        assert_eq!(all.masked("avx512").unwrap(), all);
        let no_fma = all.masked("avx2, -fma").unwrap();
        assert!(no_fma.has(Avx2) && !no_fma.has(Fma));
        assert!(!all.masked("-avx512vbmi").unwrap().has(Avx512vbmi));
    }

    #[test]
    fn a_bad_mask_names_the_bad_word() {
        for (mask, bad) in
            [("avx9", "avx9"), ("-", "-"), ("-avx2,baseline", "baseline"), ("-mmx", "-mmx"), ("baseline,", "")]
        {
            match Features::NONE.masked(mask) {
                Err(Error::Mask { word, .. }) => assert_eq!(word, bad),
                other => panic!("{mask}: {other:?}"),
            }
        }
    }

    #[test]
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    fn a_hypervisor_that_reports_half_a_feature_is_not_believed() {
        assert_eq!(closed(Features::of(&[Feature::Avx2, Feature::Sse3])), Features::of(&[Feature::Sse3]));
    }
}

//! The kernel variants: what there is, what runs here and in which shape, which one is used.
//!
//! A variant registers itself through the `inventory` crate, so nothing holds a list of them, and with the feature
//! `unstable-kernels` a crate that embeds this one can register its own. "It is there" and "it runs here" are two
//! questions, as in simdjson: a variant for another CPU is listed, with the reason why it does not run.

use std::{fmt, sync::OnceLock};

use crate::{
    Codebook, Codes, Error, Geometry, List,
    cpu::{self, Feature, Features},
    environment,
    simd::Info,
    variant::{PrepareFn, ProbeFn, UnsupportedFn},
};

/// The environment variable that names the variant to use.
pub const VARIANT_VARIABLE: &str = "PQBENCH_VARIANT";

/// Whether a variant's answers are the reference's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fidelity {
    /// The same ids and the same distance bits as the reference, for every input.
    Exact,
    /// What the variant gives up, in one line. Never selected unless it is named.
    Approximate(&'static str),
}

impl fmt::Display for Fidelity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fidelity::Exact => "exact",
            Fidelity::Approximate(_) => "approximate",
        })
    }
}

/// One way of doing the scan. Made by `register!` only.
pub struct Variant {
    /// The name, such as `avx2-pshufb`.
    pub name: &'static str,
    /// One line on the idea.
    pub summary: &'static str,
    /// The source file that registers it.
    pub file: &'static str,
    /// The architecture that it is written for, as in `cfg(target_arch)`; none for a portable variant.
    pub arch: Option<&'static str>,
    /// The CPU features without which it does not run.
    pub requires: &'static [Feature],
    /// Whether its answers are the reference's.
    pub fidelity: Fidelity,
    /// The preference in automatic selection, from measurements; the highest that runs is used.
    pub rank: u32,
    /// Another rank for lists of fewer codes than the first number.
    pub rank_below: Option<(usize, u32)>,
    /// Whether it reads less than all of the codes, since it skips some or stores them in fewer bytes, and so may be
    /// faster than reading them all.
    pub reads_less: bool,
    unsupported: UnsupportedFn,
    prepare: PrepareFn,
    #[cfg_attr(not(feature = "unstable-kernels"), expect(dead_code))]
    emulated: Option<PrepareFn>,
    probe: Option<ProbeFn>,
}

inventory::collect!(Variant);

impl Variant {
    /// For `register!`.
    #[doc(hidden)]
    pub const fn new(
        name: &'static str,
        summary: &'static str,
        file: &'static str,
        fidelity: Fidelity,
        rank: u32,
        prepare: PrepareFn,
    ) -> Self {
        Variant {
            name,
            summary,
            file,
            arch: None,
            requires: &[],
            fidelity,
            rank,
            rank_below: None,
            reads_less: false,
            unsupported: |_| None,
            prepare,
            emulated: None,
            probe: None,
        }
    }

    #[doc(hidden)]
    pub const fn at_level(self, info: Info) -> Self {
        Variant { arch: info.arch, requires: info.requires, ..self }
    }

    #[doc(hidden)]
    pub const fn ranking_below(self, num_vectors: usize, rank: u32) -> Self {
        Variant { rank_below: Some((num_vectors, rank)), ..self }
    }

    #[doc(hidden)]
    pub const fn reading_less(self, reads_less: bool) -> Self {
        Variant { reads_less, ..self }
    }

    #[doc(hidden)]
    pub const fn unless(self, unsupported: UnsupportedFn) -> Self {
        Variant { unsupported, ..self }
    }

    #[doc(hidden)]
    pub const fn emulated_by(self, emulated: Option<PrepareFn>) -> Self {
        Variant { emulated, ..self }
    }

    #[doc(hidden)]
    pub const fn probing(self, probe: ProbeFn) -> Self {
        Variant { probe: Some(probe), ..self }
    }

    /// The preference for a list of `num_vectors` codes.
    pub fn rank_for(&self, num_vectors: usize) -> u32 {
        match self.rank_below {
            Some((length, rank)) if num_vectors < length => rank,
            _ => self.rank,
        }
    }

    /// Why the variant can't run on a CPU with `features`: `needs avx512vbmi`. None where it can.
    pub fn unavailable(&self, features: Features) -> Option<String> {
        if let Some(arch) = self.arch.filter(|arch| *arch != std::env::consts::ARCH) {
            return Some(format!("needs {arch}"));
        }
        let missing: Vec<_> = self.requires.iter().filter(|f| !features.has(**f)).map(|f| f.name()).collect();
        (!missing.is_empty()).then(|| format!("needs {}", missing.join(", ")))
    }

    /// Why the variant does not support a shape: `needs 16 sub-quantizers of 8 bits`. None where it does.
    pub fn unsupported(&self, geometry: Geometry) -> Option<&'static str> {
        (self.unsupported)(geometry)
    }

    /// Whether the variant also scans codes that nothing prepared, which is what [`Codes::scan`] does.
    pub fn probes_unprepared_codes(&self) -> bool {
        self.probe.is_some()
    }

    /// Prepares `codes` for queries, on `threads` threads where they can be started.
    ///
    /// # Errors
    /// The CPU lacks a feature, the variant does not support the shape, the codes do not fit it, or there are 2^32 or
    /// more.
    pub fn prepare(&'static self, codebook: &Codebook, codes: Codes<'_>, threads: usize) -> Result<List, Error> {
        self.check(Some(codebook.geometry()))?;
        List::new(self, self.prepare, codebook, codes, threads)
    }

    /// Whether there is an emulated form of it, for [`prepare_emulated`](Variant::prepare_emulated).
    #[cfg(feature = "unstable-kernels")]
    pub fn can_be_emulated(&self) -> bool {
        self.emulated.is_some()
    }

    /// [`prepare`](Variant::prepare) with arrays for vectors, on any CPU. None where it has no emulated form, or not in
    /// that shape.
    #[cfg(feature = "unstable-kernels")]
    pub fn prepare_emulated(&'static self, codebook: &Codebook, codes: Codes<'_>) -> Option<Result<List, Error>> {
        if self.unsupported(codebook.geometry()).is_some() {
            return None;
        }
        Some(List::new(self, self.emulated?, codebook, codes, 1))
    }

    /// The function that scans unprepared codes.
    pub(crate) fn probe(&self, geometry: Geometry) -> Result<ProbeFn, Error> {
        self.check(Some(geometry))?;
        self.probe.ok_or_else(|| self.refused("it needs prepared codes".to_owned()))
    }

    /// Whether this CPU, and a shape, are what the variant needs.
    pub(crate) fn check(&self, geometry: Option<Geometry>) -> Result<(), Error> {
        let unavailable = self.unavailable(cpu::features()?);
        let unsupported = || geometry.and_then(|geometry| self.unsupported(geometry)).map(str::to_owned);
        match unavailable.or_else(unsupported) {
            None => Ok(()),
            Some(reason) => Err(self.refused(reason)),
        }
    }

    fn refused(&self, reason: String) -> Error {
        let choices = cpu::features().map(|features| names_that_run(all(), features)).unwrap_or_default();
        Error::CannotRun { name: self.name, reason, choices }
    }
}

impl fmt::Debug for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Variant({})", self.name)
    }
}

/// Every registered variant, the highest rank first.
pub fn all() -> &'static [&'static Variant] {
    static ALL: OnceLock<Vec<&'static Variant>> = OnceLock::new();
    ALL.get_or_init(|| {
        let mut variants: Vec<_> = inventory::iter::<Variant>.into_iter().collect();
        variants.sort_by_key(|variant| (std::cmp::Reverse(variant.rank), variant.name));
        variants
    })
}

/// The variant of that name.
///
/// # Errors
/// There is none, or two crates registered one each.
pub fn find(name: &str) -> Result<&'static Variant, Error> {
    find_in(all(), name)
}

fn find_in<'a>(variants: &[&'a Variant], name: &str) -> Result<&'a Variant, Error> {
    let found: Vec<_> = variants.iter().copied().filter(|variant| variant.name == name).collect();
    match found.as_slice() {
        [variant] => Ok(variant),
        [] => Err(Error::UnknownVariant {
            name: name.to_owned(),
            choices: variants.iter().map(|variant| variant.name).collect(),
        }),
        [first, ..] => {
            Err(Error::DuplicateVariant { name: first.name, files: found.iter().map(|variant| variant.file).collect() })
        }
    }
}

fn names_that_run(variants: &[&Variant], features: Features) -> Vec<&'static str> {
    variants.iter().filter(|variant| variant.unavailable(features).is_none()).map(|variant| variant.name).collect()
}

/// The variant to use here for lists of `num_vectors` codes of a shape: the one named `explicit`, else the one that
/// `PQBENCH_VARIANT` names, else the exact one of the highest rank for that length that this CPU can run in that shape.
///
/// # Errors
/// The name does not exist or can't run on this CPU or in this shape, or `PQBENCH_CPU` is not a mask.
pub fn select(explicit: Option<&str>, geometry: Geometry, num_vectors: usize) -> Result<&'static Variant, Error> {
    let name = explicit.or(environment_choice());
    choose(all(), cpu::features()?, name, geometry, num_vectors, |_| true)
}

/// The variant that scans unprepared row-major codes of a shape: as [`select`], among the variants that can.
///
/// # Errors
/// As for [`select`]; or `PQBENCH_VARIANT` names a variant that needs prepared codes.
pub fn select_for_unprepared_codes(geometry: Geometry) -> Result<&'static Variant, Error> {
    choose(all(), cpu::features()?, environment_choice(), geometry, usize::MAX, Variant::probes_unprepared_codes)
}

fn environment_choice() -> Option<&'static str> {
    static CHOICE: OnceLock<Option<String>> = OnceLock::new();
    CHOICE.get_or_init(|| environment::read(VARIANT_VARIABLE)).as_deref()
}

/// Selection as a pure function. A name is taken at its word or refused, never replaced.
fn choose<'a>(
    variants: &[&'a Variant],
    features: Features,
    name: Option<&str>,
    geometry: Geometry,
    num_vectors: usize,
    suits: fn(&Variant) -> bool,
) -> Result<&'a Variant, Error> {
    let candidates =
        || variants.iter().copied().filter(|variant| suits(variant) && variant.unsupported(geometry).is_none());
    if let Some(name) = name {
        let variant = find_in(variants, name)?;
        let unsuitable = || (!suits(variant)).then(|| "it needs prepared codes".to_owned());
        let unsupported = || variant.unsupported(geometry).map(str::to_owned);
        return match variant.unavailable(features).or_else(unsuitable).or_else(unsupported) {
            None => Ok(variant),
            Some(reason) => {
                let choices = names_that_run(&candidates().collect::<Vec<_>>(), features);
                Err(Error::CannotRun { name: variant.name, reason, choices })
            }
        };
    }
    candidates()
        .filter(|variant| variant.fidelity == Fidelity::Exact && variant.unavailable(features).is_none())
        .max_by_key(|variant| variant.rank_for(num_vectors))
        .ok_or(Error::NoVariant)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Bits, Query,
        collector::Collector,
        variant::{Scan, cannot_run},
    };

    fn refuse(_: &Codebook, _: &[u8], _: usize) -> Result<Box<dyn Scan>, Error> {
        Err(cannot_run())
    }
    fn probe(_: &mut Query, _: &[u8], _: &mut Collector<'_>) {}

    const fn variant(name: &'static str, rank: u32, requires: &'static [Feature]) -> Variant {
        let info = Info { arch: None, requires };
        Variant::new(name, "", "", Fidelity::Exact, rank, refuse).at_level(info).probing(probe)
    }

    static PLAIN: Variant = variant("plain", 10, &[]);
    static GATHER: Variant = variant("gather", 5, &[Feature::Avx2]);
    static SHUFFLE: Variant = variant("shuffle", 50, &[Feature::Avx2]);
    static PREPARED: Variant = Variant::new("prepared", "", "", Fidelity::Exact, 60, refuse)
        .at_level(Info { arch: None, requires: &[Feature::Avx2] });
    static WIDE: Variant = variant("wide", 40, &[Feature::Avx512f, Feature::Avx512vbmi]);
    static ROUGH: Variant = Variant::new("rough", "", "", Fidelity::Approximate("bits"), 99, refuse).probing(probe);
    static FOREIGN: Variant = Variant::new("foreign", "", "", Fidelity::Exact, 98, refuse)
        .at_level(Info { arch: Some("pdp11"), requires: &[] });
    static EVEN: Variant =
        variant("even", 97, &[]).unless(|geometry| (geometry.m() % 2 == 1).then_some("needs an even m"));
    const VARIANTS: &[&Variant] = &[&PLAIN, &GATHER, &SHUFFLE, &PREPARED, &WIDE, &ROUGH, &FOREIGN, &EVEN];

    fn shape(m: usize) -> Geometry {
        Geometry::new(m, m, Bits::Eight).unwrap()
    }

    #[test]
    fn selection_is_a_table() {
        use Feature::*;
        let anything: fn(&Variant) -> bool = |_| true;
        type Case<'a> = (&'a [Feature], Option<&'a str>, usize, fn(&Variant) -> bool, Result<&'a str, &'a str>);
        let table: &[Case] = &[
            // by rank: what the CPU can run in this shape, exact only; the widest does not win by being wide
            (&[], None, 3, anything, Ok("plain")),
            (&[], None, 4, anything, Ok("even")),
            (&[Avx2], None, 3, anything, Ok("prepared")),
            (&[Avx2, Avx512f, Avx512vbmi], None, 3, anything, Ok("prepared")),
            (&[Avx2], None, 3, Variant::probes_unprepared_codes, Ok("shuffle")),
            // by name: at its word
            (&[Avx2], Some("gather"), 4, anything, Ok("gather")),
            (&[], Some("rough"), 4, anything, Ok("rough")),
            // or refused
            (&[], Some("gather"), 3, anything, Err("can't run here: needs avx2; choose one of: plain, rough")),
            (&[Avx2, Avx512f], Some("wide"), 3, anything, Err("needs avx512vbmi")),
            (&[], Some("foreign"), 3, anything, Err("needs pdp11")),
            (&[], Some("even"), 3, anything, Err("needs an even m")),
            (&[], Some("gathr"), 3, anything, Err("there is no variant 'gathr'")),
            (&[Avx2], Some("prepared"), 3, Variant::probes_unprepared_codes, Err("it needs prepared codes")),
        ];
        for (features, name, m, suits, expected) in table {
            let chosen = choose(VARIANTS, Features::of(features), *name, shape(*m), 1_000_000, *suits);
            match (chosen, expected) {
                (Ok(variant), Ok(expected)) => assert_eq!(variant.name, *expected),
                (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
                (chosen, _) => panic!("{features:?} {name:?}: {chosen:?}, expected {expected:?}"),
            }
        }
    }

    #[test]
    fn a_short_list_has_ranks_of_its_own() {
        static LONG: Variant = variant("long", 20, &[]).ranking_below(1000, 5);
        for (num_vectors, expected) in [(0, "plain"), (999, "plain"), (1000, "long"), (usize::MAX, "long")] {
            let chosen = choose(&[&PLAIN, &LONG], Features::NONE, None, shape(1), num_vectors, |_| true).unwrap();
            assert_eq!(chosen.name, expected, "{num_vectors}");
        }
    }

    #[test]
    fn a_name_that_two_crates_register_is_refused() {
        static TWIN: Variant = variant("plain", 11, &[]);
        let error = choose(&[&PLAIN, &TWIN], Features::NONE, Some("plain"), shape(1), 1, |_| true).unwrap_err();
        assert!(matches!(error, Error::DuplicateVariant { name: "plain", .. }), "{error}");
    }

    #[test]
    fn without_any_variant_there_is_an_error_of_its_own() {
        assert_eq!(choose(&[], Features::NONE, None, shape(1), 1, |_| true).unwrap_err(), Error::NoVariant);
    }

    #[test]
    fn no_two_variants_of_this_crate_share_a_name() {
        for variant in all() {
            find(variant.name).unwrap();
        }
    }
}

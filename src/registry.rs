//! The kernel variants: what there is, what runs here, which one is used.
//!
//! A variant registers itself with [`register!`](crate::register), through the `inventory` crate, so nothing holds a list
//! of them, and a crate that embeds this one can register its own. "It is there" and "it runs here" are two questions, as
//! in simdjson: a variant for another CPU is listed, with the reason why it does not run.

use std::{fmt, sync::OnceLock};

use crate::{
    Codebook, DIM, DistanceTable, Error, NUM_SUB_VECTORS, TopKHeap,
    cpu::{self, Feature, Features},
};

/// The environment variable that names the variant to use.
pub const VARIANT_VARIABLE: &str = "PQBENCH_VARIANT";

/// Whether a variant's answers are the reference's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// A list of codes, prepared the way one variant wants them. Variants implement it; users hold a [`Scanner`].
pub trait Scan: CloneScan + Send + Sync {
    /// Offers every code's distance from `query` that can still be among the nearest to `top`, ids from 0 in the order of
    /// the row-major codes. `query` is finite.
    fn scan(&self, query: &[f32; DIM], top: &mut TopKHeap);

    /// [`scan`](Scan::scan) for several queries, for a variant that can share work between them.
    fn scan_batch(&self, queries: &[[f32; DIM]], tops: &mut [TopKHeap]) {
        for (query, top) in queries.iter().zip(tops) {
            self.scan(query, top);
        }
    }

    /// Bytes that the prepared list holds.
    fn memory_bytes(&self) -> usize;
}

/// What [`Scan`] asks for beyond itself: `Clone`, in a form that a `dyn Scan` can have.
#[diagnostic::on_unimplemented(message = "`{Self}` must be `Clone`, so that a prepared list can be copied")]
pub trait CloneScan {
    /// A copy, in memory of its own.
    fn boxed_clone(&self) -> Box<dyn Scan>;
}

impl<S: Scan + Clone + 'static> CloneScan for S {
    fn boxed_clone(&self) -> Box<dyn Scan> {
        Box::new(self.clone())
    }
}

/// Prepares a [`Scan`] from a codebook and row-major codes `[n][16]`, or declines with [`Error::Declined`].
pub type PrepareFn = fn(&Codebook, &[u8]) -> Result<Box<dyn Scan>, Error>;
/// Scans row-major codes `[n][16]` that nothing prepared. The table holds no NaN.
pub type ProbeFn = fn(&DistanceTable, &[u8], &mut TopKHeap);

/// One way of doing the scan. Made by [`register!`](crate::register) only.
pub struct Variant {
    /// The name, such as `avx2-pshufb`.
    pub name: &'static str,
    /// One line on the idea.
    pub summary: &'static str,
    /// The source file that registers it.
    pub file: &'static str,
    /// The architecture that it is written for, as in `cfg(target_arch)`; none for a portable variant.
    pub arch: Option<&'static str>,
    /// The CPU features without which it must not run.
    pub requires: &'static [Feature],
    /// Whether its answers are the reference's.
    pub fidelity: Fidelity,
    /// The preference in automatic selection, from measurements; the highest that runs is used.
    pub rank: u32,
    /// Another rank for lists of fewer codes than the first number.
    pub rank_below: Option<(usize, u32)>,
    /// Whether it reads less than all of the codes, since it skips some or stores them in fewer bytes, and so may be faster than
    /// reading them all.
    pub reads_less: bool,
    /// Private, so that a kernel can be reached only through `prepare` and `probe`, which check `requires`. None where the
    /// variant is not compiled in.
    prepare: Option<PrepareFn>,
    probe: Option<ProbeFn>,
}

inventory::collect!(Variant);

impl Variant {
    /// For [`register!`](crate::register).
    #[doc(hidden)]
    pub const fn new(
        name: &'static str,
        summary: &'static str,
        file: &'static str,
        fidelity: Fidelity,
        rank: u32,
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
            prepare: None,
            probe: None,
        }
    }

    #[doc(hidden)]
    pub const fn requiring(self, arch: Option<&'static str>, requires: &'static [Feature]) -> Self {
        Variant { arch, requires, ..self }
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
    pub const fn running(self, prepare: PrepareFn, probe: Option<ProbeFn>) -> Self {
        Variant { prepare: Some(prepare), probe, ..self }
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
        if let (None, Some(arch)) = (self.prepare, self.arch) {
            return Some(format!("needs {arch}"));
        }
        let missing: Vec<_> = self.requires.iter().filter(|f| !features.has(**f)).map(|f| f.name()).collect();
        (!missing.is_empty()).then(|| format!("needs {}", missing.join(", ")))
    }

    /// Whether the variant also scans codes that nothing prepared, which is what [`kernels`](crate::kernels) does.
    pub fn probes_unprepared_codes(&self) -> bool {
        self.probe.is_some()
    }

    /// Prepares row-major `codes` `[n][16]` for queries.
    ///
    /// # Errors
    /// The CPU lacks a feature, the codes are no whole number of rows or more than `u32` can count, or the variant declines.
    pub fn prepare(&'static self, codebook: &Codebook, codes: &[u8]) -> Result<Scanner, Error> {
        let prepare = self.checked(self.prepare, "it is not compiled in")?;
        if !codes.len().is_multiple_of(NUM_SUB_VECTORS) {
            return Err(Error::Input(format!(
                "{} bytes of codes are no whole number of rows of {NUM_SUB_VECTORS}",
                codes.len()
            )));
        }
        let num_vectors = codes.len() / NUM_SUB_VECTORS;
        if u32::try_from(num_vectors).is_err() {
            return Err(Error::Input(format!(
                "{num_vectors} codes are more than the ids of one list can count (2^32 - 1)"
            )));
        }
        Ok(Scanner { variant: self, num_vectors, scan: prepare(codebook, codes)? })
    }

    /// The function that scans unprepared codes; what [`kernels`](crate::kernels) calls, for those who choose the variant.
    ///
    /// # Errors
    /// The CPU lacks a feature, or the variant needs prepared codes.
    pub fn probe(&self) -> Result<ProbeFn, Error> {
        self.checked(self.probe, "it needs prepared codes")
    }

    /// `entry`, once it is certain that this CPU has what the kernel behind it executes.
    fn checked<F: Copy>(&self, entry: Option<F>, otherwise: &str) -> Result<F, Error> {
        let features = cpu::features()?;
        let reason = match (self.unavailable(features), entry) {
            (None, Some(entry)) => return Ok(entry),
            (Some(reason), _) => reason,
            (None, None) => otherwise.to_owned(),
        };
        Err(Error::CannotRun { name: self.name, reason, choices: names_that_run(&all(), features) })
    }
}

impl fmt::Debug for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Variant({})", self.name)
    }
}

/// A list of codes ready for queries, from [`Variant::prepare`].
pub struct Scanner {
    variant: &'static Variant,
    num_vectors: usize,
    scan: Box<dyn Scan>,
}

impl fmt::Debug for Scanner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scanner({}, {} codes)", self.variant.name, self.num_vectors)
    }
}

impl Clone for Scanner {
    fn clone(&self) -> Self {
        Scanner { scan: self.scan.boxed_clone(), ..*self }
    }
}

impl Scanner {
    /// The variant that prepared it.
    pub fn variant(&self) -> &'static Variant {
        self.variant
    }

    /// How many codes it scans.
    pub fn num_vectors(&self) -> usize {
        self.num_vectors
    }

    /// Bytes that the prepared list holds.
    pub fn memory_bytes(&self) -> usize {
        self.scan.memory_bytes()
    }

    /// The `k` nearest codes to `query` as `(id, squared L2 distance)`, nearest first, ties by the smaller id; all codes
    /// where there are fewer than `k`.
    ///
    /// # Errors
    /// `query` has not [`DIM`] dimensions, or one that is NaN or infinite.
    pub fn search(&self, query: &[f32], k: usize) -> Result<Vec<(u32, f32)>, Error> {
        let query = checked_query(query)?;
        let mut top = TopKHeap::with_k(k.min(self.num_vectors));
        self.scan.scan(query, &mut top);
        Ok(top.into_sorted())
    }

    /// [`search`](Scanner::search) for several queries, one after the other in `queries` `[b][128]`. Some variants share
    /// work between the queries of a batch.
    ///
    /// # Errors
    /// As for [`search`](Scanner::search); no query is answered then.
    pub fn search_batch(&self, queries: &[f32], k: usize) -> Result<Vec<Vec<(u32, f32)>>, Error> {
        let (rows, rest) = queries.as_chunks::<DIM>();
        if !rest.is_empty() {
            return Err(Error::Input(format!("{} values are no whole number of queries of {DIM}", queries.len())));
        }
        for row in rows {
            checked_query(row)?;
        }
        let mut tops = vec![TopKHeap::with_k(k.min(self.num_vectors)); rows.len()];
        self.scan.scan_batch(rows, &mut tops);
        Ok(tops.into_iter().map(TopKHeap::into_sorted).collect())
    }
}

/// `query` as an array, once it is known to be finite and of the right length.
pub(crate) fn checked_query(query: &[f32]) -> Result<&[f32; DIM], Error> {
    let array: &[f32; DIM] =
        query.try_into().map_err(|_| Error::Input(format!("the query has {} dimensions, not {DIM}", query.len())))?;
    // All of them, for that is SIMD, and an early end is not.
    if array.iter().fold(true, |all, value| all & value.is_finite()) {
        return Ok(array);
    }
    let at = array.iter().position(|value| !value.is_finite()).unwrap_or(0);
    Err(Error::Input(format!("dimension {at} of the query is {}, not a finite number", array[at])))
}

/// Every registered variant, the highest rank first.
pub fn all() -> Vec<&'static Variant> {
    let mut variants: Vec<_> = inventory::iter::<Variant>.into_iter().collect();
    variants.sort_by_key(|variant| (std::cmp::Reverse(variant.rank), variant.name));
    variants
}

/// The variant of that name.
///
/// # Errors
/// There is none, or two crates registered one each.
pub fn find(name: &str) -> Result<&'static Variant, Error> {
    find_in(&all(), name)
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

/// The variant to use here for lists of `num_vectors` codes: the one named `explicit`, else the one that `PQBENCH_VARIANT`
/// names, else the exact one of the highest rank for that length that this CPU can run.
///
/// # Errors
/// The name does not exist or can't run on this CPU, or `PQBENCH_CPU` is not a mask.
pub fn select(explicit: Option<&str>, num_vectors: usize) -> Result<&'static Variant, Error> {
    let environment = environment_choice();
    choose(&all(), cpu::features()?, explicit.or(environment.as_deref()), num_vectors, |_| true)
}

/// The variant that scans unprepared codes: as [`select`], among the variants that can. Chosen once.
///
/// # Errors
/// As for [`select`]; or `PQBENCH_VARIANT` names a variant that needs prepared codes.
pub fn select_for_unprepared_codes() -> Result<&'static Variant, Error> {
    static SELECTED: OnceLock<Result<&'static Variant, Error>> = OnceLock::new();
    SELECTED
        .get_or_init(|| {
            let environment = environment_choice();
            choose(&all(), cpu::features()?, environment.as_deref(), usize::MAX, Variant::probes_unprepared_codes)
        })
        .clone()
}

fn environment_choice() -> Option<String> {
    std::env::var_os(VARIANT_VARIABLE).filter(|name| !name.is_empty()).map(|name| name.to_string_lossy().into_owned())
}

/// Selection as a pure function. A name is taken at its word or refused, never replaced.
fn choose<'a>(
    variants: &[&'a Variant],
    features: Features,
    name: Option<&str>,
    num_vectors: usize,
    suits: fn(&Variant) -> bool,
) -> Result<&'a Variant, Error> {
    let candidates: Vec<_> = variants.iter().copied().filter(|variant| suits(variant)).collect();
    if let Some(name) = name {
        let variant = find_in(variants, name)?;
        let unsuitable = || (!suits(variant)).then(|| "it needs prepared codes".to_owned());
        return match variant.unavailable(features).or_else(unsuitable) {
            None => Ok(variant),
            Some(reason) => {
                Err(Error::CannotRun { name: variant.name, reason, choices: names_that_run(&candidates, features) })
            }
        };
    }
    candidates
        .into_iter()
        .filter(|variant| variant.fidelity == Fidelity::Exact && variant.unavailable(features).is_none())
        .max_by_key(|variant| variant.rank_for(num_vectors))
        .ok_or_else(|| Error::Declined("no exact variant is registered that this CPU can run".to_owned()))
}

/// Registers the variant that a file of `variants/` is.
///
/// ```ignore
/// register! {
///     name: "avx2-pshufb",                  // the file's name, with '-' for '_'
///     summary: "what it does, in one line",
///     arch: "x86_64",                       // left out by portable variants
///     requires: [Avx2, Popcnt],             // of `cpu::Feature`
///     fidelity: Fidelity::Exact,
///     rank: 60,                             // from measurements
///     rank_below: (10_000, 20),             // another rank for shorter lists than that; else left out
///     reads_less: true,                     // if it skips codes or packs them; else left out
///     prepare: kernel::prepare,             // a `PrepareFn`
///     probe: kernel::probe,                 // a `ProbeFn`; left out by variants that need prepared codes
/// }
/// ```
/// With `arch`, the two functions need to exist on that architecture only; elsewhere the variant is listed as not runnable.
#[macro_export]
macro_rules! register {
    (
        name: $name:literal,
        summary: $summary:literal,
        $(arch: $arch:tt,)?
        requires: [$($feature:ident),*],
        fidelity: $fidelity:expr,
        rank: $rank:expr,
        $(rank_below: ($length:expr, $rank_below:expr),)?
        $(reads_less: $less:literal,)?
        prepare: $prepare:path
        $(, probe: $probe:path)? $(,)?
    ) => {
        $crate::register!(@submit all($(target_arch = $arch)?), {
            $crate::registry::Variant::new($name, $summary, file!(), $fidelity, $rank)
                .requiring($crate::register!(@option $($arch)?), &[$($crate::cpu::Feature::$feature),*])
                $(.ranking_below($length, $rank_below))?
                .reading_less(false $(|| $less)?)
                .running($prepare, $crate::register!(@option $($probe)?))
        });
        $crate::register!(@submit not(all($(target_arch = $arch)?)), {
            $crate::registry::Variant::new($name, $summary, file!(), $fidelity, $rank)
                .requiring($crate::register!(@option $($arch)?), &[$($crate::cpu::Feature::$feature),*])
                $(.ranking_below($length, $rank_below))?
                .reading_less(false $(|| $less)?)
        });
    };
    (@submit $condition:meta, $variant:block) => {
        #[cfg($condition)]
        $crate::inventory::submit! { $variant }
    };
    (@option) => { None };
    (@option $value:path) => { Some($value) };
    (@option $value:tt) => { Some($value) };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refuse(_: &Codebook, _: &[u8]) -> Result<Box<dyn Scan>, Error> {
        Err(Error::Declined("a test's variant".into()))
    }
    fn probe(_: &DistanceTable, _: &[u8], _: &mut TopKHeap) {}

    const fn variant(name: &'static str, rank: u32, requires: &'static [Feature]) -> Variant {
        Variant::new(name, "", "", Fidelity::Exact, rank).requiring(None, requires).running(refuse, Some(probe))
    }

    static PLAIN: Variant = variant("plain", 10, &[]);
    static GATHER: Variant = variant("gather", 5, &[Feature::Avx2]);
    static SHUFFLE: Variant = variant("shuffle", 50, &[Feature::Avx2]);
    static PREPARED: Variant =
        Variant::new("prepared", "", "", Fidelity::Exact, 60).requiring(None, &[Feature::Avx2]).running(refuse, None);
    static WIDE: Variant = variant("wide", 40, &[Feature::Avx512f, Feature::Avx512vbmi]);
    static ROUGH: Variant =
        Variant::new("rough", "", "", Fidelity::Approximate("bits"), 99).running(refuse, Some(probe));
    static FOREIGN: Variant = Variant::new("foreign", "", "", Fidelity::Exact, 98).requiring(Some("pdp11"), &[]);
    const VARIANTS: &[&Variant] = &[&PLAIN, &GATHER, &SHUFFLE, &PREPARED, &WIDE, &ROUGH, &FOREIGN];

    #[test]
    fn selection_is_a_table() {
        use Feature::*;
        let anything: fn(&Variant) -> bool = |_| true;
        type Case<'a> = (&'a [Feature], Option<&'a str>, fn(&Variant) -> bool, Result<&'a str, &'a str>);
        let table: &[Case] = &[
            // by rank: what the CPU can run, exact only; the widest does not win by being wide
            (&[], None, anything, Ok("plain")),
            (&[Avx2], None, anything, Ok("prepared")),
            (&[Avx2, Avx512f, Avx512vbmi], None, anything, Ok("prepared")),
            (&[Avx2], None, Variant::probes_unprepared_codes, Ok("shuffle")),
            // by name: at its word
            (&[Avx2], Some("gather"), anything, Ok("gather")),
            (&[], Some("rough"), anything, Ok("rough")),
            // or refused
            (&[], Some("gather"), anything, Err("can't run here: needs avx2; choose one of: plain, rough")),
            (&[Avx2, Avx512f], Some("wide"), anything, Err("needs avx512vbmi")),
            (&[], Some("foreign"), anything, Err("needs pdp11")),
            (&[], Some("gathr"), anything, Err("there is no variant 'gathr'")),
            (&[Avx2], Some("prepared"), Variant::probes_unprepared_codes, Err("it needs prepared codes")),
        ];
        for (features, name, suits, expected) in table {
            let chosen = choose(VARIANTS, Features::of(features), *name, 1_000_000, *suits);
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
            let chosen = choose(&[&PLAIN, &LONG], Features::NONE, None, num_vectors, |_| true).unwrap();
            assert_eq!(chosen.name, expected, "{num_vectors}");
        }
    }

    #[test]
    fn a_name_that_two_crates_register_is_refused() {
        static TWIN: Variant = variant("plain", 11, &[]);
        let error = choose(&[&PLAIN, &TWIN], Features::NONE, Some("plain"), 1, |_| true).unwrap_err();
        assert!(matches!(error, Error::DuplicateVariant { name: "plain", .. }), "{error}");
    }

    #[test]
    fn no_two_variants_of_this_crate_share_a_name() {
        for variant in all() {
            find(variant.name).unwrap();
        }
    }
}

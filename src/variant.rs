//! What a file of `variants/` implements, and how it registers itself.
//!
//! A crate that embeds this one can do the same, with the feature `unstable-kernels`: what is `crate::` in those files
//! is then `pqscan::`.

use crate::{Codebook, Error, Geometry, Query, collector::Collector};

/// A list of codes, prepared the way one variant wants them. Variants implement it; users hold a [`List`](crate::List).
///
/// Places count from 0 in the order of the rows that were prepared. A code of a distance that is up to the collector's
/// threshold must be pushed, others may be.
pub trait Scan: CloneScan + Send + Sync {
    /// Offers every code that can still be among the nearest. `query` is of the list's codebook.
    fn scan(&self, query: &mut Query, out: &mut Collector<'_>);

    /// [`scan`](Scan::scan) for several queries, for a variant that can share work between them.
    fn scan_batch(&self, queries: &mut [Query], outs: &mut [Collector<'_>]) {
        for (query, out) in queries.iter_mut().zip(outs) {
            self.scan(query, out);
        }
    }

    /// Offers the codes at some places.
    fn score(&self, query: &mut Query, places: &[u32], out: &mut Collector<'_>);

    /// Where one code of so many or fewer is allowed, those are scored one by one.
    fn sparse(&self) -> usize {
        32
    }

    /// The codes, row-major, a byte for each sub-quantizer, by the codebook's own numbers.
    fn to_rows(&self) -> Vec<u8>;

    /// Bytes that the prepared list holds.
    fn memory_bytes(&self) -> usize;
}

/// A [`Scan`] that makes itself.
pub trait Prepare: Scan + Sized + 'static {
    /// Prepares row-major `rows` of a byte for each sub-quantizer, on as many threads.
    ///
    /// # Errors
    /// The variant can't run here.
    fn prepare(codebook: &Codebook, rows: &[u8], threads: usize) -> Result<Self, Error>;
}

/// [`Prepare::prepare`], as a [`PrepareFn`].
#[doc(hidden)]
pub fn prepare<S: Prepare>(codebook: &Codebook, rows: &[u8], threads: usize) -> Result<Box<dyn Scan>, Error> {
    Ok(Box::new(S::prepare(codebook, rows, threads)?))
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

/// Prepares row-major rows of a byte for each sub-quantizer, on as many threads.
pub type PrepareFn = fn(&Codebook, &[u8], usize) -> Result<Box<dyn Scan>, Error>;
/// Scans row-major rows of a byte for each sub-quantizer that nothing prepared.
pub type ProbeFn = fn(&mut Query, &[u8], &mut Collector<'_>);
/// Why a shape is not supported, such as `needs 16 sub-quantizers`. None where it is.
pub type UnsupportedFn = fn(Geometry) -> Option<&'static str>;

/// What a kernel says that is asked to run where its level is not.
pub fn cannot_run() -> Error {
    Error::NoVariant
}

/// Registers the variant that a file of `variants/` is.
///
/// ```ignore
/// register! {
///     name: "avx2-pshufb",                  // the file's name, with '-' for '_'
///     summary: "what it does, in one line",
///     level: Avx2,                          // of `simd`; left out by portable variants
///     fidelity: Fidelity::Exact,
///     rank: 60,                             // from measurements
///     rank_below: (10_000, 20),             // another rank for shorter lists than that; else left out
///     reads_less: true,                     // if it skips codes or packs them; else left out
///     unsupported: unsupported,             // an `UnsupportedFn`; left out where every shape is supported
///     list: NibbleCodes,                    // what is generic over the level, and a `Prepare`;
///     prepare: prepare,                     // or else a `PrepareFn`, which may be generic over the level
///     probe: probe,                         // a `ProbeFn`, likewise; left out by variants that need prepared codes
/// }
/// ```
#[cfg_attr(feature = "unstable-kernels", macro_export)]
macro_rules! register {
    (
        name: $name:literal,
        summary: $summary:literal,
        $(level: $level:ident,)?
        fidelity: $fidelity:expr,
        rank: $rank:expr,
        $(rank_below: ($length:expr, $rank_below:expr),)?
        $(reads_less: $less:literal,)?
        $(unsupported: $unsupported:expr,)?
        $(list: $($list:ident)::+,)?
        $(prepare: $prepare:expr,)?
        $(probe: $probe:expr,)?
    ) => {
        $crate::inventory::submit! {
            $crate::registry::Variant::new(
                $name,
                $summary,
                file!(),
                $fidelity,
                $rank,
                $crate::register!(@prepare [$($level)?] [$($($list)::+)?] $($prepare)?),
            )
            $(.at_level($crate::simd::$level::INFO))?
            $(.ranking_below($length, $rank_below))?
            .reading_less(false $(|| $less)?)
            $(.unless($unsupported))?
            $(.probing($probe))?
            .emulated_by($crate::emulated!([$($level)?] [$($($list)::+)?]))
        }
    };
    (@prepare [$level:ident] [$($list:ident)::+]) => { $crate::variant::prepare::<$($list)::+<$crate::simd::$level>> };
    (@prepare [$($level:ident)?] [] $prepare:expr) => { $prepare };
}

/// For [`register!`](crate::register): a list with arrays for vectors. Users need none, and it takes long to build.
#[cfg(feature = "emulated")]
#[doc(hidden)]
#[cfg_attr(feature = "unstable-kernels", macro_export)]
macro_rules! emulated {
    ([$level:ident] [$($list:ident)::+]) => {
        Some($crate::variant::prepare::<
            $($list)::+<$crate::simd::Emulated<{ $crate::simd::lanes::<$crate::simd::$level>() }>>
        >)
    };
    ([$($level:ident)?] []) => { None };
}

/// For [`register!`](crate::register).
#[cfg(not(feature = "emulated"))]
#[doc(hidden)]
#[cfg_attr(feature = "unstable-kernels", macro_export)]
macro_rules! emulated {
    ($($any:tt)*) => {
        None
    };
}

#[cfg(not(feature = "unstable-kernels"))]
pub(crate) use {emulated, register};

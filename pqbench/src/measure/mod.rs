//! Timing that a sceptic believes.
//!
//! 1. The [reference](super::reference) answers every query, once, unless its answers are kept with the data.
//! 2. Every variant prepares the codes (timed apart) and answers every query; the first few give rough figures at once.
//!    A wrong one is out.
//! 3. Rounds: every variant, and the plain reading of the codes, has one turn in each (see `contest`). They go on until
//!    the interval of every ratio is within ± [`Options::precision`], or the time is spent.
//! 4. A ratio is formed within each round, where both sides had the same machine at nearly the same moment; the median
//!    over the rounds is reported, with its bootstrap interval of 95 %. Nothing is dropped; outliers are counted.
//! 5. Variants are ranked by their ratio to the baseline. One whose ratio to the one above it may be 1 shares its rank.
//!    A difference is called only where the interval of 99 % leaves 1 out.
//!
//! [`selftest`] measures how far all this can be trusted.

mod contest;
mod counters;
pub mod roofline;
pub mod selftest;
mod session;
pub mod statistics;
mod summary;
mod workload;

pub use workload::answers;

use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use pqscan::{
    kernels::TOP_K,
    registry::{self, Variant},
};

use super::{
    fixture::Fixture,
    run::{Run, Stopped},
};

/// The variant that ratios refer to.
pub const BASELINE: &str = "scalar";

/// How to measure.
#[derive(Clone, Debug)]
pub struct Options {
    /// Neighbours asked for.
    pub k: usize,
    /// Queries in a call; more than 1 goes through `search_batch`.
    pub batch: usize,
    /// Evict the codes from the caches before each call.
    pub cold: bool,
    /// Seed of the rounds' order, the order of the queries and the bootstrap.
    pub seed: u64,
    /// The smallest difference to tell: the rounds end when every ratio's interval (the one of 99 % that decides) is
    /// within plus or minus this share of the ratio.
    pub precision: f64,
    /// Time for everything: preparation, checks, rounds. A few rounds are run even if there is not enough.
    pub max_seconds: f64,
    /// List sizes to sweep, each the first so many codes; none for the whole list.
    pub sizes: Vec<usize>,
    /// Ask the hardware counters, in a pass of their own.
    pub counters: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            k: TOP_K,
            batch: 1,
            cold: false,
            seed: 1,
            precision: 0.01,
            max_seconds: 60.0,
            sizes: Vec::new(),
            counters: true,
        }
    }
}

/// What the measurement is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The reference answers the queries.
    Reference,
    /// A variant prepares the codes.
    Prepare,
    /// A variant answers every query for the first time.
    Verify,
    /// Rounds that don't count.
    WarmUp,
    /// Rounds that count.
    Rounds,
}

/// How far the measurement is.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    pub phase: Phase,
    /// The variant that it is about, in `Prepare` and `Verify`.
    pub variant: &'a str,
    /// The share of the phase that is done.
    pub done: f64,
    /// Seconds that the phase will still take, as far as can be told.
    pub seconds_left: Option<f64>,
}

impl<'a> Progress<'a> {
    fn new(phase: Phase, variant: &'a str, done: f64) -> Self {
        Progress { phase, variant, done, seconds_left: None }
    }
}

/// Watches a measurement. Called between timed parts only.
pub trait Observer {
    /// Called often.
    fn progress(&mut self, _progress: &Progress<'_>) {}

    /// The standing in the first pass, as far as it has come: rough, and not all checked.
    fn rough(&mut self, _run: &Run) {}

    /// The standing after a round. Left out after some rounds, so that it takes a small share of the time only.
    fn round_done(&mut self, _run: &Run) {}

    /// Whether to stop and to report what there is.
    fn interrupted(&self) -> bool {
        false
    }
}

/// An observer that ignores everything.
impl Observer for () {}

fn interrupted(observer: &dyn Observer) -> Result<()> {
    ensure!(!observer.interrupted(), "interrupted before anything was measured");
    Ok(())
}

/// Measures `variants` and the baseline on `fixture`. Those that can't run here, or not in its shape, are reported as
/// skipped.
///
/// # Errors
/// The options make no sense for the data set, a search fails, or the observer interrupts before the first round.
pub fn measure(
    fixture: &Fixture,
    variants: &[&'static Variant],
    options: &Options,
    observer: &mut dyn Observer,
) -> Result<Run> {
    check(options, fixture)?;
    measure_within(options.max_seconds, fixture, variants, options, observer)
}

/// The same within `seconds`, which is all the time or a data set's share of it.
fn measure_within(
    seconds: f64,
    fixture: &Fixture,
    variants: &[&'static Variant],
    options: &Options,
    observer: &mut dyn Observer,
) -> Result<Run> {
    let variants = with_baseline(variants)?;
    if options.sizes.is_empty() {
        return session::run(fixture, &variants, options, seconds, Vec::new(), observer);
    }
    let mut sizes = options.sizes.clone();
    sizes.sort_unstable();
    sizes.dedup();
    let begin = Instant::now();
    let mut last: Option<Run> = None;
    for (at, &num_base) in sizes.iter().enumerate() {
        let left = seconds - begin.elapsed().as_secs_f64();
        let share = left.max(0.0) / (sizes.len() - at) as f64;
        let before = last.as_ref().map(|run| run.sizes.clone()).unwrap_or_default();
        let list = first_codes(fixture, num_base);
        match (session::run(&list, &variants, options, share, before, observer), &mut last) {
            (Ok(run), _) if run.protocol.stopped == Stopped::Interrupted => return Ok(run),
            (Ok(mut run), before) => {
                // The precision is of all sizes or not reached.
                if before.as_ref().is_some_and(|before| before.protocol.stopped == Stopped::MaxTime) {
                    run.protocol.stopped = Stopped::MaxTime;
                }
                *before = Some(run);
            }
            // The sizes that are done are not lost with the one that was interrupted.
            (Err(_), Some(run)) if observer.interrupted() => {
                run.protocol.stopped = Stopped::Interrupted;
                break;
            }
            (Err(error), _) => return Err(error.context(format!("at {num_base} codes"))),
        }
    }
    last.context("no list size to measure")
}

/// [`measure`]s on several data sets, one after the other. The run is that of the first, with the [others](Run::others)
/// in it.
///
/// # Errors
/// Those of [`measure`], or there is no data set.
pub fn measure_each(
    fixtures: &[Fixture],
    variants: &[&'static Variant],
    options: &Options,
    observer: &mut dyn Observer,
) -> Result<Run> {
    if let [fixture] = fixtures {
        return measure(fixture, variants, options, observer);
    }
    for fixture in fixtures {
        check(options, fixture).with_context(|| format!("on '{}'", fixture.name))?;
    }
    let begin = Instant::now();
    let mut together: Option<Run> = None;
    for (at, fixture) in fixtures.iter().enumerate() {
        let left = options.max_seconds - begin.elapsed().as_secs_f64();
        let seconds = left.max(0.0) / (fixtures.len() - at) as f64;
        let mut further = Further { before: together.as_ref(), observer: &mut *observer };
        let measured = measure_within(seconds, fixture, variants, options, &mut further);
        let stopped = match (measured, &mut together) {
            (Ok(run), None) => together.insert(run).protocol.stopped,
            (Ok(run), Some(first)) => {
                first.others.push(run);
                first.others[at - 1].protocol.stopped
            }
            // The data sets that are done are not lost with the one that was interrupted.
            (Err(_), Some(first)) if observer.interrupted() => {
                first.protocol.stopped = Stopped::Interrupted;
                Stopped::Interrupted
            }
            (Err(error), _) => return Err(error.context(format!("on '{}'", fixture.name))),
        };
        if stopped == Stopped::Interrupted {
            break;
        }
    }
    together.context("no data set to measure on")
}

/// Watches the measurement on one data set after those on others, and tells of all of them.
struct Further<'a> {
    before: Option<&'a Run>,
    observer: &'a mut dyn Observer,
}

impl Further<'_> {
    fn together(&self, run: &Run) -> Run {
        let Some(first) = self.before else { return run.clone() };
        let mut together = first.clone();
        together.others.push(run.clone());
        together
    }
}

impl Observer for Further<'_> {
    fn progress(&mut self, progress: &Progress<'_>) {
        self.observer.progress(progress);
    }

    fn rough(&mut self, run: &Run) {
        self.observer.rough(&self.together(run));
    }

    fn round_done(&mut self, run: &Run) {
        self.observer.round_done(&self.together(run));
    }

    fn interrupted(&self) -> bool {
        self.observer.interrupted()
    }
}

fn check(options: &Options, fixture: &Fixture) -> Result<()> {
    ensure!(options.batch > 0, "a batch of 0 queries can't be measured");
    ensure!(options.precision > 0.0, "the precision is {}; it must be above 0", options.precision);
    ensure!(
        options.max_seconds > 0.0 && options.max_seconds.is_finite(),
        "the time to measure is {} s; it must be above 0",
        options.max_seconds
    );
    ensure!(!options.sizes.contains(&0), "a list of 0 codes can't be measured");
    if let Some(size) = options.sizes.iter().find(|&&size| size > fixture.num_base()) {
        bail!("a list of {size} codes is more than the {} of the data set '{}'", fixture.num_base(), fixture.name);
    }
    Ok(())
}

fn with_baseline(variants: &[&'static Variant]) -> Result<Vec<&'static Variant>, pqscan::Error> {
    let mut all = vec![registry::find(BASELINE)?];
    for variant in variants {
        if all.iter().all(|other| other.name != variant.name) {
            all.push(variant);
        }
    }
    Ok(all)
}

/// The data set cut down to its first codes. What is nearest among them is not known.
fn first_codes(fixture: &Fixture, num_base: usize) -> Fixture {
    if num_base == fixture.num_base() {
        return fixture.clone();
    }
    let codes = fixture.codes[..num_base * fixture.geometry.row_bytes()].to_vec();
    let answers = fixture.answers.as_ref().and_then(|answers| answers.within(num_base, fixture.num_queries()));
    Fixture { codes, truth: None, answers, ..fixture.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fixture::{Source, sift_geometry},
        run::Status,
    };
    use pqscan::{
        Bits, Codebook, Geometry, Metric, Query, collector::Collector, registry::Fidelity, simd::Info, variant::Scan,
    };

    pub(super) fn small_fixture() -> Fixture {
        fixture(sift_geometry(), Metric::L2)
    }

    fn fixture(geometry: Geometry, metric: Metric) -> Fixture {
        let spread = |i: usize, step: usize| (i * step % 251) as u8;
        Fixture {
            name: "small".to_owned(),
            source: Source::Synthetic,
            geometry,
            metric,
            codes: (0..300 * geometry.row_bytes()).map(|i| spread(i, 7919)).collect(),
            centroids: (0..geometry.codebook_len()).map(|i| f32::from(spread(i, 104_729))).collect(),
            queries: (0..5 * geometry.dim()).map(|i| f32::from(spread(i, 31))).collect(),
            truth: None,
            answers: None,
        }
    }

    fn quick() -> Options {
        Options { max_seconds: 0.3, ..Options::default() }
    }

    #[test]
    fn every_variant_is_in_the_run_and_the_fastest_is_first() {
        let run = measure(&small_fixture(), registry::all(), &quick(), &mut ()).unwrap();
        assert_eq!(run.variants.len(), registry::all().len());
        assert!(run.rounds > 0 && run.round_seconds.len() == run.rounds && run.roofline_samples.len() == run.rounds);
        let measured: Vec<_> = run.variants.iter().filter(|variant| variant.status == Status::Ok).collect();
        assert!(measured.iter().any(|variant| variant.name == BASELINE && variant.speedup == Some(1.0)));
        assert_eq!(measured[0].rank, Some(1));
        assert!(measured.is_sorted_by_key(|variant| variant.rank));
        for variant in measured {
            assert_eq!((variant.samples.len(), variant.agreement), (run.rounds, Some(1.0)), "{}", variant.name);
            assert!(variant.ratio_low <= variant.speedup && variant.speedup <= variant.ratio_high);
            assert!(variant.p50_ns <= variant.p99_ns && variant.p99_ns <= variant.max_ns);
        }
    }

    #[test]
    fn any_shape_is_measured_and_variants_that_do_not_support_it_are_skipped_with_the_reason() {
        for (dim, m, bits, metric) in [
            (12, 3, Bits::Four, Metric::Cosine),
            (10, 5, Bits::Eight, Metric::InnerProduct),
            (1, 1, Bits::Four, Metric::L2),
        ] {
            let geometry = Geometry::new(dim, m, bits).unwrap();
            let options = Options { batch: 2, sizes: vec![50, 300], ..quick() };
            let run = measure(&fixture(geometry, metric), registry::all(), &options, &mut ()).unwrap();
            let shape = (run.fixture.dim, run.fixture.num_sub_vectors, run.fixture.bits, run.fixture.metric.as_str());
            assert_eq!(shape, (dim, m, bits.count(), metric.name()));
            for result in &run.variants {
                let variant = registry::find(&result.name).unwrap();
                let unavailable = variant.unavailable(pqscan::cpu::features().unwrap());
                let reason = unavailable.or_else(|| variant.unsupported(geometry).map(str::to_owned));
                let status = if reason.is_some() { Status::Skipped } else { Status::Ok };
                assert_eq!((result.status, &result.reason), (status, &reason), "{} on {geometry}", result.name);
            }
        }
    }

    /// Right the first times that it is asked, then wrong.
    #[derive(Clone)]
    struct Forgetful {
        asked: std::sync::Arc<std::sync::atomic::AtomicUsize>,
        rows: Vec<u8>,
    }

    impl Scan for Forgetful {
        fn scan(&self, query: &mut Query, out: &mut Collector<'_>) {
            let asked = self.asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            for (place, row) in self.rows.chunks_exact(16).enumerate() {
                let entries = row.iter().zip(query.table().chunks_exact(256));
                let distance = entries.fold(0.0, |sum, (&code, entries)| sum + entries[usize::from(code)]);
                out.push(place as u32, if asked < 20 { distance } else { distance + 1.0 });
            }
        }

        fn score(&self, _: &mut Query, _: &[u32], _: &mut Collector<'_>) {
            unreachable!("nothing is filtered")
        }

        fn to_rows(&self) -> Vec<u8> {
            self.rows.clone()
        }

        fn memory_bytes(&self) -> usize {
            self.rows.len()
        }
    }

    fn forgetful(_: &Codebook, rows: &[u8], _: usize) -> Result<Box<dyn Scan>, pqscan::Error> {
        Ok(Box::new(Forgetful { asked: Default::default(), rows: rows.to_vec() }))
    }

    static FORGETFUL: Variant = Variant::new("forgetful", "", "", Fidelity::Exact, 0, forgetful);
    static PARTICULAR: Variant =
        Variant::new("particular", "", "", Fidelity::Exact, 0, forgetful).unless(|_| Some("needs 3 sub-quantizers"));
    static FOREIGN: Variant = Variant::new("foreign", "", "", Fidelity::Exact, 0, forgetful)
        .at_level(Info { arch: Some("pdp11"), requires: &[] });

    #[test]
    fn wrong_under_the_clock_is_wrong_and_what_cannot_run_is_skipped() {
        let run = measure(&small_fixture(), &[&FORGETFUL, &PARTICULAR, &FOREIGN], &quick(), &mut ()).unwrap();
        let of = |name: &str| run.variants.iter().find(|variant| variant.name == name).unwrap();
        assert_eq!(of("scalar").status, Status::Ok);
        assert_eq!((of("forgetful").status, of("forgetful").ns_per_query), (Status::Wrong, None));
        assert!(of("forgetful").reason.as_ref().unwrap().contains("while it was timed"));
        for (name, reason) in [("particular", "needs 3 sub-quantizers"), ("foreign", "needs pdp11")] {
            assert_eq!((of(name).status, of(name).reason.as_deref()), (Status::Skipped, Some(reason)));
        }
    }

    /// What it is told before the first round, and then an interruption if that is wanted.
    #[derive(Default)]
    struct Watch {
        /// How many variants each rough standing has, and on how many data sets.
        rough: Vec<(usize, usize)>,
        interrupts_rough: bool,
        interrupts_rounds: bool,
        interrupted: bool,
    }

    impl Observer for Watch {
        fn rough(&mut self, run: &Run) {
            let part = run.parts().last().unwrap();
            assert!(part.rounds == 0 && part.variants.iter().all(|variant| variant.samples.len() == 1));
            self.rough.push((part.variants.len(), run.parts().count()));
            self.interrupted |= self.interrupts_rough && run.others.len() == 1;
        }

        fn round_done(&mut self, run: &Run) {
            self.interrupted |= self.interrupts_rounds && run.others.len() == 1;
        }

        fn interrupted(&self) -> bool {
            self.interrupted
        }
    }

    #[test]
    fn rough_figures_come_with_the_first_variant() {
        let mut watch = Watch::default();
        let transposed = registry::find("transposed").unwrap();
        measure(&small_fixture(), &[transposed], &quick(), &mut watch).unwrap();
        assert_eq!(watch.rough[..2], [(1, 1), (2, 1)]);
    }

    #[test]
    fn a_run_on_several_data_sets_is_that_on_the_first_with_the_others_in_it() {
        let words = fixture(Geometry::new(12, 3, Bits::Four).unwrap(), Metric::Cosine);
        let both = [small_fixture(), Fixture { name: "words".to_owned(), ..words }];
        let transposed = registry::find("transposed").unwrap();
        let measured = |mut watch: Watch| measure_each(&both, &[transposed], &quick(), &mut watch).unwrap();
        let stopped = |run: &Run| run.parts().map(|part| part.protocol.stopped).collect::<Vec<_>>();
        let run = measured(Watch::default());
        let names: Vec<_> = run.parts().map(|part| part.fixture.name.as_str()).collect();
        assert_eq!((names, stopped(&run)), (vec!["small", "words"], vec![Stopped::MaxTime; 2]));
        assert!(run.parts().all(|part| part.rounds > 0 && part.variants[0].ns_per_query.is_some()));
        let json = serde_json::to_value(&run).unwrap();
        assert!(json["others"][0].get("others").is_none());

        // What is done is kept, and with it what was begun.
        let run = measured(Watch { interrupts_rough: true, ..Watch::default() });
        assert_eq!(stopped(&run), [Stopped::Interrupted]);
        let run = measured(Watch { interrupts_rounds: true, ..Watch::default() });
        assert_eq!(stopped(&run), [Stopped::MaxTime, Stopped::Interrupted]);
        let error = measure_each(&[], &[], &quick(), &mut ()).unwrap_err();
        assert!(error.to_string().contains("no data set"));
    }

    #[test]
    fn batches_and_list_sizes_are_measured() {
        let options = Options { batch: 3, sizes: vec![200, 64], ..quick() };
        let run = measure(&small_fixture(), &[], &options, &mut ()).unwrap();
        assert_eq!(run.sizes.iter().map(|size| size.num_base).collect::<Vec<_>>(), [64, 200]);
        assert_eq!(run.fixture.num_base, 200);
        assert!(run.sizes.iter().all(|size| size.variants[0].ns_per_query > Some(0.0)));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let fixture = small_fixture();
        for (options, word) in [
            (Options { batch: 0, ..quick() }, "batch"),
            (Options { k: 0, ..quick() }, "neighbour"),
            (Options { max_seconds: 0.0, ..quick() }, "time"),
            (Options { max_seconds: f64::NAN, ..quick() }, "time"),
            (Options { precision: 0.0, ..quick() }, "precision"),
            (Options { sizes: vec![64, 301], ..quick() }, "301 codes"),
        ] {
            let error = measure(&fixture, &[], &options, &mut ()).unwrap_err();
            assert!(error.to_string().contains(word), "{error}");
        }
    }

    struct Impatient {
        rounds: usize,
        patience: usize,
    }

    impl Observer for Impatient {
        fn round_done(&mut self, run: &Run) {
            self.rounds = run.rounds;
        }

        fn interrupted(&self) -> bool {
            self.rounds >= self.patience
        }
    }

    #[test]
    fn an_interruption_keeps_what_was_measured() {
        let options = Options { max_seconds: 60.0, precision: 1e-9, ..Options::default() };
        let run = measure(&small_fixture(), &[], &options, &mut Impatient { rounds: 0, patience: 2 }).unwrap();
        assert_eq!(run.protocol.stopped, Stopped::Interrupted);
        assert!(run.rounds >= 2 && run.variants[0].samples.len() == run.rounds);
        let nothing = measure(&small_fixture(), &[], &options, &mut Impatient { rounds: 0, patience: 0 });
        assert!(nothing.unwrap_err().to_string().contains("interrupted"));
    }
}

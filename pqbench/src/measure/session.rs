//! One measurement of one list, from the reference's answers to the last round.

use std::time::{Duration, Instant};

use anyhow::Result;
use pqscan::{Error, cpu, registry::Variant};
use rand::{SeedableRng, rngs::ChaCha8Rng};

use super::{
    Observer, Options, Phase, Progress,
    contest::{Contest, Contestant},
    counters, interrupted,
    roofline::Reader,
    summary::{self, Entry, Setting},
    workload::Workload,
};
use crate::{
    fixture::Fixture,
    machine::{self, Load},
    run::{Machine, Run, SizeResult, Stopped},
};

/// Rounds that are run even if the time is spent, since fewer have no interval worth the name.
pub const LEAST_ROUNDS: usize = 10;
/// And the seconds that they take at least: precision that was reached in a moment is that moment's only.
pub const LEAST_SECONDS: f64 = 2.0;
/// The share of the time that is kept back for the report.
const RESERVE: f64 = 0.02;
/// Nor does the warm-up take more of it than this.
const WARM_UP: f64 = 0.05;
/// The standing is reported when that takes no more than this share of the time.
const REPORTING: f64 = 0.05;
/// No more than this is read to evict the codes, whatever the size of the cache.
const LARGEST_EVICTION: usize = 1 << 30;
/// How long a variant answers queries before the next one has its turn, for figures that are rough but soon there.
const ROUGH: Duration = Duration::from_millis(30);
/// Queries that the hardware counters watch.
const COUNTED_QUERIES: usize = 20;

/// Measures `variants`, the baseline first, on all of `fixture` within `seconds`, which is all the time or a list's
/// share of it. `smaller` are the lists of a sweep that are done.
pub fn run(
    fixture: &Fixture,
    variants: &[&'static Variant],
    options: &Options,
    seconds: f64,
    smaller: Vec<SizeResult>,
    observer: &mut dyn Observer,
) -> Result<Run> {
    let begin = Instant::now();
    let mut setting = Setting {
        machine: Machine::here()?,
        load: Load::now(),
        started: jiff::Timestamp::now(),
        fixture: fixture.info(),
        options: options.clone(),
        evicted_bytes: None,
        counters_note: None,
        smaller,
    };
    let workload = Workload::new(fixture, options.k, observer)?;
    let evict = if options.cold { Some(evicting_reader()?) } else { None };
    setting.evicted_bytes = evict.as_ref().map(Reader::bytes);
    let mut contest = Contest::new(&workload, options.batch, evict, ChaCha8Rng::seed_from_u64(options.seed));
    contest.enter(Contestant::read(Reader::new(&fixture.codes)?));
    contest.first_pass(0, Duration::MAX, |_| Ok(()))?;
    let mut entries = Vec::new();
    for variant in variants {
        let newest = contest.contestants.len();
        entries.push(enter(variant, &workload, &mut contest, observer)?);
        first_pass(&mut contest, newest, &entries, &setting, ROUGH, observer)?;
    }
    first_pass(&mut contest, 0, &entries, &setting, Duration::MAX, observer)?;
    if options.counters {
        setting.counters_note = count(&mut entries, &contest, &workload);
    }
    observer.progress(&Progress::new(Phase::WarmUp, "", 0.0));
    contest.warm_up(Duration::from_secs_f64(seconds * WARM_UP))?;
    let deadline = begin + Duration::from_secs_f64(seconds * (1.0 - RESERVE));
    rounds(contest, &entries, &setting, deadline, observer)
}

/// A reader of twice the last-level cache, or of what memory and patience allow.
fn evicting_reader() -> Result<Reader, Error> {
    let wanted = 2 * machine::last_level_cache().unwrap_or(LARGEST_EVICTION / 2);
    let spare = machine::available_memory().map_or(LARGEST_EVICTION, |bytes| bytes / 4);
    Reader::of_size(wanted.min(spare).min(LARGEST_EVICTION))
}

/// Prepares the codes for one variant, and lets it take part if that is possible.
fn enter(
    variant: &'static Variant,
    workload: &Workload<'_>,
    contest: &mut Contest<'_>,
    observer: &mut dyn Observer,
) -> Result<Entry> {
    let unsupported = || variant.unsupported(workload.fixture.geometry).map(str::to_owned);
    let skipped = variant.unavailable(cpu::features()?).or_else(unsupported);
    let mut entry = Entry { variant, skipped, prepare_seconds: 0.0, counters: None };
    if entry.skipped.is_some() {
        return Ok(entry);
    }
    interrupted(observer)?;
    observer.progress(&Progress::new(Phase::Prepare, variant.name, 0.0));
    // One of its own, or else the variants before it would have made the groups of centroids that it needs.
    let codebook = workload.fixture.codebook()?;
    let start = Instant::now();
    let list = variant.prepare(&codebook, workload.fixture.codes(), 1)?;
    entry.prepare_seconds = start.elapsed().as_secs_f64();
    contest.enter(Contestant::search(list));
    Ok(entry)
}

/// Lets contestants, from number `first` on, go on with their first pass, each for about as long as `limit`.
fn first_pass(
    contest: &mut Contest<'_>,
    first: usize,
    entries: &[Entry],
    setting: &Setting,
    limit: Duration,
    observer: &mut dyn Observer,
) -> Result<()> {
    for at in first..contest.contestants.len() {
        let name = contest.contestants[at].name.clone();
        contest.first_pass(at, limit, |done| {
            observer.progress(&Progress::new(Phase::Verify, &name, done));
            interrupted(observer)
        })?;
        contest.rough_round();
        observer.rough(&summary::run(contest, entries, setting, &[], Stopped::Interrupted).0);
    }
    Ok(())
}

/// Lets the hardware count for every right variant. Returns why it does not.
fn count(entries: &mut [Entry], contest: &Contest<'_>, workload: &Workload<'_>) -> Option<String> {
    let codes = (workload.fixture.num_base() * COUNTED_QUERIES) as f64;
    for entry in entries {
        let contestant = contest.find(entry.variant.name).filter(|contestant| contestant.is_right());
        let Some(list) = contestant.and_then(Contestant::list) else { continue };
        let work = || {
            (0..COUNTED_QUERIES).try_for_each(|query| {
                list.search(workload.query(query), workload.k)?;
                Ok(())
            })
        };
        match counters::count(codes, work) {
            Ok(counters) => entry.counters = Some(counters),
            Err(why) => return Some(why),
        }
    }
    None
}

fn rounds(
    mut contest: Contest<'_>,
    entries: &[Entry],
    setting: &Setting,
    deadline: Instant,
    observer: &mut dyn Observer,
) -> Result<Run> {
    let begin = Instant::now();
    let mut round_seconds = Vec::new();
    let (mut reported, mut reporting) = (begin, Duration::ZERO);
    let mut resolution = f64::INFINITY;
    let stopped = loop {
        contest.round()?;
        let elapsed = begin.elapsed().as_secs_f64();
        round_seconds.push(elapsed);
        if observer.interrupted() {
            break Stopped::Interrupted;
        }
        let enough = round_seconds.len() >= LEAST_ROUNDS;
        let round = elapsed / round_seconds.len() as f64;
        let left = deadline.saturating_duration_since(Instant::now()).as_secs_f64();
        if enough && left < round {
            break Stopped::MaxTime;
        }
        if reporting <= reported.elapsed().mul_f64(REPORTING) {
            let start = Instant::now();
            let (run, coarsest) = summary::run(&contest, entries, setting, &round_seconds, Stopped::Interrupted);
            observer.round_done(&run);
            resolution = coarsest;
            (reported, reporting) = (Instant::now(), start.elapsed());
            if enough && elapsed >= LEAST_SECONDS && resolution <= setting.options.precision {
                break Stopped::Precision;
            }
        }
        // An interval narrows with the square root of the rounds.
        let needed = elapsed * ((resolution / setting.options.precision).powi(2) - 1.0);
        let seconds_left = needed.clamp(0.0, left);
        observer.progress(&Progress {
            phase: Phase::Rounds,
            variant: "",
            done: elapsed / (elapsed + seconds_left),
            seconds_left: Some(seconds_left),
        });
    };
    Ok(summary::run(&contest, entries, setting, &round_seconds, stopped).0)
}

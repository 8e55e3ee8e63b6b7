//! How far the protocol can be trusted on this machine: does it call a difference where there is none, and does it find
//! one that is known?
//!
//! A comparison is what a user would give to one pair: two copies of one variant, each with its own prepared codes,
//! under two names, in rounds as in any measurement. In some the second copy is slowed down: each call spins for a
//! given share of its own time, inside of the timed region.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use pqscan::{kernels::TOP_K, registry::Variant};
use rand::{SeedableRng, rngs::ChaCha8Rng, seq::SliceRandom};
use serde::{Deserialize, Serialize};

use super::{
    Observer, Phase, Progress,
    contest::{Contest, Contestant},
    interrupted,
    session::{LEAST_ROUNDS, LEAST_SECONDS},
    statistics::{Estimate, estimate, median},
    workload::Workload,
};
use crate::{
    fixture::Fixture,
    machine::Load,
    report::units::duration,
    run::{FixtureInfo, Machine, SCHEMA, version},
};

/// The slowdowns that are injected.
const SLOWDOWNS: [f64; 3] = [0.01, 0.02, 0.05];
/// Seconds of warm-up for each comparison, at most.
const WARM_UP: f64 = 0.3;

/// How much to test.
#[derive(Clone, Debug)]
pub struct Options {
    /// Comparisons of equals.
    pub comparisons: usize,
    /// Comparisons with each slowdown.
    pub injected: usize,
    /// Time for everything, shared out evenly; too little makes fewer comparisons. One that is precise ends early, as a
    /// measurement does.
    pub max_seconds: f64,
    /// As in a measurement.
    pub precision: f64,
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options { comparisons: 100, injected: 40, max_seconds: 15.0 * 60.0, precision: 0.01, seed: 1 }
    }
}

impl Options {
    fn wanted(&self) -> usize {
        self.comparisons + SLOWDOWNS.len() * self.injected
    }
}

/// What the self-test found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Selftest {
    pub schema: u32,
    pub version: String,
    /// When it began, RFC 3339, UTC.
    pub started: String,
    pub machine: Machine,
    pub fixture: FixtureInfo,
    /// The variant that was compared with itself.
    pub variant: String,
    /// Comparisons of equals, and in how many of them a difference was called.
    pub comparisons: usize,
    pub false_alarms: usize,
    pub false_alarm_rate: f64,
    /// How often each slowdown was found.
    pub power: Vec<Power>,
    /// Seconds that the rounds of a comparison took, median.
    pub seconds_per_comparison: f64,
    /// Half-width of the ratio's interval of 95 %, median over the comparisons.
    pub half_width: f64,
    pub total_seconds: f64,
    pub warnings: Vec<String>,
}

/// How often a slowdown was found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Power {
    /// Share of the time by which the second copy was slower.
    pub slowdown: f64,
    pub comparisons: usize,
    pub found: usize,
    /// Absent where there were no comparisons.
    pub found_rate: Option<f64>,
}

struct Comparison {
    slowdown: f64,
    ratio: Estimate,
    seconds: f64,
}

/// Compares `variant` with itself on `fixture`. An interrupted test reports the comparisons that it made.
///
/// # Errors
/// The variant can't run here or is wrong, or the observer interrupts before the first comparison is done.
pub fn selftest(
    fixture: &Fixture,
    variant: &'static Variant,
    options: &Options,
    observer: &mut dyn Observer,
) -> Result<Selftest> {
    ensure!(options.comparisons > 0, "a self-test needs at least one comparison");
    ensure!(options.max_seconds > 0.0, "the time to test is {} s; it must be above 0", options.max_seconds);
    let (begin, started, load) = (Instant::now(), jiff::Timestamp::now(), Load::now());
    let machine = Machine::here()?;
    let workload = Workload::new(fixture, TOP_K, observer)?;
    let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
    let planned = plan(options, &mut rng);
    let original = entered(&workload, variant, &mut rng)?;
    let mut done = Vec::new();
    for (at, &slowdown) in planned.iter().enumerate() {
        let left = options.max_seconds - begin.elapsed().as_secs_f64();
        observer.progress(&Progress {
            phase: Phase::Rounds,
            variant: variant.name,
            done: at as f64 / planned.len() as f64,
            seconds_left: (at > 0).then(|| begin.elapsed().as_secs_f64() / at as f64 * (planned.len() - at) as f64),
        });
        if observer.interrupted() || (left <= 0.0 && at > 0) {
            break;
        }
        // What quiet minutes did not need, noisy ones may take.
        let seconds = left.max(0.0) / (planned.len() - at) as f64;
        done.push(compare(&workload, &original, slowdown, options.precision, seconds, &mut rng)?);
    }
    if done.is_empty() {
        interrupted(observer)?;
    }
    let mut warnings = Load::now().warnings(&load, machine.cores);
    if done.len() < options.wanted() {
        warnings.push(format!(
            "the time was enough for only {} of {} comparisons, and few say little: all of them take at least {}",
            done.len(),
            options.wanted(),
            duration(options.wanted() as f64 * LEAST_SECONDS)
        ));
    }
    let equals: Vec<_> = done.iter().filter(|comparison| comparison.slowdown == 0.0).collect();
    let false_alarms = equals.iter().filter(|comparison| comparison.ratio.differs_from_one()).count();
    Ok(Selftest {
        schema: SCHEMA,
        version: version(),
        started: started.to_string(),
        warnings,
        machine,
        fixture: fixture.info(),
        variant: variant.name.to_owned(),
        comparisons: equals.len(),
        false_alarms,
        false_alarm_rate: false_alarms as f64 / equals.len() as f64,
        power: SLOWDOWNS.iter().map(|&slowdown| power(&done, slowdown)).collect(),
        seconds_per_comparison: median(&done.iter().map(|comparison| comparison.seconds).collect::<Vec<_>>()),
        half_width: median(&done.iter().map(|c| (c.ratio.high - c.ratio.low) / 2.0).collect::<Vec<_>>()),
        total_seconds: begin.elapsed().as_secs_f64(),
    })
}

/// The slowdown of each comparison, 0 for equals: as many as there is time for, in proportion, but one of each.
fn plan(options: &Options, rng: &mut ChaCha8Rng) -> Vec<f64> {
    let share = (options.max_seconds / (options.wanted() as f64 * LEAST_SECONDS)).min(1.0);
    let affordable = |count: usize| if count == 0 { 0 } else { ((count as f64 * share) as usize).max(1) };
    let mut planned = vec![0.0; affordable(options.comparisons)];
    planned.extend(SLOWDOWNS.iter().flat_map(|&slowdown| vec![slowdown; affordable(options.injected)]));
    // In random order, so that no slowdown has the quiet hours to itself; but equals first, whatever the time.
    planned[1..].shuffle(rng);
    planned
}

fn power(done: &[Comparison], slowdown: f64) -> Power {
    let injected: Vec<_> = done.iter().filter(|comparison| comparison.slowdown == slowdown).collect();
    // Called faster is not found.
    let found = injected.iter().filter(|c| c.ratio.differs_from_one() && c.ratio.value > 1.0).count();
    let found_rate = (!injected.is_empty()).then(|| found as f64 / injected.len() as f64);
    Power { slowdown, comparisons: injected.len(), found, found_rate }
}

/// The variant with its codes prepared and its answers checked.
fn entered<'a>(workload: &'a Workload<'a>, variant: &'static Variant, rng: &mut ChaCha8Rng) -> Result<Contestant> {
    let mut contest = Contest::new(workload, 1, None, ChaCha8Rng::from_rng(rng));
    let list = variant.prepare(&workload.codebook, workload.fixture.codes(), 1)?;
    contest.enter(Contestant::search(list));
    contest.first_pass(0, Duration::MAX, |_| Ok(()))?;
    Ok(contest.contestants.remove(0))
}

/// One comparison of two copies of `original` within `seconds`. The ratio is the second copy's time over the first
/// one's.
fn compare(
    workload: &Workload<'_>,
    original: &Contestant,
    slowdown: f64,
    precision: f64,
    seconds: f64,
    rng: &mut ChaCha8Rng,
) -> Result<Comparison> {
    let begin = Instant::now();
    let mut contest = Contest::new(workload, 1, None, ChaCha8Rng::from_rng(rng));
    contest.contestants = vec![original.clone(), original.clone().slowed_down(slowdown)];
    contest.warm_up(Duration::from_secs_f64(WARM_UP.min(seconds / 10.0).max(0.0)))?;
    let rounds = Instant::now();
    let ratio = loop {
        contest.round()?;
        if let Some(fault) = contest.contestants.iter().find_map(|contestant| contestant.fault.as_ref()) {
            bail!("'{}' gives wrong answers: {fault}", original.name);
        }
        let [first, second] = [0, 1].map(|at| &contest.contestants[at].samples);
        if first.len() < LEAST_ROUNDS {
            continue;
        }
        let ratios: Vec<_> = second.iter().zip(first).map(|(second, first)| second / first).collect();
        let ratio = estimate(&ratios, rng);
        let precise = ratio.resolution() <= precision && rounds.elapsed().as_secs_f64() >= LEAST_SECONDS;
        if precise || begin.elapsed().as_secs_f64() >= seconds {
            break ratio;
        }
    };
    Ok(Comparison { slowdown, ratio, seconds: rounds.elapsed().as_secs_f64() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_little_time_makes_fewer_comparisons_and_says_so() {
        let fixture = crate::measure::tests::small_fixture();
        let variant = pqscan::registry::find("scalar").unwrap();
        let options = Options { comparisons: 2, injected: 1, max_seconds: 0.01, ..Options::default() };
        let found = selftest(&fixture, variant, &options, &mut ()).unwrap();
        assert_eq!((found.comparisons, found.false_alarm_rate), (1, found.false_alarms as f64));
        assert_eq!(found.power.iter().map(|power| power.slowdown).collect::<Vec<_>>(), SLOWDOWNS);
        assert!(found.power.iter().all(|power| power.found_rate.is_some() == (power.comparisons == 1)));
        assert!(found.warnings.iter().any(|warning| warning.contains("of 5 comparisons")));
    }

    #[test]
    fn the_default_plan_is_whole_and_a_short_one_keeps_the_proportions() {
        let count = |max_seconds| {
            let options = Options { max_seconds, ..Options::default() };
            let planned = plan(&options, &mut ChaCha8Rng::seed_from_u64(1));
            [0.0, 0.01, 0.02, 0.05].map(|slowdown| planned.iter().filter(|&&other| other == slowdown).count())
        };
        assert_eq!(count(Options::default().max_seconds), [100, 40, 40, 40]);
        assert_eq!(count(120.0), [27, 10, 10, 10]);
        assert_eq!(count(0.2), [1, 1, 1, 1]);
    }
}

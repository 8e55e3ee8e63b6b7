//! How far the loop can be trusted on this machine: trials of equals, and of changes that are known.
//!
//! A trial here is one as any other, by the same duel and the same decision, but of a build against itself, short, and
//! with the time of one side made longer by a known share. What matters is how often equals are kept, and how often a
//! gain is found; both when the machine has nothing else to do and under a load of two busy threads.

use std::{
    env, fs,
    hint::black_box,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng, seq::SliceRandom};
use serde::{Deserialize, Serialize};

use super::{
    decide::{BAND, Calibration, Findings, Target, Verdict, decide, needs_second_seed},
    duel::{Duel, Effort, duel},
    examine::Subject,
    target::{Workload, find},
};
use crate::{
    file::Place,
    measure::statistics::{Estimate, quantile},
    run::{Machine, version},
    worker::Limits,
};

/// Trials of equals that a calibration has at least.
pub const LEAST_EQUALS: usize = 30;
/// The changes that are injected, as shares of the time: what is slower is above 0.
const CHANGES: [f64; 6] = [0.01, 0.02, 0.05, -0.01, -0.02, -0.05];
/// Trials of equals, and of each change, quiet and under load each.
const EQUALS: usize = 300;
const EACH: usize = 100;
/// Busy threads that make a load.
const LOAD: usize = 2;

/// What was found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Calibrated {
    /// Version of the program, and its commit.
    pub version: String,
    /// RFC 3339, UTC.
    pub measured: String,
    pub machine: Machine,
    /// The variant that was compared with itself, and on what.
    pub variant: String,
    pub target: String,
    /// The share by which the ratio of equals was off in 99 of 100 quiet trials.
    pub band: f64,
    /// One row for each change, quiet and under load.
    pub rows: Vec<Row>,
    pub total_seconds: f64,
}

/// The verdicts on one change.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Row {
    /// Busy threads beside the trial.
    pub load: usize,
    /// The share of the time by which the candidate was slower; below 0 it was faster.
    pub change: f64,
    pub trials: usize,
    pub keep: usize,
    pub discard: usize,
    pub inconclusive: usize,
    /// Share that was kept: for equals and what is slower the false keeps.
    pub keep_rate: f64,
    /// The upper end of the 95 % interval of that share.
    pub keep_rate_high: f64,
    /// Seconds of a trial, median.
    pub seconds: f64,
}

/// How much to test.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Seconds for everything: fewer make fewer trials.
    pub max_seconds: f64,
    pub seed: u64,
}

/// How long a trial may take here, in seconds of each duel.
const DUEL_SECONDS: f64 = 1.2;

/// A change, the verdict on it, the first ratio, and the seconds that it took.
type Trial = (f64, Verdict, Option<Estimate>, f64);

/// Tries the loop on `subject` against itself. `progress` is told the share that is done, and may end it.
///
/// # Errors
/// The variant is wrong or can't run, there is too little time, or `progress` ends it.
pub fn calibrate(
    subject: &Subject,
    options: &Options,
    progress: &mut dyn FnMut(f64) -> Result<()>,
) -> Result<Calibrated> {
    let (begin, measured) = (Instant::now(), Timestamp::now());
    let workload = find("1k")?.open()?;
    let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
    let mut rows = Vec::new();
    let mut off = Vec::new();
    for load in [0, LOAD] {
        let share = 0.5 * options.max_seconds;
        let deadline = share * if load == 0 { 1.0 } else { 2.0 };
        let stop = AtomicBool::new(false);
        let found: Vec<Trial> = thread::scope(|scope| {
            for _ in 0..load {
                scope.spawn(|| busy(&stop));
            }
            let found = trials(subject, &workload, deadline, begin, &mut rng, &mut |part| {
                progress((part + f64::from(u8::from(load > 0))) / 2.0)
            });
            stop.store(true, Ordering::Relaxed);
            found
        })?;
        if load == 0 {
            off = found
                .iter()
                .filter(|trial| trial.0 == 0.0)
                .filter_map(|trial| trial.2)
                .map(|r| (r.value - 1.0).abs())
                .collect();
            ensure!(
                off.len() >= LEAST_EQUALS,
                "the time was enough for {} trials of equals; a calibration has {LEAST_EQUALS} or more: give it more time",
                off.len()
            );
        }
        rows.extend([0.0].into_iter().chain(CHANGES).map(|change| row(load, change, &found)));
    }
    Ok(Calibrated {
        version: version(),
        measured: measured.to_string(),
        machine: Machine::here()?,
        variant: subject.variant.clone(),
        target: workload.target.name.to_owned(),
        band: quantile(&off, 0.99),
        rows,
        total_seconds: begin.elapsed().as_secs_f64(),
    })
}

/// Trials until the deadline: the equals that there must be, then all others in random order.
fn trials(
    subject: &Subject,
    workload: &Workload,
    deadline: f64,
    begin: Instant,
    rng: &mut ChaCha8Rng,
    progress: &mut dyn FnMut(f64) -> Result<()>,
) -> Result<Vec<Trial>> {
    let mut planned = vec![0.0; EQUALS];
    planned.extend(CHANGES.iter().flat_map(|&change| vec![change; EACH]));
    planned[LEAST_EQUALS..].shuffle(rng);
    let start = begin.elapsed().as_secs_f64();
    let mut found = Vec::new();
    for change in &planned {
        let now = begin.elapsed().as_secs_f64();
        let by_time = (now - start) / (deadline - start).max(1e-9);
        progress(by_time.max(found.len() as f64 / planned.len() as f64).min(1.0))?;
        if now >= deadline {
            break;
        }
        let (verdict, ratio) = trial(subject, workload, *change, rng)?;
        found.push((*change, verdict, ratio, begin.elapsed().as_secs_f64() - now));
    }
    Ok(found)
}

/// One trial of a build against itself.
fn trial(
    subject: &Subject,
    workload: &Workload,
    change: f64,
    rng: &mut ChaCha8Rng,
) -> Result<(Verdict, Option<Estimate>)> {
    // A build can't be made faster; the other one is made slower.
    let slowed = if change >= 0.0 { [0.0, change] } else { [1.0 / (1.0 + change) - 1.0, 0.0] };
    let effort = Effort { seconds: DUEL_SECONDS, precision: 0.004, limit: 1.0 - BAND, preparations: 1, slowed };
    let mut findings = Findings {
        target: Target { name: workload.target.name.to_owned(), ratios: Vec::new() },
        calibration: Calibration::Fresh { measured: String::new(), band: BAND },
        ..Findings::default()
    };
    loop {
        let duel = duel(workload, subject, subject, rng.random(), &effort, &Limits::default())?;
        match duel {
            Duel::Measured(outcome) => findings.target.ratios.push(outcome.ratio),
            Duel::Ended(end) => findings.end = Some(end),
        }
        if findings.end.is_some() || !needs_second_seed(&findings) {
            break;
        }
    }
    Ok((decide(&findings).verdict, findings.target.ratios.first().copied()))
}

fn row(load: usize, change: f64, found: &[Trial]) -> Row {
    let of: Vec<_> = found.iter().filter(|trial| trial.0 == change).collect();
    let count = |verdict| of.iter().filter(|trial| trial.1 == verdict).count();
    let (trials, keep) = (of.len(), count(Verdict::Keep));
    Row {
        load,
        change,
        trials,
        keep,
        discard: count(Verdict::Discard),
        inconclusive: count(Verdict::Inconclusive),
        keep_rate: if trials == 0 { 0.0 } else { keep as f64 / trials as f64 },
        keep_rate_high: upper_end(keep, trials),
        seconds: if trials == 0 { 0.0 } else { quantile(&of.iter().map(|trial| trial.3).collect::<Vec<_>>(), 0.5) },
    }
}

/// The upper end of the 95 % interval of a share, by Clopper and Pearson: the share with which so few would be found
/// only once in forty times.
fn upper_end(found: usize, trials: usize) -> f64 {
    if found >= trials {
        return 1.0;
    }
    let below = |share: f64| {
        let mut term = (1.0 - share).powi(trials as i32);
        let mut sum = term;
        for i in 0..found {
            term *= (trials - i) as f64 / (i + 1) as f64 * share / (1.0 - share);
            sum += term;
        }
        sum
    };
    let (mut low, mut high) = (found as f64 / trials as f64, 1.0);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if below(middle) > 0.025 { low = middle } else { high = middle }
    }
    high
}

fn busy(stop: &AtomicBool) {
    let mut value = 1u64;
    while !stop.load(Ordering::Relaxed) {
        (0..1000).for_each(|_| value = black_box(value.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1)));
    }
}

/// Where this machine's calibration is kept.
///
/// # Errors
/// There is no home directory.
pub fn place() -> Result<PathBuf> {
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || env::home_dir().filter(|home| !home.as_os_str().is_empty()).map(|home| home.join(".cache"));
    let folder = cache.or_else(home).context("there is no home directory to keep a calibration in; set HOME")?;
    Ok(folder.join("pqbench").join("calibration.json"))
}

/// Keeps it for trials on this machine.
///
/// # Errors
/// The file can't be written.
pub fn keep(calibrated: &Calibrated) -> Result<PathBuf> {
    let place = place()?;
    let folder = place.parent().context("a file is in a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Place::open(&place)?.write(serde_json::to_string_pretty(calibrated)?.as_bytes())?;
    Ok(place)
}

/// What is known of this machine now.
///
/// # Errors
/// There is a calibration that can't be read.
pub fn known() -> Result<Calibration> {
    let place = place()?;
    let text = match fs::read_to_string(&place) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Calibration::Missing),
        text => text.with_context(|| format!("cannot read {}", place.display()))?,
    };
    let wrong = || format!("{} is no calibration; remove it and run `pqbench selftest --loop`", place.display());
    let calibrated: Calibrated = serde_json::from_str(&text).with_context(wrong)?;
    let measured = calibrated.measured.parse().with_context(wrong)?;
    Ok(Calibration::judge(measured, &calibrated.machine, calibrated.band, &Machine::here()?, Timestamp::now()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_has_the_interval_of_the_tables() {
        // By R's binom.test.
        for (found, trials, expected) in [(0, 300, 0.012221), (1, 300, 0.018438), (3, 300, 0.028944), (10, 10, 1.0)] {
            assert!(
                (upper_end(found, trials) - expected).abs() < 1e-4,
                "{found} of {trials}: {}",
                upper_end(found, trials)
            );
        }
    }
}

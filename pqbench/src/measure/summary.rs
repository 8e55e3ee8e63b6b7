//! From samples to a [`Run`]: ratios, ranks, warnings.

use pqscan::{List, registry::Variant};
use rand::{SeedableRng, rngs::ChaCha8Rng};

use super::{
    BASELINE, Options,
    contest::{Contest, Contestant},
    statistics::{Estimate, estimate, median, outliers, quantile, robust_spread},
};
use crate::{
    machine::Load,
    run::{Counters, FixtureInfo, Machine, Protocol, Run, SCHEMA, SizeResult, Status, Stopped, VariantResult},
};

/// A baseline whose rounds spread more than this is one of a noisy machine.
const NOISY_SPREAD: f64 = 0.03;
/// A share of the roofline above 1 by more than this is no noise.
const ROOFLINE_TOLERANCE: f64 = 0.02;

/// What is known of a variant besides its times.
pub struct Entry {
    pub variant: &'static Variant,
    /// Why it takes no part.
    pub skipped: Option<String>,
    pub prepare_seconds: f64,
    pub counters: Option<Counters>,
}

/// What is known of the run before its rounds.
pub struct Setting {
    pub machine: Machine,
    pub load: Load,
    pub started: jiff::Timestamp,
    pub fixture: FixtureInfo,
    pub options: Options,
    pub evicted_bytes: Option<usize>,
    pub counters_note: Option<String>,
    /// The lists of a sweep that are done.
    pub smaller: Vec<SizeResult>,
}

/// What the contest found so far, and the coarsest [resolution](Estimate::resolution) of a ratio in it.
pub fn run(
    contest: &Contest<'_>,
    entries: &[Entry],
    setting: &Setting,
    round_seconds: &[f64],
    stopped: Stopped,
) -> (Run, f64) {
    let mut rng = ChaCha8Rng::seed_from_u64(setting.options.seed);
    let roofline = &contest.contestants[0].samples;
    let baseline = contest.find(BASELINE).filter(|contestant| contestant.is_right());
    let mut warnings = Load::now().warnings(&setting.load, setting.machine.cores);
    warnings.extend(baseline.and_then(noise_warning));
    let (mut variants, mut coarsest) = (Vec::new(), 0.0f64);
    for entry in entries {
        let mut result = untimed(entry, contest);
        if let Some(contestant) = contest.find(&result.name).filter(|_| result.status == Status::Ok) {
            add_times(&mut result, contestant, setting.fixture.num_base);
            if let Some(baseline) = baseline {
                let ratio = ratio(&baseline.samples, &contestant.samples, &mut rng);
                add_ratio(&mut result, &ratio);
                coarsest = coarsest.max(ratio.resolution());
            }
            let share = ratio(roofline, &contestant.samples, &mut rng);
            result.roofline_share = Some(share.value);
            if share.low > 1.0 + ROOFLINE_TOLERANCE && !entry.variant.reads_less {
                warnings.push(format!(
                    "{} takes less time than reading all the codes and does not declare that it reads less: a fault of the \
                     bench, or of the variant",
                    result.name
                ));
            }
        }
        variants.push(result);
    }
    rank(&mut variants, &mut rng);
    let mut sizes = setting.smaller.clone();
    let mut run = Run {
        schema: SCHEMA,
        version: crate::run::version(),
        started: setting.started.to_string(),
        machine: setting.machine.clone(),
        fixture: setting.fixture.clone(),
        protocol: protocol(setting, round_seconds, stopped),
        baseline: BASELINE.to_owned(),
        roofline_ns: median(roofline),
        roofline_samples: roofline.clone(),
        rounds: round_seconds.len(),
        round_seconds: round_seconds.to_vec(),
        warnings,
        variants,
        counters_note: setting.counters_note.clone(),
        sizes: Vec::new(),
        others: Vec::new(),
    };
    if !setting.options.sizes.is_empty() {
        sizes.push(SizeResult {
            num_base: run.fixture.num_base,
            roofline_ns: run.roofline_ns,
            rounds: run.rounds,
            variants: run.variants.clone(),
        });
        run.sizes = sizes;
    }
    (run, coarsest)
}

fn protocol(setting: &Setting, round_seconds: &[f64], stopped: Stopped) -> Protocol {
    let options = &setting.options;
    Protocol {
        k: options.k,
        batch: options.batch,
        cold: options.cold,
        evicted_bytes: setting.evicted_bytes,
        seed: options.seed,
        precision: options.precision,
        max_seconds: options.max_seconds,
        measured_seconds: round_seconds.last().copied().unwrap_or(0.0),
        stopped,
    }
}

fn noise_warning(baseline: &Contestant) -> Option<String> {
    let spread = robust_spread(&baseline.samples);
    (spread > NOISY_SPREAD).then(|| {
        format!(
            "the baseline's rounds spread by {:.0} %: the machine is noisy; end what else runs, or give it more time",
            100.0 * spread
        )
    })
}

/// `above / below`, formed within each round.
fn ratio(above: &[f64], below: &[f64], rng: &mut ChaCha8Rng) -> Estimate {
    estimate(&above.iter().zip(below).map(|(above, below)| above / below).collect::<Vec<_>>(), rng)
}

fn untimed(entry: &Entry, contest: &Contest<'_>) -> VariantResult {
    let contestant = contest.find(entry.variant.name);
    let fault = contestant.and_then(|contestant| contestant.fault.clone());
    let status = match (&entry.skipped, &fault) {
        (Some(_), _) => Status::Skipped,
        (None, Some(_)) => Status::Wrong,
        (None, None) => Status::Ok,
    };
    let answers = contestant.map(|contestant| &contestant.answers);
    VariantResult {
        name: entry.variant.name.to_owned(),
        status,
        reason: entry.skipped.clone().or(fault),
        fidelity: entry.variant.fidelity.to_string(),
        rank: None,
        ns_per_query: None,
        speedup: None,
        ratio_low: None,
        ratio_high: None,
        codes_per_second: None,
        roofline_share: None,
        recall_at_10: answers.and_then(|answers| contest.workload().recall(answers)),
        agreement: answers.map(|answers| contest.workload().agreement(answers)),
        prepare_seconds: contestant.map(|_| entry.prepare_seconds),
        memory_bytes: contestant.and_then(Contestant::list).map(List::memory_bytes),
        p50_ns: None,
        p90_ns: None,
        p99_ns: None,
        max_ns: None,
        outliers: None,
        samples: Vec::new(),
        counters: entry.counters,
    }
}

fn add_times(result: &mut VariantResult, contestant: &Contestant, num_base: usize) {
    let ns = median(&contestant.samples);
    let latency = |share| Some(quantile(&contestant.latencies, share));
    result.ns_per_query = Some(ns);
    result.codes_per_second = Some(num_base as f64 / ns * 1e9);
    result.p50_ns = latency(0.5);
    result.p90_ns = latency(0.9);
    result.p99_ns = latency(0.99);
    result.max_ns = latency(1.0);
    result.outliers = Some(outliers(&contestant.samples));
    result.samples = contestant.samples.clone();
}

fn add_ratio(result: &mut VariantResult, ratio: &Estimate) {
    result.speedup = Some(ratio.value);
    result.ratio_low = Some(ratio.low);
    result.ratio_high = Some(ratio.high);
}

/// Sorts the fastest first, the unmeasured ones last, and gives each its place. Those that can't be told apart share
/// one.
fn rank(variants: &mut [VariantResult], rng: &mut ChaCha8Rng) {
    let speed = |variant: &VariantResult| variant.speedup.or(variant.ns_per_query.map(|ns| 1.0 / ns)).unwrap_or(0.0);
    variants.sort_by(|a, b| (a.status as u8).cmp(&(b.status as u8)).then(speed(b).total_cmp(&speed(a))));
    for at in 0..variants.iter().filter(|variant| variant.status == Status::Ok).count() {
        let (above, rest) = variants.split_at_mut(at);
        let tie = |above: &VariantResult| !ratio(&rest[0].samples, &above.samples, rng).differs_from_one();
        let ties = above.last().is_some_and(tie);
        rest[0].rank = if ties { above.last().and_then(|above| above.rank) } else { Some(at + 1) };
    }
}

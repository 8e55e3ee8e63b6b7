//! Saved runs against each other: what became faster or slower, and who wins where.
//!
//! Two runs are made at different times, so the machine may have been faster in one of them. What is compared is
//! therefore each variant's ratio to a yardstick that its own run had in the same rounds. There are two, since a
//! machine can be slower in two ways: the baseline, which computes, and the roofline, which reads memory. A variant
//! does some of both, so the interval spans what both say, and the baseline itself gets no verdict. And a run promises
//! no more than its precision, so a difference counts only if the interval, the one of 99 %, lies beyond that too.

use std::collections::BTreeSet;

use anyhow::{Result, bail, ensure};
use rand::{SeedableRng, rngs::ChaCha8Rng};
use serde::Serialize;

use super::{
    measure::statistics::{estimate_ratio, geomean},
    run::{Run, Status, VariantResult},
};

/// Rounds without which there is no interval.
const LEAST_ROUNDS: usize = 2;

/// What to say of a variant in two runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    Faster,
    Slower,
    NoDifference,
    /// The baseline, which the others are compared by.
    Baseline,
    /// It gave wrong answers in the later run and did not in the first.
    NowWrong,
    /// One of the runs has no figures for it.
    Unknown,
}

/// Some runs against the first.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    pub runs: Vec<String>,
    pub baseline: String,
    /// What differs between the runs besides the variants, and what each of them warned of.
    pub warnings: Vec<String>,
    pub variants: Vec<Compared>,
}

/// One variant in the first run and in a later one.
#[derive(Clone, Debug, Serialize)]
pub struct Compared {
    pub name: String,
    /// The later run.
    pub run: String,
    /// The data set's name.
    pub fixture: String,
    pub verdict: Verdict,
    /// Why the verdict is unknown.
    pub reason: Option<String>,
    pub before_ns_per_query: Option<f64>,
    pub ns_per_query: Option<f64>,
    /// The speed in the later run over that in the first, both as multiples of their baseline's, and an interval that
    /// spans those of 95 % against the baseline and against the roofline.
    pub ratio: Option<f64>,
    pub ratio_low: Option<f64>,
    pub ratio_high: Option<f64>,
}

impl Compared {
    /// Whether the variant takes longer than it did by more than this share, or is wrong.
    pub fn is_regression(&self, share: f64) -> bool {
        match self.verdict {
            Verdict::NowWrong => true,
            Verdict::Slower => self.ratio.is_some_and(|ratio| 1.0 / ratio - 1.0 > share),
            _ => false,
        }
    }
}

/// Compares the first of `runs` with each of the others.
///
/// # Errors
/// There are fewer than two, they measured something else (data, baseline, protocol), or have no variant in common.
pub fn compare(runs: &[(String, Run)]) -> Result<Comparison> {
    let [(first_name, first), later @ ..] = runs else { bail!("there is nothing to compare") };
    ensure!(!later.is_empty(), "there is nothing to compare {first_name} with");
    let mut comparison = Comparison {
        runs: runs.iter().map(|(name, _)| name.clone()).collect(),
        baseline: first.baseline.clone(),
        warnings: Vec::new(),
        variants: Vec::new(),
    };
    for (name, run) in later {
        let pairs = same_data((first_name, first), (name, run), &mut comparison.warnings)?;
        for (first, run) in pairs {
            check_comparable((first_name, first), (name, run))?;
            for before in &first.variants {
                comparison.variants.push(compared(first, before, name, run));
            }
            for new in run.variants.iter().filter(|new| find(first, &new.name).is_none()) {
                let reason = format!("not in {first_name}");
                comparison.variants.push(without_verdict(&new.name, name, run, None, Some(new), reason));
            }
        }
        comparison.warnings.extend(differences((first_name, first), (name, run)));
    }
    for (name, run) in runs {
        for (name, part) in run.named_parts(name) {
            comparison.warnings.extend(part.warnings.iter().map(|warning| format!("{name}: {warning}")));
        }
    }
    Ok(comparison)
}

/// The parts of two runs that are of the same data; what has no counterpart is said.
fn same_data<'a>(
    (name_a, a): (&str, &'a Run),
    (name_b, b): (&str, &'a Run),
    warnings: &mut Vec<String>,
) -> Result<Vec<(&'a Run, &'a Run)>> {
    let like = |part: &Run, run: &'a Run| run.parts().find(|other| other.fixture.checksum == part.fixture.checksum);
    let pairs: Vec<_> = a.parts().filter_map(|part| Some((part, like(part, b)?))).collect();
    ensure!(
        !pairs.is_empty(),
        "{name_a} and {name_b} were measured on different data: {} and {}; times of different data don't compare",
        a.what(),
        b.what()
    );
    for (of, run, other, others) in [(name_a, a, name_b, b), (name_b, b, name_a, a)] {
        let alone = run.parts().filter(|part| like(part, others).is_none());
        warnings.extend(alone.map(|part| format!("{of} was measured on {} too, {other} was not", part.fixture.name)));
    }
    Ok(pairs)
}

fn check_comparable((name_a, a): (&str, &Run), (name_b, b): (&str, &Run)) -> Result<()> {
    for (what, of_a, of_b) in [
        ("baseline", a.baseline.clone(), b.baseline.clone()),
        ("--k", a.protocol.k.to_string(), b.protocol.k.to_string()),
        ("--batch", a.protocol.batch.to_string(), b.protocol.batch.to_string()),
        ("--cold", a.protocol.cold.to_string(), b.protocol.cold.to_string()),
    ] {
        ensure!(of_a == of_b, "{name_a} and {name_b} were measured differently: {what} is {of_a} and {of_b}");
    }
    let common = a.variants.iter().any(|variant| find(b, &variant.name).is_some_and(|_| variant.name != a.baseline));
    ensure!(common, "{name_a} and {name_b} have no variant in common but the baseline");
    Ok(())
}

fn differences((name_a, a): (&str, &Run), (name_b, b): (&str, &Run)) -> Vec<String> {
    let mask = |run: &Run| run.machine.mask.clone().unwrap_or_else(|| "none".to_owned());
    [
        ("CPU", a.machine.cpu.clone(), b.machine.cpu.clone()),
        ("number of cores", a.machine.cores.to_string(), b.machine.cores.to_string()),
        ("system", a.machine.os.clone(), b.machine.os.clone()),
        ("PQBENCH_CPU mask", mask(a), mask(b)),
        ("pqbench version", a.version.clone(), b.version.clone()),
    ]
    .into_iter()
    .filter(|(_, of_a, of_b)| of_a != of_b)
    .map(|(what, of_a, of_b)| format!("the {what} differs: {of_a} in {name_a}, {of_b} in {name_b}"))
    .collect()
}

fn find<'a>(run: &'a Run, name: &str) -> Option<&'a VariantResult> {
    run.variants.iter().find(|variant| variant.name == name)
}

fn without_verdict(
    name: &str,
    run_name: &str,
    run: &Run,
    before: Option<&VariantResult>,
    after: Option<&VariantResult>,
    reason: String,
) -> Compared {
    Compared {
        name: name.to_owned(),
        run: run_name.to_owned(),
        fixture: run.fixture.name.clone(),
        verdict: Verdict::Unknown,
        reason: Some(reason),
        before_ns_per_query: before.and_then(|before| before.ns_per_query),
        ns_per_query: after.and_then(|after| after.ns_per_query),
        ratio: None,
        ratio_low: None,
        ratio_high: None,
    }
}

fn compared(first: &Run, before: &VariantResult, run_name: &str, run: &Run) -> Compared {
    let unknown = |after, reason| without_verdict(&before.name, run_name, run, Some(before), after, reason);
    let Some(after) = find(run, &before.name) else { return unknown(None, format!("not in {run_name}")) };
    if before.name == first.baseline {
        return Compared { verdict: Verdict::Baseline, reason: None, ..unknown(Some(after), String::new()) };
    }
    if after.status == Status::Wrong && before.status != Status::Wrong {
        let why = after.reason.clone().unwrap_or_default();
        return Compared { verdict: Verdict::NowWrong, ..unknown(Some(after), why) };
    }
    let (Some(old), Some(new)) = (ratios(first, before), ratios(run, after)) else {
        let why = |variant: &VariantResult| variant.reason.clone().unwrap_or_else(|| "too few rounds".to_owned());
        let reason = if ratios(first, before).is_none() { why(before) } else { why(after) };
        return unknown(Some(after), reason);
    };
    let mut rng = ChaCha8Rng::seed_from_u64(first.protocol.seed);
    let [by_baseline, by_roofline] = [0, 1].map(|yardstick| estimate_ratio(&new[yardstick], &old[yardstick], &mut rng));
    let (low, high) = span((by_baseline.low, by_baseline.high), (by_roofline.low, by_roofline.high));
    Compared {
        verdict: verdict(
            span(by_baseline.certain, by_roofline.certain),
            first.protocol.precision.max(run.protocol.precision),
        ),
        reason: None,
        ratio: Some(by_baseline.value),
        ratio_low: Some(low),
        ratio_high: Some(high),
        ..unknown(Some(after), String::new())
    }
}

fn span(one: (f64, f64), other: (f64, f64)) -> (f64, f64) {
    (one.0.min(other.0), one.1.max(other.1))
}

/// By the intervals of 99 %, as within a run: a table holds many ratios.
fn verdict((low, high): (f64, f64), precision: f64) -> Verdict {
    if low > 1.0 + precision {
        Verdict::Faster
    } else if high < 1.0 / (1.0 + precision) {
        Verdict::Slower
    } else {
        Verdict::NoDifference
    }
}

/// In each round, the baseline's time and the roofline's over the variant's.
fn ratios(run: &Run, variant: &VariantResult) -> Option<[Vec<f64>; 2]> {
    let yardsticks = [&find(run, &run.baseline)?.samples, &run.roofline_samples];
    let ratio = |yardstick: &Vec<f64>| yardstick.iter().zip(&variant.samples).map(|(of, own)| of / own).collect();
    let ratios: [Vec<f64>; 2] = yardsticks.map(ratio);
    ratios.iter().all(|ratios| ratios.len() >= LEAST_ROUNDS).then_some(ratios)
}

/// Runs of several machines, taken together.
#[derive(Clone, Debug, Serialize)]
pub struct Ranking {
    pub runs: Vec<String>,
    pub warnings: Vec<String>,
    /// On each data set, the highest geometric mean first.
    pub variants: Vec<Ranked>,
}

/// One variant over all the runs.
#[derive(Clone, Debug, Serialize)]
pub struct Ranked {
    pub name: String,
    /// The data set's name.
    pub fixture: String,
    /// Geometric mean of the speed-ups over the baseline, in the runs that have one.
    pub speedup: Option<f64>,
    pub speedup_low: Option<f64>,
    pub speedup_high: Option<f64>,
    /// The runs that have one.
    pub measured: usize,
    /// The CPUs on which it was first, alone or not.
    pub won_on: Vec<String>,
}

/// Ranks the variants of all `runs` together, but those on different data apart.
///
/// # Errors
/// There is none, or their baselines differ.
pub fn rank(runs: &[(String, Run)]) -> Result<Ranking> {
    let [(first_name, first), ..] = runs else { bail!("there are no runs to rank") };
    let mut warnings = Vec::new();
    // The runs on each data set.
    let mut sets: Vec<Vec<&Run>> = Vec::new();
    for (name, run) in runs {
        ensure!(run.baseline == first.baseline, "{first_name} and {name} have different baselines");
        for part in run.parts() {
            match sets.iter_mut().find(|set| set[0].fixture.checksum == part.fixture.checksum) {
                Some(set) => set.push(part),
                None => sets.push(vec![part]),
            }
        }
    }
    if sets.len() > 1 {
        warnings.push("the runs are on different data, and each is ranked apart".to_owned());
    }
    let mut variants = Vec::new();
    for set in &sets {
        let names: BTreeSet<&str> = set.iter().flat_map(|run| &run.variants).map(|v| v.name.as_str()).collect();
        let mut ranked: Vec<Ranked> = names.into_iter().map(|name| ranked(name, set)).collect();
        ranked.sort_by(|a, b| b.speedup.unwrap_or(0.0).total_cmp(&a.speedup.unwrap_or(0.0)));
        if ranked.iter().any(|variant| variant.measured > 0 && variant.measured < set.len()) {
            let data = &set[0].fixture.name;
            warnings
                .push(format!("not every variant ran in every run on {data}: the means are over different machines"));
        }
        variants.extend(ranked);
    }
    Ok(Ranking { runs: runs.iter().map(|(name, _)| name.clone()).collect(), warnings, variants })
}

/// One variant in `runs` on the same data.
fn ranked(name: &str, runs: &[&Run]) -> Ranked {
    let results = || runs.iter().filter_map(|run| Some((run, find(run, name)?)));
    let speedups: Vec<f64> = results().filter_map(|(_, variant)| variant.speedup).collect();
    let won: BTreeSet<&str> =
        results().filter(|(_, variant)| variant.rank == Some(1)).map(|(run, _)| run.machine.cpu.as_str()).collect();
    let some = |value: f64| (!speedups.is_empty()).then_some(value);
    Ranked {
        name: name.to_owned(),
        fixture: runs[0].fixture.name.clone(),
        speedup: some(geomean(&speedups)),
        speedup_low: some(speedups.iter().copied().fold(f64::INFINITY, f64::min)),
        speedup_high: some(speedups.iter().copied().fold(0.0, f64::max)),
        measured: speedups.len(),
        won_on: won.into_iter().map(str::to_owned).collect(),
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;
    use crate::{report::sample, run::FixtureInfo};

    /// A run like the sample with noise of its own, in which the machine is `machine` and each variant but the baseline
    /// `slowdown` times as slow.
    fn run(seed: u64, machine: f64, slowdown: f64) -> Run {
        run_on(seed, [machine, machine], slowdown)
    }

    /// The same on a machine that computes and reads memory more slowly by these factors. The baseline only computes,
    /// the other variants do half of each.
    fn run_on(seed: u64, [computing, reading]: [f64; 2], slowdown: f64) -> Run {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut run = sample::run();
        for variant in run.variants.iter_mut().filter(|variant| variant.status == Status::Ok) {
            let own = if variant.name == "scalar" { computing } else { slowdown * (computing + reading) / 2.0 };
            let ns = variant.ns_per_query.unwrap() * own;
            variant.samples = (0..100).map(|_| ns * (1.0 + 0.02 * rng.random::<f64>())).collect();
        }
        let ns = run.roofline_ns * reading;
        run.roofline_samples = (0..100).map(|_| ns * (1.0 + 0.02 * rng.random::<f64>())).collect();
        run
    }

    fn verdicts(a: Run, b: Run) -> Vec<(String, Verdict)> {
        let comparison = compare(&[("a".to_owned(), a), ("b".to_owned(), b)]).unwrap();
        comparison.variants.into_iter().map(|variant| (variant.name, variant.verdict)).collect()
    }

    #[test]
    fn a_slower_machine_is_no_slower_variant() {
        let machines = [[1.2, 1.2], [1.0, 1.2], [1.2, 1.0], [1.0, 0.8]];
        for seed in 0..20 {
            let later = run_on(100 + seed, machines[seed as usize % machines.len()], 1.0);
            for (name, verdict) in verdicts(run(seed, 1.0, 1.0), later) {
                let expected = match name.as_str() {
                    "scalar" => Verdict::Baseline,
                    "broken" | "neon-tbl" => Verdict::Unknown,
                    _ => Verdict::NoDifference,
                };
                assert_eq!(verdict, expected, "{name}");
            }
        }
    }

    #[test]
    fn a_slower_variant_is_told_and_a_faster_one_too() {
        for (slowdown, expected) in [(1.05, Verdict::Slower), (0.95, Verdict::Faster)] {
            let verdicts = verdicts(run(1, 1.0, 1.0), run(2, 0.9, slowdown));
            assert!(verdicts.contains(&("avx2-pshufb".to_owned(), expected)), "{verdicts:?}");
        }
    }

    #[test]
    fn a_regression_is_beyond_the_share_or_a_wrong_answer() {
        let pair = [("a".to_owned(), run(1, 1.0, 1.0)), ("b".to_owned(), run(2, 1.0, 1.05))];
        let slower = compare(&pair).unwrap().variants.remove(0);
        assert!(slower.is_regression(0.03) && !slower.is_regression(0.1));
        let mut broken = run(2, 1.0, 1.0);
        broken.variants[0].status = Status::Wrong;
        let pair = [("a".to_owned(), run(1, 1.0, 1.0)), ("b".to_owned(), broken)];
        assert!(compare(&pair).unwrap().variants[0].is_regression(0.5));
    }

    #[test]
    fn what_does_not_compare_is_refused_and_what_differs_is_said() {
        let refused = |change: fn(&mut Run)| {
            let mut other = run(2, 1.0, 1.0);
            change(&mut other);
            compare(&[("a".to_owned(), run(1, 1.0, 1.0)), ("b".to_owned(), other)])
                .map(|comparison| comparison.warnings)
        };
        assert!(refused(|run| run.fixture.checksum.push('1')).unwrap_err().to_string().contains("different data"));
        assert!(refused(|run| run.protocol.batch = 2).unwrap_err().to_string().contains("--batch is 1 and 2"));
        let none_in_common = |run: &mut Run| run.variants.iter_mut().for_each(|variant| variant.name.push('2'));
        assert!(refused(none_in_common).unwrap_err().to_string().contains("no variant in common"));
        let warnings = refused(|run| run.machine.cpu = "another".to_owned()).unwrap();
        assert!(warnings[0].contains("the CPU differs"), "{warnings:?}");
    }

    /// `run` on other data.
    fn on_words(run: Run) -> Run {
        let fixture = FixtureInfo { name: "words".to_owned(), checksum: "11".to_owned(), ..run.fixture.clone() };
        Run { fixture, ..run }
    }

    #[test]
    fn runs_on_several_data_sets_are_compared_and_ranked_on_each() {
        let words = |seed| on_words(run(seed, 1.0, 1.0));
        let both = |seed, slowdown| Run { others: vec![on_words(run(seed, 1.0, slowdown))], ..run(seed + 1, 1.0, 1.0) };
        let (first, later) = (("a".to_owned(), both(1, 1.0)), ("b".to_owned(), both(3, 1.1)));
        let comparison = compare(&[first.clone(), later]).unwrap();
        let slower = comparison.variants.iter().filter(|variant| variant.verdict == Verdict::Slower);
        let slower: Vec<_> = slower.map(|variant| (variant.fixture.as_str(), variant.name.as_str())).collect();
        assert!(slower.contains(&("words", "avx2-pshufb")), "{slower:?}");
        assert!(slower.iter().all(|(fixture, _)| *fixture == "words"), "{slower:?}");
        assert_eq!(comparison.variants.len(), 2 * sample::run().variants.len());

        let alone = compare(&[first.clone(), ("c".to_owned(), words(5))]).unwrap();
        assert!(alone.variants.iter().all(|variant| variant.fixture == "words"));
        assert!(alone.warnings.contains(&"a was measured on sift-200k too, c was not".to_owned()), "{alone:?}");

        let ranking = rank(&[first, ("c".to_owned(), words(5))]).unwrap();
        let measured = |fixture: &str| {
            let scalar = |variant: &&Ranked| variant.name == "scalar" && variant.fixture == fixture;
            ranking.variants.iter().find(scalar).unwrap().measured
        };
        assert_eq!((measured("sift-200k"), measured("words")), (1, 2));
        assert!(ranking.warnings[0].contains("different data"));
    }

    #[test]
    fn ranks_are_geometric_means_over_the_machines() {
        let mut other = run(2, 1.0, 1.0);
        other.machine.cpu = "another".to_owned();
        other.variants[0].speedup = other.variants[0].speedup.map(|ratio| ratio / 4.0);
        other.variants[0].rank = Some(3);
        let ranking = rank(&[("a".to_owned(), run(1, 1.0, 1.0)), ("b".to_owned(), other)]).unwrap();
        let find = |name: &str| ranking.variants.iter().find(|variant| variant.name == name).unwrap();
        let fast = find("avx512-vbmi");
        assert!((fast.speedup.unwrap() - 1_032_000.0 / 45_000.0 / 2.0).abs() < 1e-9);
        assert_eq!((fast.measured, fast.won_on.as_slice()), (2, ["A CPU <of> 2026".to_owned()].as_slice()));
        assert_eq!((find("neon-tbl").speedup, find("neon-tbl").measured), (None, 0));
    }
}

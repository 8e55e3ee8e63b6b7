//! Saved runs side by side: what became faster or slower, and which variant wins on which CPU.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use rand::{SeedableRng, rngs::ChaCha8Rng};
use serde::Serialize;

use super::{
    measure::statistics::{Estimate, estimate_ratio, geomean},
    run::{Run, Status, VariantResult},
};

/// Runs compared with the first of them.
///
/// Times of different hours don't compare: a shared machine has slow days. What compares is a variant against a yardstick in
/// the same rounds. There are two, since a machine can be slow in two ways: the baseline, which computes, and the roofline,
/// which reads memory. Every variant does something of both. So its ratio is formed against each, the reported interval
/// spans both, and a difference is called only where both call it, in the same direction.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// What the runs are called, as they were given.
    pub runs: Vec<String>,
    /// What differs between the runs besides the times: CPU, mask, version.
    pub differences: Vec<String>,
    /// The variants that were measured in the first run and in another, in the first run's order.
    pub variants: Vec<VariantComparison>,
}

/// One variant in all runs.
#[derive(Clone, Debug, Serialize)]
pub struct VariantComparison {
    pub name: String,
    /// In each run; absent where it was not measured.
    pub ns_per_query: Vec<Option<f64>>,
    pub speedup: Vec<Option<f64>>,
    /// Of each run after the first.
    pub changes: Vec<Option<Change>>,
}

/// What became of a variant between the first run and a later one.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Change {
    /// The later time over the first one's, each against the baseline: above 1 is slower.
    pub ratio: f64,
    /// Its interval of 95 %, against either yardstick.
    pub ratio_low: f64,
    pub ratio_high: f64,
    pub verdict: Verdict,
}

/// Whether a variant changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    Faster,
    Slower,
    NoDifference,
}

impl Comparison {
    /// Compares each of `runs` (at least two, with what they are called) with the first.
    ///
    /// # Errors
    /// The runs are of different data or were measured in different ways, or have no variant in common.
    pub fn new(runs: &[(String, Run)]) -> Result<Comparison> {
        ensure!(runs.len() >= 2, "a comparison needs at least two runs");
        let (first, others) = (&runs[0], &runs[1..]);
        let mut differences = Vec::new();
        for other in others {
            check_comparable(first, other)?;
            differences.extend(differing(first, other));
        }
        let variants: Vec<_> = first.1.variants.iter().filter_map(|variant| compare_variant(variant, runs)).collect();
        ensure!(!variants.is_empty(), "the runs have no variant in common, besides the baseline, that both measured");
        Ok(Comparison { runs: runs.iter().map(|(name, _)| name.clone()).collect(), differences, variants })
    }

    /// The names of the variants that became slower by more than `share` of their time.
    pub fn regressions(&self, share: f64) -> Vec<&str> {
        let regressed = |change: &Change| change.verdict == Verdict::Slower && change.ratio > 1.0 + share;
        let any = |variant: &&VariantComparison| variant.changes.iter().flatten().any(regressed);
        self.variants.iter().filter(any).map(|variant| variant.name.as_str()).collect()
    }
}

fn check_comparable((a_name, a): &(String, Run), (b_name, b): &(String, Run)) -> Result<()> {
    ensure!(
        a.fixture.checksum == b.fixture.checksum,
        "{a_name} and {b_name} are of different data and can't be compared: '{}' ({} codes, {} queries) and '{}' ({} codes, \
         {} queries)",
        a.fixture.name,
        a.fixture.num_base,
        a.fixture.num_queries,
        b.fixture.name,
        b.fixture.num_base,
        b.fixture.num_queries
    );
    let way = |run: &Run| format!("k {}, batch {}, cold {}", run.protocol.k, run.protocol.batch, run.protocol.cold);
    ensure!(
        way(a) == way(b) && a.baseline == b.baseline,
        "{a_name} and {b_name} were measured in different ways and can't be compared: {} (baseline {}) and {} (baseline {})",
        way(a),
        a.baseline,
        way(b),
        b.baseline
    );
    Ok(())
}

fn differing((a_name, a): &(String, Run), (b_name, b): &(String, Run)) -> Vec<String> {
    let mask = |run: &Run| run.machine.mask.clone().unwrap_or_else(|| "none".to_owned());
    [
        ("CPU", a.machine.cpu.clone(), b.machine.cpu.clone()),
        ("CPU mask", mask(a), mask(b)),
        ("version", a.version.clone(), b.version.clone()),
    ]
    .into_iter()
    .filter(|(_, a, b)| a != b)
    .map(|(what, a, b)| format!("{what}: {a_name} has {a}, {b_name} has {b}"))
    .collect()
}

fn compare_variant(variant: &VariantResult, runs: &[(String, Run)]) -> Option<VariantComparison> {
    let in_runs: Vec<_> = runs.iter().map(|(_, run)| measured(run, &variant.name)).collect();
    let first = in_runs[0].filter(|_| variant.name != runs[0].1.baseline)?;
    let change = |(run, other): (&(String, Run), &Option<&VariantResult>)| change(&runs[0].1, first, &run.1, (*other)?);
    let changes: Vec<_> = runs.iter().zip(&in_runs).skip(1).map(change).collect();
    changes.iter().any(Option::is_some).then(|| VariantComparison {
        name: variant.name.clone(),
        ns_per_query: in_runs.iter().map(|result| result.and_then(|r| r.ns_per_query)).collect(),
        speedup: in_runs.iter().map(|result| result.and_then(|r| r.speedup)).collect(),
        changes,
    })
}

fn measured<'a>(run: &'a Run, name: &str) -> Option<&'a VariantResult> {
    run.variants
        .iter()
        .find(|variant| variant.name == name && variant.status == Status::Ok && !variant.samples.is_empty())
}

fn change(first_run: &Run, first: &VariantResult, later_run: &Run, later: &VariantResult) -> Option<Change> {
    let mut rng = ChaCha8Rng::seed_from_u64(later_run.protocol.seed);
    let mut against = |first_yardstick: &[f64], later_yardstick: &[f64]| {
        estimate_ratio(&over(&later.samples, later_yardstick), &over(&first.samples, first_yardstick), &mut rng)
    };
    let baselines = (measured(first_run, &first_run.baseline)?, measured(later_run, &later_run.baseline)?);
    let by_baseline = against(&baselines.0.samples, &baselines.1.samples);
    let by_roofline = against(&first_run.roofline_samples, &later_run.roofline_samples);
    let all = |holds: fn(&Estimate) -> bool| [by_baseline, by_roofline].iter().all(holds);
    Some(Change {
        ratio: by_baseline.value,
        ratio_low: by_baseline.low.min(by_roofline.low),
        ratio_high: by_baseline.high.max(by_roofline.high),
        verdict: if all(|ratio| ratio.differs_from_one() && ratio.value > 1.0) {
            Verdict::Slower
        } else if all(|ratio| ratio.differs_from_one() && ratio.value < 1.0) {
            Verdict::Faster
        } else {
            Verdict::NoDifference
        },
    })
}

/// Each round's time over the yardstick's.
fn over(samples: &[f64], yardstick: &[f64]) -> Vec<f64> {
    samples.iter().zip(yardstick).map(|(sample, yardstick)| sample / yardstick).collect()
}

/// Variants over several machines.
#[derive(Clone, Debug, Serialize)]
pub struct Ranking {
    /// The CPUs of the runs.
    pub cpus: Vec<String>,
    /// The highest speed-up first.
    pub variants: Vec<RankedVariant>,
}

/// One variant over several machines.
#[derive(Clone, Debug, Serialize)]
pub struct RankedVariant {
    pub name: String,
    /// Geometric mean of its speed-ups over the CPUs that ran it; several runs of one CPU count once.
    pub speedup: f64,
    /// The CPUs that ran it.
    pub ran_on: Vec<String>,
    /// The CPUs with a run in which it had the first place, alone or shared.
    pub won_on: Vec<String>,
}

impl Ranking {
    /// Ranks the variants over `runs`.
    ///
    /// # Errors
    /// No run measured a variant.
    pub fn new(runs: &[Run]) -> Result<Ranking> {
        let mut speedups: BTreeMap<&str, BTreeMap<&str, Vec<f64>>> = BTreeMap::new();
        let mut wins: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for run in runs {
            let cpu = run.machine.cpu.as_str();
            for variant in &run.variants {
                if let Some(speedup) = variant.speedup {
                    speedups.entry(&variant.name).or_default().entry(cpu).or_default().push(speedup);
                }
                let won = wins.entry(&variant.name).or_default();
                if variant.rank == Some(1) && !won.contains(&cpu) {
                    won.push(cpu);
                }
            }
        }
        ensure!(!speedups.is_empty(), "no run measured a variant");
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let mut variants: Vec<_> = speedups
            .iter()
            .map(|(name, by_cpu)| RankedVariant {
                name: (*name).to_owned(),
                speedup: geomean(&by_cpu.values().map(|speedups| geomean(speedups)).collect::<Vec<_>>()),
                ran_on: owned(&by_cpu.keys().copied().collect::<Vec<_>>()),
                won_on: owned(&wins[name]),
            })
            .collect();
        variants.sort_by(|a, b| b.speedup.total_cmp(&a.speedup));
        let mut cpus = owned(&runs.iter().map(|run| run.machine.cpu.as_str()).collect::<Vec<_>>());
        cpus.sort();
        cpus.dedup();
        Ok(Ranking { cpus, variants })
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;
    use crate::bench::measure::tests::small_run;

    /// A run of the baseline and of one variant, the variant's time being `work` of computing and `read` of reading, on a
    /// machine that computes and reads more slowly by these factors, with a percent of noise.
    fn run(seed: u64, [work, read]: [f64; 2], [computing, reading]: [f64; 2]) -> Run {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut samples = |ns: f64| (0..40).map(|_| ns * rng.random_range(0.99..1.01)).collect::<Vec<f64>>();
        let mut run = small_run();
        let mut baseline = run.variants.iter().find(|variant| variant.name == run.baseline).unwrap().clone();
        baseline.samples = samples(1000.0 * computing);
        let variant = VariantResult {
            name: "quick".to_owned(),
            samples: samples(work * computing + read * reading),
            ..baseline.clone()
        };
        run.roofline_samples = samples(100.0 * reading);
        run.variants = vec![variant, baseline];
        run
    }

    fn verdict(runs: [Run; 2]) -> Verdict {
        let [a, b] = runs;
        let comparison = Comparison::new(&[("a".to_owned(), a), ("b".to_owned(), b)]).unwrap();
        assert_eq!(comparison.variants.len(), 1);
        comparison.variants[0].changes[0].unwrap().verdict
    }

    #[test]
    fn a_changed_variant_is_told_from_a_changed_machine() {
        for seed in 0..20 {
            let before = run(seed, [50.0, 100.0], [1.0, 1.0]);
            let after = |variant, machine| [before.clone(), run(seed + 100, variant, machine)];
            assert_eq!(verdict(after([53.0, 104.0], [1.0, 1.0])), Verdict::Slower);
            assert_eq!(verdict(after([48.0, 95.0], [1.0, 1.0])), Verdict::Faster);
            for machine in [[1.0, 1.0], [1.3, 1.3], [1.0, 1.2], [1.1, 1.0], [1.0, 0.8]] {
                assert_eq!(verdict(after([50.0, 100.0], machine)), Verdict::NoDifference, "{machine:?}");
            }
        }
    }

    #[test]
    fn only_regressions_beyond_the_limit_count() {
        let runs =
            [("a".to_owned(), run(1, [50.0, 100.0], [1.0, 1.0])), ("b".to_owned(), run(2, [53.0, 106.0], [1.0, 1.0]))];
        let comparison = Comparison::new(&runs).unwrap();
        assert_eq!(comparison.regressions(0.03), ["quick"]);
        assert_eq!(comparison.regressions(0.10), Vec::<&str>::new());
    }

    #[test]
    fn what_does_not_compare_is_refused_or_named() {
        let first = run(1, [50.0, 100.0], [1.0, 1.0]);
        let with = |change: fn(&mut Run)| {
            let mut other = first.clone();
            change(&mut other);
            Comparison::new(&[("a".to_owned(), first.clone()), ("b".to_owned(), other)])
        };
        let refused = |change| with(change).unwrap_err().to_string();
        assert!(refused(|run| run.fixture.checksum = "other".to_owned()).contains("different data"));
        assert!(refused(|run| run.protocol.batch = 16).contains("batch 16"));
        assert!(refused(|run| run.variants[0].name = "renamed".to_owned()).contains("no variant in common"));
        let named = with(|run| run.machine.cpu = "abacus".to_owned()).unwrap().differences;
        assert!(named.len() == 1 && named[0].contains("b has abacus"), "{named:?}");
    }

    #[test]
    fn a_ranking_counts_every_cpu_once() {
        let with = |cpu: &str, speedup: f64, rank| {
            let mut run = run(1, [50.0, 100.0], [1.0, 1.0]);
            run.machine.cpu = cpu.to_owned();
            run.variants[0].speedup = Some(speedup);
            run.variants[0].rank = Some(rank);
            run
        };
        let ranking = Ranking::new(&[with("x", 2.0, 1), with("x", 2.0, 1), with("y", 8.0, 2)]).unwrap();
        assert_eq!((ranking.variants[0].name.as_str(), ranking.cpus.len()), ("quick", 2));
        assert!((ranking.variants[0].speedup - 4.0).abs() < 1e-9);
        assert_eq!(ranking.variants[0].won_on, ["x"]);
        assert!(Ranking::new(&[]).is_err());
    }
}

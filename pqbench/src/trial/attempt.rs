//! One trial, from the edit in the working tree to a verdict that is part of the history.

use std::{
    hash::{BuildHasher, RandomState},
    path::Path,
    time::Instant,
};

use anyhow::{Context, Result, bail, ensure};
use jiff::Timestamp;
use pqscan::{
    cpu::Feature,
    kernels,
    registry::{self, Fidelity},
};

use super::{
    builds::{Build, BuildFailed, Recipe, Side, Workshop, measuring_lock},
    calibrate,
    decide::{
        BAND, Calibration, Decision, End, EndKind, Findings, Guard, Verdict, WORKLOAD_LIMIT, WORST_CASE_LIMIT, decide,
        needs_second_seed,
    },
    disassembly::beyond_level,
    duel::{Duel, Effort, Outcome, duel},
    examine::{Subject, declared, examine},
    git::Git,
    holdout,
    land::{self, Fate, Landed, Landing},
    lint::lint_edit,
    record::{self, Builds, Figures, Record, Rounds},
    scope::Edit,
    target::{TARGETS, Target, Workload, find},
};
use crate::{
    measure::{BASELINE, statistics::Estimate},
    run::Machine,
    worker::{Call, Limits, Program, Worker, landlock_version},
};

/// The package that a trial builds, and the program in it.
const WORKER: &str = "pqbench-worker";

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// What should get cheaper, and why.
    pub hypothesis: String,
    /// The share of the time that should be saved.
    pub expected_gain: Option<f64>,
    /// The workload that decides.
    pub target: String,
    /// The variant on trial; else the one whose file changed, or the one that is selected for the target.
    pub variant: Option<String>,
    /// The variant that it must beat; else itself as it was, or the one that is selected for the target.
    pub against: Option<String>,
    /// How many times the incumbent's memory the candidate may have.
    pub memory: Option<f64>,
    /// How many times the incumbent's preparation the candidate's may take.
    pub preparation: Option<f64>,
    /// Seed of everything that is drawn; else drawn itself.
    pub seed: Option<u64>,
    /// Seconds that each of the target's seeds is measured at most.
    pub seconds: f64,
    /// Leave nothing behind.
    pub dry_run: bool,
}

/// A finished trial.
#[derive(Debug)]
pub struct Finished {
    pub record: Record,
    /// Where it landed; nowhere in a dry run.
    pub landed: Option<Landed>,
}

/// Seconds of a guard's rounds, at most.
const GUARD_SECONDS: f64 = 5.0;
/// Pairs of workers whose preparation is compared.
const PREPARATIONS: usize = 5;

/// Tries the edit that the working tree around `folder` has. `say` is told what happens, a line at a time.
///
/// # Errors
/// There is no edit, or one that no trial may make; the machine is not calibrated; git, cargo or the bench can't do
/// their part. Nothing has changed then.
pub fn attempt(folder: &Path, options: &Options, say: &mut dyn FnMut(&str)) -> Result<Finished> {
    let (begin, started) = (Instant::now(), Timestamp::now());
    let git = Git::open(folder)?;
    let workshop = Workshop::open(&git)?;
    if let Some(recovered) = land::recover(&git)? {
        say(&format!("an earlier trial was interrupted while it landed: {recovered:?}"));
    }
    if !options.dry_run {
        land::check_identity(&git)?;
    }
    let edit = Edit::of(&git)?;
    ensure!(
        !edit.is_empty(),
        "nothing has changed since HEAD; edit a variant or a building block, or begin one by `pqbench new`"
    );
    edit.check()?;
    let calibration = calibrate::known()?;
    if let Err(why) = calibration.band() {
        bail!("{why}");
    }
    let target = find(&options.target)?;
    let workload = target.open().with_context(|| format!("the target '{}'", target.name))?;
    let mut trial = Trial::new(options, &git, &edit, workload, calibration)?;
    say(&format!(
        "{} against {} on '{}' ({}), seed {}",
        trial.variant, trial.against, target.name, target.about, trial.seeds[0]
    ));
    for (earlier, likeness) in record::similar(&trial.records, &options.hypothesis).into_iter().take(3) {
        say(&format!("similar ({:.0} %): {}", 100.0 * likeness, earlier.description()));
    }
    let end = trial.run(&workshop, &git, &edit, say)?;
    trial.findings.end = end;
    let decision = decide(&trial.findings);
    let record = trial.record(&edit, started, begin.elapsed().as_secs_f64(), decision)?;
    if options.dry_run {
        return Ok(Finished { record, landed: None });
    }
    let landed = land_it(&git, &edit, &record, &trial.records)?;
    Ok(Finished { record, landed: Some(landed) })
}

/// What a trial is about, and what it has found so far.
struct Trial<'a> {
    options: &'a Options,
    workload: Workload,
    variant: String,
    against: String,
    seeds: [u64; 2],
    findings: Findings,
    rounds: Vec<Rounds>,
    builds: Option<Builds>,
    outcome: Option<Outcome>,
    recall: Option<f64>,
    records: Vec<Record>,
    machine: Machine,
}

impl<'a> Trial<'a> {
    fn new(
        options: &'a Options,
        git: &Git,
        edit: &Edit,
        workload: Workload,
        calibration: Calibration,
    ) -> Result<Trial<'a>> {
        let fixture = &workload.fixture;
        let selected = registry::select(None, fixture.geometry, workload.lengths[0])?.name;
        let variant = match (&options.variant, &edit.variants()[..]) {
            (Some(name), _) => name.clone(),
            (None, []) => selected.to_owned(),
            (None, [one]) => one.clone(),
            (None, several) => bail!("several variants changed: {}; name one by --variant", several.join(", ")),
        };
        let is_new = registry::find(&variant).is_err();
        let against = match &options.against {
            Some(name) => registry::find(name)?.name.to_owned(),
            None if is_new => selected.to_owned(),
            None => variant.clone(),
        };
        let first = options.seed.unwrap_or_else(|| RandomState::new().hash_one(0));
        let seeds = [first, first.wrapping_add(1)];
        let mut findings = Findings { calibration, ..Findings::default() };
        findings.target.name = workload.target.name.to_owned();
        (findings.lines_added, findings.lines_removed) = lines_of_code(git, edit)?;
        Ok(Trial {
            options,
            workload,
            variant,
            against,
            seeds,
            findings,
            rounds: Vec::new(),
            builds: None,
            outcome: None,
            recall: None,
            records: record::load_all(&git.root().join(record::FOLDER))?,
            machine: Machine::here()?,
        })
    }

    /// Checks, builds, examines and measures; how it ended, if it ended badly.
    fn run(&mut self, workshop: &Workshop, git: &Git, edit: &Edit, say: &mut dyn FnMut(&str)) -> Result<Option<End>> {
        let end = |kind, detail: String| Ok(Some(End { kind, detail }));
        let findings = lint_edit(git, edit)?;
        if !findings.is_empty() {
            return end(EndKind::Lint, findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "));
        }
        let candidate_commit = git.dangling_commit(&edit.tree, &edit.base)?;
        let built_in = [&self.against, &self.variant].map(|name| [BASELINE.to_owned(), name.clone()]);
        let incumbent = Recipe { side: Side::Incumbent, commit: &edit.base, variants: &built_in[0] };
        let candidate = Recipe { side: Side::Candidate, commit: &candidate_commit, variants: &built_in[1] };
        say("building both workers");
        let builds = match workshop.build(WORKER, &[incumbent, candidate], &mut |line| {
            if line.contains("Compiling pqscan") || line.starts_with("warning") {
                say(line);
            }
        }) {
            Ok(builds) => builds,
            Err(error) => match error.downcast_ref::<BuildFailed>() {
                Some(failed) if failed.side == Side::Candidate => return end(EndKind::Build, failed.said.clone()),
                _ => return Err(error),
            },
        };
        let build = |side| builds.iter().find(|build| build.side == side).context("a side was not built");
        let (ours, theirs) = (build(Side::Candidate)?, build(Side::Incumbent)?);
        self.builds =
            Some(Builds { incumbent: theirs.sha256.clone(), candidate: ours.sha256.clone(), tree: edit.tree.clone() });
        let _lock = measuring_lock(&mut *say)?;
        self.measure(&subject(ours, &self.variant), &subject(theirs, &self.against), say)
    }

    fn measure(&mut self, candidate: &Subject, incumbent: &Subject, say: &mut dyn FnMut(&str)) -> Result<Option<End>> {
        let limits = Limits { cpu: last_cpu(), ..Limits::default() };
        ensure!(
            landlock_version() > 0,
            "this kernel has no Landlock, so a worker could read the answers from other processes; trials need Linux 5.13"
        );
        let declared = declared(candidate, &limits)?;
        if declared.gives_up.is_some() && registry::find(&self.variant).is_ok_and(|it| it.fidelity == Fidelity::Exact) {
            let detail = "it was exact, and now declares that it is not; make that a variant of its own".to_owned();
            return Ok(Some(End { kind: EndKind::Wrong, detail }));
        }
        let requires: Vec<Feature> = Feature::ALL
            .iter()
            .copied()
            .filter(|feature| declared.requires.iter().any(|name| name == feature.name()))
            .collect();
        if let Some(beyond) = beyond_level(&candidate.program.path, &self.variant, &requires)?.first() {
            return Ok(Some(End { kind: EndKind::Lint, detail: format!("it needs more than it declares: {beyond}") }));
        }
        say("checking every edge case and the exams of the seed");
        let exams = holdout::exams(self.seeds[0], holdout::THOROUGH);
        if let Some(end) = examine(candidate, self.workload.fixture.geometry, exams, &limits)? {
            return Ok(Some(end));
        }
        self.recall = recall(candidate, &self.workload, &limits)?;
        say(&format!("measuring '{}'", self.workload.target.name));
        let effort = Effort {
            seconds: self.options.seconds,
            precision: 0.003,
            limit: 1.0 - BAND,
            preparations: PREPARATIONS,
            slowed: [0.0; 2],
        };
        for seed in self.seeds {
            if !self.findings.target.ratios.is_empty() && !needs_second_seed(&self.findings) {
                break;
            }
            match duel(&self.workload, incumbent, candidate, seed, &effort, &limits)? {
                Duel::Ended(end) => return Ok(Some(end)),
                Duel::Measured(outcome) => {
                    self.rounds.push(Rounds::new(self.workload.target.name, seed, &outcome.ratios));
                    self.findings.target.ratios.push(outcome.ratio);
                    say(&format!("seed {seed}: {}", shown(&outcome.ratio)));
                    self.outcome = Some(*outcome);
                }
            }
        }
        if decide(&self.findings).verdict == Verdict::Discard {
            return Ok(None);
        }
        if let Some(outcome) = &self.outcome {
            self.findings.guards.extend([
                Guard::settling(outcome.settling),
                Guard::memory(outcome.memory, self.options.memory),
                Guard::preparation(outcome.preparation, self.options.preparation),
            ]);
        }
        self.guards(candidate, incumbent, &limits, say)
    }

    /// The other workloads, which must not get worse, for a variant that was there; and the worst case.
    fn guards(
        &mut self,
        candidate: &Subject,
        incumbent: &Subject,
        limits: &Limits,
        say: &mut dyn FnMut(&str),
    ) -> Result<Option<End>> {
        let scalar = Subject { variant: BASELINE.to_owned(), ..incumbent.clone() };
        let worst_case = (find("worst-case")?, &scalar, WORST_CASE_LIMIT);
        let others = TARGETS.into_iter().filter(|target| {
            self.variant == self.against && target.name != self.workload.target.name && target.name != "worst-case"
        });
        let others: Vec<(Target, &Subject, f64)> =
            others.map(|target| (target, incumbent, WORKLOAD_LIMIT)).chain([worst_case]).collect();
        for (target, rival, limit) in others {
            let workload = target.open()?;
            let geometry = workload.fixture.geometry;
            if registry::find(&rival.variant)?.unsupported(geometry).is_some() {
                continue;
            }
            say(&format!("guard '{}'", target.name));
            let effort = Effort { seconds: GUARD_SECONDS, precision: 0.02, limit, preparations: 1, slowed: [0.0; 2] };
            match duel(&workload, rival, candidate, self.seeds[0], &effort, limits)? {
                Duel::Ended(end) => return Ok(Some(end)),
                Duel::Measured(outcome) => {
                    self.rounds.push(Rounds::new(target.name, self.seeds[0], &outcome.ratios));
                    self.findings.guards.push(if limit == WORST_CASE_LIMIT {
                        Guard::worst_case(outcome.ratio)
                    } else {
                        Guard::workload(target.name, outcome.ratio)
                    });
                }
            }
        }
        Ok(None)
    }

    fn record(&self, edit: &Edit, started: Timestamp, total_seconds: f64, decision: Decision) -> Result<Record> {
        let fixture = &self.workload.fixture;
        Ok(Record {
            schema: record::SCHEMA,
            started: Some(started.to_string()),
            base: Some(edit.base.clone()),
            hypothesis: self.options.hypothesis.clone(),
            variant: Some(self.variant.clone()),
            against: Some(self.against.clone()),
            expected_gain: self.options.expected_gain,
            verdict: Some(decision.verdict),
            reason: decision.reason,
            findings: Some(self.findings.clone()),
            seeds: self.seeds[..self.findings.target.ratios.len()].to_vec(),
            rounds: self.rounds.clone(),
            builds: self.builds.clone(),
            machine: Some(self.machine.clone()),
            total_seconds: Some(total_seconds),
            figures: Figures {
                source: Some(fixture.source.to_string()),
                num_base: Some(fixture.num_base() as u64),
                recall_at_10: self.recall,
                geomean_ns_per_query: self.outcome.as_ref().map(|outcome| outcome.candidate_ns),
                peak_mem_mb: self.outcome.as_ref().map(|outcome| outcome.candidate_bytes as f64 / 1e6),
            },
            patch: Some(String::from_utf8(edit.patch.clone()).context("the edit is no text")?),
            ..Record::default()
        })
    }
}

/// Makes the trial a part of the history.
fn land_it(git: &Git, edit: &Edit, record: &Record, earlier: &[Record]) -> Result<Landed> {
    let json = record.to_json()?;
    let all: Vec<Record> = earlier.iter().cloned().chain([record.clone()]).collect();
    let fate = match (record.verdict, record.findings.as_ref().and_then(|findings| findings.end.as_ref())) {
        (Some(Verdict::Keep), _) => Fate::Kept,
        // What never ran can be mended at once.
        (_, Some(End { kind: EndKind::Build | EndKind::Lint, .. })) => Fate::Left,
        (Some(Verdict::Discard), _) => Fate::Discarded,
        _ => Fate::Left,
    };
    let verdict = record.verdict.map(|verdict| verdict.to_string()).unwrap_or_default();
    let message = record::plain(&format!(
        "Trial, {verdict}: {} on {}: {}",
        record.variant.as_deref().unwrap_or_default(),
        record.target(),
        record.hypothesis
    ));
    let (results, record_path) = (record::results_tsv(&all), format!("{}/{}", record::FOLDER, record.file_name()?));
    let landing = Landing {
        base: &edit.base,
        tree: &edit.tree,
        fate,
        record_path: &record_path,
        record: json.as_bytes(),
        results: results.as_bytes(),
        message: &message,
    };
    land::land(git, &landing)
}

fn subject(build: &Build, variant: &str) -> Subject {
    let program = Program { path: build.program.clone(), arguments: Vec::new() };
    Subject { program, variant: variant.to_owned() }
}

/// Recall@10 of the candidate on the real queries, where that is known and means something.
fn recall(subject: &Subject, workload: &Workload, limits: &Limits) -> Result<Option<f64>> {
    let Workload { target, fixture, .. } = workload;
    if fixture.truth.is_none() || target.k < kernels::TOP_K || !matches!(target.call, Call::Single | Call::Batch(_)) {
        return Ok(None);
    }
    let mut worker = Worker::start(&subject.program, limits)?;
    worker.open(&workload.task(&subject.variant))?;
    worker.prepare()?;
    let turn = worker.run(target.call, target.k, &fixture.queries, false)?;
    Ok(fixture.recall_at_10(&turn.answers))
}

/// Lines of code that the edit adds in all, or removes in all; comments and blank lines do not count.
fn lines_of_code(git: &Git, edit: &Edit) -> Result<(usize, usize)> {
    let count = |text: Option<String>| {
        let is_code = |line: &&str| !line.trim().is_empty() && !line.trim().starts_with("//");
        text.map_or(0, |text| text.lines().filter(is_code).count())
    };
    let (mut before, mut after) = (0, 0);
    for file in &edit.files {
        let (old, new) = edit.texts(git, &file.path)?;
        before += count(old);
        after += count(new);
    }
    Ok((after.saturating_sub(before), before.saturating_sub(after)))
}

/// The last CPU that this process may run on: what else runs tends to begin with the first.
fn last_cpu() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    list.trim().rsplit([',', '-']).next()?.parse().ok()
}

/// A ratio for people.
pub fn shown(ratio: &Estimate) -> String {
    format!("{:.4} of the incumbent's time, 99 % [{:.4}, {:.4}]", ratio.value, ratio.certain.0, ratio.certain.1)
}

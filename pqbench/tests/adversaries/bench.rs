//! An adversary as a trial sees it.

use std::{sync::LazyLock, time::Duration};

use anyhow::Result;
use pqbench::{
    fixture::Fixture,
    trial::{
        decide::{Calibration, Findings, Guard, RESOURCE_LIMIT, Target, Verdict as Decided, decide},
        duel::{Duel, Effort, duel},
        examine::{Subject, examine},
        holdout::{self, Exam},
        target::{self, Workload},
    },
    worker::{Failure, Limits, Program, Task, Worker},
};

use super::Verdict;

const SEED: u64 = 19;

/// Enough to see what is several times worse.
const EFFORT: Effort = Effort { seconds: 0.1, precision: 1.0, limit: 0.0, preparations: 3, slowed: [0.0; 2] };

fn limits() -> Limits {
    Limits { memory: 384 << 20, timeout: Duration::from_secs(8), ..Limits::default() }
}

fn subject(name: &str) -> Result<Subject> {
    let arguments = vec!["worker".to_owned(), std::process::id().to_string()];
    let program = Program { path: std::env::current_exe()?, arguments };
    Ok(Subject { program, variant: format!("adv-{}", name.replace('_', "-")) })
}

/// What is measured: the embedded codes of images; for one adversary three of them again and again.
static IMAGES: LazyLock<Workload> =
    LazyLock::new(|| target::find("images").and_then(|target| target.open()).expect("the binary carries them"));
static THREE: LazyLock<Workload> = LazyLock::new(|| {
    let few = &IMAGES.fixture.codes[..3 * IMAGES.fixture.geometry.row_bytes()];
    let codes = few.repeat(IMAGES.fixture.num_base() / 3);
    let lengths = vec![codes.len() / IMAGES.fixture.geometry.row_bytes()];
    Workload { target: IMAGES.target, fixture: Fixture { codes, ..IMAGES.fixture.clone() }, lengths }
});

/// The oracle needs longer for them than an adversary does.
static EXAMS: LazyLock<Vec<Exam>> = LazyLock::new(|| holdout::exams(SEED, holdout::QUICK).collect());

/// What becomes of an adversary, and why.
pub fn verdict(name: &str) -> Result<(Verdict, String)> {
    let candidate = subject(name)?;
    if let Some(end) = examine(&candidate, IMAGES.fixture.geometry, &*EXAMS, &limits())? {
        return Ok((Verdict::Ends(end.kind), end.detail));
    }
    if name == "works_between_turns" {
        return Ok(after_a_pause(&candidate));
    }
    let workload = if name == "too_fast" { &*THREE } else { &*IMAGES };
    let incumbent = subject("honest_scan")?;
    let outcome = match duel(workload, &incumbent, &candidate, SEED, &EFFORT, &limits())? {
        Duel::Ended(end) => return Ok((Verdict::Ends(end.kind), end.detail)),
        Duel::Measured(outcome) => outcome,
    };
    let guards = [
        ("settling", outcome.settling, RESOURCE_LIMIT),
        ("memory", outcome.memory, RESOURCE_LIMIT),
        ("preparation", outcome.preparation, RESOURCE_LIMIT),
    ];
    let why = format!("ratio {:?}, guards {guards:?}", outcome.ratio);
    // Noise is no adversary.
    if outcome.ratio.low > 1.2 {
        return Ok((Verdict::IsSlower, why));
    }
    if let Some((name, ..)) = guards.iter().find(|(_, ratio, limit)| ratio.low > 1.2 * limit) {
        return Ok((Verdict::Breaks(name), why));
    }
    let findings = Findings {
        target: Target { name: "images".to_owned(), ratios: vec![outcome.ratio; 2] },
        guards: guards.map(|(name, ratio, limit)| Guard { name: name.to_owned(), ratio, limit }).to_vec(),
        calibration: Calibration::Fresh { measured: String::new(), band: 0.05 },
        ..Findings::default()
    };
    let decision = decide(&findings);
    anyhow::ensure!(decision.verdict != Decided::Keep, "it is kept: {}", decision.reason);
    Ok((Verdict::GainsNothing, why))
}

/// What becomes of an adversary of which nothing is asked for a while. In a duel the rival has its turn meanwhile, but
/// on a busy machine that may be all that runs.
fn after_a_pause(candidate: &Subject) -> (Verdict, String) {
    let Workload { fixture, lengths, .. } = &*IMAGES;
    let task = Task {
        variant: &candidate.variant,
        geometry: fixture.geometry,
        metric: fixture.metric,
        centroids: &fixture.centroids,
        codes: &fixture.codes,
        lengths,
    };
    let pause = || -> Result<(), Failure> {
        let mut worker = Worker::start(&candidate.program, &limits())?;
        worker.open(&task)?;
        worker.prepare()?;
        worker.relocate()?;
        std::thread::sleep(Duration::from_secs(1));
        worker.relocate().map(drop)
    };
    match pause() {
        Err(Failure::End(end)) => (Verdict::Ends(end.kind), end.detail),
        other => (Verdict::GainsNothing, format!("{other:?}")),
    }
}

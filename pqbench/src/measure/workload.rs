//! What every variant of a measurement faces: one list of codes, the queries, and the answers that are right.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};
use pqscan::{Codebook, kernels::TOP_K, registry::Fidelity};

use super::{Observer, Phase, Progress, interrupted};
use crate::{
    fixture::Fixture,
    threads::num_threads,
    verify::{Judge, RECALL_TOLERANCE, same},
};

/// Kept answers that are compared with the reference's each time.
const SEARCHED_AGAIN: usize = 8;

/// The nearest codes to one query, as [`List::search`](pqscan::List::search) returns them.
pub type Answer = Vec<(u64, f32)>;

/// A data set with the answers of the reference.
pub struct Workload<'a> {
    pub fixture: &'a Fixture,
    pub codebook: Codebook,
    pub k: usize,
    /// One for each query.
    pub answers: Vec<Answer>,
}

impl<'a> Workload<'a> {
    /// Gets the [`answers`].
    ///
    /// # Errors
    /// Theirs, and the codebook is none.
    pub fn new(fixture: &'a Fixture, k: usize, observer: &mut dyn Observer) -> Result<Workload<'a>> {
        let answers = answers(fixture, k, observer)?;
        let codebook = fixture.codebook().with_context(|| format!("data set '{}'", fixture.name))?;
        Ok(Workload { fixture, codebook, k, answers })
    }

    /// Queries of the data set.
    pub fn num_queries(&self) -> usize {
        self.fixture.num_queries()
    }

    /// Query number `at`, starting over behind the last one.
    pub fn query(&self, at: usize) -> &'a [f32] {
        self.fixture.query(at % self.num_queries())
    }

    /// Why `answer` to query number `query` is not what a variant of that fidelity may give; none if it is right.
    pub fn fault(&self, query: usize, answer: &Answer, fidelity: Fidelity) -> Option<String> {
        let judge = Judge { fidelity, num_vectors: self.fixture.num_base() };
        let right = judge.answer(answer, &self.answers[query], self.k);
        right.err().map(|what| format!("query {query}: {what}"))
    }

    /// Why the recall of `answers`, one for each query, is too low; none if it is not.
    pub fn lost_recall(&self, answers: &[Answer]) -> Option<String> {
        let (exact, given) = (self.recall(&self.answers)?, self.recall(answers)?);
        (given < exact - RECALL_TOLERANCE).then(|| {
            format!("recall@10 is {given:.4}, more than {RECALL_TOLERANCE} under the exact answer's {exact:.4}")
        })
    }

    /// The recall@10 of `answers`, where the truth is known and there are ten neighbours to an answer.
    pub fn recall(&self, answers: &[Answer]) -> Option<f64> {
        (self.k >= TOP_K).then(|| self.fixture.recall_at_10(answers)).flatten()
    }

    /// The share of queries with the reference's answer.
    pub fn agreement(&self, answers: &[Answer]) -> f64 {
        let agreeing = self.answers.iter().zip(answers).filter(|(right, given)| same(given, right).is_ok()).count();
        agreeing as f64 / answers.len() as f64
    }
}

/// The right answer to every query: the one that is kept with the data, or the reference's, which looks for it on all
/// cores.
///
/// # Errors
/// The data set has no codes or no queries, `k` is 0, a kept answer is not the reference's, or the observer interrupts.
pub fn answers(fixture: &Fixture, k: usize, observer: &mut dyn Observer) -> Result<Vec<Answer>> {
    ensure!(k > 0, "k is 0: ask for at least one neighbour");
    ensure!(fixture.num_base() > 0, "the data set '{}' has no codes", fixture.name);
    ensure!(!fixture.queries.is_empty(), "the data set '{}' has no queries", fixture.name);
    let total = fixture.num_queries();
    let begin = Instant::now();
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let work = || {
        let mut mine = Vec::new();
        loop {
            let query = next.fetch_add(1, Ordering::Relaxed);
            if query >= total {
                return mine;
            }
            mine.push((query, answer(fixture, query, k)));
            done.fetch_add(1, Ordering::Relaxed);
        }
    };
    let mut answers: Vec<_> = (0..total).map(|_| Ok(Vec::new())).collect();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..num_threads().min(total)).map(|_| scope.spawn(work)).collect();
        while !workers.iter().all(|worker| worker.is_finished()) {
            let share = done.load(Ordering::Relaxed) as f64 / total as f64;
            let seconds_left = (share > 0.0).then(|| begin.elapsed().as_secs_f64() * (1.0 / share - 1.0));
            observer.progress(&Progress { seconds_left, ..Progress::new(Phase::Reference, "", share) });
            if observer.interrupted() {
                next.store(total, Ordering::Relaxed);
            }
            thread::sleep(Duration::from_millis(5));
        }
        for worker in workers {
            for (query, answer) in worker.join().expect("the reference does not panic") {
                answers[query] = answer;
            }
        }
    });
    interrupted(observer)?;
    answers.into_iter().collect()
}

fn answer(fixture: &Fixture, query: usize, k: usize) -> Result<Answer> {
    let search = || fixture.reference_answer(fixture.query(query), k);
    let Some(kept) = fixture.kept_answer(query, k) else { return Ok(search()) };
    // A variant that is right is told by a kept answer that is not, but it would be called wrong.
    if query.is_multiple_of(fixture.num_queries().div_ceil(SEARCHED_AGAIN)) {
        same(&kept, &search()).map_err(|what| {
            anyhow!(
                "the kept answer to query {query} of '{}' is not the reference's: {what}; make it again by pqbench answers",
                fixture.name
            )
        })?;
    }
    Ok(kept)
}

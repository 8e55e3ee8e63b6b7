//! What every variant of a measurement faces: one list of codes, the queries, and the answers that are right.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use pqscan::{Codebook, kernels::TOP_K, registry::Fidelity};

use super::{Observer, Phase, Progress, interrupted};
use crate::{
    fixture::Fixture,
    threads::num_threads,
    verify::{Judge, RECALL_TOLERANCE, same},
};

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
    /// Asks the reference for every query's answer, on all cores.
    ///
    /// # Errors
    /// The data set has no codes or no queries, `k` is 0, the codebook is none, or the observer interrupts.
    pub fn new(fixture: &'a Fixture, k: usize, observer: &mut dyn Observer) -> Result<Workload<'a>> {
        anyhow::ensure!(k > 0, "k is 0: ask for at least one neighbour");
        anyhow::ensure!(fixture.num_base() > 0, "the data set '{}' has no codes", fixture.name);
        anyhow::ensure!(!fixture.queries.is_empty(), "the data set '{}' has no queries", fixture.name);
        let codebook = fixture.codebook().with_context(|| format!("data set '{}'", fixture.name))?;
        let answers = reference_answers(fixture, k, observer)?;
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

    /// Why `answers`, one for each query, are not what a variant of that fidelity may give; none if they are right.
    pub fn fault(&self, answers: &[Answer], fidelity: Fidelity) -> Option<String> {
        let judge = Judge { fidelity, num_vectors: self.fixture.num_base() };
        for (query, (answer, right)) in answers.iter().zip(&self.answers).enumerate() {
            if let Err(what) = judge.answer(answer, right, self.k) {
                return Some(format!("query {query}: {what}"));
            }
        }
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

fn reference_answers(fixture: &Fixture, k: usize, observer: &mut dyn Observer) -> Result<Vec<Answer>> {
    let total = fixture.num_queries();
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let work = || {
        let mut mine = Vec::new();
        loop {
            let query = next.fetch_add(1, Ordering::Relaxed);
            if query >= total {
                return mine;
            }
            mine.push((query, fixture.reference_answer(fixture.query(query), k)));
            done.fetch_add(1, Ordering::Relaxed);
        }
    };
    let mut answers = vec![Vec::new(); total];
    thread::scope(|scope| {
        let workers: Vec<_> = (0..num_threads().min(total)).map(|_| scope.spawn(work)).collect();
        while !workers.iter().all(|worker| worker.is_finished()) {
            let share = done.load(Ordering::Relaxed) as f64 / total as f64;
            observer.progress(&Progress::new(Phase::Reference, "", share));
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
    Ok(answers)
}

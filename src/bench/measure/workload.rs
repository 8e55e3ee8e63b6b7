//! What every variant of a measurement faces: one list of codes, the queries, and the answers that are right.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context, Result};

use super::{Observer, Phase, Progress, interrupted};
use crate::{
    Codebook, DIM, TOP_K,
    bench::{fixture::Fixture, reference},
    registry::Fidelity,
};

/// The nearest codes to one query, as [`Scanner::search`](crate::registry::Scanner::search) returns them.
pub type Answer = Vec<(u32, f32)>;

/// How much recall an approximate variant may lose against the exact answer.
const RECALL_TOLERANCE: f64 = 0.005;

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
        let codebook = Codebook::new(&fixture.centroids).with_context(|| format!("data set '{}'", fixture.name))?;
        let answers = reference_answers(fixture, k, observer)?;
        Ok(Workload { fixture, codebook, k, answers })
    }

    /// Queries of the data set.
    pub fn num_queries(&self) -> usize {
        self.fixture.queries.len()
    }

    /// Query number `at`, starting over behind the last one.
    pub fn query(&self, at: usize) -> &'a [f32; DIM] {
        &self.fixture.queries[at % self.num_queries()]
    }

    /// Why `answers`, one for each query, are not what a variant of that fidelity may give; none if they are right.
    pub fn fault(&self, answers: &[Answer], fidelity: Fidelity) -> Option<String> {
        if fidelity == Fidelity::Exact {
            let wrong = |(right, given): &(&Answer, &Answer)| !identical(right, given);
            let (query, (right, given)) = self.answers.iter().zip(answers).enumerate().find(|(_, pair)| wrong(pair))?;
            return Some(format!("query {query}: {}", difference(right, given)));
        }
        if let Some(query) = (0..answers.len()).find(|&query| !self.is_well_formed(&answers[query])) {
            return Some(format!("query {query}: not the ids of {} different codes", self.answers[query].len()));
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
        let agreeing = self.answers.iter().zip(answers).filter(|(right, given)| identical(right, given)).count();
        agreeing as f64 / answers.len() as f64
    }

    fn is_well_formed(&self, answer: &Answer) -> bool {
        let mut ids: Vec<_> = answer.iter().map(|(id, _)| *id).collect();
        ids.sort_unstable();
        ids.dedup();
        ids.len() == self.k.min(self.fixture.num_base())
            && ids.last().is_some_and(|&last| (last as usize) < self.fixture.num_base())
    }
}

/// Whether two answers have the same ids and the same distance bits.
pub fn identical(a: &[(u32, f32)], b: &[(u32, f32)]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.0 == b.0 && a.1.to_bits() == b.1.to_bits())
}

/// The first place where two answers differ, in words.
pub fn difference(right: &[(u32, f32)], given: &[(u32, f32)]) -> String {
    if right.len() != given.len() {
        return format!("{} neighbours instead of {}", given.len(), right.len());
    }
    let differ = |place: &usize| !identical(&right[*place..=*place], &given[*place..=*place]);
    match (0..right.len()).find(differ) {
        None => "no difference".to_owned(),
        Some(place) => format!(
            "place {} is id {} at {:?}, not id {} at {:?}",
            place + 1,
            given[place].0,
            given[place].1,
            right[place].0,
            right[place].1
        ),
    }
}

fn reference_answers(fixture: &Fixture, k: usize, observer: &mut dyn Observer) -> Result<Vec<Answer>> {
    let total = fixture.queries.len();
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let work = || {
        let mut mine = Vec::new();
        loop {
            let query = next.fetch_add(1, Ordering::Relaxed);
            let Some(values) = fixture.queries.get(query) else { return mine };
            mine.push((query, reference::search(values, &fixture.centroids, &fixture.codes, k)));
            done.fetch_add(1, Ordering::Relaxed);
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from).min(total);
    let mut answers = vec![Vec::new(); total];
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
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

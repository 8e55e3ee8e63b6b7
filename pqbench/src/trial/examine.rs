//! Is a build right? All exams and all edge cases, in a worker.

use std::{borrow::Borrow, collections::HashMap};

use anyhow::{Context, Result};
use pqscan::{Geometry, registry::Fidelity};

use super::{
    decide::{End, EndKind},
    holdout::Exam,
};
use crate::{
    verify::{Case, cases},
    worker::{Call, Declared, Failure, Limits, Program, Task, Worker},
};

/// A variant in a build of it.
#[derive(Clone, Debug)]
pub struct Subject {
    pub program: Program,
    pub variant: String,
}

/// What a variant of that declaration may give.
pub fn fidelity(declared: &Declared) -> Fidelity {
    if declared.gives_up.is_some() { Fidelity::Approximate("what it declares") } else { Fidelity::Exact }
}

/// Holds a build against all edge cases, and against `exams`. None if all answers are right. Shapes may be refused, but
/// not `shape`, the one that is measured.
///
/// # Errors
/// The bench could not do its part.
pub fn examine(
    subject: &Subject,
    shape: Geometry,
    exams: impl IntoIterator<Item: Borrow<Exam>>,
    limits: &Limits,
) -> Result<Option<End>> {
    match sit(subject, shape, exams, limits) {
        Ok(()) => Ok(None),
        Err(Failure::End(end)) => Ok(Some(end)),
        Err(Failure::Refused(why)) => Ok(Some(End { kind: EndKind::Wrong, detail: why })),
        Err(Failure::Bench(error)) => Err(error),
    }
}

fn sit(
    subject: &Subject,
    shape: Geometry,
    exams: impl IntoIterator<Item: Borrow<Exam>>,
    limits: &Limits,
) -> Result<(), Failure> {
    let mut worker = Worker::start(&subject.program, limits)?;
    let declared = worker.describe(&subject.variant)?;
    let fidelity = fidelity(&declared);
    // What it refuses is not looked at.
    let refused = HashMap::from([(shape.to_string(), false)]);
    let mut room = Room { worker, variant: &subject.variant, refused };
    for exam in exams {
        let exam = exam.borrow();
        room.exam(exam, fidelity).map_err(|failure| named(failure, &exam.name))?;
    }
    for case in cases() {
        room.case(case, fidelity).map_err(|failure| named(failure, &case.name))?;
    }
    Ok(())
}

/// A failure says in which case it came.
fn named(failure: Failure, case: &str) -> Failure {
    match failure {
        Failure::End(end) if !end.detail.contains(case) => {
            Failure::End(End { detail: format!("on '{case}': {}", end.detail), ..end })
        }
        Failure::Refused(why) => Failure::Refused(format!("on '{case}' it refuses: {why}")),
        other => other,
    }
}

/// Where a variant sits its exams, one process for all of them.
struct Room<'a> {
    worker: Worker,
    variant: &'a str,
    /// Whether it supports a shape: it can't take some lists of a shape and refuse others.
    refused: HashMap<String, bool>,
}

impl Room<'_> {
    fn exam(&mut self, exam: &Exam, fidelity: Fidelity) -> Result<(), Failure> {
        let task = Task {
            variant: self.variant,
            geometry: exam.geometry,
            metric: exam.metric,
            centroids: &exam.centroids,
            codes: &exam.codes,
            lengths: &exam.lengths,
        };
        if !self.open(&task)? {
            return Ok(());
        }
        for (number, question) in exam.questions.iter().enumerate() {
            let ask = Ask { call: question.call, k: question.k, queries: &question.queries };
            self.ask(&ask, exam.geometry, |at, answer| exam.fault(number, at, answer, fidelity))?;
        }
        Ok(())
    }

    fn case(&mut self, case: &Case, fidelity: Fidelity) -> Result<(), Failure> {
        let lengths = [case.num_vectors()];
        if !self.open(&Task { variant: self.variant, lengths: &lengths, ..case.task() })? {
            return Ok(());
        }
        let (call, queries) = case.asked();
        for &k in case.ks() {
            let ask = Ask { call, k, queries: &queries };
            self.ask(&ask, case.geometry(), |at, answer| {
                case.fault(at, k, answer, fidelity).map(|what| format!("k {k}, query {at}: {what}"))
            })?;
        }
        Ok(())
    }

    /// Gives the codes, and says whether the variant supports their shape.
    fn open(&mut self, task: &Task<'_>) -> Result<bool, Failure> {
        self.worker.open(task)?;
        let refused = match self.worker.prepare() {
            Ok(_) => None,
            Err(Failure::Refused(why)) => Some(why),
            Err(failure) => return Err(failure),
        };
        let before = *self.refused.entry(task.geometry.to_string()).or_insert(refused.is_some());
        match refused {
            Some(why) if !before => Err(Failure::Refused(format!("{why}, and takes other codes of that shape"))),
            None if before => {
                Err(Failure::Refused("it takes these codes, and refused others of that shape".to_owned()))
            }
            refused => Ok(refused.is_none()),
        }
    }

    fn ask(
        &mut self,
        ask: &Ask<'_>,
        geometry: Geometry,
        fault: impl Fn(usize, &[(u64, f32)]) -> Option<String>,
    ) -> Result<(), Failure> {
        let query_len = ask.call.query_len(geometry);
        let at_once = match ask.call {
            // The lists that a query visits follow from its number, and a batch is a batch.
            Call::Lists(_) | Call::Residual(_) | Call::Batch(_) => usize::MAX,
            _ => self.worker.room(ask.call, ask.k).max(1),
        };
        let all = ask.queries.len() / query_len;
        for (part, queries) in ask.queries.chunks(query_len * at_once.min(all.max(1))).enumerate() {
            let turn = match self.worker.run(ask.call, ask.k, queries, false) {
                // It has no way to scan codes that nothing prepared.
                Err(Failure::Refused(_)) if ask.call == Call::Unprepared => return Ok(()),
                turn => turn?,
            };
            for (at, answer) in turn.answers.iter().enumerate() {
                if let Some(detail) = fault(part * at_once.min(all) + at, answer) {
                    return Err(Failure::End(End { kind: EndKind::Wrong, detail }));
                }
            }
        }
        Ok(())
    }
}

struct Ask<'a> {
    call: Call,
    k: usize,
    queries: &'a [f32],
}

/// What the variant of a build declares.
///
/// # Errors
/// There is no such variant in it, or it can't run on this CPU, or the worker ends.
pub fn declared(subject: &Subject, limits: &Limits) -> Result<Declared> {
    let declared = Worker::start(&subject.program, limits)?.describe(&subject.variant)?;
    match &declared.unavailable {
        Some(why) => Err(anyhow::anyhow!("{why}")).with_context(|| format!("'{}' can't run here", subject.variant)),
        None => Ok(declared),
    }
}

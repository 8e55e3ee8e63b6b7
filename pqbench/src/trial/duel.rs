//! Two builds against each other: which takes less time, and is every answer right?
//!
//! - **Rounds.** In each one both builds answer the same queries, in random order, from prepared codes that were moved to
//!   another place in memory. The ratio of their times is formed within the round; the median over the rounds counts,
//!   with its bootstrap interval.
//! - **Fresh queries.** None is asked twice, so that nothing can be remembered. The answers of the two are held against
//!   each other; where they differ, the oracle decides who is wrong. One query of each round is the oracle's in any case.
//! - **Nothing is free.** A turn's first milliseconds settle the caches and do not count, but they are a guard of their
//!   own; preparation counts with the first query and with a move of the lists; memory is what the kernel sees.

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use pqscan::registry::Fidelity;
use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

use super::{
    decide::{End, EndKind},
    examine::{Subject, fidelity},
    fresh::Fresh,
    target::Workload,
};
use crate::{
    measure::{
        roofline::Reader,
        statistics::{Estimate, estimate, median},
    },
    reference,
    verify::{Judge, same},
    worker::{Answer, Call, Failure, Limits, Prepared, Worker},
};

/// How long and how exactly to measure.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Seconds for the rounds, at most.
    pub seconds: f64,
    /// The rounds end when half of the 99 % interval is no more than this share of the ratio.
    pub precision: f64,
    /// Or, after the same time, when the 99 % interval is on one side of this.
    pub limit: f64,
    /// Pairs of workers whose preparation is compared.
    pub preparations: usize,
    /// Shares by which the times of incumbent and candidate are made longer, for the loop to test itself.
    pub slowed: [f64; 2],
}

/// Rounds that are run in any case, since fewer have no interval worth the name.
const LEAST_ROUNDS: usize = 50;
/// How long a turn settles, and how long it then counts, in ns.
const SETTLING_NS: f64 = 1e6;
const TURN_NS: f64 = 2.5e6;
/// So many of the neighbours that an approximate variant finds must be as near as the right ones, or farther by no more
/// than this share.
const FOUND: f64 = 0.9;
const NEAR: f32 = 0.02;
/// Memory of a preparation that is no list's own: that of the codebook, and what the allocator keeps.
const COMMON_BYTES: usize = 3_000_000;
/// Faster than reading all codes by more than this is no noise.
const ROOFLINE_TOLERANCE: f64 = 0.02;

/// What a duel found. Ratios are the candidate's over the incumbent's.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub ratio: Estimate,
    /// The ratio in each round.
    pub ratios: Vec<f64>,
    /// Of the first queries of each turn, which do not count in `ratio`.
    pub settling: Estimate,
    /// CPU time of the preparation, of the first query and of a move in memory.
    pub preparation: Estimate,
    /// Memory that the kernel sees.
    pub memory: Estimate,
    /// The candidate's time for a query, ns.
    pub candidate_ns: f64,
    /// The incumbent's.
    pub incumbent_ns: f64,
    /// Bytes that the candidate's process has.
    pub candidate_bytes: usize,
}

/// How a duel went.
#[derive(Clone, Debug)]
pub enum Duel {
    Measured(Box<Outcome>),
    /// The candidate ended.
    Ended(End),
}

/// Who is who.
const INCUMBENT: usize = 0;
const CANDIDATE: usize = 1;

/// Measures `candidate` against `incumbent`.
///
/// # Errors
/// The bench could not do its part, or the incumbent is wrong or ends.
pub fn duel(
    workload: &Workload,
    incumbent: &Subject,
    candidate: &Subject,
    seed: u64,
    effort: &Effort,
    limits: &Limits,
) -> Result<Duel> {
    let ring = Ring { workload, subjects: [incumbent, candidate], seed, effort, limits };
    match ring.fight() {
        Ok(outcome) => Ok(Duel::Measured(Box::new(outcome))),
        Err((CANDIDATE, Failure::End(end))) => Ok(Duel::Ended(end)),
        Err((CANDIDATE, Failure::Refused(why))) => Ok(Duel::Ended(End { kind: EndKind::Wrong, detail: why })),
        Err((_, Failure::Bench(error))) => Err(error),
        Err((_, failure)) => Err(anyhow::Error::from(failure)
            .context(format!("the incumbent '{}' fails on {}", incumbent.variant, workload.target.name))),
    }
}

/// A failure, and whose.
type Blame = (usize, Failure);

fn bench(error: impl Into<anyhow::Error>) -> Blame {
    (INCUMBENT, Failure::Bench(error.into()))
}

struct Ring<'a> {
    workload: &'a Workload,
    subjects: [&'a Subject; 2],
    seed: u64,
    effort: &'a Effort,
    limits: &'a Limits,
}

impl Ring<'_> {
    fn fight(&self) -> Result<Outcome, Blame> {
        let effort = self.effort;
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let mut fresh = Queries::new(self.workload, rng.random()).map_err(bench)?;
        let mut preparations = Vec::new();
        let mut corners = Vec::new();
        for _ in 0..effort.preparations.max(1) {
            corners = vec![self.enter(INCUMBENT, &mut fresh)?, self.enter(CANDIDATE, &mut fresh)?];
            preparations.push(corners[CANDIDATE].preparation_ns / corners[INCUMBENT].preparation_ns);
        }
        let mut corners: [Corner; 2] = corners.try_into().map_err(|_| bench(anyhow!("a duel has two sides")))?;
        let counts = self.counts(&mut corners[INCUMBENT], &mut fresh)?;
        let begin = Instant::now();
        let (mut ratios, mut settling) = (Vec::new(), Vec::new());
        let mut ratio;
        loop {
            let [settled, counted] = self.round(&mut corners, counts, &mut fresh, &mut rng)?;
            settling.push(settled);
            ratios.push(counted);
            let seconds = begin.elapsed().as_secs_f64();
            let is_over = seconds >= effort.seconds;
            if ratios.len() < LEAST_ROUNDS || !(is_over || ratios.len() % LEAST_ROUNDS == 0) {
                continue;
            }
            ratio = estimate(&ratios, &mut rng);
            let is_precise = ratio.resolution() <= effort.precision;
            let is_clear = ratio.certain.0 > effort.limit || ratio.certain.1 < effort.limit;
            if is_over || is_precise && is_clear {
                break;
            }
        }
        let ns = |side: usize| median(&corners[side].samples);
        let [incumbent_ns, candidate_ns] = [ns(INCUMBENT), ns(CANDIDATE)];
        self.check_speed(&corners[CANDIDATE], candidate_ns)?;
        check_found(&corners[CANDIDATE].found).map_err(|end| (CANDIDATE, Failure::End(end)))?;
        // A few pages more or less are no property of a variant.
        const PAGES: f64 = 2e6;
        let bytes = corners.each_ref().map(|corner| corner.worker.memory_bytes());
        let memory = (bytes[CANDIDATE] as f64 + PAGES) / (bytes[INCUMBENT] as f64 + PAGES);
        Ok(Outcome {
            settling: estimate(&settling, &mut rng),
            preparation: estimate(&preparations, &mut rng),
            memory: Estimate { value: memory, low: memory, high: memory, certain: (memory, memory) },
            candidate_ns,
            incumbent_ns,
            candidate_bytes: bytes[CANDIDATE],
            ratio,
            ratios,
        })
    }

    /// A worker with its codes prepared, and the first query answered.
    fn enter(&self, side: usize, fresh: &mut Queries) -> Result<Corner, Blame> {
        let target = self.workload.target;
        let subject = self.subjects[side];
        let blame = |failure| (side, failure);
        let mut worker = Worker::start(&subject.program, self.limits).map_err(bench)?;
        let declared = worker.describe(&subject.variant).map_err(blame)?;
        worker.open(&self.workload.task(&subject.variant)).map_err(blame)?;
        let prepared = worker.prepare().map_err(blame)?;
        if 2 * prepared.declared_bytes + COMMON_BYTES < prepared.bytes {
            let Prepared { declared_bytes, bytes, .. } = prepared;
            let detail = format!("it declares {declared_bytes} bytes of memory, and the kernel sees {bytes}");
            return Err(blame(Failure::End(End { kind: EndKind::Wrong, detail })));
        }
        let first = fresh.next(1);
        let turn = worker.run(target.call, target.k, &first, false).map_err(blame)?;
        let move_ns = worker.relocate().map_err(blame)?;
        Ok(Corner {
            preparation_ns: prepared.cpu_ns + turn.cpu_ns + move_ns,
            worker,
            fidelity: fidelity(&declared),
            reads_less: declared.reads_less,
            samples: Vec::new(),
            found: Vec::new(),
        })
    }

    /// How many queries settle a turn, and how many then count.
    fn counts(&self, corner: &mut Corner, fresh: &mut Queries) -> Result<[usize; 2], Blame> {
        let unit = if let Call::Batch(size) = self.workload.target.call { size } else { 1 };
        let mut count = unit;
        let ns = loop {
            let turn = self.run(INCUMBENT, corner, &fresh.next(count))?.0;
            if turn >= TURN_NS / 4.0 {
                break turn / count as f64;
            }
            count *= 2;
        };
        let room = corner.worker.room(self.workload.target.call, self.workload.target.k);
        Ok([SETTLING_NS, TURN_NS].map(|wanted| {
            let queries = ((wanted / ns) as usize).clamp(1, room);
            queries.next_multiple_of(unit)
        }))
    }

    /// Both sides, in random order: the ratio while they settle, and the ratio that counts.
    fn round(
        &self,
        corners: &mut [Corner; 2],
        counts: [usize; 2],
        fresh: &mut Queries,
        rng: &mut ChaCha8Rng,
    ) -> Result<[f64; 2], Blame> {
        let queries = counts.map(|count| fresh.next(count));
        let first = usize::from(rng.random::<bool>());
        let mut turns = [const { None }; 2];
        for side in [first, 1 - first] {
            let corner = &mut corners[side];
            corner.worker.relocate().map_err(|failure| (side, failure))?;
            let [settling, counting] = &queries;
            let turn = [self.run(side, corner, settling)?, self.run(side, corner, counting)?];
            corner.samples.push(turn[1].0 / counts[1] as f64);
            turns[side] = Some(turn);
        }
        let [Some(incumbent), Some(candidate)] = turns else { unreachable!("both had their turn") };
        for part in 0..2 {
            let drawn = rng.random_range(0..counts[part]);
            self.compare(corners, &queries[part], [&incumbent[part].1, &candidate[part].1], drawn)?;
        }
        Ok([0, 1].map(|part| candidate[part].0 / incumbent[part].0))
    }

    /// One turn: its CPU time, ns, and the answers.
    fn run(&self, side: usize, corner: &mut Corner, queries: &[f32]) -> Result<(f64, Vec<Answer>), Blame> {
        let target = self.workload.target;
        let turn = corner.worker.run(target.call, target.k, queries, false).map_err(|failure| (side, failure))?;
        Ok((turn.cpu_ns * (1.0 + self.effort.slowed[side]), turn.answers))
    }

    /// Holds the answers against each other, and that to query number `drawn` against the oracle.
    fn compare(
        &self,
        corners: &mut [Corner; 2],
        queries: &[f32],
        answers: [&Vec<Answer>; 2],
        drawn: usize,
    ) -> Result<(), Blame> {
        let exact = corners.each_ref().map(|corner| corner.fidelity == Fidelity::Exact);
        for (at, (theirs, ours)) in answers[INCUMBENT].iter().zip(answers[CANDIDATE]).enumerate() {
            let differ = exact == [true; 2] && same(ours, theirs).is_err();
            if !differ && at != drawn {
                continue;
            }
            let (first, all) = self.distances(at, queries);
            let expected = reference::nearest((first..).zip(all.iter().copied()).collect(), self.workload.target.k);
            for side in [CANDIDATE, INCUMBENT] {
                let judge = Judge { fidelity: corners[side].fidelity, num_vectors: self.workload.fixture.num_base() };
                if let Err(what) = judge.answer(&answers[side][at], &expected, self.workload.target.k) {
                    let detail =
                        format!("on {}, seed {}, while it was timed: {what}", self.workload.target.name, self.seed);
                    return Err((side, Failure::End(End { kind: EndKind::Wrong, detail })));
                }
                let farthest = expected.last().map_or(0.0, |&(_, distance)| distance + NEAR * distance.abs());
                let distance = |id: u64| all.get(usize::try_from(id.checked_sub(first)?).ok()?);
                let is_found = |&&(id, _): &&(u64, f32)| distance(id).is_some_and(|&distance| distance <= farthest);
                let found = answers[side][at].iter().filter(is_found).count();
                corners[side].found.push(found as f64 / expected.len().max(1) as f64);
            }
        }
        Ok(())
    }

    /// The distances of all codes that query number `at` of a turn goes through, and the id of the first.
    fn distances(&self, at: usize, queries: &[f32]) -> (u64, Vec<f32>) {
        let Workload { target, fixture, .. } = self.workload;
        let (geometry, metric) = (fixture.geometry, fixture.metric);
        let (first, codes) = self.workload.codes_of(at);
        let query_len = target.call.query_len(geometry);
        let vectors = queries[at * query_len..][..query_len].chunks(geometry.dim());
        let tables: Vec<_> =
            vectors.map(|vector| reference::distance_table(geometry, metric, vector, &fixture.centroids)).collect();
        let num_codes = codes.len() / geometry.row_bytes();
        let rows = codes.chunks_exact(geometry.row_bytes()).enumerate();
        let all = rows.map(|(place, row)| {
            let table = &tables[place * tables.len() / num_codes];
            reference::distance(geometry, table, row)
        });
        (first, all.collect())
    }

    /// That the candidate is not faster than its codes can be read, unless it says that it reads less.
    fn check_speed(&self, corner: &Corner, ns: f64) -> Result<(), Blame> {
        // Only one list that is read once for each query has a roofline.
        if self.workload.target.call != Call::Single || corner.reads_less {
            return Ok(());
        }
        let reader = Reader::new(&self.workload.fixture.codes).map_err(bench)?;
        let begin = Instant::now();
        let mut fastest = Duration::MAX;
        while begin.elapsed() < Duration::from_millis(50) {
            let start = Instant::now();
            reader.read();
            fastest = fastest.min(start.elapsed());
        }
        let least = fastest.as_nanos() as f64;
        if ns < least * (1.0 - ROOFLINE_TOLERANCE) {
            let detail = format!(
                "{ns:.0} ns a query on {}, and reading the codes takes {least:.0}; a variant that reads less says so",
                self.workload.target.name
            );
            return Err((CANDIDATE, Failure::End(End { kind: EndKind::TooFast, detail })));
        }
        Ok(())
    }
}

/// A side with its worker.
struct Corner {
    worker: Worker,
    fidelity: Fidelity,
    reads_less: bool,
    preparation_ns: f64,
    /// Nanoseconds a query in each round.
    samples: Vec<f64>,
    /// The share of the right neighbours in answers that the oracle saw.
    found: Vec<f64>,
}

/// That an approximate variant finds what it should, nearly always.
fn check_found(found: &[f64]) -> Result<(), End> {
    let share = found.iter().sum::<f64>() / found.len().max(1) as f64;
    if share >= FOUND {
        return Ok(());
    }
    let detail = format!("it finds {share:.3} of the neighbours, and {FOUND} or more of them should be near enough");
    Err(End { kind: EndKind::Wrong, detail })
}

/// Fresh queries of a workload's calls.
struct Queries<'a> {
    fresh: Fresh,
    workload: &'a Workload,
    rng: ChaCha8Rng,
}

impl<'a> Queries<'a> {
    fn new(workload: &'a Workload, seed: u64) -> Result<Queries<'a>> {
        if matches!(workload.target.call, Call::Table | Call::Unprepared) {
            bail!("a target asks with vectors");
        }
        let fresh = Fresh::new(&workload.fixture, seed)?;
        Ok(Queries { fresh, workload, rng: ChaCha8Rng::seed_from_u64(seed) })
    }

    fn next(&mut self, count: usize) -> Vec<f32> {
        let (call, dim) = (self.workload.target.call, self.workload.fixture.geometry.dim());
        let mut queries = Vec::new();
        self.fresh.next(&mut queries, count);
        let Call::Residual(visited) = call else { return queries };
        // Each list has a centroid of its own, which is not far from the query.
        let mut residuals = Vec::with_capacity(queries.len() * visited);
        for query in queries.chunks_exact(dim) {
            for _ in 0..visited {
                let share = self.rng.random_range(0.9..1.1f32);
                residuals.extend(query.iter().map(|value| value * share));
            }
        }
        residuals
    }
}

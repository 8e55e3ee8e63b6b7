//! The timed part: contestants that take turns, round by round, over the same queries.
//!
//! - **A round** gives every contestant one turn, in a fresh random order, so that drift hits all alike. A turn answers
//!   the round's queries one after the other. A round takes a tenth of a second, for a few hundred rounds a minute;
//!   where all queries would take longer, each round has a part of them, and the parts rotate through all queries
//!   evenly.
//! - **Memory moves.** Before each round all prepared codes are copied to another place. Which pages a list happens to
//!   lie on decides what collides in the caches; that alone makes two copies of one variant differ by some percent, all
//!   run long. With a new place for each round it is a part of the noise that the interval covers (the idea is
//!   Stabilizer's: Curtsinger and Berger, ASPLOS 2013).
//! - **A sample** is the geometric mean of a turn's times. A part of the queries can be easier or harder than the
//!   whole; that is corrected by the times that the contestant's first pass over all queries took. As every query has
//!   its turn equally often, the correction takes spread away but favours nobody, however noisy the first pass was.
//! - **A turn settles first.** Its first five milliseconds don't count: the caches and branch predictors still hold the
//!   turn before. (After two of them a variant that reads other parts of 20 MB for each query was still 7 % slower.)
//! - **The timed region** is one [`List::search`]: from the f32 query to the sorted answer. The answer is looked at
//!   afterwards.

use std::{
    hint::{black_box, spin_loop},
    time::{Duration, Instant},
};

use anyhow::Result;
use pqscan::{List, registry::Variant};
use rand::{RngExt, rngs::ChaCha8Rng, seq::SliceRandom};

use super::{
    roofline::Reader,
    statistics,
    workload::{Answer, Workload},
};
use crate::verify::same;

/// How long a round should take, in ns.
const ROUND_NS: f64 = 1e8;
/// How many times as long as the move to another place in memory the rest of a round is at least.
const RELOCATION_FACTOR: f64 = 4.0;
/// Bytes by which small lists are shifted in memory at most.
const LARGEST_SPACER: usize = 64 << 10;
/// How long a turn goes on before its times count.
const SETTLING: Duration = Duration::from_millis(5);
/// The first pass corrects by no more than this factor, lest one interrupted call spoils many samples.
const LARGEST_CORRECTION: f64 = 4.0;

/// Who takes part: a variant, or the plain reading of the codes.
#[derive(Clone)]
pub struct Contestant {
    pub name: String,
    work: Work,
    /// Makes every call longer by this share of itself, for the bench to test itself.
    slowdown: f64,
    /// Nanoseconds of each query in the first pass, in the order of the pass, as far as it has come.
    first_pass: Vec<f64>,
    /// The logarithm of what each query took in the first pass, less their mean.
    difficulty: Vec<f64>,
    /// Nanoseconds a query, geometric mean of the first pass.
    first_pass_ns: f64,
    /// Nanoseconds a query in each round.
    pub samples: Vec<f64>,
    /// Nanoseconds a query of each call.
    pub latencies: Vec<f64>,
    /// What was wrong with an answer.
    pub fault: Option<String>,
    /// The answers of the first pass, one for each query; every later one must be the same.
    pub answers: Vec<Answer>,
}

#[derive(Clone)]
enum Work {
    Search(List),
    Read(Reader),
}

impl Contestant {
    /// A variant with its prepared codes.
    pub fn search(list: List) -> Contestant {
        Self::new(list.variant().name.to_owned(), Work::Search(list))
    }

    /// The roofline.
    pub fn read(reader: Reader) -> Contestant {
        Self::new("reading the codes".to_owned(), Work::Read(reader))
    }

    fn new(name: String, work: Work) -> Contestant {
        Contestant {
            name,
            work,
            slowdown: 0.0,
            first_pass: Vec::new(),
            difficulty: Vec::new(),
            first_pass_ns: 0.0,
            samples: Vec::new(),
            latencies: Vec::new(),
            fault: None,
            answers: Vec::new(),
        }
    }

    /// Answers `queries` untimed, until the codes are in the caches, and the branches in the predictors, that the turn
    /// before had for itself. The first calls of a turn take up to half as long again, which is no property of the
    /// contestant, and would weigh the more the fewer calls a turn has.
    fn settle(&self, queries: impl Fn(usize) -> Vec<f32>, batch: usize, k: usize) -> Result<()> {
        let begin = Instant::now();
        for call in 0.. {
            self.call(&queries(call), batch, k)?;
            if begin.elapsed() >= SETTLING {
                break;
            }
        }
        Ok(())
    }

    /// The same, but slower by `share` of its time.
    pub fn slowed_down(self, share: f64) -> Contestant {
        Contestant { slowdown: share, ..self }
    }

    /// Moves the codes to another place in memory.
    fn relocate(&mut self, rng: &mut ChaCha8Rng) {
        let spacer = vec![0u8; rng.random_range(0..LARGEST_SPACER)];
        self.work = match &self.work {
            Work::Search(list) => Work::Search(list.clone()),
            Work::Read(reader) => Work::Read(reader.clone()),
        };
        black_box(spacer);
    }

    /// The variant, unless this is the roofline.
    pub fn variant(&self) -> Option<&'static Variant> {
        match &self.work {
            Work::Search(list) => Some(list.variant()),
            Work::Read(_) => None,
        }
    }

    /// The prepared codes.
    pub fn list(&self) -> Option<&List> {
        match &self.work {
            Work::Search(list) => Some(list),
            Work::Read(_) => None,
        }
    }

    /// Whether its times count.
    pub fn is_right(&self) -> bool {
        self.fault.is_none()
    }

    /// One call with `batch` queries, timed; ns a query.
    fn call(&self, queries: &[f32], batch: usize, k: usize) -> Result<(Vec<Answer>, f64)> {
        let start = Instant::now();
        let answers = match &self.work {
            Work::Read(reader) => {
                reader.read();
                Ok(Vec::new())
            }
            Work::Search(list) if batch == 1 => list.search(black_box(queries), k).map(|answer| vec![answer]),
            Work::Search(list) => list.search_batch(black_box(queries), k),
        };
        let mut elapsed = start.elapsed();
        if self.slowdown > 0.0 {
            let until = elapsed.mul_f64(1.0 + self.slowdown);
            while elapsed < until {
                spin_loop();
                elapsed = start.elapsed();
            }
        }
        Ok((black_box(answers)?, elapsed.as_nanos() as f64 / batch as f64))
    }
}

/// Contestants and what they share.
pub struct Contest<'a> {
    workload: &'a Workload<'a>,
    pub contestants: Vec<Contestant>,
    /// All queries in the order in which the rounds come to them.
    order: Vec<usize>,
    /// How many queries the rounds have come to.
    position: usize,
    /// What moving all contestants took the last time, in ns.
    relocation_ns: f64,
    batch: usize,
    /// Read before each call to drive the codes out of the caches.
    evict: Option<Reader>,
    rng: ChaCha8Rng,
}

impl<'a> Contest<'a> {
    /// An empty contest. `batch` queries go into a call, and what `evict` holds is read before it.
    pub fn new(workload: &'a Workload<'a>, batch: usize, evict: Option<Reader>, mut rng: ChaCha8Rng) -> Contest<'a> {
        let mut order: Vec<_> = (0..workload.num_queries()).collect();
        order.shuffle(&mut rng);
        Contest { workload, contestants: Vec::new(), order, position: 0, relocation_ns: 0.0, batch, evict, rng }
    }

    /// What all of them face.
    pub fn workload(&self) -> &'a Workload<'a> {
        self.workload
    }

    /// The contestant of that name.
    pub fn find(&self, name: &str) -> Option<&Contestant> {
        self.contestants.iter().find(|contestant| contestant.name == name)
    }

    /// Takes `contestant` in.
    pub fn enter(&mut self, mut contestant: Contestant) {
        contestant.answers = vec![Vec::new(); self.workload.num_queries()];
        self.contestants.push(contestant);
    }

    /// Lets contestant number `at` go on with its first pass, in which it answers every query once and all answers are
    /// checked, for about as long as `limit`. `each` is told the share that is done and may end the pass with an error.
    ///
    /// # Errors
    /// A search fails, or `each` does.
    pub fn first_pass(&mut self, at: usize, limit: Duration, mut each: impl FnMut(f64) -> Result<()>) -> Result<()> {
        let total = self.workload.num_queries();
        let begin = Instant::now();
        while self.contestants[at].first_pass.len() < total && begin.elapsed() < limit {
            let first = self.contestants[at].first_pass.len();
            each(first as f64 / total as f64)?;
            let (answers, ns) = self.contestants[at].call(&self.queries(first), self.batch, self.workload.k)?;
            let numbers: Vec<_> = (first..first + self.batch).map(|place| self.query_number(place)).collect();
            let contestant = &mut self.contestants[at];
            // The last batch may begin over.
            contestant.first_pass.extend(numbers.iter().take(total - first).map(|_| ns));
            for (&number, answer) in numbers.iter().zip(answers) {
                let fidelity = contestant.variant().map(|variant| variant.fidelity);
                let fault = fidelity.and_then(|fidelity| self.workload.fault(number, &answer, fidelity));
                contestant.fault = contestant.fault.take().or(fault);
                contestant.answers[number] = answer;
            }
        }
        if self.contestants[at].first_pass.len() == total {
            self.end_first_pass(at);
        }
        Ok(())
    }

    fn end_first_pass(&mut self, at: usize) {
        let total = self.workload.num_queries();
        let contestant = &self.contestants[at];
        let mut times = vec![0.0; total];
        for (&query, &ns) in self.order.iter().zip(&contestant.first_pass) {
            times[query] = ns;
        }
        let lost_recall = contestant.variant().and_then(|_| self.workload.lost_recall(&contestant.answers));
        let contestant = &mut self.contestants[at];
        contestant.fault = contestant.fault.take().or(lost_recall);
        contestant.first_pass_ns = statistics::geomean(&times);
        let typical = statistics::median(&times);
        contestant.difficulty = times
            .iter()
            .map(|time| (time / typical).clamp(1.0 / LARGEST_CORRECTION, LARGEST_CORRECTION).ln())
            .collect();
        let mean = contestant.difficulty.iter().sum::<f64>() / total as f64;
        contestant.difficulty.iter_mut().for_each(|difficulty| *difficulty -= mean);
    }

    /// Takes the first pass, as far as it has come, for a round.
    pub fn rough_round(&mut self) {
        self.forget();
        for contestant in self.contestants.iter_mut().filter(|contestant| contestant.is_right()) {
            contestant.samples.push(statistics::geomean(&contestant.first_pass));
            contestant.latencies.clone_from(&contestant.first_pass);
        }
    }

    /// Forgets all samples, and keeps the answers.
    pub fn forget(&mut self) {
        for contestant in &mut self.contestants {
            contestant.samples.clear();
            contestant.latencies.clear();
        }
    }

    /// One turn for every contestant that was right so far.
    ///
    /// # Errors
    /// A search fails.
    pub fn round(&mut self) -> Result<()> {
        let mut turns: Vec<_> = (0..self.contestants.len()).filter(|&at| self.contestants[at].is_right()).collect();
        turns.shuffle(&mut self.rng);
        let start = Instant::now();
        for &at in &turns {
            self.contestants[at].relocate(&mut self.rng);
        }
        self.relocation_ns = start.elapsed().as_nanos() as f64;
        let calls = self.calls_a_turn(&turns);
        for contestant in turns {
            self.turn(contestant, calls)?;
        }
        self.position = (self.position + calls * self.batch) % self.order.len();
        Ok(())
    }

    /// As many calls as fit into the time of a round.
    fn calls_a_turn(&self, turns: &[usize]) -> usize {
        let evict_ns = self.evict.as_ref().map_or(0.0, |reader| reader.bytes() as f64 / 5.0);
        let call_ns = |&at: &usize| evict_ns + self.contestants[at].first_pass_ns * self.batch as f64;
        let all_ns: f64 = turns.iter().map(call_ns).sum();
        let round_ns = ROUND_NS.max(self.relocation_ns * RELOCATION_FACTOR);
        ((round_ns / all_ns) as usize).max(1)
    }

    fn turn(&mut self, at: usize, calls: usize) -> Result<()> {
        let behind = self.position + calls * self.batch;
        if self.evict.is_none() {
            self.contestants[at].settle(
                |call| self.queries(behind + call * self.batch),
                self.batch,
                self.workload.k,
            )?;
        }
        let mut logarithms = 0.0;
        for call in 0..calls {
            let first = self.position + call * self.batch;
            let queries = self.queries(first);
            if let Some(evict) = &self.evict {
                evict.read();
            }
            let (answers, ns) = self.contestants[at].call(&queries, self.batch, self.workload.k)?;
            let numbers: Vec<_> = (first..first + self.batch).map(|place| self.query_number(place)).collect();
            let contestant = &mut self.contestants[at];
            for (&number, answer) in numbers.iter().zip(&answers) {
                if let Err(what) = same(answer, &contestant.answers[number]) {
                    contestant.fault = Some(format!("query {number}, while it was timed: {what}"));
                    return Ok(());
                }
            }
            contestant.latencies.push(ns);
            let difficulty = numbers.iter().map(|&number| contestant.difficulty[number]).sum::<f64>();
            logarithms += ns.ln() - difficulty / self.batch as f64;
        }
        self.contestants[at].samples.push((logarithms / calls as f64).exp());
        Ok(())
    }

    /// Which query the rounds come to at `place`.
    fn query_number(&self, place: usize) -> usize {
        self.order[place % self.order.len()]
    }

    /// The queries of the call that begins at place `first`.
    fn queries(&self, first: usize) -> Vec<f32> {
        let places = first..first + self.batch;
        places.flat_map(|place| self.workload.query(self.query_number(place))).copied().collect()
    }

    /// Runs rounds that don't count, until their times have settled or `limit` has passed.
    ///
    /// # Errors
    /// A search fails.
    pub fn warm_up(&mut self, limit: Duration) -> Result<()> {
        /// Two rounds this close are of a warm machine.
        const SETTLED: f64 = 0.03;
        let begin = Instant::now();
        let mut before = f64::INFINITY;
        while begin.elapsed() < limit {
            let start = Instant::now();
            self.round()?;
            let took = start.elapsed().as_secs_f64();
            if (took / before - 1.0).abs() < SETTLED {
                break;
            }
            before = took;
        }
        self.forget();
        Ok(())
    }
}

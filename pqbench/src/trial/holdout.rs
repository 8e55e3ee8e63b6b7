//! Questions that could not be rehearsed: real data under other names.
//!
//! A variant under trial can know the embedded data, their answers, and the cases of [`verify`](crate::verify). It can't
//! know an exam: codes, order, labels, lengths, k and queries follow from a seed that is drawn when the trial begins and
//! printed. What holds for the data still holds for the exam: other ids or labels leave every distance as it is, to the
//! bit. The oracle answers all the same; nothing is taken from there.

use std::{
    iter,
    ops::Range,
    sync::{LazyLock, OnceLock},
};

use indicatif::ProgressBar;
use pqscan::{Bits, Geometry, Metric, registry::Fidelity};
use rand::{RngExt, rngs::ChaCha8Rng, seq::SliceRandom};

use super::fresh::Fresh;
use crate::{
    cases::Neighbours,
    fixture::{self, Fixture, Limits, tiled},
    fuzz::{Rows, Values, pick, stream},
    reference,
    threads::in_parallel,
    verify::Judge,
    worker::Call,
};

/// Rounds of [`exams`] for a quick look: 2 s of the oracle on two cores.
pub const QUICK: usize = 1;
/// Rounds of [`exams`] in a trial: 10 s.
pub const THOROUGH: usize = 5;

/// From here on a list is long: counters of 16 bits and of 20 have run over.
const LONG: usize = 1 << 20;

/// Codes in lists, what is asked of them, and the oracle's answers.
pub struct Exam {
    /// What is special about it.
    pub name: String,
    /// Its shape.
    pub geometry: Geometry,
    /// Its metric.
    pub metric: Metric,
    /// `[m][k][d]`.
    pub centroids: Vec<f32>,
    /// Row-major `[n][row_bytes]`.
    pub codes: Vec<u8>,
    /// How many of the codes, one list after the other, each list has. Ids count through all of them.
    pub lengths: Vec<usize>,
    /// What is asked, in this order.
    pub questions: Vec<Question>,
    answers: OnceLock<Vec<Vec<Neighbours>>>,
}

/// Queries that are put in one way.
pub struct Question {
    /// The way.
    pub call: Call,
    /// The number of neighbours to ask for.
    pub k: usize,
    /// One after the other, of [`Call::query_len`] values each.
    pub queries: Vec<f32>,
}

impl Exam {
    /// Codes of all lists.
    pub fn num_vectors(&self) -> usize {
        self.codes.len() / self.geometry.row_bytes()
    }

    /// Queries of question number `question`.
    pub fn num_queries(&self, question: usize) -> usize {
        let Question { call, queries, .. } = &self.questions[question];
        queries.len() / call.query_len(self.geometry)
    }

    /// The right answers, `[question][query]`, by the oracle on all cores, when they are asked for first.
    pub fn answers(&self) -> &[Vec<Neighbours>] {
        self.answers.get_or_init(|| {
            let mut answers: Vec<_> =
                (0..self.questions.len()).map(|question| vec![Vec::new(); self.num_queries(question)]).collect();
            let places = answers.iter_mut().enumerate();
            let all =
                places.flat_map(|(question, answers)| answers.iter_mut().enumerate().map(move |at| (question, at)));
            in_parallel(all.collect(), |(question, (query, answer))| *answer = self.answer(question, query));
            answers
        })
    }

    /// Why `answer` is not what a variant of that fidelity may give to a query of a question; none if it is right.
    pub fn fault(&self, question: usize, query: usize, answer: &[(u64, f32)], fidelity: Fidelity) -> Option<String> {
        let Question { call, k, .. } = &self.questions[question];
        let visited = self.visited(*call, query);
        let (first, num_vectors) = (visited[0].start as u64, visited.iter().map(Range::len).sum());
        let judge = Judge { fidelity, num_vectors };
        let expected = &self.answers()[question][query];
        let right = match fidelity {
            Fidelity::Exact => judge.answer(answer, expected, *k),
            // The judge knows one list, from id 0 on. Those that are visited follow each other, around the end.
            _ => {
                let n = self.num_vectors() as u64;
                let from_0: Neighbours = answer
                    .iter()
                    .map(|&(id, distance)| (if id < n { (id + n - first) % n } else { id }, distance))
                    .collect();
                judge.answer(&from_0, expected, *k)
            }
        };
        right.err().map(|what| format!("{}: {call:?}, k {k}, query {query}: {what}", self.name))
    }

    /// The places of the codes that a query goes through, list by list.
    fn visited(&self, call: Call, query: usize) -> Vec<Range<usize>> {
        let list = |list: usize| {
            let first = self.lengths[..list].iter().sum();
            first..first + self.lengths[list]
        };
        match call {
            Call::Single | Call::Batch(_) | Call::Table => vec![list(0)],
            Call::Lists(visited) | Call::Residual(visited) => {
                (0..visited).map(|step| list((query * visited + step) % self.lengths.len())).collect()
            }
            Call::Unprepared => iter::once(0..self.num_vectors()).collect(),
        }
    }

    fn answer(&self, question: usize, query: usize) -> Neighbours {
        let Question { call, k, queries } = &self.questions[question];
        let query_len = call.query_len(self.geometry);
        let values = &queries[query * query_len..][..query_len];
        let table = |vector| reference::distance_table(self.geometry, self.metric, vector, &self.centroids);
        let tables: Vec<Vec<f32>> = match call {
            Call::Table | Call::Unprepared => vec![values.to_vec()],
            _ => values.chunks(self.geometry.dim()).map(table).collect(),
        };
        let mut all = Vec::new();
        for (step, places) in self.visited(*call, query).into_iter().enumerate() {
            let table = tables.get(step).unwrap_or(&tables[0]);
            let rows =
                self.codes.chunks_exact(self.geometry.row_bytes()).enumerate().take(places.end).skip(places.start);
            all.extend(rows.map(|(id, row)| (id as u64, reference::distance(self.geometry, table, row))));
        }
        reference::nearest(all, *k)
    }
}

/// The exams of a seed, each made when its turn comes: `rounds` times one of each kind.
pub fn exams(seed: u64, rounds: usize) -> impl Iterator<Item = Exam> {
    let all = (0..rounds).flat_map(|_| KINDS.iter().copied());
    all.zip(0..).map(move |(make, number)| make(&mut Maker { rng: stream(seed, number) }))
}

const KINDS: &[fn(&mut Maker) -> Exam] = &[
    Maker::other_ids,
    Maker::other_labels,
    Maker::other_sub_quantizers,
    Maker::every_residue,
    Maker::every_length,
    Maker::every_k,
    Maker::every_batch,
    Maker::many_calls,
    Maker::lists,
    Maker::residuals,
    Maker::tables,
    Maker::unprepared,
    Maker::one_is_near,
    Maker::ties,
    Maker::far_to_near,
    Maker::worst_case,
    Maker::subnormal,
    Maker::infinite,
    Maker::shape,
    Maker::shape,
    Maker::shape,
    Maker::shape,
    Maker::shape,
    Maker::shape,
    Maker::long,
];

/// The data sets that the binary carries.
static DATA: LazyLock<Vec<Fixture>> = LazyLock::new(|| {
    let open = |spec| Fixture::open(spec, Limits::default(), &ProgressBar::hidden());
    fixture::embedded().map(|spec| open(spec).expect("the binary carries it whole")).collect()
});

/// Makes one exam.
struct Maker {
    rng: ChaCha8Rng,
}

impl Maker {
    fn data(&mut self) -> &'static Fixture {
        &DATA[self.rng.random_range(0..DATA.len())]
    }

    /// `n` different rows of a data set, in any order.
    fn rows(&mut self, data: &Fixture, n: usize) -> Vec<u8> {
        let row_bytes = data.geometry.row_bytes();
        let mut rows: Vec<&[u8]> = data.codes.chunks_exact(row_bytes).collect();
        rows.partial_shuffle(&mut self.rng, n).0.concat()
    }

    /// A number of neighbours for a list of `n` codes.
    fn k(&mut self, n: usize) -> usize {
        let k = self.rng.random_range(1..=1_000);
        pick(&mut self.rng, &[1, 10, 100, 1_000, n + 1, n + 20, k, k, k]).min(1_020)
    }

    /// Queries `[count][dim]` to a data set: real ones and fresh ones, and where the real ones are bytes both bytes and
    /// not.
    fn queries(&mut self, data: &Fixture, count: usize) -> Vec<f32> {
        let mut all = Vec::new();
        let mut fresh = Fresh::new(data, self.rng.random()).expect("the data have many queries");
        fresh.next(&mut all, count);
        for query in all.chunks_mut(data.geometry.dim()) {
            if self.rng.random_bool(0.25) {
                query.copy_from_slice(data.query(self.rng.random_range(0..data.num_queries())));
            }
        }
        all
    }

    /// `count` distance tables, for queries to a data set.
    fn tables_of(&mut self, data: &Fixture, count: usize) -> Vec<f32> {
        let queries = self.queries(data, count);
        let table = |query| reference::distance_table(data.geometry, data.metric, query, &data.centroids);
        queries.chunks(data.geometry.dim()).flat_map(table).collect()
    }

    /// Lengths of `count` lists.
    fn lengths(&mut self, count: usize, most: usize) -> Vec<usize> {
        (0..count).map(|_| self.rng.random_range(0..=most)).collect()
    }

    /// Some questions to one list of `n` codes: some one by one, some in a batch, each for another k.
    fn mixed(&mut self, data: &Fixture, n: usize, queries: Vec<f32>) -> Vec<Question> {
        let count = queries.len() / data.geometry.dim();
        let mut rest = &queries[..];
        let mut questions = Vec::new();
        while !rest.is_empty() {
            let most = rest.len() / data.geometry.dim();
            let taken = self.rng.random_range(1..=count.div_ceil(3)).min(most);
            let (queries, behind) = rest.split_at(taken * data.geometry.dim());
            let size = self.rng.random_range(1..=40);
            let call = if self.rng.random_bool(0.7) { Call::Single } else { Call::Batch(size) };
            questions.push(Question { call, k: self.k(n), queries: queries.to_vec() });
            rest = behind;
        }
        questions
    }

    /// All codes of a data set, in any order.
    fn other_ids(&mut self) -> Exam {
        let data = self.data();
        let n = data.num_base();
        let (codes, queries) = (self.rows(data, n), self.queries(data, 80));
        exam("other ids", data, codes, self.mixed(data, n, queries))
    }

    /// The centroids of each sub-quantizer under other numbers.
    fn other_labels(&mut self) -> Exam {
        let data = self.data();
        let n = self.rng.random_range(1_000..30_000);
        let mut codes = self.rows(data, n);
        let centroids = relabel(&mut self.rng, data.geometry, &data.centroids, &mut codes);
        let queries = self.queries(data, 60);
        let exam = exam("centroids under other numbers", data, codes, self.mixed(data, n, queries));
        Exam { centroids, ..exam }
    }

    /// The sub-quantizers in another order, and so the parts of a query.
    fn other_sub_quantizers(&mut self) -> Exam {
        let data = self.data();
        let n = self.rng.random_range(1_000..30_000);
        let mut order: Vec<usize> = (0..data.geometry.m()).collect();
        order.shuffle(&mut self.rng);
        let codes = reorder(&order, &self.rows(data, n), 1);
        let queries = reorder(&order, &self.queries(data, 60), data.geometry.sub_dim());
        let exam = exam("sub-quantizers in another order", data, codes, self.mixed(data, n, queries));
        let of_one = data.geometry.num_centroids() * data.geometry.sub_dim();
        Exam { centroids: reorder(&order, &data.centroids, of_one), ..exam }
    }

    /// 64 lists, with each remainder that a length can leave.
    fn every_residue(&mut self) -> Exam {
        let data = self.data();
        let mut lengths: Vec<usize> = (0..64).map(|residue| residue + 64 * self.rng.random_range(0..16)).collect();
        lengths.shuffle(&mut self.rng);
        let codes = self.rows(data, lengths.iter().sum());
        let ks = [1, 10, self.rng.random_range(1..=1_000), 2_000];
        // Each list by each k, and those that a threshold has already come to.
        let mut questions = Vec::new();
        for (k, call) in ks.into_iter().zip([Call::Lists(1), Call::Lists(1), Call::Lists(1), Call::Lists(3)]) {
            questions.push(Question { call, k, queries: self.queries(data, 128) });
        }
        Exam { lengths, ..exam("every length modulo 64", data, codes, questions) }
    }

    /// Every length up to that of a usual list of an index.
    fn every_length(&mut self) -> Exam {
        let data = self.data();
        let mut lengths: Vec<usize> = (0..=1_100).collect();
        lengths.shuffle(&mut self.rng);
        let row_bytes = data.geometry.row_bytes();
        let row = |_| &data.codes[self.rng.random_range(0..data.num_base()) * row_bytes..][..row_bytes];
        let codes = (0..lengths.iter().sum()).map(row).collect::<Vec<_>>().concat();
        let k = self.rng.random_range(1..=100);
        let questions = vec![Question { call: Call::Lists(1), k, queries: self.queries(data, lengths.len()) }];
        Exam { lengths, ..exam("every length", data, codes, questions) }
    }

    /// Every k up to 1,000 in any order, and some beyond the list.
    fn every_k(&mut self) -> Exam {
        let data = self.data();
        let n = self.rng.random_range(1_001..3_000);
        let codes = self.rows(data, n);
        let mut ks: Vec<usize> = (1..=1_000).chain([n - 1, n, n + 1, 2 * n]).collect();
        ks.shuffle(&mut self.rng);
        let queries = self.queries(data, ks.len());
        let each = ks.into_iter().zip(queries.chunks(data.geometry.dim()));
        let questions = each.map(|(k, query)| Question { call: Call::Single, k, queries: query.to_vec() });
        exam("every k", data, codes, questions.collect())
    }

    /// Batches of 1 to 40 queries in any order.
    fn every_batch(&mut self) -> Exam {
        let data = self.data();
        let n = self.rng.random_range(100..5_000);
        let codes = self.rows(data, n);
        let mut sizes: Vec<usize> = (1..=40).collect();
        sizes.shuffle(&mut self.rng);
        let mut questions = Vec::new();
        for size in sizes {
            questions.push(Question { call: Call::Batch(size), k: self.k(n), queries: self.queries(data, size) });
        }
        exam("every size of a batch", data, codes, questions)
    }

    /// So many calls that what goes wrong once in a thousand times does.
    fn many_calls(&mut self) -> Exam {
        let data = self.data();
        let n = self.rng.random_range(100..2_000);
        let (codes, queries) = (self.rows(data, n), self.queries(data, 6_000));
        let k = self.rng.random_range(5..=20);
        exam("many calls", data, codes, vec![Question { call: Call::Single, k, queries }])
    }

    /// Lists of any length under one threshold.
    fn lists(&mut self) -> Exam {
        let data = self.data();
        let lengths = self.lengths(50, 2_000);
        let codes = self.rows(data, lengths.iter().sum());
        let mut questions = Vec::new();
        for _ in 0..4 {
            let call = Call::Lists(self.rng.random_range(2..=30));
            questions.push(Question { call, k: self.k(2_000), queries: self.queries(data, 50) });
        }
        Exam { lengths, ..exam("many lists under one threshold", data, codes, questions) }
    }

    /// The same with another query for each list.
    fn residuals(&mut self) -> Exam {
        let data = self.data();
        let lengths = self.lengths(30, 2_000);
        let codes = self.rows(data, lengths.iter().sum());
        let mut questions = Vec::new();
        for _ in 0..4 {
            let visited = self.rng.random_range(2..=20);
            let queries = self.queries(data, visited * 20);
            questions.push(Question { call: Call::Residual(visited), k: self.k(2_000), queries });
        }
        Exam { lengths, ..exam("many lists, a query each", data, codes, questions) }
    }

    /// Distance tables of queries and others, also infinite ones.
    fn tables(&mut self) -> Exam {
        self.of_tables(Call::Table, "distance tables")
    }

    /// The same over codes that nothing prepared.
    fn unprepared(&mut self) -> Exam {
        self.of_tables(Call::Unprepared, "codes that nothing prepared")
    }

    fn of_tables(&mut self, call: Call, name: &str) -> Exam {
        const KINDS: [Values; 7] = [
            Values::Uniform,
            Values::Negative,
            Values::Whole,
            Values::ZerosOfBothSigns,
            Values::Subnormal,
            Values::SomeInfinite,
            Values::OneRowInfinite,
        ];
        let data = self.data();
        let n = self.rng.random_range(1..20_000);
        let codes = self.rows(data, n);
        let mut questions = vec![Question { call, k: self.k(n), queries: self.tables_of(data, 30) }];
        for kind in KINDS {
            let queries = kind.fill(&mut self.rng, data.geometry.m(), data.geometry.num_centroids());
            questions.push(Question { call, k: self.k(n), queries });
        }
        exam(name, data, codes, questions)
    }

    /// Queries that are one code each, the last one or any other: it is the nearest by far, and can't be left out unseen.
    fn one_is_near(&mut self) -> Exam {
        let data = self.data();
        let n = self.rng.random_range(2_000..40_000);
        let codes = self.rows(data, n);
        let places = [0, 1, n - 2, n - 1].into_iter().chain((0..60).map(|_| self.rng.random_range(0..n)));
        let queries: Vec<f32> = places.flat_map(|place| decoded(data, &codes, place)).collect();
        let (few, rest) = queries.split_at(30 * data.geometry.dim());
        let question = |k, queries: &[f32]| Question { call: Call::Single, k, queries: queries.to_vec() };
        exam("one code is the nearest by far", data, codes, vec![question(1, few), question(3, rest)])
    }

    /// A few codes again and again: the ids decide.
    fn ties(&mut self) -> Exam {
        let data = self.data();
        let n = self.rng.random_range(1_000..20_000);
        let distinct = pick(&mut self.rng, &[1, 3, 50, 500]);
        let few = self.rows(data, distinct);
        let row_bytes = data.geometry.row_bytes();
        let row = |_| &few[self.rng.random_range(0..distinct) * row_bytes..][..row_bytes];
        let codes = (0..n).map(row).collect::<Vec<_>>().concat();
        let queries = self.queries(data, 50);
        exam("equal codes", data, codes, self.mixed(data, n, queries))
    }

    /// Each code is nearer than all before it.
    fn far_to_near(&mut self) -> Exam {
        let data = self.data();
        let n = self.rng.random_range(1_000..20_000);
        let codes = self.rows(data, n);
        let queries = self.queries(data, 20);
        let query = &queries[..data.geometry.dim()];
        let nearest_first = reference::search(data.geometry, data.metric, query, &data.centroids, &codes, n);
        let row_bytes = data.geometry.row_bytes();
        let rows = nearest_first.iter().rev().map(|&(id, _)| &codes[id as usize * row_bytes..][..row_bytes]);
        let codes = rows.collect::<Vec<_>>().concat();
        exam("far to near", data, codes, self.mixed(data, n, queries))
    }

    /// The same for all queries.
    fn worst_case(&mut self) -> Exam {
        let limits = Limits { num_base: Some(self.rng.random_range(5_000..40_000)), num_queries: None };
        let data = &Fixture::open("worst-case", limits, &ProgressBar::hidden()).expect("it is made of what is here");
        let queries = self.queries(data, 40);
        exam("worst case", data, data.codes.clone(), self.mixed(data, data.num_base(), queries))
    }

    /// Distances below the smallest normal number, where flushing them to zero makes all equal.
    fn subnormal(&mut self) -> Exam {
        let data = self.data();
        let n = self.rng.random_range(1_000..5_000);
        let (codes, mut queries) = (self.rows(data, n), self.queries(data, 40));
        let dim = data.geometry.dim();
        let table = reference::distance_table(data.geometry, Metric::L2, &queries[..dim], &data.centroids);
        let mean = table.iter().sum::<f32>() / table.len() as f32;
        // So that the entries are about 1e-39. (The product itself would be subnormal, and its root imprecise.)
        let scale = (1e-9 * self.rng.random_range(0.5..2.0) / mean).sqrt() * 1e-15;
        queries.iter_mut().for_each(|value| *value *= scale);
        let exam = exam("subnormal distances", data, codes, self.mixed(data, n, queries));
        Exam { metric: Metric::L2, centroids: data.centroids.iter().map(|value| value * scale).collect(), ..exam }
    }

    /// Some centroids, or all queries, are infinitely far away.
    fn infinite(&mut self) -> Exam {
        let data = self.data();
        let n = self.rng.random_range(500..5_000);
        let (codes, mut queries) = (self.rows(data, n), self.queries(data, 40));
        let share = pick(&mut self.rng, &[0.001, 0.02, 0.2]);
        let mut centroids = data.centroids.clone();
        centroids.chunks_mut(data.geometry.sub_dim()).for_each(|centroid| {
            if self.rng.random_bool(share) {
                centroid[0] = 1e30;
            }
        });
        queries[..data.geometry.dim()].fill(-1e30);
        Exam { metric: Metric::L2, centroids, ..exam("infinite distances", data, codes, self.mixed(data, n, queries)) }
    }

    /// More codes than a short counter counts; the nearest to one query is among the last.
    fn long(&mut self) -> Exam {
        let data = self.data();
        let n = LONG + self.rng.random_range(1..200_000);
        let codes = tiled(data, n, self.rng.random()).codes;
        let place = self.rng.random_range(LONG..n);
        let mut questions =
            vec![Question { call: Call::Single, k: 1, queries: decoded(data, &codes, place).collect() }];
        for (count, call) in [(6, Call::Single), (6, Call::Single), (5, Call::Batch(3))] {
            questions.push(Question { call, k: self.k(1_000), queries: self.queries(data, count) });
        }
        exam("more than 2^20 codes", data, codes, questions)
    }

    /// Another number of sub-quantizers, of dimensions in each and of bits, and any metric and call.
    fn shape(&mut self) -> Exam {
        let rng = &mut self.rng;
        let (m, sub_dim) = (rng.random_range(1..=64), rng.random_range(1..=12));
        let geometry = Geometry::new(m * sub_dim, m, pick(rng, &[Bits::Four, Bits::Eight])).expect("a quantizer");
        let metric = pick(rng, Metric::ALL);
        let centroids = Values::Uniform.fill(rng, m, geometry.num_centroids() * sub_dim);
        let visited = rng.random_range(1..=8);
        let mut lengths = vec![rng.random_range(500..6_000)];
        lengths.extend((1..10).map(|_| rng.random_range(0..1_000)));
        let first = Values::Uniform.fill(rng, 1, geometry.dim());
        let table = reference::distance_table(geometry, metric, &first, &centroids);
        let kind = pick(rng, &[Rows::Uniform, Rows::Clustered, Rows::OfTwoCentroids, Rows::NearToFar, Rows::FarToNear]);
        let codes = kind.draw(rng, geometry, lengths.iter().sum(), &table);
        let size = rng.random_range(1..=40);
        let mut questions = vec![Question { call: Call::Single, k: 10, queries: first }];
        for call in [Call::Single, Call::Batch(size), Call::Lists(visited), Call::Residual(visited), Call::Table] {
            let queries = Values::Uniform.fill(&mut self.rng, 10, call.query_len(geometry));
            questions.push(Question { call, k: self.k(lengths[0]), queries });
        }
        let name = format!("{} codes, {geometry}, {metric}", codes.len() / geometry.row_bytes());
        Exam { name, geometry, metric, centroids, codes, lengths, questions, answers: OnceLock::new() }
    }
}

/// An exam of the shape and the centroids of a data set, over one list.
fn exam(name: &str, data: &Fixture, codes: Vec<u8>, questions: Vec<Question>) -> Exam {
    let n = codes.len() / data.geometry.row_bytes();
    Exam {
        name: format!("{name}, {n} codes of {}", data.name),
        geometry: data.geometry,
        metric: data.metric,
        centroids: data.centroids.clone(),
        codes,
        lengths: vec![n],
        questions,
        answers: OnceLock::new(),
    }
}

/// The vector that a code of a byte for each sub-quantizer stands for.
fn decoded<'a>(data: &'a Fixture, codes: &'a [u8], place: usize) -> impl Iterator<Item = f32> + 'a {
    let (geometry, sub_dim) = (data.geometry, data.geometry.sub_dim());
    let row = codes[place * geometry.m()..][..geometry.m()].iter().enumerate();
    let centroid = move |(m, &code): (usize, &u8)| m * geometry.num_centroids() + usize::from(code);
    row.flat_map(move |code| &data.centroids[centroid(code) * sub_dim..][..sub_dim]).copied()
}

/// Gives the centroids of each sub-quantizer other numbers, and `codes` of a byte each with them.
fn relabel(rng: &mut ChaCha8Rng, geometry: Geometry, centroids: &[f32], codes: &mut [u8]) -> Vec<f32> {
    let sub_dim = geometry.sub_dim();
    let mut relabelled = centroids.to_vec();
    for m in 0..geometry.m() {
        let mut labels: Vec<u8> = (0..=u8::MAX).collect();
        labels.shuffle(rng);
        let of_m = m * geometry.num_centroids() * sub_dim;
        for (old, &new) in labels.iter().enumerate() {
            relabelled[of_m + usize::from(new) * sub_dim..][..sub_dim]
                .copy_from_slice(&centroids[of_m + old * sub_dim..][..sub_dim]);
        }
        codes.iter_mut().skip(m).step_by(geometry.m()).for_each(|code| *code = labels[usize::from(*code)]);
    }
    relabelled
}

/// Rows of as many parts of `len` values as `order` has, each row's parts in that order.
fn reorder<T: Copy>(order: &[usize], rows: &[T], len: usize) -> Vec<T> {
    let parts = |row: &[T]| order.iter().flat_map(|&part| &row[part * len..][..len]).copied().collect::<Vec<_>>();
    rows.chunks(order.len() * len).flat_map(parts).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    };

    use pqscan::{
        Codebook, Codes, Error, List, Query, ScanOptions, TopK,
        collector::Collector,
        cpu,
        registry::{self, Variant},
        variant::Scan,
    };

    use super::*;

    /// The answers of a variant, without a worker; none to a question that is not for it.
    fn answer_in_process(exam: &Exam, variant: &'static Variant) -> Result<Vec<Option<Vec<Neighbours>>>, Error> {
        let codebook = Codebook::new(exam.geometry, exam.metric, &exam.centroids)?;
        let (dim, row_bytes) = (exam.geometry.dim(), exam.geometry.row_bytes());
        let mut lists: Vec<(u64, List)> = Vec::new();
        let mut first = 0;
        for length in &exam.lengths {
            let codes = &exam.codes[first * row_bytes..][..length * row_bytes];
            lists.push((first as u64, variant.prepare(&codebook, Codes::row_major(codes), 1)?));
            first += length;
        }
        let mut all = Vec::new();
        for Question { call, k, queries } in &exam.questions {
            if *call == Call::Unprepared && !variant.probes_unprepared_codes() {
                all.push(None);
                continue;
            }
            let list = &lists[0].1;
            let mut answers = Vec::new();
            match *call {
                Call::Batch(size) => {
                    for queries in queries.chunks(size * dim) {
                        answers.extend(list.search_batch(queries, *k)?);
                    }
                }
                _ => {
                    for (at, values) in queries.chunks(call.query_len(exam.geometry)).enumerate() {
                        let mut top = TopK::new(*k);
                        match *call {
                            Call::Lists(visited) | Call::Residual(visited) => {
                                let mut query = codebook.query(&values[..dim])?;
                                for step in 0..visited {
                                    if let Call::Residual(_) = call {
                                        query.set(&values[step * dim..][..dim])?;
                                    }
                                    let (first_id, list) = &lists[(at * visited + step) % lists.len()];
                                    let options = ScanOptions { first_id: *first_id, ..ScanOptions::default() };
                                    list.scan(&mut query, &mut top, &options)?;
                                }
                            }
                            Call::Table => {
                                list.scan(&mut codebook.query_from_table(values)?, &mut top, &ScanOptions::default())?;
                            }
                            Call::Unprepared => {
                                let mut query = Query::from_table(exam.geometry, values)?;
                                let codes = Codes::row_major(&exam.codes);
                                codes.scan_by(variant, &mut query, &mut top, &ScanOptions::default())?;
                            }
                            _ => list.search(values, *k)?.iter().for_each(|&(id, distance)| top.push(id, distance)),
                        }
                        answers.push(top.into_sorted());
                    }
                }
            }
            all.push(Some(answers));
        }
        Ok(all)
    }

    /// The first fault of a variant.
    fn fault_in_process(exam: &Exam, variant: &'static Variant) -> Option<String> {
        let answers = match answer_in_process(exam, variant) {
            Ok(answers) => answers,
            Err(error) => return Some(format!("{}: {error}", exam.name)),
        };
        answers.iter().enumerate().find_map(|(question, answers)| {
            let answers = answers.as_ref()?;
            assert_eq!(answers.len(), exam.num_queries(question));
            let fault = |(query, answer): (usize, &Neighbours)| exam.fault(question, query, answer, variant.fidelity);
            answers.iter().enumerate().find_map(fault)
        })
    }

    #[test]
    #[cfg_attr(debug_assertions, ignore = "skipped: takes minutes without optimization")]
    fn every_variant_passes_all_quick_exams() {
        let features = cpu::features().unwrap();
        for exam in exams(1, QUICK) {
            let can = |variant: &&Variant| {
                variant.unavailable(features).is_none() && variant.unsupported(exam.geometry).is_none()
            };
            let faults = Mutex::new(Vec::new());
            exam.answers();
            in_parallel(registry::all().iter().copied().filter(can).collect(), |variant| {
                if let Some(fault) = fault_in_process(&exam, variant) {
                    faults.lock().unwrap().push(format!("{}: {fault}", variant.name));
                }
            });
            assert_eq!(faults.into_inner().unwrap(), [""; 0]);
        }
    }

    /// Right, but for what it is told to get wrong by the number of codes and k: then it loses the nearest one.
    #[derive(Clone)]
    struct Wrong {
        rows: Vec<u8>,
        is_wrong: fn(usize, usize) -> bool,
    }

    impl Scan for Wrong {
        fn scan(&self, query: &mut Query, out: &mut Collector<'_>) {
            let (m, k) = (query.geometry().m(), query.geometry().num_centroids());
            let table = query.table();
            let distance = |row: &[u8]| {
                row.iter().zip(table.chunks(k)).fold(0.0, |sum, (&code, of_m)| sum + of_m[usize::from(code)])
            };
            let distances: Vec<f32> = self.rows.chunks(m).map(distance).collect();
            let nearest = distances.iter().copied().fold(f32::INFINITY, f32::min);
            let is_wrong = (self.is_wrong)(distances.len(), out.k());
            for (distance, place) in distances.into_iter().zip(0..) {
                if !is_wrong || distance > nearest {
                    out.push(place, distance);
                }
            }
        }

        fn score(&self, _: &mut Query, _: &[u32], _: &mut Collector<'_>) {
            unreachable!("no exam has a filter")
        }

        fn to_rows(&self) -> Vec<u8> {
            self.rows.clone()
        }

        fn memory_bytes(&self) -> usize {
            self.rows.len()
        }
    }

    macro_rules! wrong {
        ($name:literal, $is_wrong:expr) => {{
            static WRONG: Variant = Variant::new($name, "", "", Fidelity::Exact, 0, |_, rows, _| {
                Ok(Box::new(Wrong { rows: rows.to_vec(), is_wrong: $is_wrong }))
            });
            &WRONG
        }};
    }

    #[test]
    #[cfg_attr(debug_assertions, ignore = "skipped: takes minutes without optimization")]
    fn a_variant_that_is_seldom_wrong_is_found_out() {
        static CALLS: AtomicUsize = AtomicUsize::new(0);
        static OTHER_CALLS: AtomicUsize = AtomicUsize::new(0);
        let right = wrong!("right", |_, _| false);
        let variants = [
            wrong!("by one n mod 64", |n, _| n % 64 == 37),
            wrong!("by one k", |_, k| k == 37),
            wrong!("once in a thousand calls", |_, _| CALLS.fetch_add(1, Ordering::Relaxed) % 1_000 == 999),
            wrong!("from a call on", |_, _| OTHER_CALLS.fetch_add(1, Ordering::Relaxed) >= 500),
            wrong!("above a length", |n, _| n > 1 << 20),
        ];
        let mut caught = [false; 5];
        for exam in exams(2, QUICK) {
            assert_eq!(fault_in_process(&exam, right), None);
            for (variant, caught) in variants.into_iter().zip(&mut caught).filter(|(_, caught)| !**caught) {
                *caught = fault_in_process(&exam, variant).is_some();
            }
        }
        assert_eq!(caught, [true; 5]);
    }

    #[test]
    fn a_seed_makes_the_same_exams_and_each_one_others() {
        type Whole = (String, Vec<u32>, Vec<u8>, Vec<usize>, Vec<(Call, usize, Vec<u32>)>);
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        let whole = |exam: Exam| -> Whole {
            let questions = exam.questions.iter().map(|asked| (asked.call, asked.k, bits(&asked.queries))).collect();
            (exam.name, bits(&exam.centroids), exam.codes, exam.lengths, questions)
        };
        let all = |seed| exams(seed, QUICK).map(whole).collect::<Vec<_>>();
        let first = all(3);
        assert!(first == all(3));
        for (exam, other) in first.iter().zip(all(4)) {
            assert!(*exam != other, "{}", exam.0);
        }
        for (exam, again) in first.iter().zip(exams(3, 2).skip(KINDS.len()).map(whole)) {
            assert!(*exam != again, "{}", exam.0);
        }
    }

    fn made(make: fn(&mut Maker) -> Exam, seed: u64) -> Exam {
        make(&mut Maker { rng: stream(seed, 0) })
    }

    fn distance_bits(answer: &[(u64, f32)]) -> Vec<u32> {
        answer.iter().map(|(_, distance)| distance.to_bits()).collect()
    }

    #[test]
    fn under_other_ids_the_distances_stay_to_the_bit() {
        let exam = made(Maker::other_ids, 5);
        let data = DATA.iter().find(|data| exam.name.ends_with(&data.name)).unwrap();
        let Question { k, queries, .. } = &exam.questions[0];
        let before = data.reference_answer(&queries[..data.geometry.dim()], *k);
        let after = exam.answer(0, 0);
        assert_eq!(distance_bits(&after), distance_bits(&before));
        assert!(after.iter().map(|&(id, _)| id).ne(before.iter().map(|&(id, _)| id)));
        let sorted = |codes: &[u8]| {
            let mut rows: Vec<_> = codes.chunks(data.geometry.row_bytes()).map(<[u8]>::to_vec).collect();
            rows.sort_unstable();
            rows
        };
        assert!(sorted(&exam.codes) == sorted(&data.codes));
    }

    #[test]
    fn under_other_labels_the_distances_stay_to_the_bit_and_in_another_order_their_parts() {
        for data in DATA.iter() {
            let geometry = data.geometry;
            let mut codes = data.codes[..1_000 * geometry.m()].to_vec();
            let centroids = relabel(&mut stream(6, 0), geometry, &data.centroids, &mut codes);
            assert_ne!(codes[..], data.codes[..codes.len()]);
            let answer = |centroids: &[f32], codes: &[u8]| {
                reference::search(geometry, data.metric, data.query(0), centroids, codes, 1_000)
            };
            let before = answer(&data.centroids, &data.codes[..codes.len()]);
            assert_eq!(answer(&centroids, &codes), before);

            let order: Vec<usize> = (0..geometry.m()).rev().collect();
            let codes = reorder(&order, &data.codes[..codes.len()], 1);
            let centroids = reorder(&order, &data.centroids, geometry.num_centroids() * geometry.sub_dim());
            let query = reorder(&order, data.query(0), geometry.sub_dim());
            for (id, distance) in before {
                let row = &codes[id as usize * geometry.m()..][..geometry.m()];
                let decoded: Vec<f32> = row
                    .iter()
                    .enumerate()
                    .flat_map(|(m, &code)| {
                        let centroid = m * geometry.num_centroids() + usize::from(code);
                        &centroids[centroid * geometry.sub_dim()..][..geometry.sub_dim()]
                    })
                    .copied()
                    .collect();
                let query = if data.metric == Metric::Cosine { reference::of_length_1(&query) } else { query.clone() };
                let squares = query.iter().zip(&decoded).map(|(q, d)| f64::from(q - d).powi(2)).sum::<f64>();
                assert!((squares / f64::from(distance) - 1.0).abs() < 1e-5, "{squares} is not {distance}");
            }
        }
    }

    #[test]
    fn each_exam_asks_what_its_name_says() {
        let exam = made(Maker::every_residue, 7);
        let mut residues: Vec<usize> = exam.lengths.iter().map(|length| length % 64).collect();
        residues.sort_unstable();
        assert_eq!(residues, (0..64).collect::<Vec<_>>());

        let exam = made(Maker::every_k, 7);
        assert!((1..=1_000).all(|k| exam.questions.iter().any(|question| question.k == k)));

        let exam = made(Maker::every_batch, 7);
        let is_asked = |(at, question): (usize, &Question)| question.call == Call::Batch(exam.num_queries(at));
        assert!(exam.questions.len() == 40 && exam.questions.iter().enumerate().all(is_asked));

        let exam = made(Maker::subnormal, 7);
        let of_all = |is: fn(f32) -> bool| exam.answers().iter().flatten().flatten().filter(|(_, d)| is(*d)).count();
        assert!(of_all(|d| d.is_subnormal()) > 0 && of_all(|d| d == 0.0) == 0);

        let exam = made(Maker::infinite, 7);
        assert!(exam.answers()[0][0][0].1 == f32::INFINITY);
        assert!(exam.answers().iter().flatten().any(|answer| answer[0].1.is_finite()));

        let exam = made(Maker::one_is_near, 7);
        let gap = |answer: &Neighbours| answer[1].1 - answer[0].1;
        assert!(exam.answers()[1].iter().filter(|answer| gap(answer) > answer[0].1).count() > 30);

        if !cfg!(debug_assertions) {
            let exam = made(Maker::long, 7);
            assert!(exam.num_vectors() > LONG && exam.answer(0, 0)[0].0 >= LONG as u64);
        }
    }

    #[test]
    fn an_approximate_answer_is_held_against_the_lists_that_it_may_be_from() {
        let exam = made(Maker::lists, 8);
        let call = exam.questions[0].call;
        let rough = Fidelity::Approximate("bits");
        let goes_around = |&query: &usize| !exam.visited(call, query).is_sorted_by_key(|places| places.start);
        let around = (0..exam.num_queries(0)).find(goes_around).expect("they visit more lists than there are");
        for query in [0, 1, around] {
            let answer = exam.answers()[0][query].clone();
            assert_eq!(exam.fault(0, query, &answer, rough), None);
            let visited = exam.visited(call, query);
            let outside = (0..exam.num_vectors()).find(|id| !visited.iter().any(|places| places.contains(id)));
            if let Some(outside) = outside {
                let mut wrong = answer;
                wrong[0].0 = outside as u64;
                assert!(exam.fault(0, query, &wrong, rough).is_some());
            }
        }
    }
}

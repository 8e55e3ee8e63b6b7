//! The differential fuzzer: cases drawn from a seed, in which every variant must give what the plainest loop gives.
//!
//! A case is a codebook, some lists of codes, and rounds of questions to them. First the lists hold a part of their
//! codes; then the rest is appended, some are deleted, and the questions go on.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
};

use pqscan::{
    Bits, Codebook, Codes, Error, Geometry, List, Metric, Query, ScanOptions, TopK, cpu,
    registry::{self, Fidelity, Variant},
};
use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

use super::{
    cases::Neighbours,
    reference,
    verify::{panic_message, same},
};

/// What is not left to the seed.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The shape and the metric; else drawn.
    pub shape: Option<(Geometry, Metric)>,
    /// The most codes of a list.
    pub max_codes: usize,
    /// The most lists.
    pub max_lists: usize,
    /// The most rounds of questions.
    pub max_rounds: usize,
}

impl Limits {
    /// Everything is left to the seed.
    pub const NONE: Limits =
        Limits { shape: None, max_codes: usize::MAX, max_lists: usize::MAX, max_rounds: usize::MAX };
}

/// A variant, in one of its forms.
#[derive(Clone, Copy, Debug)]
pub struct Subject {
    /// The variant.
    pub variant: &'static Variant,
    /// How it is run.
    pub form: Form,
}

/// How a variant is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// On prepared lists, as this CPU has it.
    Prepared,
    /// On prepared lists, with arrays for vectors.
    Emulated,
    /// On codes that nothing prepared.
    Unprepared,
}

impl Subject {
    /// Every variant in every form that it has.
    pub fn all() -> Vec<Subject> {
        let forms = |variant: &'static Variant| {
            [
                (Form::Prepared, true),
                (Form::Emulated, variant.can_be_emulated()),
                (Form::Unprepared, variant.probes_unprepared_codes()),
            ]
            .into_iter()
            .filter_map(move |(form, is_there)| is_there.then_some(Subject { variant, form }))
        };
        registry::all().iter().copied().flat_map(forms).collect()
    }

    /// Why it can't run here: `needs avx512vbmi`. None where it can.
    ///
    /// # Errors
    /// `PQBENCH_CPU` is not a mask.
    pub fn unavailable(&self) -> Result<Option<String>, Error> {
        match self.form {
            Form::Emulated => Ok(None),
            _ => Ok(self.variant.unavailable(cpu::features()?)),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.variant.name)?;
        f.write_str(match self.form {
            Form::Prepared => "",
            Form::Emulated => " (emulated)",
            Form::Unprepared => " (unprepared codes)",
        })
    }
}

/// A case, whole: nothing in it is left to be drawn.
pub struct Case {
    geometry: Geometry,
    metric: Metric,
    codebook: Codebook,
    centroids: String,
    lists: Vec<Segment>,
    rounds: Vec<Round>,
    batch: Batch,
}

/// The codes of one list, as their owner has them.
struct Segment {
    n: usize,
    /// Row-major `[n][row_bytes]`, as a list gives them back.
    codes: Vec<u8>,
    /// The same in their layout. A boxed slice has no spare capacity, so that a guard page can follow it directly.
    bytes: Box<[u8]>,
    layout: Layout,
    kind: Rows,
    /// How many are there at first, and where what is appended later is cut.
    cuts: Vec<usize>,
    deleted: Vec<usize>,
    first_id: u64,
    ids: Option<Vec<u64>>,
    allow: Option<Vec<u64>>,
}

#[derive(Clone, Copy, Debug)]
enum Layout {
    /// From this byte on.
    RowMajor(usize),
    Columns {
        stride: usize,
    },
}

/// How the codes of a list are distributed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rows {
    Uniform,
    Clustered,
    FewDistinct,
    OfTwoCentroids,
    NearToFar,
    FarToNear,
    Sorted,
}

/// One question to all lists, which share a top.
struct Round {
    k: usize,
    /// After codes were appended and deleted.
    after: bool,
    /// With the lists' ids and bitmaps.
    filtered: bool,
    /// From the last list to the first.
    backwards: bool,
    /// In the query of the round before.
    reuse: bool,
    kind: String,
    /// One for all lists, or one for each.
    questions: Vec<Question>,
    /// What the top holds before.
    kept: Neighbours,
    expected: Neighbours,
}

struct Question {
    /// None where the table is the caller's.
    vector: Option<Vec<f32>>,
    table: Vec<f32>,
}

/// Several queries to the first list at once.
struct Batch {
    k: usize,
    /// `[b][dim]`.
    vectors: Vec<f32>,
    expected: Vec<Neighbours>,
}

/// How values are distributed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Values {
    Uniform,
    Positive,
    Negative,
    Whole,
    Equal,
    ZerosOfBothSigns,
    Subnormal,
    Tiny,
    Large,
    Huge,
    NearTheLargest,
    WholeRange,
    OneRowOutweighs,
    // Not finite, which only a table may be:
    SomeInfinite,
    SomeNegativeInfinite,
    InfiniteOfBothSigns,
    OneRowInfinite,
}

use Values::*;

const FINITE: [Values; 13] = [
    Uniform,
    Positive,
    Negative,
    Whole,
    Equal,
    ZerosOfBothSigns,
    Subnormal,
    Tiny,
    Large,
    Huge,
    NearTheLargest,
    WholeRange,
    OneRowOutweighs,
];
const INFINITE: [Values; 4] = [SomeInfinite, SomeNegativeInfinite, InfiniteOfBothSigns, OneRowInfinite];

impl Values {
    fn draw(rng: &mut ChaCha8Rng, may_be_infinite: bool) -> Values {
        // What filters are made for, half of the time.
        match rng.random_range(0..10) {
            0..5 => pick(rng, &[Uniform, Positive]),
            5..8 => pick(rng, &FINITE),
            _ if may_be_infinite => pick(rng, &INFINITE),
            _ => pick(rng, &FINITE),
        }
    }

    /// `rows` rows of `len` values.
    pub(crate) fn fill(self, rng: &mut ChaCha8Rng, rows: usize, len: usize) -> Vec<f32> {
        let (odd_row, equal) = (rng.random_range(0..rows), rng.random_range(-1.0..1.0));
        let factor = pick(rng, &[1e3, 1e6, 1e30]);
        let mut value = |row: usize| match self {
            Uniform => rng.random_range(-1.0..1.0),
            Positive => rng.random_range(0.0..1.0),
            Negative => rng.random_range(-1000.0..-1.0),
            Whole => rng.random_range(0..4) as f32,
            Equal => equal,
            ZerosOfBothSigns => pick(rng, &[0.0, -0.0]),
            Subnormal => f32::from_bits(rng.random_range(0..1 << 20) | rng.random_range(0..2) << 31),
            Tiny => rng.random_range(-1e-21..1e-21),
            Large => rng.random_range(-3e18..3e18),
            Huge => rng.random_range(-1e37..1e37),
            NearTheLargest => f32::MAX * rng.random_range(0.9..1.0) * pick(rng, &[1.0, -1.0]),
            WholeRange => f32::from_bits(rng.random_range(0..f32::INFINITY.to_bits()) | rng.random_range(0..2) << 31),
            OneRowOutweighs => rng.random_range(-1.0..1.0) * if row == odd_row { factor } else { 1.0 },
            SomeInfinite if rng.random_bool(0.05) => f32::INFINITY,
            SomeNegativeInfinite if rng.random_bool(0.02) => f32::NEG_INFINITY,
            InfiniteOfBothSigns if rng.random_bool(0.1) => pick(rng, &[f32::INFINITY, f32::NEG_INFINITY]),
            OneRowInfinite if row == odd_row => f32::INFINITY,
            _ => rng.random_range(-1.0..1.0),
        };
        (0..rows * len).map(|at| value(at / len)).collect()
    }
}

pub(crate) fn pick<T: Copy>(rng: &mut ChaCha8Rng, choices: &[T]) -> T {
    choices[rng.random_range(0..choices.len())]
}

/// Numbers that do not depend on how many were drawn for other parts of the case.
pub(crate) fn stream(seed: u64, part: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(part);
    rng
}

const CENTROIDS: u64 = 1;
const BATCH: u64 = 2;
const LISTS: u64 = 1 << 10;
const ROUNDS: u64 = 2 << 10;

/// Sub-quantizers around every multiple that a kernel goes on by, and those that indexes have.
pub const MS: [usize; 18] = [1, 2, 3, 7, 8, 10, 15, 16, 17, 20, 25, 32, 48, 50, 64, 96, 128, 240];
const SUB_DIMS: [usize; 6] = [1, 2, 4, 5, 8, 16];

/// A case for `m` sub-quantizers with every number of dimensions and of bits, one at a time. Each of the three metrics
/// comes with every number; three lists have a layout each, one has any; their lengths are around the ends of blocks.
pub fn matrix(m: usize) -> impl Iterator<Item = Case> {
    let shapes = SUB_DIMS.into_iter().enumerate().flat_map(|(at, d)| [(at, d, Bits::Four), (at + 1, d, Bits::Eight)]);
    shapes.map(move |(at, sub_dim, bits)| {
        let geometry = Geometry::new(m * sub_dim, m, bits).expect("a quantizer");
        let metric = Metric::ALL[(m + at) % Metric::ALL.len()];
        // Preparing a list takes as long as it has sub-quantizers.
        let max_lists = if m > 64 { 1 } else { 3 };
        let limits = Limits { shape: Some((geometry, metric)), max_codes: 129, max_lists, max_rounds: 2 };
        Case::new(geometry.dim() as u64, limits)
    })
}

fn draw_shape(rng: &mut ChaCha8Rng) -> (Geometry, Metric) {
    let m = match rng.random_range(0..8) {
        0 => rng.random_range(1..=256),
        1 | 2 => 16,
        _ => pick(rng, &MS),
    };
    let sub_dim = if rng.random_bool(0.1) { rng.random_range(1..=20) } else { pick(rng, &SUB_DIMS) };
    let bits = if rng.random_bool(0.3) { Bits::Four } else { Bits::Eight };
    (Geometry::new(m * sub_dim, m, bits).expect("a quantizer"), pick(rng, Metric::ALL))
}

impl Case {
    /// The case of a seed.
    pub fn new(seed: u64, limits: Limits) -> Case {
        let rng = &mut stream(seed, 0);
        let drawn = draw_shape(rng);
        let (geometry, metric) = limits.shape.unwrap_or(drawn);
        let num_lists = pick(rng, &[1, 1, 2, 3, 5]).min(limits.max_lists);
        let num_lists = if limits.shape.is_some() { limits.max_lists } else { num_lists };
        let num_rounds = rng.random_range(2..8).min(limits.max_rounds);
        let layouts = rng.random_range(0..3);

        let of_centroids = &mut stream(seed, CENTROIDS);
        let kind = Values::draw(of_centroids, false);
        let centroids = kind.fill(of_centroids, geometry.m(), geometry.num_centroids() * geometry.sub_dim());
        let codebook = Codebook::new(geometry, metric, &centroids).expect("finite centroids");
        let ask = |rng: &mut ChaCha8Rng| Question::draw(rng, geometry, metric, &centroids, &codebook);

        // Lists that are in the order of their distances are so for the first question.
        let mut of_rounds: Vec<_> = (0..num_rounds as u64).map(|round| stream(seed, ROUNDS + round)).collect();
        let (first_question, first_kind) = ask(&mut of_rounds[0]);
        let lists: Vec<Segment> = (0..num_lists)
            .map(|at| {
                let rng = &mut stream(seed, LISTS + at as u64);
                Segment::draw(rng, geometry, (layouts + at) % 3, at == 0, limits.max_codes, &first_question.table)
            })
            .collect();
        let mut first = Some((first_question, first_kind));
        let rounds = of_rounds.iter_mut().enumerate().map(|(at, rng)| {
            let (question, kind) = first.take().unwrap_or_else(|| ask(rng));
            Round::draw(rng, geometry, &lists, at > num_rounds / 3, question, kind, ask)
        });
        let rounds = rounds.collect();
        let batch = Batch::draw(&mut stream(seed, BATCH), geometry, metric, &centroids, &lists[0]);
        Case { geometry, metric, codebook, centroids: format!("{kind:?}"), lists, rounds, batch }
    }

    /// Its shape.
    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// Checks a variant, and says how many answers were compared: none where it does not support the shape.
    ///
    /// # Errors
    /// The first difference. A panic is one.
    pub fn check(&self, subject: Subject) -> Result<usize, String> {
        if subject.variant.unsupported(self.geometry).is_some() {
            return Ok(0);
        }
        catch_unwind(AssertUnwindSafe(|| self.compare(subject)))
            .unwrap_or_else(|panic| Err(format!("it panics: {}", panic_message(&*panic))))
    }

    fn compare(&self, subject: Subject) -> Result<usize, String> {
        let text = |error: Error| error.to_string();
        let exact = subject.variant.fidelity == Fidelity::Exact;
        let mut lists = match subject.form {
            Form::Unprepared => Vec::new(),
            _ => self.lists.iter().map(|list| self.prepare(subject, list)).collect::<Result<Vec<_>, _>>()?,
        };
        let mut changed = false;
        let mut compared = 0;
        let mut query: Option<Query> = None;
        for (at, round) in self.rounds.iter().enumerate() {
            if round.after && !changed {
                changed = true;
                for (list, segment) in lists.iter_mut().zip(&self.lists) {
                    self.change(list, segment)?;
                }
            }
            let wrong = |what: String| format!("round {at}, {round}: {what}");
            let mut top = TopK::new(round.k);
            round.kept.iter().for_each(|&(id, distance)| top.push(id, distance));
            for turn in 0..self.lists.len() {
                let list = if round.backwards { self.lists.len() - 1 - turn } else { turn };
                let segment = &self.lists[list];
                let question = round.questions.get(list).or(round.questions.first()).expect("at least one");
                if turn == 0 || round.questions.len() > 1 {
                    let earlier = query.take().filter(|_| round.reuse || turn > 0);
                    query = Some(question.query(&self.codebook, earlier).map_err(text).map_err(wrong)?);
                }
                let query = query.as_mut().expect("made for the first list");
                let allow = match subject.form {
                    Form::Unprepared => segment.left(round),
                    _ => segment.allow.clone().filter(|_| round.filtered),
                };
                let options = ScanOptions {
                    first_id: segment.first_id,
                    ids: segment.ids.as_deref().filter(|_| round.filtered),
                    allow: allow.as_deref(),
                };
                match lists.get(list) {
                    Some(list) => list.scan(query, &mut top, &options),
                    None => {
                        let codes = segment.codes(0..segment.len(round.after));
                        codes.scan_by(subject.variant, query, &mut top, &options)
                    }
                }
                .map_err(text)
                .map_err(wrong)?;
            }
            let answer = top.into_sorted();
            match exact {
                true => same(&canonical(answer), &round.expected),
                // There is no exact answer to hold it against after other lists.
                false if answer.len() == round.expected.len() => Ok(()),
                false => Err(format!("{} neighbours, not {}", answer.len(), round.expected.len())),
            }
            .map_err(wrong)?;
            compared += 1;
        }
        if let (Some(list), true, true) = (lists.first(), changed, exact) {
            compared += self.batch.check(list, self.geometry.dim())?;
        }
        Ok(compared)
    }

    fn prepare(&self, subject: Subject, segment: &Segment) -> Result<List, String> {
        let codes = segment.codes(0..segment.cuts[0]);
        let list = match subject.form {
            Form::Emulated => subject.variant.prepare_emulated(&self.codebook, codes).expect("it can be emulated"),
            _ => subject.variant.prepare(&self.codebook, codes, 1 + segment.n % 3),
        }
        .map_err(|error| format!("preparing: {error}"))?;
        segment.holds(&list, segment.cuts[0], self.geometry)?;
        Ok(list)
    }

    /// Appends and deletes what the list's owner does.
    fn change(&self, list: &mut List, segment: &Segment) -> Result<(), String> {
        for cut in segment.cuts.windows(2) {
            list.append(segment.codes(cut[0]..cut[1])).map_err(|error| format!("appending: {error}"))?;
        }
        for &place in &segment.deleted {
            if list.delete(place) != Ok(true) || list.delete(place) != Ok(false) {
                return Err(format!("code {place} is not deleted, or not left deleted"));
            }
        }
        segment.holds(list, segment.n, self.geometry)?;
        if segment.n.is_multiple_of(2) {
            *list = list.clone();
        }
        Ok(())
    }

    /// The smallest limits found under which `subject` still fails in the case of `seed`, and what it does then.
    pub fn shrink(seed: u64, limits: Limits, subject: Subject) -> Option<(Limits, Case, String)> {
        let fails = |limits: Limits| {
            let case = Case::new(seed, limits);
            let what = case.check(subject).err()?;
            Some((limits, case, what))
        };
        let mut smallest = fails(limits)?;
        let most = smallest.1.lists.iter().map(|list| list.n).max().unwrap_or_default();
        let lists = (1..smallest.1.lists.len()).map(|max_lists| Limits { max_lists, ..limits });
        if let Some(smaller) = lists.filter_map(fails).next() {
            smallest = smaller;
        }
        let mut step = most / 2;
        let mut left = most;
        while step > 0 {
            match fails(Limits { max_codes: left.saturating_sub(step), ..smallest.0 }) {
                Some(smaller) => {
                    left -= step;
                    smallest = smaller;
                }
                None => step /= 2,
            }
        }
        let rounds = (1..smallest.1.rounds.len()).map(|max_rounds| Limits { max_rounds, ..smallest.0 });
        rounds.filter_map(fails).next().or(Some(smallest))
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}, centroids {}", self.geometry, self.metric, self.centroids)?;
        for list in &self.lists {
            let Segment { n, kind, layout, cuts, deleted, first_id, ids, .. } = list;
            write!(f, "\n  list: {n} codes {kind:?}, {layout:?}, {} at first, {} deleted", cuts[0], deleted.len())?;
            write!(f, ", ids {}", if ids.is_some() { "mapped".to_owned() } else { format!("from {first_id}") })?;
        }
        for (at, round) in self.rounds.iter().enumerate() {
            write!(f, "\n  round {at}: {round}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Round { k, kind, questions, kept, .. } = self;
        write!(f, "{k} nearest by {kind}, {} for all lists, {} kept before", questions.len(), kept.len())?;
        let words = [
            (self.filtered, "filtered"),
            (self.backwards, "backwards"),
            (self.reuse, "in an earlier query"),
            (self.after, "appended and deleted"),
        ];
        words.iter().filter(|(is, _)| *is).try_for_each(|(_, word)| write!(f, ", {word}"))
    }
}

impl Question {
    /// A question that is one, and what it is. Those that are none must be refused.
    fn draw(
        rng: &mut ChaCha8Rng,
        geometry: Geometry,
        metric: Metric,
        centroids: &[f32],
        codebook: &Codebook,
    ) -> (Question, String) {
        if rng.random_bool(0.4) {
            let values = Values::draw(rng, true);
            let table = values.fill(rng, geometry.m(), geometry.num_centroids());
            return (Question { vector: None, table }, format!("a table {values:?}"));
        }
        loop {
            let values = Values::draw(rng, false);
            let vector = values.fill(rng, geometry.m(), geometry.sub_dim());
            let has_no_direction = metric == Metric::Cosine && vector.iter().all(|&value| value == 0.0);
            let table = reference::distance_table(geometry, metric, &vector, centroids);
            let refused = has_no_direction || table.iter().any(|entry| entry.is_nan());
            match codebook.query(&vector) {
                Err(_) if refused => continue,
                Ok(_) if !refused => return (Question { vector: Some(vector), table }, format!("a query {values:?}")),
                Ok(_) => panic!("a query {values:?} whose table holds NaN is not refused"),
                Err(error) => panic!("a query {values:?} is refused: {error}"),
            }
        }
    }

    fn query(&self, codebook: &Codebook, earlier: Option<Query>) -> Result<Query, Error> {
        let mut query = match (&self.vector, earlier) {
            (Some(vector), None) => codebook.query(vector)?,
            (None, None) if self.table.len().is_multiple_of(32) => codebook.query_from_table(&self.table)?,
            (None, None) => Query::from_table(codebook.geometry(), &self.table)?,
            (Some(vector), Some(mut earlier)) => match earlier.set(vector) {
                // It was a table alone, and no list has been scanned with it.
                Err(Error::OtherCodebook) => codebook.query(vector)?,
                done => done.map(|()| earlier)?,
            },
            (None, Some(mut earlier)) => earlier.set_table(&self.table).map(|()| earlier)?,
        };
        // Looked at now and then only, since it is not made before it is needed.
        if self.table[0].to_bits().is_multiple_of(2) {
            let bits = |table: &[f32]| table.iter().map(|entry| entry.to_bits()).collect::<Vec<_>>();
            assert!(bits(query.table()) == bits(&self.table), "the table is another");
        }
        Ok(query)
    }
}

impl Segment {
    fn draw(
        rng: &mut ChaCha8Rng,
        geometry: Geometry,
        layout: usize,
        may_be_long: bool,
        max_codes: usize,
        table: &[f32],
    ) -> Segment {
        const TAILS: [usize; 22] =
            [0, 1, 2, 9, 10, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 191, 255, 256, 257, 1025];
        let n = match rng.random_range(0..24) {
            0..9 => pick(rng, &TAILS),
            9..17 => rng.random_range(0..2_000),
            17..20 => pick(rng, &[4095, 4096, 4097, 8191, 8192, 8193, 16_383, 16_384, 16_385]),
            20..23 => rng.random_range(2_000..9_000),
            _ if may_be_long => rng.random_range(9_000..70_000),
            _ => rng.random_range(0..300),
        };
        // So that no case takes long.
        let n = n.min(1_500_000 / geometry.m()).min(max_codes);
        let kind = pick(
            rng,
            &[
                Rows::Uniform,
                Rows::Clustered,
                Rows::Clustered,
                Rows::FewDistinct,
                Rows::OfTwoCentroids,
                Rows::NearToFar,
                Rows::FarToNear,
                Rows::Sorted,
            ],
        );
        let cuts = match rng.random_range(0..3) {
            0 => vec![n, n],
            1 => vec![n - n / 10, n],
            _ => vec![n / 4, n / 3, n / 3, n / 2, n],
        };
        // First, so that fewer codes are the same ones.
        let codes = kind.draw(rng, geometry, n, table);
        let (first_id, ids) = draw_ids(rng, n);
        let allow = draw_allow(rng, n);
        let num_deleted = pick(rng, &[0, 0, 1, n / 50, n / 2]).min(n);
        let mut deleted: Vec<usize> = (0..num_deleted).map(|_| rng.random_range(0..n)).collect();
        deleted.sort_unstable();
        deleted.dedup();
        let layout = match layout {
            0 => Layout::RowMajor(0),
            // Nobody promised an alignment.
            1 => Layout::RowMajor(rng.random_range(0..4)),
            _ => Layout::Columns { stride: n + pick(rng, &[0, 0, 1, 5, 64]) },
        };
        let bytes = layout.store(rng, geometry, &codes);
        Segment { n, codes, bytes, layout, kind, cuts, deleted, first_id, ids, allow }
    }

    fn len(&self, after: bool) -> usize {
        if after { self.n } else { self.cuts[0] }
    }

    /// Some of the codes, as the engine takes them.
    fn codes(&self, places: std::ops::Range<usize>) -> Codes<'_> {
        match self.layout {
            Layout::RowMajor(_) if self.n == 0 => Codes::row_major(&[]),
            Layout::RowMajor(from) => {
                let row_bytes = self.codes.len() / self.n;
                Codes::row_major(&self.bytes[from..][places.start * row_bytes..places.end * row_bytes])
            }
            Layout::Columns { stride } => Codes::columns(&self.bytes[places.start..], places.len(), stride),
        }
    }

    /// A bit for each code that a round may find, by the plainest loop.
    fn left(&self, round: &Round) -> Option<Vec<u64>> {
        let mut left = self.allow.clone().filter(|_| round.filtered);
        if round.after && !self.deleted.is_empty() {
            let left = left.get_or_insert_with(|| vec![u64::MAX; self.n.div_ceil(64)]);
            self.deleted.iter().for_each(|&place| left[place / 64] &= !(1 << (place % 64)));
        }
        left
    }

    /// Whether a list holds the first `count` codes.
    fn holds(&self, list: &List, count: usize, geometry: Geometry) -> Result<(), String> {
        let expected = &self.codes[..count * geometry.row_bytes()];
        match list.num_vectors() == count && list.codes() == expected {
            true => Ok(()),
            false => Err(format!("it gives back other codes than the {count} that it was given")),
        }
    }
}

/// The first id, and perhaps one for each code.
fn draw_ids(rng: &mut ChaCha8Rng, n: usize) -> (u64, Option<Vec<u64>>) {
    let first_id = pick(rng, &[0, 0, 5, 1 << 40, u64::MAX - n as u64]);
    let spare = rng.random_range(0..3);
    let places = 0..(n + spare) as u64;
    let ids = match rng.random_range(0..5) {
        0 => Some(places.map(|_| rng.random()).collect()),
        1 => Some(places.map(|place| u64::MAX - place).collect()),
        2 => Some(places.map(|_| rng.random_range(0..7)).collect()),
        _ => None,
    };
    (first_id, ids)
}

/// A bitmap, perhaps too long, and with any bits beyond the codes.
fn draw_allow(rng: &mut ChaCha8Rng, n: usize) -> Option<Vec<u64>> {
    let share = match rng.random_range(0..8) {
        0 => 0.0,
        1 => 0.5,
        2 => 0.9,
        3 | 4 => 0.01,
        5 => 1.0,
        _ => return None,
    };
    let words = n.div_ceil(64) + rng.random_range(0..2);
    let mut allow: Vec<u64> =
        (0..words).map(|_| (0..64).fold(0, |word, bit| word | u64::from(rng.random_bool(share)) << bit)).collect();
    let beyond: u64 = rng.random();
    (n..words * 64).for_each(|place| allow[place / 64] |= beyond & 1 << (place % 64));
    Some(allow)
}

impl Rows {
    /// Codes as a list gives them back.
    pub(crate) fn draw(self, rng: &mut ChaCha8Rng, geometry: Geometry, n: usize, table: &[f32]) -> Vec<u8> {
        let (m, k) = (geometry.m(), geometry.num_centroids());
        let random_code = |rng: &mut ChaCha8Rng| rng.random_range(0..k) as u8;
        let count = rng.random_range(1..5);
        let prototypes: Vec<u8> = (0..count * m).map(|_| random_code(rng)).collect();
        let mut codes = Vec::with_capacity(n * geometry.row_bytes());
        let mut row = vec![0; m];
        for _ in 0..n {
            let prototype = &prototypes[rng.random_range(0..count) * m..][..m];
            let like = rng.random_range(0..4);
            for (code, &own) in row.iter_mut().zip(prototype) {
                *code = match self {
                    Rows::Uniform => random_code(rng),
                    Rows::FewDistinct => own,
                    Rows::OfTwoCentroids => rng.random_range(0..2),
                    _ if rng.random_range(0..4) < like => own,
                    _ => random_code(rng),
                };
            }
            match geometry.bits() {
                Bits::Eight => codes.extend(&row),
                Bits::Four => codes.extend(row.chunks(2).map(|two| two[0] | two.get(1).map_or(0, |high| high << 4))),
            }
        }
        let mut rows: Vec<&[u8]> = codes.chunks(geometry.row_bytes()).collect();
        let distance = |row: &&[u8]| reference::distance(geometry, table, row);
        match self {
            Rows::Sorted => rows.sort_unstable(),
            Rows::NearToFar => rows.sort_by(|a, b| distance(a).total_cmp(&distance(b))),
            Rows::FarToNear => rows.sort_by(|a, b| distance(b).total_cmp(&distance(a))),
            _ => {}
        }
        rows.concat()
    }
}

impl Layout {
    fn store(self, rng: &mut ChaCha8Rng, geometry: Geometry, codes: &[u8]) -> Box<[u8]> {
        let (row_bytes, n) = (geometry.row_bytes(), codes.len() / geometry.row_bytes());
        // Nobody promised what is in the last half byte.
        let has_half = geometry.bits() == Bits::Four && !geometry.m().is_multiple_of(2);
        let mut codes = codes.to_vec();
        if has_half {
            codes.chunks_mut(row_bytes).for_each(|row| row[row_bytes - 1] |= rng.random_range(0..16) << 4);
        }
        match self {
            Layout::RowMajor(from) => [vec![0xee; from], codes].concat().into_boxed_slice(),
            Layout::Columns { stride } => {
                let len = if n == 0 { 0 } else { stride * (row_bytes - 1) + n };
                let mut bytes = vec![0xee; len].into_boxed_slice();
                for (place, row) in codes.chunks(row_bytes).enumerate() {
                    row.iter().enumerate().for_each(|(at, &byte)| bytes[at * stride + place] = byte);
                }
                bytes
            }
        }
    }
}

impl Round {
    fn draw(
        rng: &mut ChaCha8Rng,
        geometry: Geometry,
        lists: &[Segment],
        after: bool,
        question: Question,
        mut kind: String,
        ask: impl Fn(&mut ChaCha8Rng) -> (Question, String),
    ) -> Round {
        let n: usize = lists.iter().map(|list| list.len(after)).sum();
        let mut questions = vec![question];
        if lists.len() > 1 && rng.random_bool(0.3) {
            for _ in 1..lists.len() {
                let (question, also) = ask(rng);
                kind = format!("{kind}, {also}");
                questions.push(question);
            }
        }
        let k = match rng.random_range(0..4) {
            0 => pick(rng, &[n.saturating_sub(1), n, n + 1, n + 2]),
            1 => rng.random_range(0..n + 2).min(rng.random_range(0..n + 2)),
            _ => pick(rng, &[0, 1, 1, 2, 10, 10, 10, 32, 33, 100, 1000]),
        };
        let mut round = Round {
            k,
            after,
            filtered: rng.random_bool(0.5),
            backwards: rng.random_bool(0.5),
            reuse: rng.random_bool(0.7),
            kind,
            questions,
            kept: Vec::new(),
            expected: Vec::new(),
        };
        let mut all = Vec::with_capacity(n);
        for (at, list) in lists.iter().enumerate() {
            let question = round.questions.get(at).unwrap_or(&round.questions[0]);
            let ids = list.ids.as_ref().filter(|_| round.filtered);
            let left = list.left(&round);
            for (place, row) in list.codes.chunks(geometry.row_bytes()).take(list.len(after)).enumerate() {
                if left.as_ref().is_none_or(|left| left[place / 64] >> (place % 64) & 1 == 1) {
                    let id = ids.map_or(list.first_id.wrapping_add(place as u64), |ids| ids[place]);
                    all.push((id, reference::distance(geometry, &question.table, row)));
                }
            }
        }
        if rng.random_bool(0.3) {
            let count = pick(rng, &[1, k / 2, k.saturating_sub(1), k]).min(2_000);
            round.kept = (0..count)
                .map(|_| {
                    let distance = match all.len() {
                        len if len > 0 && rng.random_bool(0.8) => all[rng.random_range(0..len)].1,
                        _ => rng.random_range(-1.0..1.0),
                    };
                    (rng.random(), distance)
                })
                .collect();
        }
        all.extend(&round.kept);
        round.expected = reference::nearest(all, k);
        round
    }
}

impl Batch {
    fn draw(rng: &mut ChaCha8Rng, geometry: Geometry, metric: Metric, centroids: &[f32], list: &Segment) -> Batch {
        let k = pick(rng, &[0, 1, 10, 100, list.n, list.n + 1]);
        // As many oracle's answers as it has time for.
        let count = pick(rng, &[0, 1, 2, 3, 5, 16, 17, 20]).min(1 + 400_000 / (1 + list.codes.len()));
        let vectors = Uniform.fill(rng, count.max(1), geometry.dim());
        let vectors = vectors[..count * geometry.dim()].to_vec();
        let mut expected = Vec::new();
        for vector in vectors.chunks(geometry.dim()) {
            let table = reference::distance_table(geometry, metric, vector, centroids);
            let rows = list.codes.chunks(geometry.row_bytes()).zip(0u64..);
            let left = rows.filter(|(_, place)| list.deleted.binary_search(&(*place as usize)).is_err());
            let all = left.map(|(row, place)| (place, reference::distance(geometry, &table, row))).collect();
            expected.push(reference::nearest(all, k));
        }
        Batch { k, vectors, expected }
    }

    fn check(&self, list: &List, dim: usize) -> Result<usize, String> {
        let Batch { k, vectors, expected } = self;
        let text = |error: Error| format!("a batch of {} for {k} nearest: {error}", expected.len());
        // Huge centroids may have no product with any query.
        if vectors.chunks(dim).any(|vector| list.codebook().query(vector).is_err()) {
            return match list.search_batch(vectors, *k) {
                Err(_) => Ok(1),
                Ok(_) => Err("a batch with a query that is refused alone is not refused".to_owned()),
            };
        }
        let answers = list.search_batch(vectors, *k).map_err(text)?;
        if answers.len() != expected.len() {
            return Err(format!("a batch of {} queries has {} answers", expected.len(), answers.len()));
        }
        for (at, (answer, expected)) in answers.into_iter().zip(expected).enumerate() {
            same(&canonical(answer), expected)
                .map_err(|what| format!("{k} nearest, query {at} in a batch of {}: {what}", vectors.len() / dim))?;
        }
        if let Some(expected) = expected.first() {
            let answer = list.search(&vectors[..dim], *k).map_err(text)?;
            same(&canonical(answer), expected).map_err(|what| format!("{k} nearest by search: {what}"))?;
        }
        Ok(1 + expected.len())
    }
}

/// One NaN for all: which one an operation gives depends on the CPU.
fn canonical(mut answer: Neighbours) -> Neighbours {
    answer.iter_mut().filter(|(_, distance)| distance.is_nan()).for_each(|(_, distance)| *distance = f32::NAN);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use pqscan::{collector::Collector, variant::Scan};

    /// Loses the code at place 5.
    #[derive(Clone)]
    struct Lossy(Vec<u8>);

    impl Scan for Lossy {
        fn scan(&self, query: &mut Query, out: &mut Collector<'_>) {
            let places = 0..(self.0.len() / query.geometry().m()) as u32;
            self.score(query, &places.filter(|&place| place != 5).collect::<Vec<_>>(), out);
        }

        fn score(&self, query: &mut Query, places: &[u32], out: &mut Collector<'_>) {
            let (m, k) = (query.geometry().m(), query.geometry().num_centroids());
            for &place in places {
                let row = self.0[place as usize * m..][..m].iter();
                let entries = row.zip(query.table().chunks(k)).map(|(&code, entries)| entries[usize::from(code)]);
                out.push(place, entries.fold(0.0, |sum, entry| sum + entry));
            }
        }

        fn to_rows(&self) -> Vec<u8> {
            self.0.clone()
        }

        fn memory_bytes(&self) -> usize {
            self.0.len()
        }
    }

    static LOSSY: Variant =
        Variant::new("lossy", "", "", Fidelity::Exact, 0, |_, rows, _| Ok(Box::new(Lossy(rows.to_vec()))));

    #[test]
    fn a_variant_that_loses_a_code_is_found_out_and_the_case_made_small() {
        let subject = Subject { variant: &LOSSY, form: Form::Prepared };
        let limits = Limits { max_codes: 300, ..Limits::NONE };
        let seed = (0..20).find(|&seed| Case::new(seed, limits).check(subject).is_err()).expect("a case that shows it");
        let (small, case, what) = Case::shrink(seed, limits, subject).unwrap();
        assert!(case.lists.len() == 1 && case.lists[0].n <= 30, "{small:?}\n{case}");
        assert!(what.contains("not"), "{what}");
        assert_eq!(case.check(subject), Err(what));
    }

    #[test]
    fn a_case_depends_on_its_seed_alone() {
        let limits = Limits { max_codes: 300, ..Limits::NONE };
        let whole = |seed| {
            let case = Case::new(seed, limits);
            let expected: Vec<_> = case.rounds.iter().flat_map(|round| &round.expected).copied().collect();
            (case.to_string(), expected.into_iter().map(|(id, d)| (id, d.to_bits())).collect::<Vec<_>>())
        };
        for seed in 0..5 {
            assert_eq!(whole(seed), whole(seed));
            assert_ne!(whole(seed), whole(seed + 1));
        }
    }
}

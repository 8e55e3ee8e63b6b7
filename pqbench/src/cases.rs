//! The inputs that variants are judged by: named, made from seeds, the same on every machine.

use std::sync::{LazyLock, OnceLock};

use pqscan::{
    Bits, Codebook, Codes, Error, Geometry, Metric,
    kernels::{DIM, NUM_CENTROIDS, NUM_SUB_VECTORS, SUB_VECTOR_DIM, TOP_K},
    registry::Fidelity,
};
use rand::{Rng, RngExt, SeedableRng, rngs::ChaCha8Rng};

use super::{
    fixture::sift_geometry,
    reference,
    verify::Judge,
    worker::{Call, Task},
};

/// Nearest codes as `(id, distance)`, nearest first.
pub type Neighbours = Vec<(u64, f32)>;

/// One list of codes, what is asked of it, and the reference's answers.
#[derive(Clone, Debug)]
pub struct Case {
    /// What is special about it.
    pub name: String,
    pub(super) geometry: Geometry,
    metric: Metric,
    /// `[m][k][d]`.
    centroids: Vec<f32>,
    /// Row-major `[n][row_bytes]`. A boxed slice has no spare capacity, so that a guard page can follow it directly.
    pub(super) codes: Box<[u8]>,
    pub(super) questions: Questions,
    /// The numbers of neighbours to ask for.
    pub(super) ks: Vec<usize>,
    /// The ids of the truly nearest vectors for each query, where the codes stand for vectors.
    pub(super) truth: Option<Vec<Vec<u64>>>,
    codebook: OnceLock<Codebook>,
    tables: OnceLock<Vec<Vec<f32>>>,
    expected: OnceLock<Vec<Neighbours>>,
}

/// What is asked of the codes.
#[derive(Clone, Debug)]
pub(super) enum Questions {
    /// Queries `[q][dim]`.
    Queries(Vec<f32>),
    /// Distance tables `[m][k]`, taken as they are. They reach what no finite query does.
    Tables(Vec<Vec<f32>>),
}

impl Case {
    /// `queries` `[q][128]` over `codes` `[n][16]` of `centroids` `[m][k][d]` in the shape of SIFT, for 1, 10 and 100
    /// neighbours.
    pub fn new(name: impl Into<String>, centroids: Vec<f32>, codes: Vec<u8>, queries: Vec<f32>) -> Case {
        Self::shaped(name, sift_geometry(), Metric::L2, centroids, codes, queries)
    }

    /// The same in any shape.
    pub fn shaped(
        name: impl Into<String>,
        geometry: Geometry,
        metric: Metric,
        centroids: Vec<f32>,
        codes: Vec<u8>,
        queries: Vec<f32>,
    ) -> Case {
        Case {
            name: name.into(),
            geometry,
            metric,
            centroids,
            codes: codes.into_boxed_slice(),
            questions: Questions::Queries(queries),
            ks: vec![1, TOP_K, 100],
            truth: None,
            codebook: OnceLock::new(),
            tables: OnceLock::new(),
            expected: OnceLock::new(),
        }
    }

    /// The same case for other numbers of neighbours.
    pub fn with_ks(self, ks: &[usize]) -> Case {
        Case { ks: ks.to_vec(), expected: OnceLock::new(), ..self }
    }

    /// Its shape.
    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// How many codes there are.
    pub fn num_vectors(&self) -> usize {
        self.codes.len() / self.geometry.row_bytes()
    }

    /// The codes as the engine takes them.
    pub(super) fn codes(&self) -> Codes<'_> {
        Codes::row_major(&self.codes)
    }

    /// The case as a worker takes it, with all codes in a list of any variant.
    pub(super) fn task(&self) -> Task<'_> {
        Task {
            variant: "",
            geometry: self.geometry,
            metric: self.metric,
            centroids: &self.centroids,
            codes: &self.codes,
            lengths: &[],
        }
    }

    /// What is asked, and how it is put to a worker.
    pub(super) fn asked(&self) -> (Call, Vec<f32>) {
        match &self.questions {
            Questions::Queries(queries) => (Call::Single, queries.clone()),
            Questions::Tables(tables) => (Call::Table, tables.concat()),
        }
    }

    /// The numbers of neighbours to ask for.
    pub(super) fn ks(&self) -> &[usize] {
        &self.ks
    }

    /// Why `answer` to query number `at` for `k` neighbours will not do; none if it will.
    pub(super) fn fault(&self, at: usize, k: usize, answer: &[(u64, f32)], fidelity: Fidelity) -> Option<String> {
        let judge = Judge { fidelity, num_vectors: self.num_vectors() };
        judge.answer(answer, &self.expected()[at], k).err()
    }

    /// The codebook of the case's `centroids`, one for all variants: its groups take longer than most cases.
    pub(super) fn codebook(&self) -> Result<&Codebook, Error> {
        let made = match self.codebook.get() {
            Some(codebook) => codebook.clone(),
            None => Codebook::new(self.geometry, self.metric, &self.centroids)?,
        };
        Ok(self.codebook.get_or_init(|| made))
    }

    /// The distance tables of all that is asked, by the reference.
    pub(super) fn tables(&self) -> &[Vec<f32>] {
        self.tables.get_or_init(|| match &self.questions {
            Questions::Queries(queries) => {
                let table = |query| reference::distance_table(self.geometry, self.metric, query, &self.centroids);
                queries.chunks_exact(self.geometry.dim()).map(table).collect()
            }
            Questions::Tables(tables) => tables.clone(),
        })
    }

    /// The reference's answers for the largest number of neighbours; those for a smaller one are their beginnings.
    pub(super) fn expected(&self) -> &[Neighbours] {
        self.expected.get_or_init(|| {
            let k = self.ks.iter().copied().max().unwrap_or_default();
            self.tables().iter().map(|table| reference::top_k(self.geometry, table, &self.codes, k)).collect()
        })
    }
}

/// All cases, made once.
pub fn cases() -> &'static [Case] {
    static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| {
        [tails(), batches(), ties(), orders(), extremes(), tables(), vec![realistic()], shapes()].concat()
    });
    &CASES
}

/// Around every size of a vector, block and unrolled loop.
fn tails() -> Vec<Case> {
    const SIZES: &[usize] = &[
        0, 1, 2, 9, 10, 11, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257, 1000, 1023, 1024, 1025,
        4095, 4096, 4097, 8191, 8192, 8193, 10_007,
    ];
    let mut cases = Vec::new();
    for &n in SIZES {
        let rng = &mut rng(n);
        let (centroids, codes) = (plain_centroids(rng), codes(rng, n, 256));
        // The last vector is the nearest to the second query.
        let last = codes.last_chunk::<NUM_SUB_VECTORS>().into_iter().flat_map(|row| decoded(&centroids, row));
        let queries = plain_queries(rng, 1).into_iter().chain(last).collect();
        cases.push(Case::new(format!("{n} codes"), centroids, codes, queries).with_ks(&[1, TOP_K, 100, n]));
    }
    // One vector after the other is the nearest by far, so that none can be left out unseen.
    for (n, step) in [(130, 1), (4097, 61)] {
        let rng = &mut rng(n + 1);
        let (centroids, codes) = (plain_centroids(rng), codes(rng, n, 256));
        let rows = codes.chunks(NUM_SUB_VECTORS).step_by(step);
        let queries = rows.flat_map(|row| decoded(&centroids, row)).collect();
        cases.push(
            Case::new(format!("{n} codes, the nearest in steps of {step}"), centroids, codes, queries).with_ks(&[1]),
        );
    }
    cases
}

/// Enough queries for batches around 16, and enough codes for what comes after the first blocks of a filter.
fn batches() -> Vec<Case> {
    let of_size = |n| {
        let rng = &mut rng(n + 7);
        Case::new(format!("17 queries of {n} codes"), plain_centroids(rng), codes(rng, n, 256), plain_queries(rng, 17))
    };
    [7, 65, 1000, 35_000].map(of_size).to_vec()
}

/// Equal codes, equal distances, so that the ids decide.
fn ties() -> Vec<Case> {
    let mut cases = Vec::new();
    for n in [17, 200] {
        let rng = &mut rng(n + 20);
        let (plain, whole) = (plain_centroids(rng), whole_centroids(rng));
        let (queries, whole_queries) = (plain_queries(rng, 2), vec![1.0; DIM]);
        let row = codes(rng, 1, 256);
        cases.extend([
            Case::new(format!("{n} equal codes"), plain.clone(), row.repeat(n), queries.clone()),
            Case::new(
                format!("{n} codes, few distinct"),
                plain.clone(),
                codes(rng, 3, 256).repeat(n / 3),
                queries.clone(),
            ),
            Case::new(format!("{n} codes of two centroids"), plain, codes(rng, n, 2), queries.clone()),
            Case::new(format!("{n} codes, whole numbers"), whole, codes(rng, n, 256), whole_queries),
            Case::new(
                format!("{n} codes, all centroids equal"),
                vec![0.3; NUM_CENTROIDS * DIM],
                codes(rng, n, 256),
                queries,
            ),
        ]);
    }
    let beyond: Vec<Case> = cases.iter().cloned().map(with_k_beyond).collect();
    [cases, beyond].concat()
}

/// The case for more neighbours than there are codes, for just as many, and for none.
fn with_k_beyond(case: Case) -> Case {
    let n = case.num_vectors();
    Case { name: format!("{}, k around n", case.name), ..case.with_ks(&[0, n - 1, n, n + 1, 2 * n + 5]) }
}

/// Codes in the order of their distance: the threshold moves at every code, or never again.
fn orders() -> Vec<Case> {
    let mut cases = Vec::new();
    for n in [100, 3000] {
        let rng = &mut rng(n + 30);
        let (centroids, query) = (plain_centroids(rng), plain_queries(rng, 1));
        let codes = clustered_codes(rng, n);
        let near_to_far: Vec<u8> = reference::search(sift_geometry(), Metric::L2, &query, &centroids, &codes, n)
            .iter()
            .flat_map(|&(id, _)| &codes[id as usize * NUM_SUB_VECTORS..][..NUM_SUB_VECTORS])
            .copied()
            .collect();
        let far_to_near = near_to_far.rchunks(NUM_SUB_VECTORS).flatten().copied().collect();
        let queries = [query, plain_queries(rng, 1)].concat();
        // Blocks that are near as a whole.
        let stored = codes.chunks(NUM_SUB_VECTORS).step_by(n / 10).flat_map(|row| decoded(&centroids, row)).collect();
        let mut rows: Vec<_> = codes.chunks(NUM_SUB_VECTORS).collect();
        rows.sort_unstable();
        cases.extend([
            Case::new(format!("{n} clustered codes, similar ones together"), centroids.clone(), rows.concat(), stored),
            Case::new(format!("{n} clustered codes"), centroids.clone(), codes, queries.clone()),
            Case::new(format!("{n} codes, near to far"), centroids.clone(), near_to_far, queries.clone()),
            Case::new(format!("{n} codes, far to near"), centroids, far_to_near, queries),
        ]);
    }
    // Many times as long as what a kernel looks at as a whole, with much to skip and with nothing.
    let n = 70_001;
    let rng = &mut rng(n);
    let (centroids, queries) = (plain_centroids(rng), plain_queries(rng, 2));
    for (what, codes) in [("clustered codes", clustered_codes(rng, n)), ("codes of two centroids", codes(rng, n, 2))] {
        let stored = codes.chunks(NUM_SUB_VECTORS).step_by(n / 3).flat_map(|row| decoded(&centroids, row));
        let queries = queries.iter().copied().chain(stored).collect();
        cases.push(Case::new(format!("{n} {what}"), centroids.clone(), codes, queries));
    }
    cases
}

/// The ends of u8 and of f32.
fn extremes() -> Vec<Case> {
    let mut cases = Vec::new();
    for n in [70, 1000] {
        let rng = &mut rng(n + 40);
        let (plain, queries) = (plain_centroids(rng), plain_queries(rng, 2));
        let scaled = |scale: f32| plain.iter().map(|value| value * scale).collect::<Vec<_>>();
        let codes = codes(rng, n, 256);
        let stored = codes.chunks(NUM_SUB_VECTORS).step_by(n / 3).flat_map(|row| decoded(&plain, row)).collect();

        let mut lopsided = plain.clone();
        lopsided[3 * NUM_CENTROIDS * SUB_VECTOR_DIM..][..NUM_CENTROIDS * SUB_VECTOR_DIM]
            .iter_mut()
            .for_each(|v| *v *= 1e6);
        let some_infinite = plain.iter().map(|&v| if rng.random_bool(0.02) { 1e30 } else { v }).collect();
        let one_finite =
            (0..plain.len()).map(|at| if at / SUB_VECTOR_DIM == usize::from(codes[0]) { 0.0 } else { 1e30 }).collect();

        let case = |what: &str, centroids: Vec<f32>, codes: Vec<u8>, queries: Vec<f32>| {
            Case::new(format!("{n} codes, {what}"), centroids, codes, queries)
        };
        cases.extend([
            case("all 0", plain.clone(), vec![0; n * NUM_SUB_VECTORS], queries.clone()),
            case("all 255", plain.clone(), vec![255; n * NUM_SUB_VECTORS], queries.clone()),
            case("queries equal to stored vectors", plain.clone(), codes.clone(), stored),
            case("huge distances", scaled(1e18), codes.clone(), vec![-1e18; DIM]),
            case("distances around the largest f32", scaled(3e18), codes.clone(), vec![2e18; DIM]),
            case("some distances infinite", some_infinite, codes.clone(), queries.clone()),
            case("nearly all distances infinite", one_finite, codes.clone(), vec![0.0; DIM]),
            case("all distances infinite", plain.clone(), codes.clone(), vec![-1e30; DIM]),
            case("subnormal distances", scaled(1e-21), codes.clone(), vec![0.0; DIM]),
            case("distances that vanish", scaled(1e-25), codes.clone(), vec![0.0; DIM]),
            case("one sub-quantizer outweighs the rest", lopsided, codes.clone(), queries),
            case("distances that differ in the last bits", scaled(1e-4), codes, vec![3.0; DIM]),
        ]);
    }
    cases
}

/// Tables that come from no query: negative entries as an inner product has, infinite ones, the whole range of f32.
fn tables() -> Vec<Case> {
    type Entry = fn(&mut ChaCha8Rng, usize, usize) -> f32;
    let kinds: [(&str, Entry); 16] = [
        ("uniform", |rng, _, _| rng.random_range(0.0..1.0)),
        ("negative", |rng, _, _| rng.random_range(-1000.0..-1.0)),
        ("of both signs", |rng, _, _| rng.random_range(-1.0..1.0)),
        ("huge, of both signs", |rng, _, _| rng.random_range(-1e37..1e37)),
        ("zero, of both signs", |rng, _, _| if rng.random() { 0.0 } else { -0.0 }),
        ("negative zero", |_, _, _| -0.0),
        ("subnormal", |rng, _, _| f32::from_bits(rng.random_range(0..1 << 20))),
        ("over the whole range", |rng, _, _| f32::from_bits(rng.random_range(0..f32::INFINITY.to_bits()))),
        ("infinite here and there", |rng, _, _| if rng.random_bool(0.05) { f32::INFINITY } else { rng.random() }),
        ("infinite in one row", |rng, m, _| if m == 5 { f32::INFINITY } else { rng.random() }),
        ("infinite", |_, _, _| f32::INFINITY),
        ("-inf here and there", |rng, _, _| if rng.random_bool(0.05) { f32::NEG_INFINITY } else { rng.random() }),
        ("-inf once", |rng, m, k| if (m, k) == (7, 7) { f32::NEG_INFINITY } else { rng.random_range(-1.0..1.0) }),
        ("infinite of both signs, so that some distances are no numbers", |rng, _, k| match k % 8 {
            0 => f32::INFINITY,
            1 if rng.random_bool(0.2) => f32::NEG_INFINITY,
            _ => rng.random_range(-1.0..1.0),
        }),
        ("infinite of both signs, so that most distances are no numbers", |_, m, _| match m {
            3 => f32::INFINITY,
            4 => f32::NEG_INFINITY,
            _ => 1.0,
        }),
        ("whole numbers", |rng, _, k| (k % 4) as f32 + rng.random_range(0..2) as f32),
    ];
    // No entry follows from the centroids, but the numbers that some variants give to them do: one codebook for all.
    let centroids = plain_centroids(&mut rng(61));
    let codebook = OnceLock::from(Codebook::new(sift_geometry(), Metric::L2, &centroids).expect("finite centroids"));
    let mut cases = Vec::new();
    for (kind, entry) in kinds {
        // Some as long as it takes for what a kernel makes only for long lists.
        let long =
            ["uniform", "of both signs", "infinite here and there", "-inf once"].contains(&kind).then_some(70_001);
        for n in [1, 17, 64, 65, 1000, 2500].into_iter().chain(long) {
            let rng = &mut rng(n + 60);
            let mut table = || {
                let places = (0..NUM_SUB_VECTORS).flat_map(|m| (0..NUM_CENTROIDS).map(move |k| (m, k)));
                places.map(|(m, k)| entry(rng, m, k)).collect()
            };
            let tables = vec![table(), table()];
            let codes = codes(rng, n, 256);
            let case = Case::new(format!("{n} codes, tables {kind}"), centroids.clone(), codes, Vec::new());
            cases.push(Case { questions: Questions::Tables(tables), codebook: codebook.clone(), ..case });
        }
    }
    cases
}

/// Vectors in clusters, encoded, with the true neighbours of each query: for the recall of an approximate variant.
fn realistic() -> Case {
    const VECTORS: usize = 1000;
    const QUERIES: usize = 300;
    let rng = &mut rng(80);
    let centres: Vec<f32> = (0..40 * DIM).map(|_| rng.random_range(0.0..128.0)).collect();
    let mut vectors = |count: usize| -> Vec<f32> {
        let mut one = || {
            let centre = rng.random_range(0..centres.len() / DIM);
            // The sum of a few uniform values is near enough to a normal distribution.
            let values = centres[centre * DIM..][..DIM].iter();
            values.map(|value| value + (0..4).map(|_| rng.random_range(-20.0..20.0)).sum::<f32>()).collect::<Vec<_>>()
        };
        (0..count).flat_map(|_| one()).collect()
    };
    let (base, queries) = (vectors(VECTORS), vectors(QUERIES));
    // Every part of the first 256 vectors is a centroid.
    let part = |vector: usize, m: usize| &base[vector * DIM + m * SUB_VECTOR_DIM..][..SUB_VECTOR_DIM];
    let centroids: Vec<f32> =
        (0..NUM_SUB_VECTORS).flat_map(|m| (0..NUM_CENTROIDS).flat_map(move |k| part(k, m))).copied().collect();
    let codes = base.chunks(DIM).flat_map(|vector| encoded(&centroids, vector)).collect();
    let truth = queries.chunks(DIM).map(|query| nearest_vectors(query, &base)).collect();
    let case = Case::new(format!("{VECTORS} encoded vectors"), centroids, codes, queries);
    Case { truth: Some(truth), ..case.with_ks(&[TOP_K]) }
}

/// Other numbers of sub-quantizers, of dimensions in each and of bits, and the other metrics: clustered codes. (The
/// [matrix](crate::fuzz::matrix) has them at the tails.)
fn shapes() -> Vec<Case> {
    const SHAPES: [(usize, usize); 22] = [
        (1, 1),
        (2, 1),
        (4, 2),
        (6, 3),
        (5, 5),
        (12, 3),
        (28, 7),
        (16, 8),
        (75, 15),
        (16, 16),
        (17, 17),
        (96, 12),
        (100, 20),
        (384, 24),
        (100, 25),
        (128, 32),
        (384, 48),
        (100, 50),
        (64, 64),
        (384, 96),
        (128, 128),
        (256, 256),
    ];
    let mut cases = Vec::new();
    for (at, (dim, m)) in SHAPES.into_iter().enumerate() {
        for (bits, metric) in [Bits::Four, Bits::Eight].into_iter().zip([at, at + 1]) {
            let geometry = Geometry::new(dim, m, bits).expect("a quantizer");
            let metric = Metric::ALL[metric % Metric::ALL.len()];
            let rng = &mut rng(90 + 2 * at + bits.count() / 8);
            let centroids: Vec<f32> = (0..geometry.codebook_len()).map(|_| rng.random_range(-1.0..1.0)).collect();
            let codebook = OnceLock::from(Codebook::new(geometry, metric, &centroids).expect("finite centroids"));
            for n in [65, 1000, 5003] {
                let code = |rng: &mut ChaCha8Rng| rng.random_range(0..geometry.num_centroids()) as u8;
                let centres: Vec<u8> = (0..3 * m).map(|_| code(rng)).collect();
                let mut rows = Vec::with_capacity(n * m);
                for _ in 0..n {
                    let centre = rng.random_range(0..3) * m;
                    rows.extend(centres[centre..][..m].iter().map(|&own| if rng.random() { own } else { code(rng) }));
                }
                let codes = match bits {
                    Bits::Eight => rows,
                    // Nobody promised what is in the last half byte.
                    Bits::Four => rows
                        .chunks(m)
                        .flat_map(|row| row.chunks(2))
                        .map(|pair| pair[0] | pair.get(1).copied().unwrap_or(rng.random_range(0..16)) << 4)
                        .collect(),
                };
                let queries = (0..3 * dim).map(|_| rng.random_range(-1.0..1.0)).collect();
                let name = format!("{n} codes, {geometry}, {metric}");
                let case = Case::shaped(name, geometry, metric, centroids.clone(), codes, queries);
                cases.push(Case { codebook: codebook.clone(), ..case.with_ks(&[1, TOP_K, 100]) });
            }
        }
    }
    cases
}

/// The code of `vector`: in each sub-quantizer the nearest centroid.
fn encoded(centroids: &[f32], vector: &[f32]) -> Vec<u8> {
    let table = reference::distance_table(sift_geometry(), Metric::L2, vector, centroids);
    let nearest = |row: &[f32]| (0..row.len()).min_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap_or_default() as u8;
    table.chunks(NUM_CENTROIDS).map(nearest).collect()
}

/// The vector that the code `row` stands for.
fn decoded<'a>(centroids: &'a [f32], row: &'a [u8]) -> impl Iterator<Item = f32> + 'a {
    let centroid = |(m, &k)| &centroids[(m * NUM_CENTROIDS + usize::from(k)) * SUB_VECTOR_DIM..][..SUB_VECTOR_DIM];
    row.iter().enumerate().flat_map(centroid).copied()
}

fn nearest_vectors(query: &[f32], base: &[f32]) -> Vec<u64> {
    let distance = |vector: &[f32]| vector.iter().zip(query).map(|(v, q)| (v - q) * (v - q)).sum::<f32>();
    let mut all: Vec<(f32, u64)> = base.chunks(DIM).map(distance).zip(0..).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    all.iter().take(TOP_K).map(|&(_, id)| id).collect()
}

fn rng(seed: usize) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed as u64)
}

fn plain_centroids(rng: &mut impl Rng) -> Vec<f32> {
    (0..NUM_CENTROIDS * DIM).map(|_| rng.random_range(-1.0..1.0)).collect()
}

fn whole_centroids(rng: &mut impl Rng) -> Vec<f32> {
    (0..NUM_CENTROIDS * DIM).map(|_| rng.random_range(0..3) as f32).collect()
}

fn plain_queries(rng: &mut impl Rng, count: usize) -> Vec<f32> {
    (0..count * DIM).map(|_| rng.random_range(-1.0..1.0)).collect()
}

/// `n` codes of the lowest `distinct` centroids.
fn codes(rng: &mut impl Rng, n: usize, distinct: u16) -> Vec<u8> {
    (0..n * NUM_SUB_VECTORS).map(|_| rng.random_range(0..distinct) as u8).collect()
}

/// `n` codes, each one of a few with up to four sub-quantizers changed.
fn clustered_codes(rng: &mut impl Rng, n: usize) -> Vec<u8> {
    let centres = codes(rng, 12, 256);
    let mut all = Vec::with_capacity(n * NUM_SUB_VECTORS);
    for _ in 0..n {
        let mut row = centres[rng.random_range(0..12) * NUM_SUB_VECTORS..][..NUM_SUB_VECTORS].to_vec();
        for _ in 0..4 {
            row[rng.random_range(0..NUM_SUB_VECTORS)] = rng.random();
        }
        all.extend(row);
    }
    all
}

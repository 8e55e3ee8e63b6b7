//! Makes a data folder from raw vectors: trains the codebook, encodes the base, finds the true neighbours or takes them
//! over.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use indicatif::ProgressBar;
use pqscan::{Bits, Geometry, Metric};

use super::{
    fixture::{Fixture, Source, check_output},
    progress, reference,
    train::{encode, train},
    truth::{NeighborIds, Neighbors},
    vectors::{VectorFile, common_dim, read_ivecs},
};

const ITERATIONS: usize = 25;
const SEED: u64 = 1;
/// Neighbours of a query that are found where none are given.
const TRUTH_K: usize = 100;
/// Vectors of the base that are in memory at a time.
const PIECE: usize = 8_192;

/// What to make a data folder from. Vector files are `.fvecs`, `.bvecs` or `.u8`, all of the same dimensions.
#[derive(Clone, Debug)]
pub struct PrepareOptions {
    /// The vectors to encode.
    pub base: PathBuf,
    /// The vectors to train the codebook on, at least as many as centroids.
    pub learn: PathBuf,
    pub query: PathBuf,
    /// The nearest base vectors of each query (`.ivecs`); without it they are found, which takes longer.
    pub groundtruth: Option<PathBuf>,
    /// The data folder to write, or to replace.
    pub output: PathBuf,
    /// Its name in reports.
    pub name: String,
    /// Parts that a vector is cut into.
    pub num_sub_vectors: usize,
    /// Bits of a part's code.
    pub bits: Bits,
    /// What is nearest. For the cosine all vectors are scaled to length 1 first.
    pub metric: Metric,
}

/// Makes the data folder. Nothing is written before all is done.
///
/// # Errors
/// A file is missing or malformed, the files don't fit together, or the output can't be written.
pub fn prepare(options: &PrepareOptions, progress: &ProgressBar) -> Result<()> {
    check_output(&options.output)?;
    let metric = options.metric;
    let dim = common_dim(&[&options.base, &options.learn, &options.query])?;
    let geometry = Geometry::new(dim, options.num_sub_vectors, options.bits)?;
    let mut base = Vectors::open(&options.base, dim, metric)?;
    ensure!(u32::try_from(base.count()).is_ok(), "{}: has more vectors than ids can count", options.base.display());
    let queries = Vectors::open(&options.query, dim, metric)?.read_all()?;
    let given = options
        .groundtruth
        .as_ref()
        .map(|path| read_truth(path, base.count(), queries.len() / dim).with_context(|| path.display().to_string()));
    let given = given.transpose()?;
    let codebook = {
        let learn = Vectors::open(&options.learn, dim, metric)?.read_all()?;
        train(geometry, &learn, ITERATIONS, SEED, progress).with_context(|| options.learn.display().to_string())?
    };

    let step = if given.is_some() { "encoding the base" } else { "encoding, finding neighbours" };
    progress::begin(progress, step, base.count());
    let mut codes = Vec::with_capacity(base.count() * geometry.row_bytes());
    let mut neighbors = Neighbors::new(&queries, dim, metric, TRUTH_K);
    loop {
        let piece = base.read(PIECE)?;
        if piece.is_empty() {
            break;
        }
        codes.extend(encode(&codebook, &piece)?);
        if given.is_none() {
            neighbors.visit(&piece);
        }
        progress.inc((piece.len() / dim) as u64);
    }
    progress.finish_and_clear();
    let truth = given.unwrap_or_else(|| neighbors.into_truth());
    let fixture = Fixture {
        name: options.name.clone(),
        source: Source::Folder,
        geometry,
        metric,
        codes,
        centroids: codebook.centroids().to_vec(),
        queries,
        truth: Some(truth),
        answers: None,
    };
    fixture.write(&options.output)
}

/// A file of vectors as the metric compares them.
struct Vectors<'a> {
    path: &'a Path,
    file: VectorFile,
    dim: usize,
    metric: Metric,
}

impl Vectors<'_> {
    fn open(path: &Path, dim: usize, metric: Metric) -> Result<Vectors<'_>> {
        Ok(Vectors { path, file: VectorFile::open(path, dim)?, dim, metric })
    }

    fn count(&self) -> usize {
        self.file.count()
    }

    fn read_all(&mut self) -> Result<Vec<f32>> {
        self.read(self.count())
    }

    /// The next vectors `[n][dim]`, at most `most`; none at the end. For the cosine they have length 1.
    fn read(&mut self, most: usize) -> Result<Vec<f32>> {
        let first = self.file.position();
        let mut vectors = self.file.read(most)?;
        if self.metric == Metric::Cosine {
            for (at, vector) in vectors.chunks_exact_mut(self.dim).enumerate() {
                ensure!(
                    vector.iter().any(|&value| value != 0.0),
                    "{}: vector {} is all zeros, so it has no cosine with anything; leave it out",
                    self.path.display(),
                    first + at
                );
                vector.copy_from_slice(&reference::of_length_1(vector));
            }
        }
        Ok(vectors)
    }
}

fn read_truth(path: &Path, num_base: usize, num_queries: usize) -> Result<NeighborIds> {
    let (ids, k) = read_ivecs(path)?;
    let rows = ids.len() / k;
    ensure!(rows == num_queries, "has the neighbours of {rows} queries, but there are {num_queries} queries");
    let truth = NeighborIds { ids, k };
    truth.check(num_base)?;
    Ok(truth)
}

//! Makes a data folder from raw vectors: trains the codebook, encodes the base, finds the true neighbours or takes them over.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use indicatif::ProgressBar;
use pqscan::NUM_SUB_VECTORS;

use super::{
    fixture::{Fixture, Source, check_output},
    progress,
    train::{centroids, encode, train},
    truth::{Neighbors, Truth},
    vectors::{VectorFile, read_ivecs},
};

const ITERATIONS: usize = 25;
const SEED: u64 = 1;
/// Neighbours of a query that are found where none are given.
const TRUTH_K: usize = 100;
/// Vectors of the base that are in memory at a time.
const PIECE: usize = 8_192;

/// What to make a data folder from. Vector files are `.fvecs`, `.bvecs` or `.u8`, of 128 dimensions.
#[derive(Clone, Debug)]
pub struct PrepareOptions {
    /// The vectors to encode.
    pub base: PathBuf,
    /// The vectors to train the codebook on, at least 256.
    pub learn: PathBuf,
    pub query: PathBuf,
    /// The nearest base vectors of each query (`.ivecs`); without it they are found, which takes longer.
    pub groundtruth: Option<PathBuf>,
    /// The data folder to write, or to replace.
    pub output: PathBuf,
    /// Its name in reports.
    pub name: String,
}

/// Makes the data folder. Nothing is written before all is done.
///
/// # Errors
/// A file is missing or malformed, the files don't fit together, or the output can't be written.
pub fn prepare(options: &PrepareOptions, progress: &ProgressBar) -> Result<()> {
    check_output(&options.output)?;
    let mut base = VectorFile::open(&options.base)?;
    ensure!(u32::try_from(base.count()).is_ok(), "{}: has more vectors than ids can count", options.base.display());
    let queries = VectorFile::open(&options.query)?.read_all()?;
    let given = options
        .groundtruth
        .as_ref()
        .map(|path| read_truth(path, base.count(), queries.len()).with_context(|| path.display().to_string()));
    let given = given.transpose()?;
    let codebook = {
        let learn = VectorFile::open(&options.learn)?.read_all()?;
        train(&learn, ITERATIONS, SEED, progress).with_context(|| options.learn.display().to_string())?
    };

    let step = if given.is_some() { "encoding the base" } else { "encoding, finding neighbours" };
    progress::begin(progress, step, base.count());
    let mut codes = Vec::with_capacity(base.count() * NUM_SUB_VECTORS);
    let mut neighbors = Neighbors::new(&queries, TRUTH_K);
    loop {
        let piece = base.read(PIECE)?;
        if piece.is_empty() {
            break;
        }
        codes.extend(encode(&codebook, &piece));
        if given.is_none() {
            neighbors.visit(&piece);
        }
        progress.inc(piece.len() as u64);
    }
    progress.finish_and_clear();
    let truth = given.unwrap_or_else(|| neighbors.into_truth());
    let fixture = Fixture {
        name: options.name.clone(),
        source: Source::Folder,
        codes,
        centroids: centroids(&codebook),
        queries,
        truth: Some(truth),
    };
    fixture.write(&options.output)
}

fn read_truth(path: &Path, num_base: usize, num_queries: usize) -> Result<Truth> {
    let (ids, k) = read_ivecs(path)?;
    let rows = ids.len() / k;
    ensure!(rows == num_queries, "has the neighbours of {rows} queries, but there are {num_queries} queries");
    let truth = Truth { ids, k };
    truth.check(num_base)?;
    Ok(truth)
}

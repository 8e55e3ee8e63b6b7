//! `pqbench prepare`

use std::{path::PathBuf, process::ExitCode};

use indicatif::ProgressBar;
use pqbench::prepare::{PrepareOptions, prepare};
use pqscan::{Bits, Metric};

use crate::shape::{bits_parser, metric_parser};

/// Make a data folder from raw vectors
#[derive(clap::Args)]
#[command(
    after_help = "Trains a codebook, encodes the base and finds the true neighbours. Vector files are .fvecs, .bvecs or .u8, all of the same dimensions.
.u8 has none of its own: those of the others, or else 128.

Examples:
  pqbench prepare --base base.fvecs --learn learn.fvecs --query query.fvecs --output my-data
  pqbench prepare --base b.fvecs --learn l.fvecs --query q.fvecs --output words --sub-vectors 25 --metric cosine
  pqbench --fixture my-data"
)]
pub struct Args {
    /// The vectors to encode
    #[arg(long, value_name = "FILE")]
    base: PathBuf,
    /// The vectors to train the codebook on
    #[arg(long, value_name = "FILE")]
    learn: PathBuf,
    /// The queries
    #[arg(long, value_name = "FILE")]
    query: PathBuf,
    /// The nearest base vectors of each query (.ivecs); without it they are found, which takes longer
    #[arg(long, value_name = "FILE")]
    groundtruth: Option<PathBuf>,
    /// The folder to write; a data folder that is there is replaced
    #[arg(long, short, value_name = "DIR")]
    output: PathBuf,
    /// The data's name in reports [default: the folder's]
    #[arg(long)]
    name: Option<String>,
    /// Parts that a vector is cut into, from 1 to 256; they divide the dimensions
    #[arg(long, value_name = "M", default_value = "16")]
    sub_vectors: usize,
    /// Bits of a part's code: 4 for 16 centroids, 8 for 256
    #[arg(long, value_name = "BITS", default_value = "8", value_parser = bits_parser())]
    bits: Bits,
    /// What is nearest: l2, ip (the largest inner product) or cosine, for which all vectors are scaled to length 1
    #[arg(long, value_name = "METRIC", default_value = "l2", value_parser = metric_parser())]
    metric: Metric,
    /// Show no progress
    #[arg(long, short)]
    quiet: bool,
}

pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let folder_name = || args.output.file_name().map_or("data".to_owned(), |name| name.to_string_lossy().into_owned());
    let options = PrepareOptions {
        name: args.name.unwrap_or_else(folder_name),
        base: args.base,
        learn: args.learn,
        query: args.query,
        groundtruth: args.groundtruth,
        output: args.output,
        num_sub_vectors: args.sub_vectors,
        bits: args.bits,
        metric: args.metric,
    };
    let progress = if args.quiet { ProgressBar::hidden() } else { ProgressBar::no_length() };
    prepare(&options, &progress)?;
    Ok(ExitCode::SUCCESS)
}

//! What one run of the bench found: the one result type that every report is written from.
//!
//! The field names are those of the JSON. A field that a reader may rely on is never renamed; one is added by raising
//! [`SCHEMA`] only where an old reader would misunderstand the rest.

use std::iter;

use serde::{Deserialize, Serialize};

/// The version of the JSON's meaning.
pub const SCHEMA: u32 = 1;

/// This crate's version, and the git commit that it was built from where there is one.
pub fn version() -> String {
    match option_env!("PQBENCH_COMMIT") {
        Some(commit) => format!("{} ({commit})", env!("CARGO_PKG_VERSION")),
        None => env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// One run: some variants on one data set on one machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Run {
    /// [`SCHEMA`] of the writer.
    pub schema: u32,
    /// Version of the crate that measured, and its git commit where there was one.
    pub version: String,
    /// When it began, RFC 3339, UTC.
    pub started: String,
    pub machine: Machine,
    pub fixture: FixtureInfo,
    /// How it was measured.
    pub protocol: Protocol,
    /// Name of the variant that the ratios refer to.
    pub baseline: String,
    /// Nanoseconds a query only to read all the codes (once for a batch), median over the rounds.
    pub roofline_ns: f64,
    /// `roofline_ns` in each round.
    pub roofline_samples: Vec<f64>,
    /// Complete rounds, each with every variant once.
    pub rounds: usize,
    /// When each round ended, seconds from the first one's start.
    pub round_seconds: Vec<f64>,
    /// What a reader should know before believing the figures.
    pub warnings: Vec<String>,
    /// The fastest first, then the wrong and the skipped ones.
    pub variants: Vec<VariantResult>,
    /// Why there are no `counters`, where they were asked for and there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counters_note: Option<String>,
    /// The figures at each list size, the smallest first, where sizes were swept; the rest of the run is the largest's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sizes: Vec<SizeResult>,
    /// The same on further data sets, each a run like this one without others. All the rest is about the first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<Run>,
}

impl Run {
    /// This run, which is that on the first data set, and those on the others.
    pub fn parts(&self) -> impl Iterator<Item = &Run> {
        iter::once(self).chain(&self.others)
    }

    /// The [parts](Run::parts) of a run that is called `name`, each with a name of its own.
    pub fn named_parts(&self, name: &str) -> Vec<(String, &Run)> {
        if self.others.is_empty() {
            return vec![(name.to_owned(), self)];
        }
        self.parts().map(|part| (format!("{name} on {}", part.fixture.name), part)).collect()
    }
}

/// The figures for the first `num_base` codes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SizeResult {
    pub num_base: usize,
    pub roofline_ns: f64,
    pub rounds: usize,
    pub variants: Vec<VariantResult>,
}

/// The machine that ran it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    pub cpu: String,
    pub arch: String,
    pub os: String,
    pub cores: usize,
    /// The features that the library could use, and the mask that was in force.
    pub features: Vec<String>,
    pub mask: Option<String>,
}

/// The data set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FixtureInfo {
    pub name: String,
    /// `embedded`, `embedded-text`, `sift1m`, `folder`, `synthetic`, ...
    pub source: String,
    pub num_base: usize,
    pub num_queries: usize,
    /// Dimensions of a vector. A run of before there were other shapes says nothing of the shape.
    #[serde(default = "of_sift::dim")]
    pub dim: usize,
    #[serde(default = "of_sift::num_sub_vectors")]
    pub num_sub_vectors: usize,
    /// Bits of a code.
    #[serde(default = "of_sift::bits")]
    pub bits: usize,
    /// `l2`, `ip` or `cosine`.
    #[serde(default = "of_sift::metric")]
    pub metric: String,
    /// SHA-256 over the codes, the codebook and the queries that were used.
    pub checksum: String,
}

/// The one shape that there was.
mod of_sift {
    use pqscan::{Metric, kernels};

    pub fn dim() -> usize {
        kernels::DIM
    }

    pub fn num_sub_vectors() -> usize {
        kernels::NUM_SUB_VECTORS
    }

    pub fn bits() -> usize {
        8
    }

    pub fn metric() -> String {
        Metric::L2.name().to_owned()
    }
}

/// How it was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Protocol {
    /// Neighbours asked for.
    pub k: usize,
    /// Queries in a call.
    pub batch: usize,
    /// Whether the codes were evicted from the caches before each query.
    pub cold: bool,
    /// Bytes that were read to evict them.
    pub evicted_bytes: Option<usize>,
    /// Seed of the rounds' order and of the bootstrap.
    pub seed: u64,
    /// The smallest difference that was to be told, as a share of the time.
    pub precision: f64,
    pub max_seconds: f64,
    /// Seconds that the rounds took; the rest of the time went into preparation and checks.
    pub measured_seconds: f64,
    /// Why the rounds ended.
    pub stopped: Stopped,
}

/// Why the rounds ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stopped {
    /// Every ratio's interval is narrow enough.
    Precision,
    /// The time is spent.
    MaxTime,
    /// The user ended it; also what a run says that is saved while it goes on.
    Interrupted,
}

/// What became of a variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Right and measured.
    Ok,
    /// Gave a wrong answer; its time does not count.
    Wrong,
    /// Could not run here; `reason` says why.
    Skipped,
}

/// One variant's figures; those of a wrong or skipped one are absent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct VariantResult {
    pub name: String,
    pub status: Status,
    /// Why it is wrong or skipped.
    pub reason: Option<String>,
    /// `exact` or `approximate`.
    pub fidelity: String,
    /// Place by speed, from 1; variants that can't be told apart share one.
    pub rank: Option<usize>,
    /// Geometric mean over the queries, median over the rounds.
    pub ns_per_query: Option<f64>,
    /// Baseline's time over this one's: the median of the ratios formed within each round, and its 95 % interval.
    pub speedup: Option<f64>,
    pub ratio_low: Option<f64>,
    pub ratio_high: Option<f64>,
    pub codes_per_second: Option<f64>,
    /// `roofline_ns` over `ns_per_query`.
    pub roofline_share: Option<f64>,
    /// Share of the ten true nearest raw vectors that are among the ten returned, mean over the queries; absent where
    /// the truth is not known.
    pub recall_at_10: Option<f64>,
    /// Share of the queries whose answer is the reference's to the bit.
    pub agreement: Option<f64>,
    pub prepare_seconds: Option<f64>,
    pub memory_bytes: Option<usize>,
    /// Latency of single calls, over all rounds.
    pub p50_ns: Option<f64>,
    pub p90_ns: Option<f64>,
    pub p99_ns: Option<f64>,
    pub max_ns: Option<f64>,
    /// Rounds whose time is an outlier by the median absolute deviation. They are counted, not dropped.
    pub outliers: Option<usize>,
    /// Geometric mean over the queries in each round, ns: the raw samples.
    pub samples: Vec<f64>,
    pub counters: Option<Counters>,
}

/// What the hardware counted for each code scanned.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Counters {
    pub cycles_per_code: f64,
    pub instructions_per_code: f64,
    /// Absent where the CPU has no event for it.
    pub l1d_misses_per_code: Option<f64>,
    pub llc_misses_per_code: Option<f64>,
}

//! The bench's side of a [worker](pqbench_worker): a process for one build of a kernel, of which nothing is believed.
//!
//! What a variant can do to its own process is anything; so the bench keeps for itself what counts:
//! - **Time** is the CPU time that the kernel accounts to the worker, read by the bench before and after a turn. A
//!   worker has one thread and can't start another. CPU time that it uses while nothing was asked of it is noticed.
//! - **Answers** lie in shared memory, cleared before each turn and copied out of it as soon as the worker says that it
//!   is done.
//! - **Memory** is what the kernel says that the worker has.
//! - **Queries** are copied into the shared memory just before the turn.
//!
//! The [sandbox](Limits) is closed before the worker's first instruction: no files but its libraries, no network, no
//! threads, no signals to others, a limit of memory, and of time for each command.

#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod process;
#[cfg(target_os = "linux")]
mod sandbox;

use std::{path::PathBuf, time::Duration};

pub use pqbench_worker::protocol::{Call, Declared};
use pqscan::{Geometry, Metric};

pub use crate::trial::decide::{End, EndKind};

#[cfg(not(target_os = "linux"))]
pub use elsewhere::{Worker, landlock_version};
#[cfg(target_os = "linux")]
pub use process::Worker;
#[cfg(target_os = "linux")]
pub use sandbox::landlock_version;

/// The nearest codes to one query, as [`List::search`](pqscan::List::search) returns them.
pub type Answer = Vec<(u64, f32)>;

/// Why a worker did not do what it was asked to.
#[derive(Debug)]
pub enum Failure {
    /// It is gone.
    End(End),
    /// The engine refused, as it may: the text is its own.
    Refused(String),
    /// The bench could not do its part.
    Bench(anyhow::Error),
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Failure {
        Failure::Bench(error)
    }
}

impl From<Failure> for anyhow::Error {
    fn from(failure: Failure) -> anyhow::Error {
        match failure {
            Failure::End(end) => anyhow::anyhow!("the worker ended: {end}"),
            Failure::Refused(why) => anyhow::anyhow!("the engine refused: {why}"),
            Failure::Bench(error) => error,
        }
    }
}

/// A program that [serves](pqbench_worker::serve).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    pub path: PathBuf,
    pub arguments: Vec<String>,
}

/// What a worker may use.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of address space.
    pub memory: u64,
    /// Bytes of queries and answers.
    pub shared: usize,
    /// Time for a command.
    pub timeout: Duration,
    /// The CPU to run on; none for any.
    pub cpu: Option<usize>,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { memory: 8 << 30, shared: 64 << 20, timeout: Duration::from_secs(60), cpu: None }
    }
}

/// Codes and what they mean.
#[derive(Clone, Copy, Debug)]
pub struct Task<'a> {
    pub variant: &'a str,
    pub geometry: Geometry,
    pub metric: Metric,
    /// `[m][k][d]`.
    pub centroids: &'a [f32],
    /// Row-major, one list behind the other.
    pub codes: &'a [u8],
    /// Codes of each list.
    pub lengths: &'a [usize],
}

/// What became of a turn.
#[derive(Clone, Debug)]
pub struct Turn {
    /// One for each query.
    pub answers: Vec<Answer>,
    /// CPU time of the worker, ns.
    pub cpu_ns: f64,
    /// Time by the bench's clock, ns.
    pub wall_ns: f64,
    /// What the worker says of each call, ns, where it was asked to: good for their spread, scaled to the bench's time.
    pub calls_ns: Vec<f64>,
}

/// What the preparation took, as the bench sees it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Prepared {
    /// CPU time, ns.
    pub cpu_ns: f64,
    /// Bytes that the worker has more than before.
    pub bytes: usize,
    /// Bytes of the prepared lists as the worker declares them.
    pub declared_bytes: usize,
}

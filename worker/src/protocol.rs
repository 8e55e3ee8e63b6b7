//! The messages, and how queries and answers lie in the shared memory.

use pqscan::{Bits, Error, Geometry, Metric};

/// Where the worker writes its replies: a file descriptor that no library opens by chance.
pub const REPLIES: i32 = 100;
/// The memory that both processes have.
pub const SHARED: i32 = 101;

/// Words of a command, and of a reply.
pub const COMMAND_WORDS: usize = 8;
/// Words of a reply. The second is the length of the text that follows.
pub const REPLY_WORDS: usize = 4;

/// Says what a variant declares; followed by its name. The reply has a text, see [`Declared`].
pub const DESCRIBE: u64 = 1;
/// Gives the data: words of [`shape_words`], length of the name, number of lists, bytes of codes, bytes of the shared
/// memory. Followed by the name, the lists' lengths as `u64`, the centroids as `f32` and the codes.
pub const OPEN: u64 = 2;
/// Prepares the lists.
pub const PREPARE: u64 = 3;
/// Moves the prepared lists to another place in memory.
pub const RELOCATE: u64 = 4;
/// Answers the queries in the shared memory: words of [`Call::words`], k, number of queries, whether to time each call.
pub const RUN: u64 = 5;
/// Reads as many bytes as the word says, which drives everything else out of the caches.
pub const EVICT: u64 = 6;

/// The reply when all went well.
pub const DONE: u64 = 0;
/// The variant, or the engine, refuses: the text says why.
pub const REFUSED: u64 = 1;
/// The variant left another floating-point mode than it found.
pub const FLOAT_MODE: u64 = 2;

/// How queries are put to the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// One search a query, in the first list.
    Single,
    /// Searches of so many queries in a call, in the first list.
    Batch(usize),
    /// Each query visits so many lists, with one distance table and one threshold: the first query the first lists, the
    /// next one those behind them, and so on around. Ids count through all lists.
    Lists(usize),
    /// The same with a vector for each list, as residuals have one. A query is as many vectors as it visits lists.
    Residual(usize),
    /// One distance table a query, `[m][k]`, in the first list.
    Table,
    /// One distance table a query, over codes that nothing prepared.
    Unprepared,
}

impl Call {
    /// The call as two words.
    pub fn words(self) -> [u64; 2] {
        match self {
            Call::Single => [0, 1],
            Call::Batch(queries) => [1, queries as u64],
            Call::Lists(visited) => [2, visited as u64],
            Call::Residual(visited) => [3, visited as u64],
            Call::Table => [4, 1],
            Call::Unprepared => [5, 1],
        }
    }

    /// The call that two words are.
    pub fn from_words([kind, count]: [u64; 2]) -> Option<Call> {
        let count = usize::try_from(count).ok().filter(|&count| count > 0)?;
        Some(match kind {
            0 => Call::Single,
            1 => Call::Batch(count),
            2 => Call::Lists(count),
            3 => Call::Residual(count),
            4 => Call::Table,
            5 => Call::Unprepared,
            _ => return None,
        })
    }

    /// Values of a query.
    pub fn query_len(self, geometry: Geometry) -> usize {
        match self {
            Call::Single | Call::Batch(_) | Call::Lists(_) => geometry.dim(),
            Call::Residual(visited) => visited * geometry.dim(),
            Call::Table | Call::Unprepared => geometry.m() * geometry.num_centroids(),
        }
    }
}

/// A shape and a metric as words: dimensions, sub-quantizers, bits of a code, number of the metric in [`Metric::ALL`].
pub fn shape_words(geometry: Geometry, metric: Metric) -> [u64; 4] {
    let metric = Metric::ALL.iter().position(|&other| other == metric).unwrap_or_default();
    [geometry.dim(), geometry.m(), geometry.bits().count(), metric].map(|word| word as u64)
}

/// The shape and the metric that [`shape_words`] made words of.
///
/// # Errors
/// They are none.
pub fn shape_from_words([dim, m, bits, metric]: [u64; 4]) -> Result<(Geometry, Metric), Error> {
    let bits = if bits == 4 { Bits::Four } else { Bits::Eight };
    let geometry = Geometry::new(dim as usize, m as usize, bits)?;
    Ok((geometry, Metric::ALL[metric as usize % Metric::ALL.len()]))
}

/// Where queries and answers lie in the shared memory, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Places {
    /// Where the answers begin; the queries begin at 0.
    pub answers: usize,
    /// Bytes of an answer: a word for the number of neighbours, then two words for each, id and distance bits.
    pub answer_bytes: usize,
    /// Where the nanoseconds of the calls begin, a word each.
    pub times: usize,
    /// Bytes in all.
    pub end: usize,
}

impl Places {
    /// Those of `count` queries of `query_len` values for `k` neighbours each.
    pub fn of(count: usize, query_len: usize, k: usize) -> Places {
        let answers = (count * query_len * 4).next_multiple_of(64);
        let answer_bytes = 8 * (1 + 2 * k);
        let times = answers + count * answer_bytes;
        Places { answers, answer_bytes, times, end: times + count * 8 }
    }
}

/// What a variant says of itself; nothing that is believed where it can be checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Declared {
    /// Why it can't run on this CPU.
    pub unavailable: Option<String>,
    /// What it gives up; none if it is exact.
    pub gives_up: Option<String>,
    /// Whether it reads less than all of the codes.
    pub reads_less: bool,
    /// The preference in automatic selection.
    pub rank: u32,
    /// The CPU features that it needs.
    pub requires: Vec<String>,
}

impl Declared {
    /// As the lines of a reply.
    pub fn to_text(&self) -> String {
        let line = |text: &Option<String>| text.clone().unwrap_or_default();
        let Declared { unavailable, gives_up, reads_less, rank, requires } = self;
        format!("{}\n{}\n{reads_less}\n{rank}\n{}", line(unavailable), line(gives_up), requires.join(" "))
    }

    /// From the lines of a reply.
    pub fn from_text(text: &str) -> Option<Declared> {
        let mut lines = text.split('\n');
        let mut line = || lines.next();
        let optional = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Some(Declared {
            unavailable: optional(line()?),
            gives_up: optional(line()?),
            reads_less: line()?.parse().ok()?,
            rank: line()?.parse().ok()?,
            requires: line()?.split_whitespace().map(str::to_owned).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_what_is_understood() {
        for call in [Call::Single, Call::Batch(16), Call::Lists(20), Call::Residual(3), Call::Table, Call::Unprepared] {
            assert_eq!(Call::from_words(call.words()), Some(call));
        }
        assert_eq!((Call::from_words([9, 1]), Call::from_words([1, 0])), (None, None));
        let geometry = Geometry::new(100, 25, Bits::Four).unwrap();
        let shape = shape_from_words(shape_words(geometry, Metric::Cosine)).unwrap();
        assert_eq!(shape, (geometry, Metric::Cosine));
        let declared = Declared {
            unavailable: None,
            gives_up: Some("low bits".to_owned()),
            reads_less: true,
            rank: 7,
            requires: vec!["avx2".to_owned(), "fma".to_owned()],
        };
        assert_eq!(Declared::from_text(&declared.to_text()), Some(declared));
        assert_eq!(Declared::from_text("nonsense"), None);
    }
}

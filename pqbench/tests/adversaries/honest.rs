//! What the adversaries twist: rows that are scanned as `scalar` does, one after the other.

pub use std::{
    hint::black_box,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

pub use pqbench_worker::protocol::{REPLIES, REPLY_WORDS, SHARED};
pub use pqscan::{
    Bits, Codebook, Error, Metric, Query, TopK,
    collector::{Collector, Ids},
};
use pqscan::{
    registry::Fidelity,
    variant::{Prepare, Scan},
};

/// Places and distances, or ids and distances.
pub type Answer = Vec<(u64, f32)>;

pub const EXACT: Fidelity = Fidelity::Exact;

/// What an adversary does otherwise.
pub trait Twist: Clone + Default + Send + Sync + 'static {
    fn prepare(_: &Codebook, _: &[u8]) -> Result<Self, Error> {
        Ok(Self::default())
    }

    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        scan(rows, query, out);
    }

    fn scan_batch(&self, rows: &[u8], queries: &mut [Query], outs: &mut [Collector<'_>]) {
        queries.iter_mut().zip(outs).for_each(|(query, out)| self.scan(rows, query, out));
    }

    fn memory_bytes(&self, rows: &[u8]) -> usize {
        rows.len()
    }
}

/// Rows, and what an adversary keeps with them.
#[derive(Clone)]
pub struct List<T>(Vec<u8>, T);

impl<T: Twist> Prepare for List<T> {
    fn prepare(codebook: &Codebook, rows: &[u8], _: usize) -> Result<Self, Error> {
        Ok(List(rows.to_vec(), T::prepare(codebook, rows)?))
    }
}

impl<T: Twist> Scan for List<T> {
    fn scan(&self, query: &mut Query, out: &mut Collector<'_>) {
        self.1.scan(&self.0, query, out);
    }

    fn scan_batch(&self, queries: &mut [Query], outs: &mut [Collector<'_>]) {
        self.1.scan_batch(&self.0, queries, outs);
    }

    fn score(&self, query: &mut Query, places: &[u32], out: &mut Collector<'_>) {
        each(&self.0, query, |place, distance| {
            if places.contains(&place) {
                out.push(place, distance);
            }
        });
    }

    fn to_rows(&self) -> Vec<u8> {
        self.0.clone()
    }

    fn memory_bytes(&self) -> usize {
        self.1.memory_bytes(&self.0)
    }
}

/// Registers the adversary that a file is: `adversary!("adv-name")`, for one that keeps something with its type, and
/// with other fields of [`register!`](pqscan::register) before `prepare` behind that.
macro_rules! adversary {
    ($name:literal) => {
        #[derive(Clone, Default)]
        struct Adversary;
        crate::honest::adversary!($name, Adversary);
    };
    ($name:literal, $twist:ty) => {
        crate::honest::adversary!($name, $twist, fidelity: crate::honest::EXACT, rank: 1,);
    };
    ($name:literal, $twist:ty, $($field:tt)*) => {
        pqscan::register! {
            name: $name,
            summary: "cheats, or is broken",
            $($field)*
            prepare: pqscan::variant::prepare::<crate::honest::List<$twist>>,
        }
    };
}
pub(crate) use adversary;

/// The place and the distance of each row.
pub fn each(rows: &[u8], query: &mut Query, offer: impl FnMut(u32, f32)) {
    let geometry = query.geometry();
    each_by(rows, geometry.m(), geometry.num_centroids(), query.table(), offer);
}

/// The same by another table than that of the query.
pub fn each_by(rows: &[u8], m: usize, k: usize, table: &[f32], offer: impl FnMut(u32, f32)) {
    match (m, k) {
        (16, 256) => each_row(rows, 16, 256, table, offer),
        _ => each_row(rows, m, k, table, offer),
    }
}

#[inline(always)]
fn each_row(rows: &[u8], m: usize, k: usize, table: &[f32], mut offer: impl FnMut(u32, f32)) {
    let table = &table[..m * k];
    for (place, row) in rows.chunks_exact(m).enumerate() {
        let entries = row.iter().zip(table.chunks_exact(k)).map(|(&code, entries)| entries[usize::from(code)]);
        offer(place as u32, entries.fold(0.0, |sum, entry| sum + entry));
    }
}

/// The right way.
pub fn scan(rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
    each(rows, query, |place, distance| out.push(place, distance));
}

/// The right answer of this list alone, by places.
pub fn answer(rows: &[u8], query: &mut Query, k: usize) -> Answer {
    let mut top = TopK::new(k);
    scan(rows, query, &mut Collector::new(&mut top, Ids::From(0), None));
    top.into_sorted()
}

pub fn offer(answer: &[(u64, f32)], out: &mut Collector<'_>) {
    answer.iter().for_each(|&(place, distance)| out.push(place as u32, distance));
}

/// Codes in the list.
pub fn count(rows: &[u8], query: &Query) -> usize {
    rows.len() / query.geometry().m()
}

/// The bench's process.
pub fn parent() -> i32 {
    std::env::args().nth(2).and_then(|id| id.parse().ok()).unwrap_or_default()
}

/// The memory that the bench and this process have in common.
pub fn shared() -> &'static mut [u8] {
    const LEN: usize = 8 << 20;
    static PLACE: OnceLock<usize> = OnceLock::new();
    let place = *PLACE.get_or_init(|| {
        let (any, access) = (std::ptr::null_mut(), libc::PROT_READ | libc::PROT_WRITE);
        // SAFETY: the kernel chooses where it lies.
        let place = unsafe { libc::mmap(any, LEN, access, libc::MAP_SHARED, SHARED, 0) };
        assert_ne!(place, libc::MAP_FAILED);
        place as usize
    });
    // SAFETY: it is not this process's to write to, which is the point.
    unsafe { std::slice::from_raw_parts_mut(place as *mut u8, LEN) }
}

/// Tells the bench that all is done.
pub fn reply() {
    let words = [0u64; REPLY_WORDS];
    // SAFETY: the words are there for the whole call.
    unsafe { libc::write(REPLIES, words.as_ptr().cast(), size_of_val(&words)) };
}

/// Writes an answer to where the bench will look for it.
pub fn write_answer(place: usize, answer: &[(u64, f32)]) {
    let words = answer.iter().flat_map(|&(id, distance)| [id, distance.to_bits().into()]);
    let words = [answer.len() as u64].into_iter().chain(words);
    let bytes: Vec<u8> = words.flat_map(u64::to_ne_bytes).collect();
    shared()[place..][..bytes.len()].copy_from_slice(&bytes);
}

/// Uses as much CPU time.
pub fn spin(milliseconds: u64) {
    let begin = std::time::Instant::now();
    while begin.elapsed() < std::time::Duration::from_millis(milliseconds) {
        std::hint::spin_loop();
    }
}

/// Whether the first query of the turn is one of whole numbers.
pub fn is_whole() -> bool {
    let first = &shared()[..8 * 4];
    first.as_chunks().0.iter().all(|bytes| f32::from_ne_bytes(*bytes).fract() == 0.0)
}

//! Trains a product quantizer, encodes with it, and finds the true neighbours that its recall is measured against.
//!
//! Training is Lloyd's k-means in each of the 16 sub-spaces (Jégou, Douze, Schmid, 2011), started from a sample of the
//! vectors. Everything is the same on every machine and with any number of threads.

use std::{num::NonZero, sync::Mutex, thread};

use anyhow::{Result, ensure};
use indicatif::ProgressBar;
use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng, seq::SliceRandom};

use super::progress;
use crate::{Codebook, DIM, NUM_CENTROIDS, NUM_SUB_VECTORS, SUB_VECTOR_DIM, TopKHeap};

/// Training vectors that are used at most: 256 for each centroid, as Faiss does; more change little.
pub const MAX_TRAINING_VECTORS: usize = 256 * NUM_CENTROIDS;

/// Vectors that a thread takes at a time.
const CHUNK: usize = 256;

/// Centroids `[m][k][d]` of a product quantizer for data like `vectors`, by `iterations` of k-means.
///
/// # Errors
/// There are fewer vectors than centroids, or one has a value that is not finite.
pub fn train(vectors: &[[f32; DIM]], iterations: usize, seed: u64, progress: &ProgressBar) -> Result<Codebook> {
    ensure!(
        vectors.len() >= NUM_CENTROIDS,
        "{} training vectors are too few for {NUM_CENTROIDS} centroids; give more",
        vectors.len()
    );
    progress::begin(progress, "training the codebook", iterations);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut order: Vec<usize> = (0..vectors.len()).collect();
    let (used, _) = order.partial_shuffle(&mut rng, MAX_TRAINING_VECTORS);
    let sample: Vec<[f32; DIM]> = used.iter().map(|&i| vectors[i]).collect();

    let mut centroids = vec![0.0; NUM_CENTROIDS * DIM];
    // The sample's order is random already, so its first vectors are a random choice.
    for (k, vector) in sample.iter().take(NUM_CENTROIDS).enumerate() {
        for (m, part) in vector.as_chunks::<SUB_VECTOR_DIM>().0.iter().enumerate() {
            centroid(&mut centroids, m, k).copy_from_slice(part);
        }
    }
    for _ in 0..iterations {
        let codes = encode(&Codebook::new(&centroids)?, &sample);
        update(&mut centroids, &sample, &codes, &mut rng);
        progress.inc(1);
    }
    Ok(Codebook::new(&centroids)?)
}

fn centroid(centroids: &mut [f32], m: usize, k: usize) -> &mut [f32] {
    &mut centroids[(m * NUM_CENTROIDS + k) * SUB_VECTOR_DIM..][..SUB_VECTOR_DIM]
}

/// Moves each centroid to the mean of the parts that are nearest to it. On one thread, so that the sums are always the same.
fn update(centroids: &mut [f32], sample: &[[f32; DIM]], codes: &[u8], rng: &mut ChaCha8Rng) {
    let mut sums = vec![[0.0f64; SUB_VECTOR_DIM]; NUM_SUB_VECTORS * NUM_CENTROIDS];
    let mut counts = vec![0u32; NUM_SUB_VECTORS * NUM_CENTROIDS];
    for (vector, row) in sample.iter().zip(codes.as_chunks::<NUM_SUB_VECTORS>().0) {
        for (m, (part, &code)) in vector.as_chunks::<SUB_VECTOR_DIM>().0.iter().zip(row).enumerate() {
            let at = m * NUM_CENTROIDS + usize::from(code);
            counts[at] += 1;
            sums[at].iter_mut().zip(part).for_each(|(sum, &value)| *sum += f64::from(value));
        }
    }
    for m in 0..NUM_SUB_VECTORS {
        for k in 0..NUM_CENTROIDS {
            let at = m * NUM_CENTROIDS + k;
            let moved = centroid(centroids, m, k);
            if counts[at] == 0 {
                // Nothing is nearest to it: it starts again from some vector, most likely of a crowded region.
                let vector = &sample[rng.random_range(0..sample.len())];
                moved.copy_from_slice(&vector.as_chunks::<SUB_VECTOR_DIM>().0[m]);
                continue;
            }
            let mean = sums[at].map(|sum| (sum / f64::from(counts[at])) as f32);
            moved.copy_from_slice(&mean);
        }
    }
}

/// The codes `[n][16]` of `vectors`: each part's nearest centroid, the lowest of equally near ones.
pub fn encode(codebook: &Codebook, vectors: &[[f32; DIM]]) -> Vec<u8> {
    let mut codes = vec![0; vectors.len() * NUM_SUB_VECTORS];
    let chunks = vectors.chunks(CHUNK).zip(codes.chunks_mut(CHUNK * NUM_SUB_VECTORS));
    in_parallel(chunks.collect(), |(vectors, codes)| {
        for (vector, code) in vectors.iter().zip(codes.as_chunks_mut::<NUM_SUB_VECTORS>().0) {
            *code = codebook.distance_table(vector).each_ref().map(nearest);
        }
    });
    codes
}

/// The place of the smallest distance.
fn nearest(distances: &[f32; NUM_CENTROIDS]) -> u8 {
    // Minima in lanes, which a compiler vectorizes; a search for the one minimum then.
    let mut lanes = [f32::INFINITY; 16];
    for row in distances.as_chunks::<16>().0 {
        for (lane, &distance) in lanes.iter_mut().zip(row) {
            *lane = if distance < *lane { distance } else { *lane };
        }
    }
    let least = lanes.into_iter().fold(f32::INFINITY, f32::min);
    distances.iter().position(|&distance| distance == least).unwrap_or(0) as u8
}

/// The nearest raw vectors of some queries by exact L2, over a base that comes in pieces; equal distances by the lower id.
///
/// Distances are f32: exact for vectors of integers up to 255, whose distances stay below 2²⁴.
pub struct Neighbors<'a> {
    queries: &'a [[f32; DIM]],
    heaps: Vec<TopKHeap>,
    visited: usize,
}

impl<'a> Neighbors<'a> {
    /// The `k` nearest of a base that is still to be visited.
    pub fn new(queries: &'a [[f32; DIM]], k: usize) -> Self {
        Neighbors { queries, heaps: vec![TopKHeap::with_k(k); queries.len()], visited: 0 }
    }

    /// Takes the next vectors of the base.
    pub fn visit(&mut self, vectors: &[[f32; DIM]]) {
        let first = self.visited;
        self.visited += vectors.len();
        // Few queries at a time, and the vectors in pieces that stay in a cache for all of them.
        let share = self.queries.len().div_ceil(4 * num_threads()).max(1);
        let work = self.queries.chunks(share).zip(self.heaps.chunks_mut(share));
        in_parallel(work.collect(), |(queries, heaps)| {
            for (piece, vectors) in vectors.chunks(CHUNK).enumerate() {
                for (query, heap) in queries.iter().zip(heaps.iter_mut()) {
                    for (i, vector) in vectors.iter().enumerate() {
                        heap.push((first + piece * CHUNK + i) as u32, squared_l2(query, vector));
                    }
                }
            }
        });
    }

    /// Ids `[num_queries][k]`, nearest first; `k` is less than asked for where the base is that small.
    pub fn into_ids(self) -> (Vec<u32>, usize) {
        let lists = self.heaps.into_iter().map(TopKHeap::into_sorted);
        let lists: Vec<Vec<u32>> = lists.map(|list| list.into_iter().map(|(id, _)| id).collect()).collect();
        let k = lists.first().map_or(0, Vec::len);
        (lists.concat(), k)
    }
}

#[inline]
fn squared_l2(a: &[f32; DIM], b: &[f32; DIM]) -> f32 {
    let mut lanes = [0.0; 16];
    for (a, b) in a.as_chunks::<16>().0.iter().zip(b.as_chunks::<16>().0) {
        for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += (a - b) * (a - b);
        }
    }
    lanes.into_iter().sum()
}

fn num_threads() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

/// Does `work` on all `items`, on as many threads as the machine has.
fn in_parallel<T: Send>(items: Vec<T>, work: impl Fn(T) + Sync) {
    let queue = Mutex::new(items.into_iter());
    let take = || queue.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).next();
    thread::scope(|scope| {
        for _ in 0..num_threads() {
            scope.spawn(|| {
                while let Some(item) = take() {
                    work(item);
                }
            });
        }
    });
}

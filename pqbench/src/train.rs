//! Trains a product quantizer and encodes with it.
//!
//! Training is Lloyd's k-means in each of the 16 sub-spaces (Jégou, Douze, Schmid, 2011), started from a sample of the
//! vectors. Everything is the same on every machine and with any number of threads.

use anyhow::{Result, ensure};
use indicatif::ProgressBar;
use pqscan::{Codebook, DIM, NUM_CENTROIDS, NUM_SUB_VECTORS, SUB_VECTOR_DIM};
use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng, seq::SliceRandom};

use super::{progress, threads::in_parallel};

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

/// The centroids in the order `[m][k][d]`.
pub fn centroids(codebook: &Codebook) -> Vec<f32> {
    (0..NUM_SUB_VECTORS).flat_map(|m| codebook.centroids(m).as_flattened()).copied().collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    /// 300 different vectors, in each sub-space a grid.
    fn vectors() -> Vec<[f32; DIM]> {
        let value = |i: usize, d: usize| (i / 20_usize.pow(d as u32 % 2) % 20 * 10) as f32;
        (0..300).map(|i| std::array::from_fn(|d| value(i, d))).collect()
    }

    #[test]
    fn training_finds_centroids_that_are_closer_than_a_sample() {
        let vectors = vectors();
        let error = |iterations| {
            let codebook = train(&vectors, iterations, 1, &ProgressBar::hidden()).unwrap();
            let codes = encode(&codebook, &vectors);
            let distance = |(vector, row): (&[f32; DIM], &[u8; NUM_SUB_VECTORS])| {
                let table = codebook.distance_table(vector);
                row.iter().zip(&table).map(|(&code, row)| row[usize::from(code)]).sum::<f32>()
            };
            vectors.iter().zip(codes.as_chunks().0).map(distance).sum::<f32>()
        };
        let (sampled, trained) = (error(0), error(5));
        assert!(trained < 0.9 * sampled, "{trained} after, {sampled} before");
    }

    #[test]
    fn equal_vectors_leave_empty_clusters_and_finite_centroids() {
        let codebook = train(&[[3.0; DIM]; 400], 3, 1, &ProgressBar::hidden()).unwrap();
        assert!(centroids(&codebook).iter().all(|&value| value == 3.0));
        assert_eq!(encode(&codebook, &[[4.0; DIM]; 2]), [0; 2 * NUM_SUB_VECTORS], "ties go to the lowest centroid");
    }

    #[test]
    fn a_code_is_the_nearest_centroid_and_the_first_of_equal_ones() {
        let vectors = vectors();
        let codebook = train(&vectors, 1, 1, &ProgressBar::hidden()).unwrap();
        for (vector, row) in vectors.iter().zip(encode(&codebook, &vectors).as_chunks::<NUM_SUB_VECTORS>().0) {
            for (&code, distances) in row.iter().zip(&codebook.distance_table(vector)) {
                let (code, found) = (usize::from(code), distances[usize::from(code)]);
                assert!(distances[..code].iter().all(|&other| other > found));
                assert!(distances[code..].iter().all(|&other| other >= found));
            }
        }
    }

    #[test]
    fn too_few_training_vectors_are_an_error() {
        let error = train(&[[0.0; DIM]; 255], 1, 1, &ProgressBar::hidden()).err().unwrap();
        assert!(error.to_string().contains("255 training vectors"), "{error}");
    }
}

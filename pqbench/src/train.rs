//! Trains a product quantizer and encodes with it.
//!
//! Training is Lloyd's k-means in each of the sub-spaces (Jégou, Douze, Schmid, 2011), started from a sample of the
//! vectors. Everything is the same on every machine and with any number of threads.

use std::sync::{Mutex, PoisonError};

use anyhow::{Result, ensure};
use indicatif::ProgressBar;
use pqscan::{Bits, Codebook, Geometry, Metric};
use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng, seq::SliceRandom};

use super::{progress, threads::in_parallel};

/// Training vectors that are used at most for each centroid, as Faiss does; more change little.
const MAX_TRAINING_VECTORS: usize = 256;

/// Vectors that a thread takes at a time.
const CHUNK: usize = 256;

/// The codebook of a product quantizer for data like `vectors` `[n][dim]`, by `iterations` of k-means. Its distances
/// are L2, since the nearest centroid by that is the code, whatever metric the codes are scanned by.
///
/// # Errors
/// There are fewer vectors than centroids, or one has a value that is not finite.
pub fn train(
    geometry: Geometry,
    vectors: &[f32],
    iterations: usize,
    seed: u64,
    progress: &ProgressBar,
) -> Result<Codebook> {
    let (dim, num_centroids) = (geometry.dim(), geometry.num_centroids());
    let count = vectors.len() / dim;
    ensure!(count >= num_centroids, "{count} training vectors are too few for {num_centroids} centroids; give more");
    progress::begin(progress, "training the codebook", iterations);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut order: Vec<usize> = (0..count).collect();
    let (used, _) = order.partial_shuffle(&mut rng, MAX_TRAINING_VECTORS * num_centroids);
    let sample: Vec<f32> = used.iter().flat_map(|&i| &vectors[i * dim..][..dim]).copied().collect();

    let mut centroids = vec![0.0; geometry.codebook_len()];
    // The sample's order is random already, so its first vectors are a random choice.
    for (k, vector) in sample.chunks_exact(dim).take(num_centroids).enumerate() {
        for (m, part) in vector.chunks_exact(geometry.sub_dim()).enumerate() {
            centroid(geometry, &mut centroids, m, k).copy_from_slice(part);
        }
    }
    for _ in 0..iterations {
        let codes = nearest_centroids(&Codebook::new(geometry, Metric::L2, &centroids)?, &sample)?;
        update(geometry, &mut centroids, &sample, &codes, &mut rng);
        progress.inc(1);
    }
    Ok(Codebook::new(geometry, Metric::L2, &centroids)?)
}

fn centroid(geometry: Geometry, centroids: &mut [f32], m: usize, k: usize) -> &mut [f32] {
    &mut centroids[(m * geometry.num_centroids() + k) * geometry.sub_dim()..][..geometry.sub_dim()]
}

/// Moves each centroid to the mean of the parts that are nearest to it. On one thread, so that the sums are always the
/// same.
fn update(geometry: Geometry, centroids: &mut [f32], sample: &[f32], codes: &[u8], rng: &mut ChaCha8Rng) {
    let (dim, d, num_centroids) = (geometry.dim(), geometry.sub_dim(), geometry.num_centroids());
    let mut sums = vec![0.0f64; geometry.codebook_len()];
    let mut counts = vec![0u32; geometry.table_len()];
    for (vector, row) in sample.chunks_exact(dim).zip(codes.chunks_exact(geometry.m())) {
        for (m, (part, &code)) in vector.chunks_exact(d).zip(row).enumerate() {
            let at = m * num_centroids + usize::from(code);
            counts[at] += 1;
            sums[at * d..][..d].iter_mut().zip(part).for_each(|(sum, &value)| *sum += f64::from(value));
        }
    }
    for m in 0..geometry.m() {
        for k in 0..num_centroids {
            let at = m * num_centroids + k;
            let moved = centroid(geometry, centroids, m, k);
            if counts[at] == 0 {
                // Nothing is nearest to it: it starts again from some vector, most likely of a crowded region.
                let vector = rng.random_range(0..sample.len() / dim);
                moved.copy_from_slice(&sample[vector * dim + m * d..][..d]);
                continue;
            }
            let means = sums[at * d..][..d].iter().map(|sum| (sum / f64::from(counts[at])) as f32);
            moved.iter_mut().zip(means).for_each(|(value, mean)| *value = mean);
        }
    }
}

/// The codes `[n][row_bytes]` of `vectors` `[n][dim]`: each part's nearest centroid, the lowest of equally near ones.
///
/// # Errors
/// A value is not finite.
pub fn encode(codebook: &Codebook, vectors: &[f32]) -> Result<Vec<u8>> {
    let codes = nearest_centroids(codebook, vectors)?;
    let geometry = codebook.geometry();
    Ok(match geometry.bits() {
        Bits::Eight => codes,
        Bits::Four => {
            let pairs = codes.chunks_exact(geometry.m()).flat_map(|row| row.chunks(2));
            pairs.map(|pair| pair[0] | pair.get(1).map_or(0, |high| high << 4)).collect()
        }
    })
}

/// The same, `[n][m]`.
fn nearest_centroids(codebook: &Codebook, vectors: &[f32]) -> Result<Vec<u8>> {
    let geometry = codebook.geometry();
    let (dim, m) = (geometry.dim(), geometry.m());
    let mut codes = vec![0; vectors.len() / dim * m];
    let any_query = codebook.query(&vec![0.0; dim])?;
    let failed = Mutex::new(None);
    let chunks = vectors.chunks(CHUNK * dim).zip(codes.chunks_mut(CHUNK * m));
    in_parallel(chunks.collect(), |(vectors, codes)| {
        let mut query = any_query.clone();
        for (vector, row) in vectors.chunks_exact(dim).zip(codes.chunks_exact_mut(m)) {
            if let Err(error) = query.set(vector) {
                *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                return;
            }
            let distances = query.table().chunks_exact(geometry.num_centroids());
            row.iter_mut().zip(distances).for_each(|(code, distances)| *code = nearest(distances));
        }
    });
    match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error.into()),
        None => Ok(codes),
    }
}

/// The place of the smallest distance.
fn nearest(distances: &[f32]) -> u8 {
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
    use crate::reference;

    /// 12 dimensions in 3 parts.
    fn shapes() -> [Geometry; 2] {
        [Bits::Eight, Bits::Four].map(|bits| Geometry::new(12, 3, bits).unwrap())
    }

    /// 300 different vectors, in each sub-space a grid.
    fn vectors() -> Vec<f32> {
        let value = |i: usize, d: usize| (i / 20_usize.pow(d as u32 % 2) % 20 * 10) as f32;
        (0..300).flat_map(|i| (0..12).map(move |d| value(i, d))).collect()
    }

    /// The distances of each vector to all centroids, and the code that it got for each sub-quantizer.
    fn encoded(codebook: &Codebook, vectors: &[f32]) -> Vec<(Vec<f32>, Vec<usize>)> {
        let geometry = codebook.geometry();
        let codes = encode(codebook, vectors).unwrap();
        let rows = vectors.chunks_exact(12).zip(codes.chunks_exact(geometry.row_bytes()));
        rows.map(|(vector, row)| {
            let table = reference::distance_table(geometry, Metric::L2, vector, codebook.centroids());
            (table, (0..3).map(|m| reference::code(geometry.bits(), row, m)).collect())
        })
        .collect()
    }

    #[test]
    fn training_finds_centroids_that_are_closer_than_a_sample() {
        for geometry in shapes() {
            let error = |iterations| {
                let codebook = train(geometry, &vectors(), iterations, 1, &ProgressBar::hidden()).unwrap();
                let distance = |(table, row): (Vec<f32>, Vec<usize>)| {
                    row.iter().enumerate().map(|(m, code)| table[m * geometry.num_centroids() + code]).sum::<f32>()
                };
                encoded(&codebook, &vectors()).into_iter().map(distance).sum::<f32>()
            };
            let (sampled, trained) = (error(0), error(5));
            assert!(trained < 0.9 * sampled, "{trained} after, {sampled} before, {geometry}");
        }
    }

    #[test]
    fn equal_vectors_leave_empty_clusters_and_finite_centroids() {
        for geometry in shapes() {
            let codebook = train(geometry, &[3.0; 12 * 400], 3, 1, &ProgressBar::hidden()).unwrap();
            assert!(codebook.centroids().iter().all(|&value| value == 3.0));
            let codes = encode(&codebook, &[4.0; 2 * 12]).unwrap();
            assert_eq!(codes, vec![0; 2 * geometry.row_bytes()], "ties go to the lowest centroid");
        }
    }

    #[test]
    fn a_code_is_the_nearest_centroid_and_the_first_of_equal_ones() {
        for geometry in shapes() {
            let codebook = train(geometry, &vectors(), 1, 1, &ProgressBar::hidden()).unwrap();
            for (table, row) in encoded(&codebook, &vectors()) {
                for (code, distances) in row.into_iter().zip(table.chunks_exact(geometry.num_centroids())) {
                    let found = distances[code];
                    assert!(distances[..code].iter().all(|&other| other > found));
                    assert!(distances[code..].iter().all(|&other| other >= found));
                }
            }
        }
    }

    #[test]
    fn too_few_training_vectors_and_values_that_are_no_numbers_are_errors() {
        for (geometry, least) in shapes().into_iter().zip([256, 16]) {
            let refused =
                |vectors: &[f32]| train(geometry, vectors, 1, 1, &ProgressBar::hidden()).unwrap_err().to_string();
            let error = refused(&vec![0.0; 12 * (least - 1)]);
            assert!(
                error.contains(&format!("{} training vectors are too few for {least} centroids", least - 1)),
                "{error}"
            );
            let mut vectors = vectors();
            vectors[12 * 299] = f32::NAN;
            assert!(refused(&vectors).contains("is NaN"));
        }
    }
}

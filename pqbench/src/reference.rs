//! The oracle: the plainest correct code, sharing nothing with the engine that it judges. Never optimized.

use pqscan::{Bits, Geometry, Metric};

/// The distances `[m][k]` of `query` to `centroids` `[m][k][d]`.
pub fn distance_table(geometry: Geometry, metric: Metric, query: &[f32], centroids: &[f32]) -> Vec<f32> {
    let dims = geometry.dim() / geometry.m();
    let query = match metric {
        Metric::L2 | Metric::InnerProduct => query.to_vec(),
        Metric::Cosine => of_length_1(query),
    };
    let mut table = Vec::new();
    for m in 0..geometry.m() {
        for k in 0..num_centroids(geometry.bits()) {
            let mut sum = 0.0f32;
            for d in 0..dims {
                let value = query[m * dims + d];
                let centroid = centroids[(m * num_centroids(geometry.bits()) + k) * dims + d];
                sum += match metric {
                    Metric::L2 | Metric::Cosine => (value - centroid) * (value - centroid),
                    Metric::InnerProduct => value * centroid,
                };
            }
            table.push(if metric == Metric::InnerProduct { -sum } else { sum });
        }
    }
    table
}

/// Each value over the length, in f64, rounded to f32 once.
pub fn of_length_1(vector: &[f32]) -> Vec<f32> {
    let mut squares = 0.0f64;
    for &value in vector {
        squares += f64::from(value) * f64::from(value);
    }
    let length = squares.sqrt();
    vector.iter().map(|&value| (f64::from(value) / length) as f32).collect()
}

/// Number `m` of the codes in a row: a byte each, or half of one, of which the low half is the first.
pub fn code(bits: Bits, row: &[u8], m: usize) -> usize {
    match bits {
        Bits::Eight => row[m].into(),
        Bits::Four if m.is_multiple_of(2) => (row[m / 2] & 15).into(),
        Bits::Four => (row[m / 2] >> 4).into(),
    }
}

/// The distance of a code, whatever the sum is: the entries of `table` that its `row` names, in order. Every NaN is the
/// same.
pub fn distance(geometry: Geometry, table: &[f32], row: &[u8]) -> f32 {
    let mut sum = 0.0f32;
    for m in 0..geometry.m() {
        sum += table[m * num_centroids(geometry.bits()) + code(geometry.bits(), row, m)];
    }
    if sum.is_nan() { f32::NAN } else { sum }
}

/// The `k` nearest of `all` `(id, distance)`: smaller distance first, then smaller id. NaN counts as the largest
/// distance.
pub fn nearest(mut all: Vec<(u64, f32)>, k: usize) -> Vec<(u64, f32)> {
    let by_distance_then_id = |a: &(u64, f32), b: &(u64, f32)| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0));
    if k < all.len() {
        all.select_nth_unstable_by(k, by_distance_then_id);
        all.truncate(k);
        all.shrink_to_fit(); // answers are kept, lists are not
    }
    all.sort_by(by_distance_then_id);
    all
}

fn row_bytes(geometry: Geometry) -> usize {
    match geometry.bits() {
        Bits::Four => geometry.m().div_ceil(2),
        Bits::Eight => geometry.m(),
    }
}

/// Some of the codes with their distances, in the order of `ids`.
pub fn with_distances(geometry: Geometry, table: &[f32], codes: &[u8], ids: &[u32]) -> Vec<(u64, f32)> {
    let mut answer = Vec::new();
    for &id in ids {
        let row = &codes[id as usize * row_bytes(geometry)..][..row_bytes(geometry)];
        answer.push((id.into(), distance(geometry, table, row)));
    }
    answer
}

/// The `k` [nearest] of row-major `codes` `[n][row_bytes]`, by their number.
pub fn top_k(geometry: Geometry, table: &[f32], codes: &[u8], k: usize) -> Vec<(u64, f32)> {
    let rows = codes.chunks_exact(row_bytes(geometry)).zip(0..);
    nearest(rows.map(|(row, id)| (id, distance(geometry, table, row))).collect(), k)
}

/// The answer that every exact variant must give: the `k` nearest codes to `query`.
pub fn search(
    geometry: Geometry,
    metric: Metric,
    query: &[f32],
    centroids: &[f32],
    codes: &[u8],
    k: usize,
) -> Vec<(u64, f32)> {
    top_k(geometry, &distance_table(geometry, metric, query, centroids), codes, k)
}

fn num_centroids(bits: Bits) -> usize {
    match bits {
        Bits::Four => 16,
        Bits::Eight => 256,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two parts of two dimensions, and 16 centroids of each: number `k` is (k, -k), in the second part (k, k).
    fn small() -> (Geometry, Vec<f32>) {
        let centroids = (0..2).flat_map(|m| (0..16).flat_map(move |k| [k as f32, (k * (2 * m - 1)) as f32])).collect();
        (Geometry::new(4, 2, Bits::Four).unwrap(), centroids)
    }

    #[test]
    fn distances_are_what_a_pencil_says() {
        let (geometry, centroids) = small();
        let query = [3.0, 0.0, 0.0, 4.0];
        // Centroids 1 and 2 decode to (1, -1, 2, 2), centroids 15 and 0 to (15, -15, 0, 0).
        let codes = [0x21, 0x0f];
        let search = |metric| search(geometry, metric, &query, &centroids, &codes, 9);
        assert_eq!(search(Metric::L2), [(0, 5.0 + 8.0), (1, 369.0 + 16.0)]);
        assert_eq!(search(Metric::InnerProduct), [(1, -45.0), (0, -11.0)]);
        let cosine: Vec<f32> = search(Metric::Cosine).iter().map(|&(_, distance)| distance).collect();
        let scaled: [f32; 2] = [0.6, 0.8];
        let first = (scaled[0] - 1.0).powi(2) + 1.0 + (4.0 + (scaled[1] - 2.0).powi(2));
        assert_eq!(cosine[0], first);
    }

    #[test]
    fn equal_distances_go_to_the_smaller_id_and_no_number_to_the_end() {
        let geometry = Geometry::new(1, 1, Bits::Eight).unwrap();
        let mut table = vec![0.0; 256];
        (table[1], table[2], table[3]) = (-f32::NAN, f32::NAN, f32::INFINITY);
        let nearest: Vec<u64> = top_k(geometry, &table, &[1, 2, 3, 0, 0], 5).iter().map(|&(id, _)| id).collect();
        assert_eq!(nearest, [3, 4, 2, 0, 1]);
        assert_eq!(with_distances(geometry, &table, &[1, 2, 3, 0, 0], &[4, 2]), [(4, 0.0), (2, f32::INFINITY)]);
    }
}

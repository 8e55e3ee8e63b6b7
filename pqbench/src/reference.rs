//! The oracle: the plainest correct code, sharing nothing with the engine that it judges. Never optimized.

use pqscan::{NUM_CENTROIDS, NUM_SUB_VECTORS, SUB_VECTOR_DIM};

/// The distances `[m][k]` of `query` to `centroids` `[m][k][d]`.
pub fn distance_table(query: &[f32], centroids: &[f32]) -> Vec<f32> {
    let mut table = Vec::new();
    for m in 0..NUM_SUB_VECTORS {
        for k in 0..NUM_CENTROIDS {
            let mut sum = 0.0f32;
            for d in 0..SUB_VECTOR_DIM {
                let difference =
                    query[m * SUB_VECTOR_DIM + d] - centroids[(m * NUM_CENTROIDS + k) * SUB_VECTOR_DIM + d];
                sum += difference * difference;
            }
            table.push(sum);
        }
    }
    table
}

/// The `k` nearest of row-major `codes` `[n][16]` as `(id, distance)`: smaller distance first, then smaller id.
pub fn top_k(table: &[f32], codes: &[u8], k: usize) -> Vec<(u32, f32)> {
    let mut all = Vec::new();
    for (id, row) in codes.chunks_exact(NUM_SUB_VECTORS).enumerate() {
        let mut sum = 0.0f32;
        for (m, &code) in row.iter().enumerate() {
            sum += table[m * NUM_CENTROIDS + usize::from(code)];
        }
        all.push((id as u32, sum));
    }
    let by_distance_then_id = |a: &(u32, f32), b: &(u32, f32)| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0));
    if k < all.len() {
        all.select_nth_unstable_by(k, by_distance_then_id);
        all.truncate(k);
        all.shrink_to_fit(); // answers are kept, lists are not
    }
    all.sort_by(by_distance_then_id);
    all
}

/// The answer that every exact variant must give: the `k` nearest codes to `query`.
pub fn search(query: &[f32], centroids: &[f32], codes: &[u8], k: usize) -> Vec<(u32, f32)> {
    top_k(&distance_table(query, centroids), codes, k)
}

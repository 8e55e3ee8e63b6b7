//! New numbers for centroids, so that neighbouring numbers are similar centroids.
//!
//! Then the top bits of a code name a group of similar centroids, and the smallest table entry of the group bounds the
//! code's entry from below, tightly: a LUT of 64, 32 or 16 entries can stand in for one of 256. The idea is PQ Fast Scan's
//! optimized assignment of centroid indexes (André, Kermarrec, Le Scouarnec, VLDB 2015).

use crate::{Codebook, NUM_CENTROIDS, NUM_SUB_VECTORS, SUB_VECTOR_DIM};

/// The old number of each new one, `[m][new]`: halves of halves, each split along its principal direction.
pub fn similar_centroids_together(codebook: &Codebook) -> Box<[[u8; NUM_CENTROIDS]; NUM_SUB_VECTORS]> {
    let mut order = Box::new([[0; NUM_CENTROIDS]; NUM_SUB_VECTORS]);
    for (m, row) in order.iter_mut().enumerate() {
        *row = std::array::from_fn(|k| k as u8);
        bisect(codebook.centroids(m), row);
    }
    order
}

/// The new number of each old one.
pub fn inverse(order: &[[u8; NUM_CENTROIDS]; NUM_SUB_VECTORS]) -> Box<[[u8; NUM_CENTROIDS]; NUM_SUB_VECTORS]> {
    let mut labels = Box::new([[0; NUM_CENTROIDS]; NUM_SUB_VECTORS]);
    for (row, labels) in order.iter().zip(labels.iter_mut()) {
        for (new, &old) in row.iter().enumerate() {
            labels[usize::from(old)] = new as u8;
        }
    }
    labels
}

fn bisect(centroids: &[[f32; SUB_VECTOR_DIM]; NUM_CENTROIDS], members: &mut [u8]) {
    if members.len() < 2 {
        return;
    }
    let direction = principal_direction(centroids, members);
    let along = |&k: &u8| -> f64 { dot(&centroids[usize::from(k)].map(f64::from), &direction) };
    members.sort_by(|a, b| along(a).total_cmp(&along(b)));
    let (lower, upper) = members.split_at_mut(members.len() / 2);
    bisect(centroids, lower);
    bisect(centroids, upper);
}

/// The direction in which `members` spread most, by power iteration; any direction serves, a good one filters better.
fn principal_direction(centroids: &[[f32; SUB_VECTOR_DIM]; NUM_CENTROIDS], members: &[u8]) -> [f64; SUB_VECTOR_DIM] {
    const ITERATIONS: usize = 30;
    let points: Vec<[f64; SUB_VECTOR_DIM]> =
        members.iter().map(|&k| centroids[usize::from(k)].map(f64::from)).collect();
    let mean: [f64; SUB_VECTOR_DIM] =
        std::array::from_fn(|d| points.iter().map(|point| point[d]).sum::<f64>() / points.len() as f64);
    let centred: Vec<[f64; SUB_VECTOR_DIM]> =
        points.iter().map(|point| std::array::from_fn(|d| point[d] - mean[d])).collect();
    // Unequal parts, so that no symmetry of the data is orthogonal to the start.
    let mut direction: [f64; SUB_VECTOR_DIM] = std::array::from_fn(|d| 1.0 + d as f64 / 16.0);
    for _ in 0..ITERATIONS {
        let mut next = [0.0; SUB_VECTOR_DIM];
        for point in &centred {
            let along = dot(point, &direction);
            next.iter_mut().zip(point).for_each(|(sum, part)| *sum += along * part);
        }
        let length = dot(&next, &next).sqrt();
        if !(length.is_normal()) {
            break;
        }
        direction = next.map(|part| part / length);
    }
    direction
}

fn dot(a: &[f64; SUB_VECTOR_DIM], b: &[f64; SUB_VECTOR_DIM]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_nearer_than_strangers() {
        let centroids: Vec<f32> =
            (0..16 * 256 * 8).map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 20) as f32).collect();
        let codebook = Codebook::new(&centroids).unwrap();
        let order = similar_centroids_together(&codebook);
        let labels = inverse(&order);
        let spread = |order: &[u8]| -> f32 {
            let rows = codebook.centroids(3);
            order
                .windows(2)
                .map(|w| {
                    let (a, b) = (rows[usize::from(w[0])], rows[usize::from(w[1])]);
                    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f32>()
                })
                .sum()
        };
        let unordered: [u8; 256] = std::array::from_fn(|k| k as u8);
        assert!(spread(&order[3]) < 0.8 * spread(&unordered));
        for m in 0..NUM_SUB_VECTORS {
            for k in 0..=255u8 {
                assert_eq!(labels[m][usize::from(order[m][usize::from(k)])], k);
            }
        }
    }

    #[test]
    fn equal_and_huge_centroids_are_ordered_too() {
        for value in [0.0, 1.0, f32::MAX] {
            let mut seen = similar_centroids_together(&Codebook::new(&vec![value; 16 * 256 * 8]).unwrap())[0];
            seen.sort_unstable();
            assert_eq!(seen, std::array::from_fn(|k| k as u8));
        }
    }
}

//! Similar things side by side: centroids numbered so that the low bits name a group, groups merged into fewer.
//!
//! Where all numbers with the same low bits are similar centroids, those bits of a code name a group, and the smallest
//! table entry of the group bounds the code's entry from below, tightly: a LUT of 64, 32 or 16 entries can stand in for
//! one of 256. The idea is PQ Fast Scan's optimized assignment of centroid indexes (André, Kermarrec, Le Scouarnec,
//! VLDB 2015).

mod merged;
mod refine;

pub use merged::{FINE, Merged, fine_group};

use refine::refine;

/// A point of a sub-space with its number and how much it counts.
#[derive(Clone, Debug)]
struct Weighted {
    /// Number of the centroid or group.
    number: u8,
    /// How often it occurs.
    weight: f64,
    /// Where it is.
    point: Vec<f64>,
}

/// The old number of each new one of 256 `centroids` `[k][d]`, such that the low six bits of the new number name a
/// group of four similar centroids: halves of halves, each split along its principal direction, then refined. (Low bits
/// rather than high ones: `vpermb` ignores the others, and groups that lie 64 apart are reduced without shuffles.)
pub fn similar_centroids_together(centroids: &[f32], d: usize) -> [u8; 256] {
    let mut order = [0; 256];
    let mut members: Vec<Weighted> = centroids
        .chunks_exact(d)
        .zip(0..=u8::MAX)
        .map(|(centroid, number)| Weighted { number, weight: 1.0, point: centroid.iter().map(|&c| c.into()).collect() })
        .collect();
    bisect(&mut members);
    let mut groups: Vec<_> = members.chunks(256 / FINE).map(<[_]>::to_vec).collect();
    refine(&mut groups, 256 / FINE);
    for (place, member) in (0..=u8::MAX).zip(groups.into_iter().flatten()) {
        order[usize::from(place.reverse_bits())] = member.number;
    }
    order
}

fn bisect(members: &mut [Weighted]) {
    if members.len() < 2 {
        return;
    }
    sort_along_principal_direction(members);
    let (lower, upper) = members.split_at_mut(members.len() / 2);
    bisect(lower);
    bisect(upper);
}

/// Merges `members`, at least one, into at most `max_groups` of at most `max_members` each, so that their weighted
/// variance is small: the group that spreads most is cut in two where that helps most, until there are enough, and what
/// then helps is [refined](refine).
///
/// # Panics
/// There are more than `max_groups · max_members`.
fn merge(members: Vec<Weighted>, max_groups: usize, max_members: usize) -> Vec<Vec<Weighted>> {
    assert!(members.len() <= max_groups * max_members, "{} are too many to merge", members.len());
    let mut groups = vec![members];
    while groups.len() < max_groups && groups.iter().any(|group| group.len() > 1) {
        // Cuts that groups over the limit still need: when no others are left, only they are cut, and only where it
        // counts.
        let needed: usize = groups.iter().map(|group| group.len().div_ceil(max_members) - 1).sum();
        let urgent = groups.len() + needed >= max_groups;
        let least = if urgent { max_members } else { 1 };
        let Some(widest) = (0..groups.len())
            .filter(|&at| groups[at].len() > least)
            .max_by(|&a, &b| spread(&groups[a]).total_cmp(&spread(&groups[b])))
        else {
            break;
        };
        let mut lower = groups.swap_remove(widest);
        sort_along_principal_direction(&mut lower);
        let whole = lower.len().div_ceil(max_members);
        let cut = (1..lower.len())
            .filter(|&cut| !urgent || cut.div_ceil(max_members) + (lower.len() - cut).div_ceil(max_members) == whole)
            .min_by(|&a, &b| {
                let spreads = |cut| spread(&lower[..cut]) + spread(&lower[cut..]);
                spreads(a).total_cmp(&spreads(b))
            })
            .unwrap_or(max_members);
        let upper = lower.split_off(cut);
        groups.extend([lower, upper]);
    }
    refine(&mut groups, max_members);
    groups
}

/// Weighted sum of squared distances from the mean.
fn spread(members: &[Weighted]) -> f64 {
    let weight: f64 = members.iter().map(|member| member.weight).sum();
    let dim = members.first().map_or(0, |member| member.point.len());
    let mut total = 0.0;
    for d in 0..dim {
        let (mut sum, mut squares) = (0.0, 0.0);
        for member in members {
            sum += member.weight * member.point[d];
            squares += member.weight * member.point[d] * member.point[d];
        }
        total += squares - sum * sum / weight;
    }
    total
}

fn sort_along_principal_direction(members: &mut [Weighted]) {
    let dim = members.first().map_or(0, |member| member.point.len());
    let points: Vec<f32> = members.iter().flat_map(|member| &member.point).map(|&part| part as f32).collect();
    let weights: Vec<_> = members.iter().map(|member| member.weight as f32).collect();
    let direction = principal_direction(&points, dim, &weights);
    let along =
        |member: &Weighted| -> f64 { member.point.iter().zip(&direction).map(|(p, &d)| p * f64::from(d)).sum() };
    members.sort_by(|a, b| along(a).total_cmp(&along(b)));
}

/// The direction in which weighted `points` of `dim` dimensions spread most, by power iteration. Any direction serves
/// its users, a good one better, so a few steps are enough, and points too far apart for f32 get one that is as good as
/// another.
pub(crate) fn principal_direction(points: &[f32], dim: usize, weights: &[f32]) -> Vec<f32> {
    const STEPS: usize = 6;
    let total: f32 = weights.iter().sum();
    let mut mean = vec![0.0; dim];
    for (point, weight) in points.chunks_exact(dim).zip(weights) {
        mean.iter_mut().zip(point).for_each(|(mean, part)| *mean += weight / total * part);
    }
    // Unequal parts, so that no symmetry of the data is orthogonal to the start.
    let mut direction: Vec<f32> = (0..dim).map(|d| 1.0 + (d % 7) as f32 / 16.0).collect();
    let mut centred = vec![0.0; dim];
    for _ in 0..STEPS {
        let mut next = vec![0.0; dim];
        for (point, weight) in points.chunks_exact(dim).zip(weights) {
            centred.iter_mut().zip(point.iter().zip(&mean)).for_each(|(c, (part, mean))| *c = part - mean);
            let along = weight * dot(&centred, &direction);
            next.iter_mut().zip(&centred).for_each(|(sum, part)| *sum += along * part);
        }
        let length = next.iter().map(|&part| f64::from(part) * f64::from(part)).sum::<f64>().sqrt();
        if !length.is_normal() {
            break;
        }
        direction = next.into_iter().map(|part| (f64::from(part) / length) as f32).collect();
    }
    direction
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    // Eight sums, which are a vector's lanes.
    let mut sums = [0.0; 8];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    for (a, b) in a.iter().zip(b) {
        sums.iter_mut().zip(a.iter().zip(b)).for_each(|(sum, (a, b))| *sum += a * b);
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scattered(d: usize) -> Vec<f32> {
        (0..256 * d as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 20) as f32).collect()
    }

    #[test]
    fn numbers_that_share_their_low_bits_are_nearer_than_strangers() {
        for d in [1, 2, 5, 8, 16] {
            let centroids = scattered(d);
            let spread = |order: &[u8; 256]| -> f32 {
                let of = |k: u8| &centroids[usize::from(k) * d..][..d];
                let pairs = order.iter().zip(&order[128..]);
                pairs.map(|(&a, &b)| of(a).iter().zip(of(b)).map(|(a, b)| (a - b) * (a - b)).sum::<f32>()).sum()
            };
            let unordered = std::array::from_fn(|k| k as u8);
            assert!(spread(&similar_centroids_together(&centroids, d)) < 0.8 * spread(&unordered), "{d}");
        }
    }

    #[test]
    fn equal_and_huge_centroids_are_ordered_too() {
        for value in [0.0, 1.0, f32::MAX] {
            let mut seen = similar_centroids_together(&vec![value; 256 * 8], 8);
            seen.sort_unstable();
            assert_eq!(seen, std::array::from_fn(|k| k as u8));
        }
    }

    #[test]
    fn the_remainder_of_eight_counts() {
        assert_eq!(dot(&[1.0; 13], &[2.0; 13]), 26.0);
    }

    #[test]
    fn merging_keeps_everybody_and_both_limits() {
        let centroids = scattered(8);
        for (count, max_groups, max_members) in
            [(1, 16, 8), (16, 16, 8), (17, 16, 8), (64, 16, 8), (128, 16, 8), (64, 8, 8)]
        {
            for outlier in [1.0, 1e20] {
                let members: Vec<Weighted> = (0..count)
                    .map(|k| Weighted {
                        number: k as u8,
                        weight: if k == 0 { outlier } else { 1.0 },
                        point: centroids[8 * k..][..8]
                            .iter()
                            .map(|&part| f64::from(part) * if k == 1 { outlier } else { 1.0 })
                            .collect(),
                    })
                    .collect();
                let groups = merge(members, max_groups, max_members);
                assert!(groups.len() <= max_groups && groups.iter().all(|g| (1..=max_members).contains(&g.len())));
                let mut seen: Vec<_> = groups.iter().flatten().map(|member| usize::from(member.number)).collect();
                seen.sort_unstable();
                assert!(seen.into_iter().eq(0..count));
            }
        }
    }
}

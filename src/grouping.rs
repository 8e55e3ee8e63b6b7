//! Similar things side by side: centroids numbered so that the low bits name a group, groups merged into fewer.
//!
//! Where all numbers with the same low bits are similar centroids, those bits of a code name a group, and the smallest table
//! entry of the group bounds the code's entry from below, tightly: a LUT of 64, 32 or 16 entries can stand in for one
//! of 256. The idea is PQ Fast Scan's optimized assignment of centroid indexes (André, Kermarrec, Le Scouarnec, VLDB 2015).

use crate::{
    Codebook, NUM_CENTROIDS, NUM_SUB_VECTORS, SUB_VECTOR_DIM,
    exchange::{Weighted, exchange},
};

/// Groups of a sub-quantizer: what six bits can name.
pub const GROUPS: usize = 64;

/// The old number of each new one, `[m][new]`, such that the low six bits of the new number name a group of four similar
/// centroids: halves of halves, each split along its principal direction, then [exchanged](exchange). (Low bits rather than
/// high ones: `vpermb` ignores the others, and groups that lie 64 apart are reduced without shuffles.)
pub fn similar_centroids_together(codebook: &Codebook) -> Box<[[u8; NUM_CENTROIDS]; NUM_SUB_VECTORS]> {
    let mut order = Box::new([[0; NUM_CENTROIDS]; NUM_SUB_VECTORS]);
    for (m, row) in order.iter_mut().enumerate() {
        let mut members: Vec<Weighted> = codebook
            .centroids(m)
            .iter()
            .enumerate()
            .map(|(k, centroid)| Weighted { number: k as u8, weight: 1.0, point: centroid.map(f64::from) })
            .collect();
        bisect(&mut members);
        let mut groups: Vec<_> = members.chunks(NUM_CENTROIDS / GROUPS).map(<[_]>::to_vec).collect();
        exchange(&mut groups, NUM_CENTROIDS / GROUPS);
        for (place, member) in (0..=u8::MAX).zip(groups.into_iter().flatten()) {
            row[usize::from(place.reverse_bits())] = member.number;
        }
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

/// Row-major `codes` `[n][16]` with every code `c` of sub-quantizer `m` written as `labels[m][c]`.
pub fn renumbered(codes: &[u8], labels: &[[u8; NUM_CENTROIDS]; NUM_SUB_VECTORS]) -> Vec<[u8; NUM_SUB_VECTORS]> {
    let rows = codes.as_chunks::<NUM_SUB_VECTORS>().0;
    rows.iter().map(|row| std::array::from_fn(|m| labels[m][usize::from(row[m])])).collect()
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

/// Merges `members`, at least one, into at most `max_groups` of at most `max_members` each, so that their weighted variance
/// is small: the group that spreads most is cut in two where that helps most, until there are enough, and what then helps is
/// [exchanged](exchange).
///
/// # Panics
/// There are more than `max_groups · max_members`.
pub fn merge(members: Vec<Weighted>, max_groups: usize, max_members: usize) -> Vec<Vec<Weighted>> {
    assert!(members.len() <= max_groups * max_members, "{} are too many to merge", members.len());
    let mut groups = vec![members];
    while groups.len() < max_groups && groups.iter().any(|group| group.len() > 1) {
        // Cuts that groups over the limit still need: when no others are left, only they are cut, and only where it counts.
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
    exchange(&mut groups, max_members);
    groups
}

/// Weighted sum of squared distances from the mean.
fn spread(members: &[Weighted]) -> f64 {
    let weight: f64 = members.iter().map(|member| member.weight).sum();
    let mut total = 0.0;
    for d in 0..SUB_VECTOR_DIM {
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
    let points: Vec<_> = members.iter().map(|member| member.point.map(|part| part as f32)).collect();
    let weights: Vec<_> = members.iter().map(|member| member.weight as f32).collect();
    let direction = principal_direction(&points, &weights);
    let along = |member: &Weighted| -> f64 { member.point.iter().zip(direction).map(|(p, d)| p * f64::from(d)).sum() };
    members.sort_by(|a, b| along(a).total_cmp(&along(b)));
}

/// The direction in which weighted `points` spread most, by power iteration. Any direction serves its users, a good one
/// better, so a few steps are enough, and points too far apart for f32 get one that is as good as another.
pub(crate) fn principal_direction<const D: usize>(points: &[[f32; D]], weights: &[f32]) -> [f32; D] {
    const STEPS: usize = 6;
    let total: f32 = weights.iter().sum();
    let mut mean = [0.0; D];
    for (point, weight) in points.iter().zip(weights) {
        mean.iter_mut().zip(point).for_each(|(mean, part)| *mean += weight / total * part);
    }
    // Unequal parts, so that no symmetry of the data is orthogonal to the start.
    let mut direction: [f32; D] = std::array::from_fn(|d| 1.0 + (d % 7) as f32 / 16.0);
    for _ in 0..STEPS {
        let mut next = [0.0; D];
        for (point, weight) in points.iter().zip(weights) {
            let centred: [f32; D] = std::array::from_fn(|d| point[d] - mean[d]);
            let along = weight * dot(&centred, &direction);
            next.iter_mut().zip(&centred).for_each(|(sum, part)| *sum += along * part);
        }
        let length = next.iter().map(|&part| f64::from(part) * f64::from(part)).sum::<f64>().sqrt();
        if !length.is_normal() {
            break;
        }
        direction = next.map(|part| (f64::from(part) / length) as f32);
    }
    direction
}

fn dot<const D: usize>(a: &[f32; D], b: &[f32; D]) -> f32 {
    // Eight sums, which are a vector's lanes.
    let mut sums = [0.0; 8];
    for (a, b) in a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0) {
        sums.iter_mut().zip(a.iter().zip(b)).for_each(|(sum, (a, b))| *sum += a * b);
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scattered_codebook() -> Codebook {
        let centroids: Vec<f32> =
            (0..16 * 256 * 8).map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 20) as f32).collect();
        Codebook::new(&centroids).unwrap()
    }

    #[test]
    fn numbers_that_share_their_low_bits_are_nearer_than_strangers() {
        let codebook = scattered_codebook();
        let order = similar_centroids_together(&codebook);
        let spread = |order: &[u8]| -> f32 {
            let rows = codebook.centroids(3);
            order
                .iter()
                .zip(&order[NUM_CENTROIDS / 2..])
                .map(|(&a, &b)| {
                    let (a, b) = (rows[usize::from(a)], rows[usize::from(b)]);
                    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f32>()
                })
                .sum()
        };
        let unordered: [u8; 256] = std::array::from_fn(|k| k as u8);
        assert!(spread(&order[3]) < 0.8 * spread(&unordered));
    }

    #[test]
    fn a_renumbered_codebook_has_every_centroid_where_its_label_says_and_is_made_once() {
        let codebook = scattered_codebook();
        let grouped = codebook.grouped();
        for m in 0..NUM_SUB_VECTORS {
            let mut seen = [false; NUM_CENTROIDS];
            for (k, centroid) in codebook.centroids(m).iter().enumerate() {
                let label = usize::from(grouped.labels[m][k]);
                assert_eq!(&grouped.codebook.centroids(m)[label], centroid);
                seen[label] = true;
            }
            assert_eq!(seen, [true; NUM_CENTROIDS]);
        }
        assert!(std::ptr::eq(grouped, codebook.clone().grouped()));
    }

    #[test]
    fn equal_and_huge_centroids_are_ordered_too() {
        for value in [0.0, 1.0, f32::MAX] {
            let mut seen = similar_centroids_together(&Codebook::new(&vec![value; 16 * 256 * 8]).unwrap())[0];
            seen.sort_unstable();
            assert_eq!(seen, std::array::from_fn(|k| k as u8));
        }
    }

    #[test]
    fn merging_keeps_everybody_and_both_limits() {
        let codebook = scattered_codebook();
        for (count, max_groups, max_members) in
            [(1, 16, 8), (16, 16, 8), (17, 16, 8), (64, 16, 8), (128, 16, 8), (64, 8, 8)]
        {
            for outlier in [1.0, 1e20] {
                let members: Vec<Weighted> = (0..count)
                    .map(|k| Weighted {
                        number: k as u8,
                        weight: if k == 0 { outlier } else { 1.0 },
                        point: codebook.centroids(0)[k]
                            .map(|part| f64::from(part) * if k == 1 { outlier } else { 1.0 }),
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

//! Refines a grouping by moves and swaps, so that group minima bound the entries more tightly.
//!
//! Using the group's minimum instead of a member's own entry loosens the bound by their difference. Minimising the
//! total loss means maximising the sum of weight × minimum over groups, so a move or swap is taken only if it raises
//! that sum, as in Kernighan and Lin's graph partitioning (1970). On real codes a filter of 4 or 5 bits then lets a
//! third less pass, one of 6 bits a quarter.

use std::array;

use super::Weighted;

/// Points that stand for queries.
const QUERIES: usize = 64;
/// A point may move to the groups of as many others that are near it.
const NEAR: usize = 4;
/// Times every point is tried.
const ROUNDS: usize = 2;
/// What an exchange must add to the sum of two groups, or else rounding might go in circles.
const LEAST_GAIN: f32 = 1e-5;

/// A point's squared distances from the queries.
type Distances = [f32; QUERIES];

/// Improves `groups` of at most `max_members` each.
pub(super) fn refine(groups: &mut [Vec<Weighted>], max_members: usize) {
    let members = groups.concat();
    let points = points(&members);
    let weights: Vec<_> = members.iter().map(|member| member.weight as f32).collect();
    let mut numbers = 0..members.len();
    let mut places: Vec<Vec<usize>> = groups.iter().map(|group| numbers.by_ref().take(group.len()).collect()).collect();
    improve(&points, &weights, &mut places, max_members);
    for (group, places) in groups.iter_mut().zip(places) {
        *group = places.into_iter().map(|place| members[place].clone()).collect();
    }
}

/// A point of a sub-space.
type Point = Vec<f32>;

fn points(members: &[Weighted]) -> Vec<Point> {
    members.iter().map(|member| member.point.iter().map(|&part| part as f32).collect()).collect()
}

fn improve(points: &[Point], weights: &[f32], groups: &mut [Vec<usize>], max_members: usize) {
    let queries: [&Point; QUERIES] = array::from_fn(|query| &points[query * points.len() / QUERIES]);
    let distances: Vec<Distances> =
        points.iter().map(|point| array::from_fn(|query| squared_distance(point, queries[query]))).collect();
    let mut group_of = vec![0; points.len()];
    for (at, group) in groups.iter().enumerate() {
        group.iter().for_each(|&point| group_of[point] = at);
    }
    let weight = |group: &[usize]| group.iter().map(|&point| weights[point]).sum::<f32>();
    let near: Vec<_> = points.iter().map(|point| nearest(points, point)).collect();

    for (x, near) in (0..ROUNDS).flat_map(|_| near.iter().enumerate()) {
        for &z in near {
            let (own, other) = (group_of[x], group_of[z]);
            if own == other {
                continue;
            }
            let (mine, theirs) = (Least::of(&groups[own], &distances), Least::of(&groups[other], &distances));
            let (my_weight, their_weight) = (weight(&groups[own]), weight(&groups[other]));
            let before = my_weight * sum(&mine.least) + their_weight * sum(&theirs.least);
            let rest = mine.without(x);
            let exchanged = |y: usize| {
                let moved = weights[x] - weights[y];
                (my_weight - moved) * sum_of_lesser(&rest, &distances[y])
                    + (their_weight + moved) * sum_of_lesser(&theirs.without(y), &distances[x])
            };
            let mut best = (before * (1.0 + LEAST_GAIN), None);
            for &y in &groups[other] {
                let after = exchanged(y);
                if after > best.0 {
                    best = (after, Some(y));
                }
            }
            let mut moves = false;
            if groups[other].len() < max_members && groups[own].len() > 1 {
                let after = (my_weight - weights[x]) * sum(&rest)
                    + (their_weight + weights[x]) * sum_of_lesser(&theirs.least, &distances[x]);
                moves = after > best.0;
            }
            if moves || best.1.is_some() {
                groups[own].retain(|&point| point != x);
                groups[other].push(x);
                group_of[x] = other;
            }
            if let (false, Some(y)) = (moves, best.1) {
                groups[other].retain(|&point| point != y);
                groups[own].push(y);
                group_of[y] = own;
            }
        }
    }
}

/// The least distances of a group's members, for each query.
struct Least {
    least: Distances,
    /// Whose they are.
    member: [u32; QUERIES],
    /// The least ones of the others.
    second: Distances,
}

impl Least {
    fn of(group: &[usize], distances: &[Distances]) -> Self {
        let mut this =
            Least { least: [f32::INFINITY; QUERIES], member: [0; QUERIES], second: [f32::INFINITY; QUERIES] };
        for &member in group {
            for (query, &distance) in distances[member].iter().enumerate() {
                let least = this.least[query];
                let larger = if distance < least { least } else { distance };
                this.second[query] = lesser(this.second[query], larger);
                this.member[query] = if distance < least { member as u32 } else { this.member[query] };
                this.least[query] = lesser(least, distance);
            }
        }
        this
    }

    fn without(&self, member: usize) -> Distances {
        array::from_fn(|at| if self.member[at] == member as u32 { self.second[at] } else { self.least[at] })
    }
}

/// The places of the points that are nearest to one of them, itself left out.
fn nearest(points: &[Point], point: &[f32]) -> Vec<usize> {
    let mut keyed: Vec<_> = points.iter().enumerate().map(|(at, other)| (squared_distance(other, point), at)).collect();
    let by_distance = |a: &(f32, usize), b: &(f32, usize)| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1));
    if keyed.len() > NEAR + 1 {
        keyed.select_nth_unstable_by(NEAR, by_distance);
        keyed.truncate(NEAR + 1);
    }
    keyed.sort_unstable_by(by_distance);
    keyed.into_iter().skip(1).map(|(_, at)| at).collect()
}

fn squared_distance(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

fn lesser(a: f32, b: f32) -> f32 {
    if a < b { a } else { b }
}

fn sum_of_lesser(a: &Distances, b: &Distances) -> f32 {
    sum(&array::from_fn(|query| lesser(a[query], b[query])))
}

/// In eight sums, which are a vector's lanes.
fn sum(distances: &Distances) -> f32 {
    let mut sums = [0.0; 8];
    for eight in distances.as_chunks::<8>().0 {
        sums.iter_mut().zip(eight).for_each(|(sum, distance)| *sum += distance);
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sum over groups that an exchange raises.
    fn worth(groups: &[Vec<Weighted>]) -> f64 {
        let all = points(&groups.concat());
        let mut worth = 0.0;
        for group in groups {
            let weight: f64 = group.iter().map(|member| member.weight).sum();
            for query in &all {
                let distances = points(group).into_iter().map(|point| squared_distance(&point, query));
                worth += weight * f64::from(distances.fold(f32::INFINITY, lesser));
            }
        }
        worth
    }

    #[test]
    fn moves_and_swaps_raise_the_least_entries_and_keep_everybody() {
        let mut state = 7u32;
        let mut random = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f64::from(state >> 16)
        };
        for (sizes, max_members) in [(vec![4; 16], 4), (vec![1, 2, 3, 4, 5, 1, 2, 3], 6), (vec![1], 1)] {
            let mut number = 0;
            let mut groups: Vec<Vec<_>> = Vec::new();
            for size in sizes {
                groups.push(Vec::new());
                for _ in 0..size {
                    let point = (0..8).map(|_| random()).collect();
                    groups.last_mut().unwrap().push(Weighted { number, weight: 1.0 + f64::from(number % 3), point });
                    number += 1;
                }
            }
            let before = worth(&groups);
            refine(&mut groups, max_members);
            assert!(number == 1 || worth(&groups) > before);
            assert!(groups.iter().all(|group| (1..=max_members).contains(&group.len())));
            let mut numbers: Vec<_> = groups.iter().flatten().map(|member| member.number).collect();
            numbers.sort_unstable();
            assert!(numbers.into_iter().eq(0..number));
        }
    }
}

//! Groups of centroids that lose less as a LUT of group minima: members of two groups change places where that helps.
//!
//! A query that finds the least entry of a group instead of a code's own loses the difference. Summed over queries and codes
//! it is the less, the larger the sum of all groups' least entries is, so that sum is raised, exchange by exchange, as
//! Kernighan and Lin (1970) cut graphs. Every fourth centroid stands for a query. On real codes a filter of 4 or 5 bits then
//! lets a third less pass, one of 6 bits a quarter.

use std::array;

use crate::{NUM_CENTROIDS, SUB_VECTOR_DIM};

/// Centroids that stand for queries.
const QUERIES: usize = NUM_CENTROIDS / 4;
/// A centroid may move to the groups of as many others that are near it.
const NEAR: usize = 4;
/// Times every centroid is tried.
const ROUNDS: usize = 2;
/// What an exchange must add to the groups' sums, or else rounding might go in circles.
const LEAST_GAIN: f32 = 1e-5;

/// Squared distances from the queries.
type Distances = [f32; QUERIES];

/// Improves the groups that the runs of equal length in `order` are, `G` of them.
pub fn exchange<const G: usize>(centroids: &[[f32; SUB_VECTOR_DIM]; NUM_CENTROIDS], order: &mut [u8; NUM_CENTROIDS]) {
    let size = NUM_CENTROIDS / G;
    let distances = centroids.map(|c| array::from_fn(|query| squared_distance(&c, &centroids[4 * query])));
    let near: Vec<_> = centroids.iter().map(|centroid| nearest(centroids, centroid)).collect();
    let mut places = [0; NUM_CENTROIDS];
    order.iter().enumerate().for_each(|(place, &k)| places[usize::from(k)] = place);

    for (x, near) in (0..ROUNDS).flat_map(|_| near.iter().enumerate()) {
        let mut place = places[x];
        let mut group = place / size;
        let mut rest = Least::of(order, &distances, group, size).without(place);
        for z in near {
            let other = places[usize::from(*z)] / size;
            if other == group {
                continue;
            }
            let theirs = Least::of(order, &distances, other, size);
            let before = sum(&theirs.least) + sum_of_lesser(&rest, &distances[x]);
            let gain = |at: usize| {
                let y = usize::from(order[at]);
                sum_of_lesser(&rest, &distances[y]) + sum_of_lesser(&theirs.without(at), &distances[x]) - before
            };
            let gains = (other * size..(other + 1) * size).map(|at| (gain(at), at));
            let best = gains.fold((0.0, place), |best, next| if next.0 > best.0 { next } else { best });
            if best.0 > LEAST_GAIN * before {
                order.swap(place, best.1);
                (places[x], places[usize::from(order[place])]) = (best.1, place);
                (place, group) = (best.1, other);
                rest = Least::of(order, &distances, group, size).without(place);
            }
        }
    }
}

/// The least distances of a group's members, for each query.
struct Least {
    least: Distances,
    /// Whose they are.
    place: [u32; QUERIES],
    /// The least ones of the others.
    second: Distances,
}

impl Least {
    fn of(order: &[u8; NUM_CENTROIDS], distances: &[Distances; NUM_CENTROIDS], group: usize, size: usize) -> Self {
        let mut this = Least { least: [f32::INFINITY; QUERIES], place: [0; QUERIES], second: [f32::INFINITY; QUERIES] };
        for place in group * size..(group + 1) * size {
            let distances = &distances[usize::from(order[place])];
            for query in 0..QUERIES {
                let (least, distance) = (this.least[query], distances[query]);
                let larger = if distance < least { least } else { distance };
                this.second[query] = lesser(this.second[query], larger);
                this.place[query] = if distance < least { place as u32 } else { this.place[query] };
                this.least[query] = lesser(least, distance);
            }
        }
        this
    }

    fn without(&self, place: usize) -> Distances {
        array::from_fn(|at| if self.place[at] == place as u32 { self.second[at] } else { self.least[at] })
    }
}

fn nearest(centroids: &[[f32; SUB_VECTOR_DIM]; NUM_CENTROIDS], centroid: &[f32; SUB_VECTOR_DIM]) -> [u8; NEAR] {
    let mut keyed: [(f32, u8); NUM_CENTROIDS] =
        array::from_fn(|k| (squared_distance(&centroids[k], centroid), k as u8));
    // The first one is the centroid itself, or equal to it.
    keyed.select_nth_unstable_by(NEAR, |a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    keyed[..NEAR + 1].sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    array::from_fn(|at| keyed[at + 1].1)
}

fn squared_distance(a: &[f32; SUB_VECTOR_DIM], b: &[f32; SUB_VECTOR_DIM]) -> f32 {
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

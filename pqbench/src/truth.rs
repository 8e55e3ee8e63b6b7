//! Neighbours of queries by their ids: the true ones that recall is measured against, and how they are found.

use anyhow::{Result, bail, ensure};
use pqscan::{Metric, TopK, kernels::TOP_K};

use super::threads::{in_parallel, num_threads};

/// Vectors of the base that stay in a cache while a thread compares its queries with them.
const CHUNK: usize = 256;

/// The nearest of each query, equal distances by the lower id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeighborIds {
    /// `[num_queries][k]`, nearest first.
    pub ids: Vec<u32>,
    /// Neighbours of a query, at least one.
    pub k: usize,
}

impl NeighborIds {
    /// Whether each list has different ids, all of the base.
    ///
    /// # Errors
    /// It names the first query whose list has not.
    pub fn check(&self, num_base: usize) -> Result<()> {
        for (query, list) in self.ids.chunks_exact(self.k).enumerate() {
            if let Some(id) = list.iter().find(|&&id| id as usize >= num_base) {
                bail!("query {query} has the neighbour {id}, but ids end at {}; get the file again", num_base - 1);
            }
            let mut sorted = list.to_vec();
            sorted.sort_unstable();
            ensure!(
                sorted.array_windows().all(|[a, b]| a != b),
                "query {query} has a neighbour twice; get the file again"
            );
        }
        Ok(())
    }

    /// As a file has them.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.ids.iter().flat_map(|id| id.to_le_bytes()).collect()
    }

    /// The neighbours among the first codes of the first queries, if the lists hold as many as the ten that are asked
    /// for.
    pub fn within(&self, num_base: usize, num_queries: usize) -> Option<NeighborIds> {
        let near = |list: &[u32]| list.iter().copied().filter(|&id| (id as usize) < num_base).collect::<Vec<_>>();
        let lists: Vec<_> = self.ids.chunks_exact(self.k).take(num_queries).map(near).collect();
        let k = lists.iter().map(Vec::len).min()?;
        let ids = lists.iter().flat_map(|list| &list[..k]).copied().collect();
        (k >= TOP_K.min(num_base)).then_some(NeighborIds { ids, k })
    }
}

/// The nearest raw vectors of some queries by the exact metric, over a base that comes in pieces; equal distances by
/// the lower id. For the cosine, queries and base are of length 1.
///
/// Distances are f32: exact for vectors of integers up to 255, whose distances stay below 2²⁴ in up to 256 dimensions.
pub struct Neighbors<'a> {
    queries: &'a [f32],
    dim: usize,
    metric: Metric,
    tops: Vec<TopK>,
    visited: usize,
}

impl<'a> Neighbors<'a> {
    /// The `k` nearest to each of `queries` `[n][dim]` of a base that is still to be visited.
    pub fn new(queries: &'a [f32], dim: usize, metric: Metric, k: usize) -> Self {
        Neighbors { queries, dim, metric, tops: vec![TopK::new(k); queries.len() / dim], visited: 0 }
    }

    /// Takes the next vectors of the base.
    pub fn visit(&mut self, vectors: &[f32]) {
        let (first, dim) = (self.visited, self.dim);
        self.visited += vectors.len() / dim;
        let distance = match self.metric {
            Metric::L2 | Metric::Cosine => squared_l2,
            Metric::InnerProduct => minus_product,
        };
        // Few queries at a time, and the vectors in pieces that stay in a cache for all of them.
        let share = self.tops.len().div_ceil(4 * num_threads()).max(1);
        let work = self.queries.chunks(share * dim).zip(self.tops.chunks_mut(share));
        in_parallel(work.collect(), |(queries, tops)| {
            for (piece, vectors) in vectors.chunks(CHUNK * dim).enumerate() {
                for (query, top) in queries.chunks_exact(dim).zip(tops.iter_mut()) {
                    for (i, vector) in vectors.chunks_exact(dim).enumerate() {
                        top.push((first + piece * CHUNK + i) as u64, distance(query, vector));
                    }
                }
            }
        });
    }

    /// What was found; `k` is less than asked for where the base is that small.
    pub fn into_truth(self) -> NeighborIds {
        let lists = self.tops.into_iter().map(TopK::into_sorted);
        let lists: Vec<Vec<u32>> = lists.map(|list| list.into_iter().map(|(id, _)| id as u32).collect()).collect();
        let k = lists.first().map_or(0, Vec::len);
        NeighborIds { ids: lists.concat(), k }
    }
}

fn squared_l2(a: &[f32], b: &[f32]) -> f32 {
    in_lanes(a, b, |a, b| (a - b) * (a - b))
}

fn minus_product(a: &[f32], b: &[f32]) -> f32 {
    -in_lanes(a, b, |a, b| a * b)
}

/// The sum of what `term` makes of each dimension, in the lanes of vectors.
#[inline(always)]
fn in_lanes(a: &[f32], b: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [0.0; 16];
    let ((a, rest_of_a), (b, rest_of_b)) = (a.as_chunks::<16>(), b.as_chunks::<16>());
    for (a, b) in a.iter().zip(b) {
        for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += term(*a, *b);
        }
    }
    for ((lane, a), b) in lanes.iter_mut().zip(rest_of_a).zip(rest_of_b) {
        *lane += term(*a, *b);
    }
    lanes.into_iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_truth_for_fewer_codes_is_known_only_where_it_follows() {
        let truth = NeighborIds { ids: (0..100).rev().collect(), k: 100 };
        assert_eq!(truth.within(100, 1), Some(truth.clone()));
        assert_eq!(truth.within(12, 1), Some(NeighborIds { ids: (0..12).rev().collect(), k: 12 }));
        assert_eq!(truth.within(3, 1), Some(NeighborIds { ids: vec![2, 1, 0], k: 3 }), "all of fewer than ten codes");
        let sparse = NeighborIds { ids: (0..100).map(|id| id * 10).collect(), k: 100 };
        assert_eq!(sparse.within(100, 1).unwrap().k, 10);
        assert_eq!(sparse.within(90, 1), None);
        let uneven = NeighborIds { ids: [(0..20).collect::<Vec<_>>(), (100..120).collect()].concat(), k: 20 };
        assert_eq!(uneven.within(50, 2), None);
        assert_eq!(uneven.within(50, 1).unwrap().k, 20);
    }

    #[test]
    fn neighbours_are_the_exact_ones_in_order_and_equal_distances_go_to_the_lower_id() {
        for (dim, metric) in
            [(128, Metric::L2), (3, Metric::L2), (100, Metric::InnerProduct), (17, Metric::InnerProduct)]
        {
            let value = |i: usize| (i * 37 % 101 / 2) as f32;
            let base: Vec<f32> = (0..1_000).flat_map(|i| vec![value(i); dim]).collect();
            let queries: Vec<f32> = (0..9).flat_map(|i| vec![i as f32 * 5.5 - 8.0; dim]).collect();
            let mut neighbors = Neighbors::new(&queries, dim, metric, 30);
            base.chunks(300 * dim).for_each(|piece| neighbors.visit(piece));
            let truth = neighbors.into_truth();
            assert_eq!(truth.k, 30);
            for (query, list) in queries.chunks(dim).zip(truth.ids.chunks_exact(30)) {
                let distance = |id: &u32| {
                    let (q, v) = (f64::from(query[0]), f64::from(value(*id as usize)));
                    if metric == Metric::InnerProduct { -q * v } else { (q - v) * (q - v) }
                };
                let mut all: Vec<u32> = (0..1_000).collect();
                all.sort_by(|a, b| distance(a).total_cmp(&distance(b)));
                assert_eq!(list, &all[..30], "{dim} dimensions, {metric}");
            }
        }
    }

    #[test]
    fn ids_beyond_the_base_or_twice_in_a_list_are_errors() {
        let truth = NeighborIds { ids: vec![0, 1, 1, 2], k: 2 };
        assert!(truth.check(3).is_ok());
        assert!(truth.check(2).unwrap_err().to_string().contains("query 1 has the neighbour 2"));
        let truth = NeighborIds { ids: vec![0, 1, 2, 2], k: 2 };
        assert!(truth.check(3).unwrap_err().to_string().contains("query 1 has a neighbour twice"));
    }
}

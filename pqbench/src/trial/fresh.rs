//! Queries that nobody has asked before.
//!
//! A fresh query is `q + e · (b − c)` of three real ones: it is a real one that is moved a little in a direction in which
//! real ones differ. So it lies where the data lie and is about as hard, and no cache can hold its answer. (Noise in all
//! dimensions would move it away from the data, where a filter has less to skip.)

use std::collections::HashSet;

use anyhow::{Result, ensure};
use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

use crate::fixture::Fixture;

/// How far a query is moved, as a share of the difference of two others. At 0.1 a scan that skips takes as long as for a
/// real query within 3 %; at 0.3 it is up to 15 % slower.
const LEAST: f32 = 0.05;
const MOST: f32 = 0.15;
/// Bytes as SIFT has them.
const LARGEST_BYTE: f32 = 255.0;
/// A number around which f32 has whole ones only. Added and subtracted it rounds, much faster than `round`.
const WHOLE_AROUND: f32 = 1.5 * (1 << 23) as f32;

/// Draws fresh queries from those of a data set.
pub struct Fresh {
    /// The real ones `[n][dim]`, all different.
    queries: Vec<f32>,
    dim: usize,
    /// Whether the real ones are bytes. Then half of the fresh ones are too.
    are_bytes: bool,
    rng: ChaCha8Rng,
    /// Goes through all of u32 before it repeats, and with it the distance that a query is moved.
    turn: u32,
}

impl Fresh {
    /// Queries from those of `fixture`; others with each seed.
    ///
    /// # Errors
    /// The data set has fewer than three different queries, or some so large that a moved one would be infinite.
    pub fn new(fixture: &Fixture, seed: u64) -> Result<Fresh> {
        let mut seen = HashSet::new();
        let bits = |query: &[f32]| query.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        let different: Vec<&[f32]> = fixture.queries().filter(|query| seen.insert(bits(query))).collect();
        ensure!(
            different.len() >= 3,
            "the data set '{}' has {} different queries; fresh ones are made from three or more",
            fixture.name,
            different.len()
        );
        let queries = different.concat();
        ensure!(
            queries.iter().all(|value| value.abs() < f32::MAX / 2.0),
            "the data set '{}' has queries close to the largest f32; scale them down",
            fixture.name
        );
        let are_bytes = queries.iter().all(|value| (0.0..=LARGEST_BYTE).contains(value) && value.fract() == 0.0);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let turn = rng.random();
        Ok(Fresh { queries, dim: fixture.geometry.dim(), are_bytes, rng, turn })
    }

    /// Replaces what is in `out` by the next `count` queries `[count][dim]`.
    pub fn next(&mut self, out: &mut Vec<f32>, count: usize) {
        out.clear();
        out.reserve(count * self.dim);
        for _ in 0..count {
            self.push(out);
        }
    }

    fn push(&mut self, out: &mut Vec<f32>) {
        let begin = out.len();
        self.turn = self.turn.wrapping_add(0x9e37_79b9);
        let mut share = LEAST + (MOST - LEAST) * (self.turn as f32 / u32::MAX as f32);
        loop {
            let [q, b, c] = self.three();
            // Rounded up or down at a place of its own, so that two that are moved by nearly as much still differ.
            let up = (self.are_bytes && self.rng.random()).then(|| self.rng.random::<f32>() - 0.5);
            let moved = self.real(q).iter().zip(self.real(b)).zip(self.real(c)).map(|((q, b), c)| q + share * (b - c));
            match up {
                Some(up) => {
                    out.extend(moved.map(|value| ((value + up + WHOLE_AROUND) - WHOLE_AROUND).clamp(0.0, LARGEST_BYTE)))
                }
                None => out.extend(moved),
            }
            let fresh = &out[begin..];
            // Cosine has no use for zero.
            if fresh != self.real(q) && fresh.iter().any(|&value| value != 0.0) {
                return;
            }
            // Moved by less than the last bit.
            out.truncate(begin);
            share *= 2.0;
        }
    }

    /// The numbers of three different queries.
    fn three(&mut self) -> [usize; 3] {
        let count = self.queries.len() / self.dim;
        loop {
            let [q, b, c] = [(); 3].map(|()| self.rng.random_range(0..count));
            if q != b && b != c && c != q {
                return [q, b, c];
            }
        }
    }

    fn real(&self, at: usize) -> &[f32] {
        &self.queries[at * self.dim..][..self.dim]
    }
}

#[cfg(test)]
mod tests {
    use indicatif::ProgressBar;

    use super::*;
    use crate::fixture::{self, Limits};

    fn open(spec: &str) -> Fixture {
        Fixture::open(spec, Limits::default(), &ProgressBar::hidden()).unwrap()
    }

    fn fresh(fixture: &Fixture, seed: u64, count: usize) -> Vec<f32> {
        let mut out = vec![f32::NAN];
        Fresh::new(fixture, seed).unwrap().next(&mut out, count);
        assert_eq!(out.len(), count * fixture.geometry.dim());
        out
    }

    #[test]
    fn none_comes_twice_and_none_is_a_real_one() {
        const COUNT: usize = 100_000;
        for spec in fixture::embedded().chain(["worst-case"]) {
            let fixture = open(spec);
            let bits = |query: &[f32]| query.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            let mut seen: HashSet<_> = fixture.queries().map(bits).collect();
            let real = seen.len();
            let all = fresh(&fixture, 1, COUNT);
            assert!(all.iter().all(|value| value.is_finite()));
            seen.extend(all.chunks(fixture.geometry.dim()).map(bits));
            // The real ones of the worst case differ so little that f32 has few numbers between them.
            let twice = real + COUNT - seen.len();
            assert!(twice == 0 || spec == "worst-case" && twice < COUNT / 1_000, "{spec}: {twice}");
        }
    }

    #[test]
    fn half_of_those_from_bytes_are_bytes_and_none_of_the_others() {
        let share_of_bytes = |spec| {
            let fixture = open(spec);
            let is_byte = |&value: &f32| (0.0..=255.0).contains(&value) && value.fract() == 0.0;
            let all = fresh(&fixture, 2, 10_000);
            let bytes = all.chunks(fixture.geometry.dim()).filter(|query| query.iter().all(is_byte)).count();
            bytes as f64 / 10_000.0
        };
        assert!((0.45..0.55).contains(&share_of_bytes("embedded")));
        assert_eq!(share_of_bytes("embedded-text"), 0.0);
    }

    #[test]
    fn they_depend_on_the_seed_alone() {
        let fixture = open("embedded-text");
        assert_eq!(fresh(&fixture, 3, 10), fresh(&fixture, 3, 10));
        assert_ne!(fresh(&fixture, 3, 10), fresh(&fixture, 4, 10));
        let mut pieces = Fresh::new(&fixture, 3).unwrap();
        let (mut first, mut second) = (Vec::new(), Vec::new());
        pieces.next(&mut first, 4);
        pieces.next(&mut second, 6);
        assert_eq!([first, second].concat(), fresh(&fixture, 3, 10));
    }

    #[test]
    fn queries_that_hardly_differ_are_moved_all_the_same() {
        let mut fixture = open("embedded");
        let dim = fixture.geometry.dim();
        // By the last bit in one dimension, or by a byte in one.
        for [all, one] in [[1e10, 1e10 + 1024.0], [0.0, 1.0]] {
            fixture.queries = vec![all; 4 * dim];
            (1..4).for_each(|at| fixture.queries[at * (dim + 1)] = one);
            for query in fresh(&fixture, 5, 100).chunks(dim) {
                assert!(query.iter().all(|value| value.is_finite()) && query.iter().any(|&value| value != 0.0));
                assert!(query.iter().any(|&value| value != all));
            }
        }
    }

    #[test]
    fn too_few_queries_and_too_large_ones_are_errors() {
        let limits = Limits { num_base: None, num_queries: Some(3) };
        let mut fixture = Fixture::open("embedded", limits, &ProgressBar::hidden()).unwrap();
        assert!(Fresh::new(&fixture, 0).is_ok());
        fixture.queries[0] = f32::MAX;
        assert!(Fresh::new(&fixture, 0).err().unwrap().to_string().contains("largest"));
        fixture.queries = fixture.query(1).repeat(3);
        assert!(Fresh::new(&fixture, 0).err().unwrap().to_string().contains("1 different"));
    }
}

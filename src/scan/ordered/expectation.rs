//! What a query expects of a super-block, from the mean of its vectors.

use super::{Moments, OrderedCodes};
use crate::{Metric, Query};

/// Super-blocks that come first, since they make the threshold fall; all others come as they lie.
pub const NEAREST: usize = 4;
/// No super-block.
pub const NONE: usize = usize::MAX;

/// What each sub-quantizer is expected to add to the distances in a super-block.
#[derive(Default)]
pub struct Expectation {
    /// The query's parts, `[d][m]`; none if only its table is known.
    values: Vec<f32>,
    products: bool,
    /// The rows' means, `[m]`, where there are no values.
    means: Vec<f32>,
    /// Super-blocks that come first, [`NONE`] behind the last.
    pub nearest: [usize; NEAREST],
    parts: Vec<f32>,
}

impl Expectation {
    /// Makes it that of a query to a list.
    pub fn set<L, K, const G: usize>(&mut self, query: &mut Query, codes: &OrderedCodes<L, K, G>) {
        let (geometry, count) = (query.geometry(), codes.num_super_blocks());
        let (m, d) = (geometry.m(), geometry.sub_dim());
        self.products = codes.codebook.metric() == Metric::InnerProduct;
        self.nearest = [NONE; NEAREST];
        self.values.clear();
        if let Some(values) = query.values() {
            self.values.resize(m * d, 0.0);
            for (at, part) in values.chunks_exact(d).enumerate() {
                part.iter().enumerate().for_each(|(d, &value)| self.values[d * m + at] = value);
            }
            self.find_nearest(&codes.moments, count);
        } else {
            let k = geometry.num_centroids();
            let rows = codes.side(query).table.entries().chunks_exact(k);
            self.means.clear();
            self.means.extend(rows.map(|row| row.iter().sum::<f32>() / k as f32));
            self.nearest.iter_mut().zip(0..count).for_each(|(nearest, at)| *nearest = at);
        }
    }

    /// Finds the super-blocks with the nearest means.
    fn find_nearest(&mut self, moments: &Moments, count: usize) {
        let mut nearest = [(f32::INFINITY, NONE); NEAREST];
        let mut parts = std::mem::take(&mut self.parts);
        for at in 0..count {
            self.distances_of_means(moments, at, &mut parts);
            let mut next = (parts.iter().sum(), at);
            // A list of few super-blocks leaves none of them out, not even with an infinite mean.
            if next.0 < nearest[NEAREST - 1].0 || at < NEAREST {
                for place in &mut nearest {
                    if next.0 < place.0 || place.1 == NONE {
                        std::mem::swap(&mut next, place);
                    }
                }
            }
        }
        self.parts = parts;
        self.nearest = nearest.map(|(_, at)| at);
    }

    /// What each part of the query adds to the distance from the mean of a super-block.
    #[inline(always)]
    fn distances_of_means(&self, moments: &Moments, at: usize, parts: &mut Vec<f32>) {
        let values = &self.values[..];
        if values.is_empty() {
            return parts.clone_from(&self.means);
        }
        parts.clear();
        parts.resize(moments.m, 0.0);
        let means = &moments.means[at * values.len()..][..values.len()];
        if self.products {
            add_parts(parts, means, values, |mean, query| -mean * query);
        } else {
            add_parts(parts, means, values, |mean, query| (mean - query) * (mean - query));
        }
    }

    /// What each sub-quantizer adds on average.
    #[inline(always)]
    pub fn of(&self, moments: &Moments, at: usize, parts: &mut Vec<f32>) {
        self.distances_of_means(moments, at, parts);
        if !self.values.is_empty() {
            let variances = &moments.variances[at * moments.m..][..moments.m];
            parts.iter_mut().zip(variances).for_each(|(sum, variance)| *sum += variance);
        }
    }
}

#[inline(always)]
fn add_parts(parts: &mut [f32], means: &[f32], values: &[f32], part: impl Fn(f32, f32) -> f32) {
    let m = parts.len();
    let mut add = |m: usize| {
        let parts = &mut parts[..m];
        for (means, values) in means.chunks_exact(m).zip(values.chunks_exact(m)) {
            parts.iter_mut().zip(means.iter().zip(values)).for_each(|(sum, (&mean, &value))| *sum += part(mean, value));
        }
    };
    match m {
        16 => add(16),
        m => add(m),
    }
}

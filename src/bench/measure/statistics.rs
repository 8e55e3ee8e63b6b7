//! The statistics of the protocol: robust ones, since the noise of a shared machine is one-sided and heavy-tailed.

use rand::{Rng, RngExt};

/// Resamples of a bootstrap.
const RESAMPLES: usize = 1_000;
/// From a median absolute deviation to the standard deviation of a normal distribution.
const MAD_TO_SIGMA: f64 = 1.4826;
/// Distance from the median, in robust standard deviations, beyond which a sample is an outlier.
const OUTLIER_SIGMAS: f64 = 5.0;

/// A median and the interval that holds the true one with a probability of 95 %.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    pub median: f64,
    pub low: f64,
    pub high: f64,
}

impl Estimate {
    /// Half the interval's width, as a share of the median.
    pub fn half_width(&self) -> f64 {
        (self.high - self.low) / 2.0 / self.median
    }

    /// Whether the interval holds `value`.
    pub fn holds(&self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }
}

/// The value below which `share` of `values` lie: the nearest rank. NaN if there are none.
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut values = values.to_vec();
    if values.is_empty() {
        return f64::NAN;
    }
    let at = ((values.len() as f64 * share).ceil() as usize).clamp(1, values.len()) - 1;
    *values.select_nth_unstable_by(at, f64::total_cmp).1
}

/// The middle value, or the mean of the middle two. NaN if there are none.
pub fn median(values: &[f64]) -> f64 {
    median_of(&mut values.to_vec())
}

fn median_of(values: &mut [f64]) -> f64 {
    if values.is_empty() {
        return f64::NAN;
    }
    let middle = values.len() / 2;
    let odd = !values.len().is_multiple_of(2);
    let (below, &mut upper, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    if odd { upper } else { (below.iter().copied().fold(f64::NEG_INFINITY, f64::max) + upper) / 2.0 }
}

/// The standard deviation as the median absolute deviation tells it, as a share of the median.
pub fn robust_spread(values: &[f64]) -> f64 {
    let middle = median(values);
    median(&values.iter().map(|value| (value - middle).abs()).collect::<Vec<_>>()) * MAD_TO_SIGMA / middle
}

/// How many values are too far from the median to be of one distribution with the rest.
pub fn outliers(values: &[f64]) -> usize {
    let middle = median(values);
    let limit = OUTLIER_SIGMAS * robust_spread(values) * middle;
    values.iter().filter(|&value| (value - middle).abs() > limit).count()
}

/// The geometric mean.
pub fn geomean(values: &[f64]) -> f64 {
    (values.iter().map(|value| value.ln()).sum::<f64>() / values.len() as f64).exp()
}

/// The median of `values` with its bootstrap interval (percentiles of the medians of resamples; Efron, 1979).
pub fn estimate(values: &[f64], rng: &mut impl Rng) -> Estimate {
    interval(median(values), &resampled_medians(values, rng))
}

/// The median of `above` over that of `below`, which were measured apart, with its bootstrap interval.
pub fn estimate_quotient(above: &[f64], below: &[f64], rng: &mut impl Rng) -> Estimate {
    let (of_above, of_below) = (resampled_medians(above, rng), resampled_medians(below, rng));
    let quotients: Vec<f64> = of_above.iter().zip(&of_below).map(|(above, below)| above / below).collect();
    interval(median(above) / median(below), &quotients)
}

fn interval(median: f64, resampled: &[f64]) -> Estimate {
    Estimate { median, low: quantile(resampled, 0.025), high: quantile(resampled, 0.975) }
}

fn resampled_medians(values: &[f64], rng: &mut impl Rng) -> Vec<f64> {
    let mut resample = vec![0.0; values.len()];
    (0..RESAMPLES)
        .map(|_| {
            resample.fill_with(|| values[rng.random_range(0..values.len())]);
            median_of(&mut resample)
        })
        .collect()
}

//! The statistics of the protocol: robust ones, since the noise of a shared machine is one-sided and heavy-tailed.

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

/// Resamples of a bootstrap.
const RESAMPLES: usize = 2_000;
/// From a median absolute deviation to the standard deviation of a normal distribution.
const MAD_TO_SIGMA: f64 = 1.4826;
/// Distance from the median, in robust standard deviations, beyond which a sample is an outlier.
const OUTLIER_SIGMAS: f64 = 5.0;

/// A value and the interval that holds the true one with a probability of 95 %.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    pub value: f64,
    pub low: f64,
    pub high: f64,
    /// The wider interval of 99 %, which decides.
    pub certain: (f64, f64),
}

impl Estimate {
    /// Half the width of the interval of 99 %, as a share of the value: the smallest difference that will be called.
    pub fn resolution(&self) -> f64 {
        (self.certain.1 - self.certain.0) / 2.0 / self.value
    }

    /// Whether this ratio is of two different things. A table holds many ratios, and one in twenty would be called
    /// different by its interval of 95 % where nothing differs; so 1 must lie outside of that of 99 %.
    pub fn differs_from_one(&self) -> bool {
        self.certain.0 > 1.0 || self.certain.1 < 1.0
    }

    /// From the values of a statistic for the resamples of a bootstrap: its percentiles (Efron, 1979).
    fn from_resamples(value: f64, resampled: &[f64]) -> Estimate {
        let certain = (quantile(resampled, 0.005), quantile(resampled, 0.995));
        Estimate { value, low: quantile(resampled, 0.025), high: quantile(resampled, 0.975), certain }
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

/// The median of `values` with its bootstrap interval.
pub fn estimate(values: &[f64], rng: &mut impl Rng) -> Estimate {
    let mut scratch = vec![0.0; values.len()];
    let resampled: Vec<_> = (0..RESAMPLES).map(|_| resampled_median(values, &mut scratch, rng)).collect();
    Estimate::from_resamples(median(values), &resampled)
}

/// The median of `above` over that of `below`, which were sampled independently, with its bootstrap interval.
pub fn estimate_ratio(above: &[f64], below: &[f64], rng: &mut impl Rng) -> Estimate {
    let (mut scratch_above, mut scratch_below) = (vec![0.0; above.len()], vec![0.0; below.len()]);
    let resample =
        |_| resampled_median(above, &mut scratch_above, rng) / resampled_median(below, &mut scratch_below, rng);
    let resampled: Vec<_> = (0..RESAMPLES).map(resample).collect();
    Estimate::from_resamples(median(above) / median(below), &resampled)
}

fn resampled_median(values: &[f64], scratch: &mut [f64], rng: &mut impl Rng) -> f64 {
    scratch.fill_with(|| values[rng.random_range(0..values.len())]);
    median_of(scratch)
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::ChaCha8Rng};

    use super::*;

    /// A normal variate, by the central limit theorem.
    fn normal(rng: &mut ChaCha8Rng) -> f64 {
        (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0
    }

    /// Times on a shared machine: a few percent of noise, and one round in ten much slower.
    fn noisy_time(rng: &mut ChaCha8Rng) -> f64 {
        let burst = if rng.random::<f64>() < 0.1 { rng.random::<f64>() } else { 0.0 };
        1.0 + 0.01 * normal(rng) + burst
    }

    /// The share of 400 trials in which `holds`.
    fn share(mut holds: impl FnMut(&mut ChaCha8Rng) -> bool) -> f64 {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        (0..400).filter(|_| holds(&mut rng)).count() as f64 / 400.0
    }

    #[test]
    fn the_interval_covers_the_true_median_as_often_as_it_says() {
        for rounds in [10, 30, 101] {
            type Draw = fn(&mut ChaCha8Rng) -> f64;
            let exponential: Draw = |rng| -(1.0 - rng.random::<f64>()).ln();
            let distributions = [(0.0, normal as Draw), (0.5, |rng| rng.random()), (2.0f64.ln(), exponential)];
            for (truth, draw) in distributions {
                let covered = share(|rng| {
                    let values: Vec<_> = (0..rounds).map(|_| draw(rng)).collect();
                    let estimate = estimate(&values, rng);
                    estimate.low <= truth && truth <= estimate.high
                });
                assert!((0.92..=0.99).contains(&covered), "{covered} of {rounds} rounds around {truth}");
            }
        }
    }

    #[test]
    fn equal_things_are_rarely_called_different_and_two_percent_is_found() {
        for (slowdown, expected) in [(1.0, 0.0..=0.04), (1.02, 0.95..=1.0)] {
            let called = share(|rng| {
                let ratios: Vec<_> = (0..30).map(|_| slowdown * noisy_time(rng) / noisy_time(rng)).collect();
                estimate(&ratios, rng).differs_from_one()
            });
            assert!(expected.contains(&called), "{called} at {slowdown}");
        }
    }

    #[test]
    fn a_ratio_of_independent_medians_is_covered() {
        let covered = share(|rng| {
            let [above, below] = [3.0, 2.0].map(|scale| (0..30).map(|_| scale * noisy_time(rng)).collect::<Vec<_>>());
            let estimate = estimate_ratio(&above, &below, rng);
            estimate.low <= 1.5 && 1.5 <= estimate.high
        });
        assert!((0.92..=0.99).contains(&covered), "{covered}");
    }

    #[test]
    fn the_plain_ones_are_what_they_are_called() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&[]).is_nan() && quantile(&[], 0.5).is_nan());
        let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!([0.5, 0.9, 0.99, 1.0].map(|share| quantile(&hundred, share)), [50.0, 90.0, 99.0, 100.0]);
        assert!((geomean(&[1.0, 100.0]) - 10.0).abs() < 1e-12);
        assert_eq!(outliers(&[1.0, 1.1, 0.9, 1.0, 1.05, 0.95, 9.0]), 1);
    }
}

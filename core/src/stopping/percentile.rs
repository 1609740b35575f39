//! The percentile rule: a configuration is stopped if its best value so far is worse than the best so many percent of
//! what the configurations that ran to their end had at the same epoch. As Optuna's `PercentilePruner` (T. Akiba et al.,
//! "Optuna: A Next-generation Hyperparameter Optimization Framework", KDD 2019), interpolation of `numpy.percentile` included.

/// Whether a configuration with this best score is stopped, given the sorted values at the epoch.
pub(super) fn stops(best: f64, values: &[f64], percentile: f64) -> bool {
    !values.is_empty() && best < quantile(values, 100.0 - percentile)
}

/// `numpy.percentile(sorted, percent)`, bit for bit: linear between neighbours, from the nearer one.
pub(super) fn quantile(sorted: &[f64], percent: f64) -> f64 {
    let place = percent / 100.0 * (sorted.len() - 1) as f64;
    let (below, part) = (place.floor(), place - place.floor());
    let (low, high) = (sorted[below as usize], sorted[(below as usize + 1).min(sorted.len() - 1)]);
    match part {
        0.0 => low,
        part if part >= 0.5 => high - (high - low) * (1.0 - part),
        part => low + (high - low) * part,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_numpy() {
        // numpy.percentile([0.1, 0.4, 0.45, 0.9], [0, 10, 50, 75, 100])
        let sorted = [0.1, 0.4, 0.45, 0.9];
        let expected = [(0.0, 0.1), (10.0, 0.190_000_000_000_000_03), (50.0, 0.425), (75.0, 0.562_5), (100.0, 0.9)];
        for (percent, value) in expected {
            assert!((quantile(&sorted, percent) - value).abs() < 1e-16, "{percent}: {}", quantile(&sorted, percent));
        }
        assert_eq!(quantile(&[0.5], 75.0), 0.5);
    }
}

//! The median rule: D. Golovin, B. Solnik, S. Moitra, G. Kochanski, J. Karro, D. Sculley, "Google Vizier: A Service for Black-Box
//! Optimization", KDD 2017, section 3.2.2: a configuration is stopped if its best value so far is strictly worse
//! than the median of the running averages, up to the same epoch, of all configurations that ran to their end.
//! (Optuna's `MedianPruner` takes the values at the epoch instead of the averages: that is `percentile` with 50.)

use super::percentile::quantile;

/// Whether a configuration with this best score is stopped, given the sorted running averages.
pub(super) fn stops(best: f64, averages: &[f64]) -> bool {
    !averages.is_empty() && best < quantile(averages, 50.0)
}

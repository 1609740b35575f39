//! How many seeds it takes to see a difference.

use super::student::{critical, noncentral_cdf};

/// Seeds beyond which nothing is promised.
pub const MOST: u32 = 10_000;
/// Effects beyond this size need as many seeds as this one.
const LARGEST: f64 = 50.0;

/// The chance that a two-sided paired t-test at level `alpha` over `n` pairs finds an effect of size `d_z` (Cohen
/// 1988, chapter 2), by the non-central t distribution.
pub fn power(d_z: f64, n: u32, alpha: f64) -> f64 {
    let df = f64::from(n) - 1.0;
    let delta = d_z.abs().min(LARGEST) * f64::from(n).sqrt();
    let t = critical(alpha, df);
    1.0 - noncentral_cdf(t, df, delta) + noncentral_cdf(-t, df, delta)
}

/// The smallest number of pairs, 2 to [`MOST`], with which that chance is at least `wanted`.
pub fn needed(d_z: f64, alpha: f64, wanted: f64) -> Option<u32> {
    let enough = |n: u32| power(d_z, n, alpha) >= wanted;
    if d_z == 0.0 || !d_z.is_finite() {
        return None;
    }
    let (mut low, mut high) = (1, 2);
    while !enough(high) {
        if high == MOST {
            return None;
        }
        low = high;
        high = (high * 2).min(MOST);
    }
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if enough(middle) { high = middle } else { low = middle }
    }
    Some(high)
}

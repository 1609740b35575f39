//! Student's t distribution, central and not.

use std::collections::BTreeMap;

use super::special::{beta_inc, normal_cdf};

/// `P(|T| > |t|)` with `df` degrees of freedom (Student 1908): the two-sided p-value.
pub fn two_sided(t: f64, df: f64) -> f64 {
    if t.is_nan() {
        return f64::NAN;
    }
    let square = t * t;
    if square.is_infinite() {
        return 0.0;
    }
    beta_inc(df / 2.0, 0.5, df / (df + square), square / (df + square))
}

/// The `t` with `P(|T| > t) = alpha`, by bisection to the last bit that the distribution function tells apart.
pub fn critical(alpha: f64, df: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    while two_sided(high, df) > alpha && high < 1e300 {
        low = high;
        high *= 2.0;
    }
    for _ in 0..200 {
        let middle = low + (high - low) / 2.0;
        if middle <= low || middle >= high {
            break;
        }
        if two_sided(middle, df) > alpha { low = middle } else { high = middle }
    }
    low + (high - low) / 2.0
}

/// [`critical`] values that are needed again and again: a sweep has 100,000 points and few numbers of seeds.
#[derive(Debug)]
pub struct Critical {
    alpha: f64,
    known: BTreeMap<u32, f64>,
}

impl Critical {
    /// For intervals that hold with probability `1 - alpha`.
    pub fn new(alpha: f64) -> Self {
        Self { alpha, known: BTreeMap::new() }
    }

    /// What it was made for.
    pub fn alpha(&self) -> f64 {
        self.alpha
    }

    /// With so many degrees of freedom, at least 1.
    pub fn of(&mut self, df: u32) -> f64 {
        let alpha = self.alpha;
        *self.known.entry(df).or_insert_with(|| critical(alpha, f64::from(df)))
    }
}

/// `P(T <= t)` for the t distribution with non-centrality `delta` (Lenth 1989, AS 243), summed outwards from the
/// largest term, so that a large `delta` does not underflow.
pub fn noncentral_cdf(t: f64, df: f64, delta: f64) -> f64 {
    if t < 0.0 {
        return 1.0 - noncentral_cdf(-t, df, -delta);
    }
    let square = t * t;
    let (x, y) = (square / (df + square), df / (df + square));
    let lambda = delta * delta / 2.0;
    let term = |j: f64| {
        if lambda == 0.0 {
            return if j == 0.0 { (1.0, beta_inc(0.5, df / 2.0, x, y)) } else { (0.0, 0.0) };
        }
        let log = -lambda + j * lambda.ln();
        let p = (log - libm::lgamma(j + 1.0)).exp();
        let q = delta / std::f64::consts::SQRT_2 * (log - libm::lgamma(j + 1.5)).exp();
        let both = p * beta_inc(j + 0.5, df / 2.0, x, y) + q * beta_inc(j + 1.0, df / 2.0, x, y);
        (p.max(q.abs()), both)
    };
    let mode = lambda.floor();
    let mut sum = 0.0;
    let mut j = mode;
    loop {
        let (size, both) = term(j);
        sum += both;
        if size < 1e-18 {
            break;
        }
        j += 1.0;
    }
    j = mode - 1.0;
    while j >= 0.0 {
        let (size, both) = term(j);
        sum += both;
        if size < 1e-18 {
            break;
        }
        j -= 1.0;
    }
    (normal_cdf(-delta) + sum / 2.0).clamp(0.0, 1.0)
}

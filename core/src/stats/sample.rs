//! Mean, sample standard deviation and interval of some values.

use serde::{Deserialize, Serialize};

use super::bootstrap;
use super::student::Critical;
use crate::num::Num;

/// How intervals are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Student's t interval of the mean.
    #[default]
    T,
    /// Percentile bootstrap of the mean.
    Bootstrap,
}

impl Method {
    /// The word in rows and options.
    pub fn name(self) -> &'static str {
        match self {
            Self::T => "t",
            Self::Bootstrap => "bootstrap",
        }
    }

    /// What it is, in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::T => "Student's t intervals of the mean",
            Self::Bootstrap => "percentile bootstrap intervals of the mean (10,000 resamples)",
        }
    }
}

/// What some values say about their mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// How many values.
    pub n: u32,
    /// Their mean; absent without values.
    pub mean: Option<Num>,
    /// Sample standard deviation (n - 1); absent for fewer than two values.
    pub sd: Option<Num>,
    /// Lower end of the interval of the mean; absent for fewer than two values.
    pub low: Option<Num>,
    /// Upper end.
    pub high: Option<Num>,
}

/// Arithmetic mean; NaN without values.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Sample variance, with n - 1 in the denominator (Bessel's correction).
pub fn variance(values: &[f64]) -> f64 {
    let mean = mean(values);
    values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (values.len() as f64 - 1.0)
}

/// The median; `None` without values.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    (!sorted.is_empty()).then(|| bootstrap::quantile(&sorted, 0.5))
}

impl Estimate {
    /// Of so many values that are all the same.
    pub fn constant(value: f64, n: u32) -> Self {
        let value = Some(Num(value));
        let spread = |known: Option<Num>| known.filter(|_| n > 1);
        let (low, high) = (spread(value), spread(value));
        Self { n, mean: value, sd: spread(Some(Num(0.0))), low, high }
    }

    /// Of some values, with an interval that holds with the probability of `critical`.
    pub fn of(values: &[f64], method: Method, critical: &mut Critical) -> Self {
        let n = values.len() as u32;
        let Some(df) = n.checked_sub(1) else { return Self::default() };
        let centre = mean(values);
        let mut estimate = Self { n, mean: Some(Num(centre)), ..Self::default() };
        if df > 0 {
            let sd = variance(values).sqrt();
            let (low, high) = match method {
                Method::T => {
                    let half = critical.of(df) * sd / f64::from(n).sqrt();
                    (centre - half, centre + half)
                }
                Method::Bootstrap => bootstrap::mean_interval(values, critical.alpha()),
            };
            (estimate.sd, estimate.low, estimate.high) = (Some(Num(sd)), Some(Num(low)), Some(Num(high)));
        }
        estimate
    }
}

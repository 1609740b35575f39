//! Mean and spread of the results of some runs.

use serde::{Deserialize, Serialize};

use crate::num::Num;

/// Mean and spread of some values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// How many values.
    pub n: u32,
    /// Their mean; absent without values.
    pub mean: Option<Num>,
    /// Sample standard deviation (n - 1); absent for fewer than two values: one run says nothing about spread.
    pub std: Option<Num>,
    /// Smallest value.
    pub min: Option<Num>,
    /// Largest value.
    pub max: Option<Num>,
}

impl Spread {
    /// Of some values; NaN makes mean and spread NaN.
    pub fn of(values: &[f64]) -> Self {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
        Self {
            n: values.len() as u32,
            mean: (!values.is_empty()).then_some(Num(mean)),
            std: (values.len() >= 2).then_some(Num(variance.sqrt())),
            min: values.iter().copied().reduce(f64::min).map(Num),
            max: values.iter().copied().reduce(f64::max).map(Num),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spread_is_the_sample_deviation_and_unknown_for_one_run() {
        // numpy.std([0.1, 0.2, 0.4], ddof=1) = 0.15275252316519466
        let spread = Spread::of(&[0.1, 0.2, 0.4]);
        assert!((spread.std.unwrap().0 - 0.152_752_523_165_194_66).abs() < 1e-15);
        assert!((spread.mean.unwrap().0 - 0.7 / 3.0).abs() < 1e-15);
        assert_eq!(Spread::of(&[0.5]).std, None);
        assert_eq!(Spread::of(&[]).mean, None);
    }
}

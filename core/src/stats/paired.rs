//! Differences of pairs: each seed is a block in which two settings are compared.

use serde::{Deserialize, Serialize};

use super::power;
use super::sample::{Estimate, Method, mean, variance};
use super::student::{Critical, two_sided};
use crate::num::Num;

/// The chance of finding a difference that [`Difference::needed`] asks for.
pub const POWER: f64 = 0.8;

/// What is to be made of a difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Higher, and not by chance.
    Better,
    /// Lower, and not by chance.
    Worse,
    /// Cannot be told from chance with these seeds.
    Tie,
    /// One pair only, or none: there is no spread to judge by.
    #[default]
    Unknown,
}

impl Verdict {
    /// The word in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Worse => "worse",
            Self::Tie => "tie",
            Self::Unknown => "unknown",
        }
    }
}

/// A mean difference over pairs, and how sure it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// Pairs, their mean difference, its deviation and interval.
    #[serde(flatten)]
    pub estimate: Estimate,
    /// Student's statistic; absent where the pairs do not differ from each other.
    pub t: Option<Num>,
    /// Two-sided p-value of the paired t-test.
    pub p: Option<Num>,
    /// The same, corrected by Holm's procedure for the table that it stands in.
    pub p_holm: Option<Num>,
    /// Cohen's d_z: mean difference over its standard deviation.
    pub d_z: Option<Num>,
    /// Hedges' g_z: d_z without its bias for few pairs.
    pub g_z: Option<Num>,
    /// Pairs needed to find a difference of this size with a chance of [`POWER`].
    pub needed: Option<u32>,
    /// By the corrected p-value.
    pub verdict: Verdict,
}

/// The paired t-test (Student 1908) on differences, Cohen's d_z (Cohen 1988; Lakens 2013) and Hedges' correction in its
/// exact form (Hedges 1981).
pub fn paired(differences: &[f64], method: Method, critical: &mut Critical) -> Difference {
    let estimate = Estimate::of(differences, method, critical);
    let mut found = Difference { estimate, ..Difference::default() };
    if estimate.n < 2 {
        return found;
    }
    let (centre, sd) = (mean(differences), variance(differences).sqrt());
    let size = differences.iter().fold(0.0f64, |size, value| size.max(value.abs()));
    // Equal differences leave rounding behind, which must not pass for an effect of enormous size. A NaN goes on.
    if sd <= 1e-12 * size || size == 0.0 {
        found.verdict = if size == 0.0 { Verdict::Tie } else { Verdict::Unknown };
        return found;
    }
    let n = f64::from(estimate.n);
    let df = n - 1.0;
    let (t, d_z) = (centre / (sd / n.sqrt()), centre / sd);
    let log_j = libm::lgamma(df / 2.0) - libm::lgamma((df - 1.0) / 2.0) - (df / 2.0).sqrt().ln();
    found.t = Some(Num(t));
    found.p = Some(Num(two_sided(t, df)));
    found.d_z = Some(Num(d_z));
    // With two pairs the correction is zero: an effect size from them has no finite mean.
    found.g_z = (estimate.n > 2).then(|| Num(d_z * log_j.exp()));
    found.needed = power::needed(d_z, critical.alpha(), POWER);
    found
}

/// Fills in the corrected p-values and the verdicts of one table.
pub fn correct(table: &mut [&mut Difference], alpha: f64) {
    let p: Vec<f64> = table.iter().map(|row| row.p.map_or(f64::NAN, |p| p.0)).collect();
    for (row, adjusted) in table.iter_mut().zip(super::multiple::holm(&p)) {
        if adjusted.is_nan() {
            continue;
        }
        row.p_holm = Some(Num(adjusted));
        row.verdict = match row.estimate.mean {
            Some(mean) if adjusted < alpha && mean.0 > 0.0 => Verdict::Better,
            Some(_) if adjusted < alpha => Verdict::Worse,
            _ => Verdict::Tie,
        };
    }
}

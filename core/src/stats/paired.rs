//! Differences of pairs: each seed is a block in which two settings are compared.

use serde::{Deserialize, Serialize};

use super::power;
use super::sample::{Estimate, Method, mean, variance};
use super::student::{Critical, two_sided};
use crate::num::Num;

/// The chance of finding a difference that [`Difference::needed`] asks for.
pub const POWER: f64 = 0.8;
/// What is left of accuracies (0 to 1) after sums and differences in which they cancel. Images are counted, so a difference that is
/// one is many times larger.
pub const ROUNDING: f64 = 1e-12;

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
    /// Pairs needed to find a difference of this size with a chance of [`POWER`], at the level that Holm's procedure holds the
    /// smallest p-value of the table to.
    pub needed: Option<u32>,
    /// By the corrected p-value.
    pub verdict: Verdict,
}

/// The paired t-test (Student 1908) on differences of accuracies, Cohen's d_z (Cohen 1988; Lakens 2013) and Hedges' correction in its
/// exact form (Hedges 1981). What the table makes of it is filled in by [`correct`].
pub fn paired(differences: &[f64], method: Method, critical: &mut Critical) -> Difference {
    let Some(same) = constant(differences) else { return tested(differences, method, critical) };
    let estimate = Estimate::constant(same, differences.len() as u32);
    let verdict = if same == 0.0 && estimate.n > 1 { Verdict::Tie } else { Verdict::Unknown };
    Difference { estimate, verdict, ..Difference::default() }
}

/// The one value of differences that are equal: what rounding leaves behind must not pass for a spread, nor for an effect. How much that is
/// follows from what was subtracted, not from what came out, which may be nothing else. A NaN is no value.
fn constant(differences: &[f64]) -> Option<f64> {
    let centre = mean(differences);
    let size = differences.iter().fold(1.0f64, |size, value| size.max(value.abs()));
    let is_same = |value: &f64| (value - centre).abs() <= ROUNDING * size;
    let same = !differences.is_empty() && differences.iter().all(is_same);
    same.then_some(if centre.abs() <= ROUNDING { 0.0 } else { centre })
}

fn tested(differences: &[f64], method: Method, critical: &mut Critical) -> Difference {
    let estimate = Estimate::of(differences, method, critical);
    let mut found = Difference { estimate, ..Difference::default() };
    if estimate.n < 2 {
        return found;
    }
    let (centre, sd) = (mean(differences), variance(differences).sqrt());
    let n = f64::from(estimate.n);
    let df = n - 1.0;
    let (t, d_z) = (centre / (sd / n.sqrt()), centre / sd);
    let log_j = libm::lgamma(df / 2.0) - libm::lgamma((df - 1.0) / 2.0) - (df / 2.0).sqrt().ln();
    found.t = Some(Num(t));
    found.p = Some(Num(two_sided(t, df)));
    found.d_z = Some(Num(d_z));
    // With two pairs the correction is zero: an effect size from them has no finite mean.
    found.g_z = (estimate.n > 2).then(|| Num(d_z * log_j.exp()));
    found
}

/// Fills in the corrected p-values, the pairs needed and the verdicts of one table. All comparisons of two pairs or more are its
/// family: one without a spread has no p-value, but somebody looked at it, so it counts as one with p = 1.
pub fn correct(table: &mut [&mut Difference], alpha: f64) {
    let mut family: Vec<&mut Difference> =
        table.iter_mut().map(|row| &mut **row).filter(|row| row.estimate.n > 1).collect();
    let known = |p: Option<Num>| p.map(|p| p.0).filter(|p| !p.is_nan());
    let p: Vec<f64> = family.iter().map(|row| known(row.p).unwrap_or(1.0)).collect();
    let first_step = alpha / family.len() as f64;
    for (row, adjusted) in family.iter_mut().zip(super::multiple::holm(&p)) {
        if known(row.p).is_none() {
            continue;
        }
        row.needed = row.d_z.and_then(|d_z| power::needed(d_z.0, first_step, POWER));
        row.p_holm = Some(Num(adjusted));
        row.verdict = match row.estimate.mean {
            Some(mean) if adjusted < alpha && mean.0 > 0.0 => Verdict::Better,
            Some(_) if adjusted < alpha => Verdict::Worse,
            _ => Verdict::Tie,
        };
    }
}

//! Which factors matter most: shares of the variance between points.

use serde::{Deserialize, Serialize};

use super::factors::Table;
use crate::num::Num;
use crate::stats::paired::ROUNDING;
use crate::stats::sample::mean;

/// How important each factor is, and by which measure.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Importance {
    /// `variance_shares`, `eta_squared` or `none`.
    pub method: String,
    /// Factors or pairs of factors with their shares, 0 to 1, largest first.
    pub shares: Vec<Share>,
    /// Factors of which this design says nothing: fewer than two of their levels have a result, or too few points share a level.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
    /// Runs with a result that the shares leave out: not all points that have one have it with that seed.
    #[serde(default)]
    pub runs_left_out: u32,
    /// Points have no seed in common: their means are over different ones.
    #[serde(default)]
    pub uneven: bool,
    /// Points without a result: levels that lost some are seen with other settings of the other factors than the rest.
    #[serde(default)]
    pub missing: u32,
}

/// One share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// The factor, or two of them.
    pub factors: Vec<String>,
    /// Of the variance between the means of points.
    pub share: Num,
}

/// Of a full grid: the functional ANOVA of the table of point means (Hooker 2007; Hutter, Hoos & Leyton-Brown 2014 do
/// the same with a forest's predictions), in which shares of factors and of their pairs add up to at most 1. Of other designs:
/// the correlation ratio of each factor with repeated levels (Pearson 1905), which may overlap. A factor without two levels that
/// have results, or with a level for (nearly) each point, is named instead.
/// Means of points are over the seeds that all of them have, if there are any.
pub(super) fn importance(table: &Table) -> Importance {
    let seeds = 0..table.results.first().map_or(0, Vec::len);
    let known = || table.results.iter().filter(|row| row.iter().any(Option::is_some));
    let common: Vec<usize> = seeds.filter(|seed| known().all(|row| row[*seed].is_some())).collect();
    let results = known().flatten().flatten().count();
    let used = known().count() * common.len();
    let mean_of = |row: &Vec<Option<f64>>| -> Option<f64> {
        let all = common.is_empty();
        let values = row.iter().enumerate().filter(|(seed, _)| all || common.contains(seed));
        let values: Vec<f64> = values.filter_map(|(_, value)| *value).collect();
        (!values.is_empty()).then(|| mean(&values))
    };
    let means: Vec<Option<f64>> = table.results.iter().map(mean_of).collect();
    let complete: Option<Vec<f64>> = means.iter().copied().collect();
    let found = match complete.filter(|_| table.is_full_grid()) {
        // One factor alone explains all of it, whatever it does.
        Some(means) if table.factors.len() > 1 => shares(table, &means),
        _ => eta(table, &means),
    };
    Importance {
        uneven: common.is_empty() && results > 0,
        runs_left_out: if common.is_empty() { 0 } else { (results - used) as u32 },
        missing: (table.results.len() - known().count()) as u32,
        ..found
    }
}

/// Whether a sum of squares over so many accuracies is more than what rounding leaves.
fn is_spread(squares: f64, values: usize) -> bool {
    squares > values as f64 * ROUNDING.powi(2)
}

fn shares(table: &Table, means: &[f64]) -> Importance {
    let total = mean(means);
    let whole: f64 = means.iter().map(|value| (value - total).powi(2)).sum();
    let group_sum = |factors: &[usize]| -> f64 {
        let others: Vec<usize> = (0..table.factors.len()).filter(|index| !factors.contains(index)).collect();
        let mut groups = std::collections::BTreeMap::<Vec<usize>, Vec<f64>>::new();
        for (point, value) in means.iter().enumerate() {
            groups.entry(table.key(point, &others)).or_default().push(*value);
        }
        groups.values().map(|group| group.len() as f64 * (mean(group) - total).powi(2)).sum()
    };
    let mains: Vec<f64> = (0..table.factors.len()).map(|index| group_sum(&[index])).collect();
    let share = |names: &[usize], sum: f64| Share {
        factors: names.iter().map(|index| table.factors[*index].name.clone()).collect(),
        share: Num(if is_spread(whole, means.len()) { (sum / whole).max(0.0) } else { 0.0 }),
    };
    let mut shares: Vec<Share> = mains.iter().enumerate().map(|(index, sum)| share(&[index], *sum)).collect();
    // The pair of a two-factor grid is all that is left; many factors have too many pairs to be read.
    for a in 0..table.factors.len().min(12) {
        for b in a + 1..table.factors.len().min(12) {
            shares.push(share(&[a, b], group_sum(&[a, b]) - mains[a] - mains[b]));
        }
    }
    sorted("variance_shares", shares, table)
}

fn eta(table: &Table, means: &[Option<f64>]) -> Importance {
    let known: Vec<(usize, f64)> =
        means.iter().enumerate().filter_map(|(point, mean)| Some((point, (*mean)?))).collect();
    let total = mean(&known.iter().map(|(_, value)| *value).collect::<Vec<_>>());
    let whole: f64 = known.iter().map(|(_, value)| (value - total).powi(2)).sum();
    let shares = table.factors.iter().filter_map(|factor| {
        let mut groups = vec![Vec::new(); factor.levels.len()];
        known.iter().for_each(|(point, value)| groups[factor.of_point[*point]].push(*value));
        groups.retain(|group| !group.is_empty());
        // A level for each point would explain everything and mean nothing.
        (groups.len() >= 2 && 2 * groups.len() <= known.len() && is_spread(whole, known.len())).then(|| {
            let between: f64 = groups.iter().map(|group| group.len() as f64 * (mean(group) - total).powi(2)).sum();
            Share { factors: vec![factor.name.clone()], share: Num(between / whole) }
        })
    });
    let shares: Vec<Share> = shares.collect();
    sorted(if shares.is_empty() { "none" } else { "eta_squared" }, shares, table)
}

fn sorted(method: &str, mut shares: Vec<Share>, table: &Table) -> Importance {
    shares.sort_by(|a, b| b.share.0.total_cmp(&a.share.0));
    let named = |name: &String| shares.iter().any(|share| share.factors.contains(name));
    // Those with drawn values have a table of their own.
    let others = table.factors.iter().filter(|factor| !factor.drawn).map(|factor| &factor.name);
    let left_out = others.filter(|name| !named(name)).cloned().collect();
    Importance { method: method.to_owned(), shares, left_out, ..Importance::default() }
}

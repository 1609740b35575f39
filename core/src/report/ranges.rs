//! What can be said of values that were drawn from a range: every point has a value of its own, so no two can be compared
//! in it alone. The points are cut into thirds by the value, and each third is described.

use serde::{Deserialize, Serialize};

use super::factors::{Factor, Table};
use crate::num::Num;
use crate::report::words::number;
use crate::stats::sample::{mean, median};

/// Fewer points with a result are not cut up.
const FEWEST: usize = 9;

/// A factor whose values were drawn.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DrawnFactor {
    /// Its path.
    pub factor: String,
    /// Points with a result, by the value: lowest, middle and highest third. None for fewer than nine points, or values
    /// of which there are no three groups.
    pub thirds: Vec<Third>,
    /// The share of the variance between points that goes with the third, adjusted for what chance gives (ε², Kelley 1935);
    /// 0 if chance would give as much.
    pub share: Option<Num>,
}

/// Points with neighbouring values. They differ in everything else, too.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Third {
    /// The lowest and the highest value.
    pub from: Num,
    /// See `from`.
    pub to: Num,
    /// How many points.
    pub points: u32,
    /// The median of their mean accuracies.
    pub median: Num,
    /// The best of their mean accuracies.
    pub best: Num,
}

impl Third {
    /// `0.001 to 0.02`.
    pub fn range(&self) -> String {
        let short = |value: f64| match number(value) {
            text if text.contains('.') && !text.contains('e') => {
                text.trim_end_matches('0').trim_end_matches('.').to_owned()
            }
            text => text,
        };
        format!("{} to {}", short(self.from.0), short(self.to.0))
    }
}

/// Every drawn factor, in the order of the file.
pub(super) fn drawn(table: &Table) -> Vec<DrawnFactor> {
    table.factors.iter().filter(|factor| factor.drawn).map(|factor| describe(table, factor)).collect()
}

fn describe(table: &Table, factor: &Factor) -> DrawnFactor {
    let value = |point: usize| factor.levels[factor.of_point[point]].parse::<f64>().ok();
    let mut known: Vec<(f64, f64)> =
        (0..table.results.len()).filter_map(|point| Some((value(point)?, table.mean(point)?))).collect();
    known.retain(|(value, accuracy)| value.is_finite() && accuracy.is_finite());
    known.sort_by(|a, b| a.0.total_cmp(&b.0));
    let groups = cut(&known);
    let results = |group: &[(f64, f64)]| group.iter().map(|(_, accuracy)| *accuracy).collect::<Vec<f64>>();
    let third = |group: &&[(f64, f64)]| {
        let accuracies = results(group);
        Some(Third {
            from: Num(group.first()?.0),
            to: Num(group.last()?.0),
            points: group.len() as u32,
            median: Num(median(&accuracies)?),
            best: Num(accuracies.iter().copied().reduce(f64::max)?),
        })
    };
    let thirds = groups.iter().filter_map(third).collect();
    let groups: Vec<Vec<f64>> = groups.into_iter().map(results).collect();
    DrawnFactor { factor: factor.name.clone(), thirds, share: epsilon_squared(&groups).map(Num) }
}

/// Into three parts of about the same size; equal values stay together. Nothing where there are no three.
fn cut(known: &[(f64, f64)]) -> Vec<&[(f64, f64)]> {
    if known.len() < FEWEST {
        return Vec::new();
    }
    let start = |place: usize| known.partition_point(|(value, _)| *value < known[place].0);
    let (first, second) = (start(known.len().div_ceil(3)), start((2 * known.len()).div_ceil(3)));
    if first == 0 || first == second {
        return Vec::new();
    }
    vec![&known[..first], &known[first..second], &known[second..]]
}

/// `1 - (within / (n - k)) / (all / (n - 1))`.
fn epsilon_squared(groups: &[Vec<f64>]) -> Option<f64> {
    let all = groups.concat();
    if groups.len() < 2 || all.len() <= groups.len() {
        return None;
    }
    let squares = |values: &[f64]| {
        let middle = mean(values);
        values.iter().map(|value| (value - middle).powi(2)).sum::<f64>()
    };
    let whole = squares(&all) / (all.len() - 1) as f64;
    let within = groups.iter().map(|group| squares(group)).sum::<f64>() / (all.len() - groups.len()) as f64;
    (whole > 0.0).then(|| (1.0 - within / whole).max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thirds_keep_equal_values_together() {
        let known = |values: &[f64]| values.iter().map(|value| (*value, 0.5)).collect::<Vec<_>>();
        let sizes = |values: &[f64]| cut(&known(values)).iter().map(|group| group.len()).collect::<Vec<_>>();
        assert_eq!(sizes(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0]), [4, 3, 3]);
        assert_eq!(sizes(&[1.0, 2.0, 2.0, 2.0, 2.0, 6.0, 7.0, 8.0, 9.0]), [1, 5, 3]);
        assert_eq!(sizes(&[1.0; 20]), [0; 0], "one value is no range");
        assert_eq!(sizes(&[1.0, 2.0, 3.0]), [0; 0]);
    }

    #[test]
    fn the_share_is_r_squared_adjusted_for_chance() {
        // Within: 6 / 6. All: (150 + 6) / 8.
        let groups = [vec![1.0, 2.0, 3.0], vec![11.0, 12.0, 13.0], vec![6.0, 7.0, 8.0]];
        let share = epsilon_squared(&groups).expect("a share");
        assert!((share - (1.0 - 1.0 / 19.5)).abs() < 1e-12, "{share}");
        assert_eq!(epsilon_squared(&[vec![1.0, 3.0], vec![3.0, 1.0]]), Some(0.0), "chance gives more");
    }
}

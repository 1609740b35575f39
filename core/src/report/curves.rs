//! Learning curves: one line for each level of a factor, its mean and interval over the seeds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::factors::{Table, balanced};
use super::{Curve, EpochRow, Report};
use crate::num::Num;
use crate::stats::sample::{Estimate, Method, mean};
use crate::stats::student::Critical;

/// Lines that can be told apart in one figure.
pub(super) const MOST_LINES: usize = 8;

/// The curves of a figure.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Curves {
    /// The factor whose levels are the lines; absent when they are points.
    pub factor: Option<String>,
    /// One line each.
    pub lines: Vec<CurveLine>,
}

/// One line.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CurveLine {
    /// The level, or the settings of the point.
    pub name: String,
    /// Runs that it stands for.
    pub runs: u32,
    /// As far as all of these runs went.
    pub epochs: Vec<CurveEpoch>,
}

/// One epoch of a line: each seed's mean over the points, then mean and interval over the seeds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CurveEpoch {
    /// Which epoch, from 1.
    pub epoch: u32,
    /// Validation accuracy, 0 to 1.
    pub val_accuracy: Estimate,
    /// Means of the others, over all runs.
    pub val_loss: Num,
    /// Training accuracy.
    pub train_accuracy: Num,
    /// Training loss.
    pub train_loss: Num,
}

/// `factor` is an index into the table's factors; without one, the lines are the best points.
pub(super) fn curves(
    report: &Report,
    table: &Table,
    factor: Option<usize>,
    (method, critical): (Method, &mut Critical),
) -> Curves {
    if report.curves.is_empty() {
        return Curves::default();
    }
    let completed: BTreeMap<(u32, u64), ()> = (report.points.iter())
        .flat_map(|row| row.trials.iter().map(move |trial| (row.point, trial)))
        .filter(|(_, trial)| trial.has_result())
        .map(|(point, trial)| ((point, trial.seed), ()))
        .collect();
    let mut by_point: BTreeMap<u32, Vec<&Curve>> = BTreeMap::new();
    for curve in report.curves.iter().filter(|curve| completed.contains_key(&(curve.point, curve.seed))) {
        by_point.entry(curve.point).or_default().push(curve);
    }
    let mut line = |name: String, points: &[u32]| {
        let runs: Vec<Vec<&Curve>> = points.iter().filter_map(|point| by_point.get(point).cloned()).collect();
        CurveLine { name, runs: runs.iter().map(|runs| runs.len() as u32).sum(), epochs: over(&runs, method, critical) }
    };
    let lines: Vec<CurveLine> = match factor {
        Some(index) => {
            let factor = &table.factors[index];
            let points = |level: usize| -> Vec<u32> {
                (0u32..).zip(&factor.of_point).filter(|(_, at)| **at == level).map(|(point, _)| point).collect()
            };
            factor.levels.iter().enumerate().map(|(level, name)| line(name.clone(), &points(level))).collect()
        }
        None => (report.points.iter().take(MOST_LINES)).map(|row| line(row.label(), &[row.point])).collect(),
    };
    let lines = lines.into_iter().filter(|line| !line.epochs.is_empty()).collect();
    Curves { factor: factor.map(|index| table.factors[index].name.clone()), lines }
}

fn over(points: &[Vec<&Curve>], method: Method, critical: &mut Critical) -> Vec<CurveEpoch> {
    let runs = || points.iter().flatten();
    let length = runs().map(|curve| curve.epochs.len()).min().unwrap_or(0);
    let mut seeds: Vec<u64> = runs().map(|curve| curve.seed).collect();
    seeds.sort_unstable();
    seeds.dedup();
    (0..length)
        .map(|at| {
            let of_point = |curves: &Vec<&Curve>| -> Vec<Option<f64>> {
                let of_seed = |seed: &u64| curves.iter().find(|curve| curve.seed == *seed);
                seeds.iter().map(|seed| Some(of_seed(seed)?.epochs[at].val_accuracy.0)).collect()
            };
            let values = balanced(&points.iter().map(of_point).collect::<Vec<_>>()).0;
            let mean_of = |pick: fn(&EpochRow) -> Num| {
                Num(mean(&runs().map(|curve| pick(&curve.epochs[at])).map(|value| value.0).collect::<Vec<_>>()))
            };
            CurveEpoch {
                epoch: at as u32 + 1,
                val_accuracy: Estimate::of(&values, method, critical),
                val_loss: mean_of(|row| row.val_loss),
                train_accuracy: mean_of(|row| row.train_accuracy),
                train_loss: mean_of(|row| row.train_loss),
            }
        })
        .collect()
}

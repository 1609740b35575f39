//! Learning curves: one line for each level of a factor, its mean and interval over the seeds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::factors::{Table, balanced, common};
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
    /// One line each: of levels, over the same settings of all else and the same seeds, as far as the design has them.
    pub lines: Vec<CurveLine>,
    /// Completed runs that are in no line, because not every line has their like.
    #[serde(default)]
    pub left_out: u32,
    /// Levels without a run beside those of the others: they have no line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without: Vec<String>,
    /// No two levels have runs that are alike in all else: each line is over all of its runs, and differs from the next in other settings, too.
    #[serde(default)]
    pub unmatched: bool,
}

impl Curves {
    /// What was left out of the lines so that they can be set beside each other, or why they cannot.
    pub fn note(&self) -> Option<String> {
        if self.unmatched {
            return Some("the lines differ in other settings or seeds, too: no runs are alike in all else".to_owned());
        }
        let runs = (self.left_out > 0)
            .then(|| format!("completed runs left out, whose like not every line has: {}", self.left_out));
        let without = (!self.without.is_empty())
            .then(|| format!("no line for {}: nothing to set beside the others", self.without.join(", ")));
        let parts: Vec<String> = runs.into_iter().chain(without).collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }
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
    let Some(index) = factor else {
        let mut line = |name: String, runs: Vec<&Curve>| line(name, &[runs], method, critical);
        let of_point = |point: u32| by_point.get(&point).cloned().unwrap_or_default();
        let lines = report.points.iter().take(MOST_LINES).map(|row| line(row.label(), of_point(row.point)));
        return Curves { lines: lines.filter(|line| !line.epochs.is_empty()).collect(), ..Curves::default() };
    };
    by_level(table, index, &by_point, (method, critical))
}

type ByPoint<'a> = BTreeMap<u32, Vec<&'a Curve>>;

/// A line for each level, over the runs that all of them have the like of.
fn by_level(
    table: &Table,
    index: usize,
    by_point: &ByPoint<'_>,
    (method, critical): (Method, &mut Critical),
) -> Curves {
    let factor = &table.factors[index];
    let mut seeds: Vec<u64> = by_point.values().flatten().map(|curve| curve.seed).collect();
    seeds.sort_unstable();
    seeds.dedup();
    let mut groups: BTreeMap<Vec<usize>, Vec<Option<u32>>> = BTreeMap::new();
    for (point, level) in (0u32..).zip(&factor.of_point) {
        let key = table.key(point as usize, &[index]);
        groups.entry(key).or_insert_with(|| vec![None; factor.levels.len()])[*level] = Some(point);
    }
    let groups: Vec<Vec<Option<u32>>> = groups.into_values().collect();
    let run = |level: usize, group: usize, seed: u64| -> Option<&Curve> {
        let runs = by_point.get(&groups[group][level]?)?;
        runs.iter().copied().find(|curve| curve.seed == seed)
    };
    let has = |level: usize, group: usize, seed: usize| run(level, group, seeds[seed]).is_some();
    let (shown, part) = common(factor.levels.len(), groups.len(), seeds.len(), has);
    let all = |level: usize| -> Vec<Vec<&Curve>> {
        let points = (0u32..).zip(&factor.of_point).filter(|(_, at)| **at == level);
        points.filter_map(|(point, _)| by_point.get(&point).cloned()).collect()
    };
    let known: Vec<usize> = (0..factor.levels.len()).filter(|level| !all(*level).is_empty()).collect();
    let unmatched = known.len() > 1 && shown.len() < 2;
    let lines = (if unmatched { &known } else { &shown }).iter().map(|level| {
        let of_group = |group: &usize| part.seeds.iter().filter_map(|seed| run(*level, *group, seeds[*seed])).collect();
        let runs = if unmatched { all(*level) } else { part.rows.iter().map(of_group).collect() };
        line(factor.levels[*level].clone(), &runs, method, critical)
    });
    let lines: Vec<CurveLine> = lines.filter(|line| !line.epochs.is_empty()).collect();
    let drawn: u32 = lines.iter().map(|line| line.runs).sum();
    let without = known.iter().filter(|level| !unmatched && !shown.contains(level));
    Curves {
        factor: Some(factor.name.clone()),
        left_out: (by_point.values().map(Vec::len).sum::<usize>() as u32).saturating_sub(drawn),
        without: without.map(|level| factor.levels[*level].clone()).collect(),
        unmatched,
        lines,
    }
}

fn line(name: String, points: &[Vec<&Curve>], method: Method, critical: &mut Critical) -> CurveLine {
    let runs = points.iter().map(|runs| runs.len() as u32).sum();
    CurveLine { name, runs, epochs: over(points, method, critical) }
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

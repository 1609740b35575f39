//! Two sweeps point by point: points with the same settings, paired by seed where both ran it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Report;
use super::analysis::ALPHA;
use super::factors::{balanced, minus};
use crate::id::TrialId;
use crate::plan::{at, label_of};
use crate::stats::paired::{Difference, correct, paired};
use crate::stats::sample::{Estimate, Method};
use crate::stats::student::Critical;

/// What two sweeps say of the same settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The first sweep.
    pub a: String,
    /// The second; differences are its results minus those of the first.
    pub b: String,
    /// Paths that vary in one of them.
    pub paths: Vec<String>,
    /// Settings that both have, in the order of the first.
    pub rows: Vec<Pair>,
    /// Points of the first whose settings the second lacks.
    pub only_a: u32,
    /// Points of the second whose settings the first lacks.
    pub only_b: u32,
    /// Runs that both have from one training, because results were taken over: no difference is made of them.
    #[serde(default)]
    pub same: u32,
    /// Over all rows: one difference a seed, its mean over the rows.
    pub overall: Option<Difference>,
    /// How intervals were made.
    #[serde(default)]
    pub interval: Method,
}

/// One combination of settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    /// The values of `paths`.
    pub settings: Vec<String>,
    /// Index of the point in each plan.
    pub points: (u32, u32),
    /// Accuracy in the first sweep.
    pub a: Estimate,
    /// Accuracy in the second.
    pub b: Estimate,
    /// Seeds whose result is that of one training in both.
    #[serde(default)]
    pub same: u32,
    /// Second minus first over the seeds that both have, each from a training of its own; absent without such a seed.
    pub difference: Option<Difference>,
}

/// Compares `b` with `a`. A path that varies in one sweep only has the other's value from its recipe.
pub fn compare(a: &Report, b: &Report, method: Method) -> Comparison {
    let mut paths: Vec<String> = Vec::new();
    for report in [a, b] {
        let settings = report.points.first().map(|row| row.settings.as_slice()).unwrap_or_default();
        for (path, _) in settings {
            if !paths.contains(path) {
                paths.push(path.clone());
            }
        }
    }
    let keyed = |report: &Report| -> BTreeMap<u32, Vec<String>> {
        let value = |row: &super::PointRow, path: &String| {
            let own = row.settings.iter().find(|(known, _)| known == path).map(|(_, label)| label.clone());
            own.or_else(|| at(&report.provenance.recipe, path).map(|value| label_of(path, value)))
                .unwrap_or_else(|| "-".to_owned())
        };
        report.points.iter().map(|row| (row.point, paths.iter().map(|path| value(row, path)).collect())).collect()
    };
    let (of_a, of_b) = (keyed(a), keyed(b));
    let places: BTreeMap<&Vec<String>, u32> = of_b.iter().map(|(point, settings)| (settings, *point)).collect();
    let (by_a, by_b) = (results(a), results(b));
    let mut critical = Critical::new(ALPHA);
    let mut pairs = Vec::new();
    let mut rows: Vec<Pair> = Vec::new();
    let seeds = common(&by_a, &by_b);
    for (point, settings) in &of_a {
        let Some(other) = places.get(settings) else { continue };
        // A run differs from itself in nothing: such zeros would make any difference look smaller, and surer.
        let is_same = |seed: &u64| {
            let runs = by_a.get(&(*point, *seed)).zip(by_b.get(&(*other, *seed)));
            runs.is_some_and(|(a, b)| a.trained == b.trained)
        };
        let at = |by: &Results, point: u32| -> Vec<Option<f64>> {
            let value = |seed: &u64| by.get(&(point, *seed)).filter(|_| !is_same(seed)).map(|run| run.value);
            seeds.iter().map(value).collect()
        };
        let all = |by: &Results, point: u32| -> Vec<f64> {
            by.range((point, 0)..=(point, u64::MAX)).map(|(_, run)| run.value).collect()
        };
        let differences = minus(&at(&by_b, *other), &at(&by_a, *point));
        let known: Vec<f64> = differences.iter().flatten().copied().collect();
        rows.push(Pair {
            settings: settings.clone(),
            points: (*point, *other),
            a: Estimate::of(&all(&by_a, *point), method, &mut critical),
            b: Estimate::of(&all(&by_b, *other), method, &mut critical),
            same: seeds.iter().filter(|seed| is_same(seed)).count() as u32,
            difference: (!known.is_empty()).then(|| paired(&known, method, &mut critical)),
        });
        pairs.push(differences);
    }
    correct(&mut rows.iter_mut().filter_map(|row| row.difference.as_mut()).collect::<Vec<_>>(), ALPHA);
    let overall = balanced(&pairs).0;
    let mut overall = (!overall.is_empty()).then(|| paired(&overall, method, &mut critical));
    correct(&mut overall.iter_mut().collect::<Vec<_>>(), ALPHA);
    let matched = rows.len();
    Comparison {
        a: a.name.clone(),
        b: b.name.clone(),
        paths,
        only_a: (of_a.len() - matched) as u32,
        only_b: (of_b.len().saturating_sub(matched)) as u32,
        same: rows.iter().map(|row| row.same).sum(),
        rows,
        overall,
        interval: method,
    }
}

/// A result, and the trial that was trained for it.
struct Run {
    value: f64,
    trained: TrialId,
}

type Results = BTreeMap<(u32, u64), Run>;

/// Best validation accuracies by point and seed.
fn results(report: &Report) -> Results {
    let done = |trial: &&super::TrialRow| trial.has_result();
    let rows = report.points.iter().flat_map(|row| row.trials.iter().filter(done).map(move |trial| (row.point, trial)));
    let run = |trial: &super::TrialRow| {
        let trained = trial.origin.as_ref().map_or(trial.trial, |origin| origin.trial);
        Some(Run { value: trial.best.as_ref()?.val_accuracy.0, trained })
    };
    rows.filter_map(|(point, trial)| Some(((point, trial.seed), run(trial)?))).collect()
}

fn common(a: &Results, b: &Results) -> Vec<u64> {
    let seeds = |by: &Results| by.keys().map(|(_, seed)| *seed).collect::<std::collections::BTreeSet<_>>();
    seeds(a).intersection(&seeds(b)).copied().collect()
}

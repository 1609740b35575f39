//! Two sweeps point by point: points with the same settings, paired by seed where both ran it. The same settings are the same
//! values in the recipe, whatever a file calls them; what else the sweeps differ in is in `besides`.

mod besides;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::analysis::ALPHA;
use super::factors::{balanced, minus};
use super::{PointRow, Report};
use crate::id::TrialId;
use crate::plan::{at, label_of};
use crate::stats::paired::{Difference, correct, paired};
use crate::stats::sample::{Estimate, Method};
use crate::stats::student::Critical;

use besides::recipe_of;

pub use besides::Field;

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
    /// Fields of the recipe in which the two differ besides `paths` and the seed, as JSON; nothing stands for a field that one lacks.
    #[serde(default)]
    pub besides: Vec<Field>,
    /// Why the two do not differ in their settings alone: other data, another number of epochs.
    #[serde(default)]
    pub confounders: Vec<String>,
    /// Path and name of values that are called alike in both and are not.
    #[serde(default)]
    pub namesakes: Vec<(String, String)>,
    /// The seeds of each.
    #[serde(default)]
    pub seeds: (Vec<u64>, Vec<u64>),
}

/// One combination of settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    /// The values of `paths`.
    pub settings: Vec<String>,
    /// Index of the point in each plan.
    pub points: (u32, u32),
    /// Accuracy in the first sweep, over all seeds with a result.
    pub a: Estimate,
    /// Accuracy in the second.
    pub b: Estimate,
    /// Accuracy in the first and in the second over the seeds of the difference, which is that of these means; absent without one.
    #[serde(default)]
    pub paired: Option<(Estimate, Estimate)>,
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
    let (of_a, of_b) = (keyed(a, &paths), keyed(b, &paths));
    let places: BTreeMap<&Vec<String>, &Keyed<'_>> = of_b.iter().map(|keyed| (&keyed.values, keyed)).collect();
    let (by_a, by_b) = (results(a), results(b));
    let mut critical = Critical::new(ALPHA);
    let mut pairs = Vec::new();
    let mut rows: Vec<Pair> = Vec::new();
    let seeds = common(&by_a, &by_b);
    let mut first_pair = None;
    for own in &of_a {
        let Some(match_of_b) = places.get(&own.values) else { continue };
        let (point, other) = (&own.point, &match_of_b.point);
        first_pair.get_or_insert((own.row, match_of_b.row));
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
        let (in_a, in_b) = (at(&by_a, *point), at(&by_b, *other));
        let differences = minus(&in_b, &in_a);
        let known: Vec<f64> = differences.iter().flatten().copied().collect();
        let both: (Vec<f64>, Vec<f64>) = in_a.iter().zip(&in_b).filter_map(|(a, b)| Some(((*a)?, (*b)?))).unzip();
        let mut over = |values: &[f64]| Estimate::of(values, method, &mut critical);
        let paired_means = (!known.is_empty()).then(|| (over(&both.0), over(&both.1)));
        rows.push(Pair {
            settings: own.names(match_of_b, &paths),
            points: (*point, *other),
            a: Estimate::of(&all(&by_a, *point), method, &mut critical),
            b: Estimate::of(&all(&by_b, *other), method, &mut critical),
            paired: paired_means,
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
    let fields = match first_pair {
        Some((own, other)) => besides::besides(&recipe_of(a, own), &recipe_of(b, other), &paths),
        None => besides::besides(&a.provenance.recipe, &b.provenance.recipe, &paths),
    };
    Comparison {
        a: a.name.clone(),
        b: b.name.clone(),
        only_a: (of_a.len() - matched) as u32,
        only_b: (of_b.len().saturating_sub(matched)) as u32,
        same: rows.iter().map(|row| row.same).sum(),
        rows,
        overall,
        interval: method,
        confounders: besides::confounders(a, b, &paths, &fields),
        besides: fields,
        namesakes: namesakes(&of_a, &of_b, &paths),
        seeds: (a.provenance.seeds.clone(), b.provenance.seeds.clone()),
        paths,
    }
}

impl Pair {
    /// The accuracies that the difference is between; without one those over all seeds.
    pub fn shown(&self) -> (Estimate, Estimate) {
        self.paired.unwrap_or((self.a, self.b))
    }

    /// Whether they leave seeds out that have a result in one sweep only, or the same one in both.
    fn is_part(&self) -> bool {
        self.paired.is_some_and(|(a, b)| a.n < self.a.n || b.n < self.b.n)
    }
}

impl Comparison {
    /// That accuracies are not over all seeds; nothing where they are.
    pub fn over_pairs(&self) -> Option<&'static str> {
        self.rows.iter().any(Pair::is_part).then_some(
            "accuracies are over the seeds of the difference; those over all seeds of each sweep are in JSON and CSV",
        )
    }
}

/// A point with what it has at every path.
struct Keyed<'a> {
    point: u32,
    row: &'a PointRow,
    /// As JSON; `null` where its recipe has no such field.
    values: Vec<String>,
    /// What its file calls them; nothing where the path does not vary.
    labels: Vec<Option<String>>,
}

impl Keyed<'_> {
    /// What people read: the name in its own file, else in that of the other, else the value.
    fn names(&self, other: &Keyed<'_>, paths: &[String]) -> Vec<String> {
        let value = |at: usize| {
            serde_json::from_str(&self.values[at]).map_or("-".to_owned(), |value| named(&paths[at], &value))
        };
        let name =
            |at: usize| self.labels[at].clone().or_else(|| other.labels[at].clone()).unwrap_or_else(|| value(at));
        (0..self.values.len()).map(name).collect()
    }
}

fn named(path: &str, value: &Value) -> String {
    if value.is_null() { "-".to_owned() } else { label_of(path, value) }
}

/// In the order of the plan.
fn keyed<'a>(report: &'a Report, paths: &[String]) -> Vec<Keyed<'a>> {
    let mut all: Vec<Keyed<'_>> = (report.points.iter())
        .map(|row| {
            let recipe = recipe_of(report, row);
            let value = |path: &String| at(&recipe, path).unwrap_or(&Value::Null).to_string();
            let label =
                |path: &String| row.settings.iter().find(|(known, _)| known == path).map(|(_, label)| label.clone());
            let (values, labels) = (paths.iter().map(value).collect(), paths.iter().map(label).collect());
            Keyed { point: row.point, row, values, labels }
        })
        .collect();
    all.sort_by_key(|keyed| keyed.point);
    all
}

/// Names that both files have, for other values.
fn namesakes(a: &[Keyed<'_>], b: &[Keyed<'_>], paths: &[String]) -> Vec<(String, String)> {
    let mut out = Vec::new();
    for (at, path) in paths.iter().enumerate() {
        let meanings = |all: &[Keyed<'_>]| -> BTreeMap<String, BTreeSet<String>> {
            let mut known: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
            for keyed in all {
                if let Some(label) = &keyed.labels[at] {
                    known.entry(label.clone()).or_default().insert(keyed.values[at].clone());
                }
            }
            known
        };
        let others = meanings(b);
        let alike = meanings(a)
            .into_iter()
            .filter(|(label, values)| others.get(label).is_some_and(|theirs| theirs.is_disjoint(values)));
        out.extend(alike.map(|(label, _)| (path.clone(), label)));
    }
    out
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
    let seeds = |by: &Results| by.keys().map(|(_, seed)| *seed).collect::<BTreeSet<_>>();
    seeds(a).intersection(&seeds(b)).copied().collect()
}

//! The plan: the ordered, immutable list of trials that a sweep file stands for. `expand` makes it
//! from a validated spec; the coordinator journals it, so that no later release changes a
//! submitted sweep.
//!
//! A plan is a *base recipe*, *columns* (the dotted paths that vary, with their values) and
//! *points* (one cell per column). 100,000 points are 100,000 short rows of integers, not
//! 100,000 recipes; [`Plan::recipe`] puts one together when it is needed.

mod axis;
mod expand;
mod extend;
mod going_on;
mod label;
mod late;
mod order;
mod patience;
mod point;
mod probe;
mod search;
mod sobol;
mod spelling;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::id::{SweepId, TrialId};
use crate::placement::Placement;
use crate::recipe::Recipe;
use crate::search::Search;
use crate::spec::{self, Spec, SpecError};
use crate::stopping::Stop;

pub use label::{label_of, variant_of};

pub(crate) use axis::rounded;
pub use expand::expand;
pub use extend::{ExtendError, Growth, Wish};
pub use going_on::{FromStart, GoesOn};
pub(crate) use sobol::mix;
pub(crate) use spelling::spelt;

/// Most trials (points x seeds) in one plan; counted before anything is expanded.
pub const MAX_TRIALS: u32 = 100_000;

/// The priority of a sweep that gives none.
pub const PRIORITY: u32 = 50;
/// Highest priority.
pub const MAX_PRIORITY: u32 = 100;

/// Reads a sweep file and expands it: what every program that is handed a file calls.
///
/// # Errors
/// Everything that is wrong with it.
pub fn plan_text(text: &[u8]) -> Result<(Plan, Spec), Vec<SpecError>> {
    let spec = spec::parse(text)?;
    let plan = expand(&spec)?;
    Ok((plan, spec))
}

/// A cell that keeps the base recipe's value.
pub const BASE: u32 = u32::MAX;

/// All trials of a sweep, in the order in which they are started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Name from the file; made unique by the coordinator when it is taken.
    pub name: String,
    /// The recipe before any column is applied, canonical and with every default filled in.
    pub base: Value,
    /// What varies.
    pub columns: Vec<Column>,
    /// Rows of `columns.len()` cells each: index into [`Column::values`], or [`BASE`]. Row-major.
    pub cells: Vec<u32>,
    /// Number of points: `cells.len() / columns.len()`, or 1 when nothing varies.
    pub points: u32,
    /// The seeds; every point runs once with each of them.
    pub seeds: Vec<u64>,
    /// Order of trials: indices into points x seeds (`point * seeds.len() + seed_index`), a permutation.
    pub order: Vec<u32>,
    /// The point that the others are compared with, if the design has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<u32>,
    /// What the sweep asks of the scheduler.
    #[serde(default)]
    pub limits: Limits,
    /// Early stopping across configurations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<Box<Stop>>,
    /// Points that are chosen while the sweep runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<Box<Search>>,
    /// The file it was made from, word for word, for who wants to read or run it again. Nothing is decided from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// One path that varies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// Dotted path inside the recipe, e.g. `lr` or `optimizer.sgd.momentum`.
    pub path: String,
    /// The distinct values, as they are put into the recipe.
    pub values: Vec<Value>,
    /// How each value is shown: the text of the file, e.g. `0.001` or the name of an augmentation.
    pub labels: Vec<String>,
}

/// What a sweep asks of the scheduler.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// At most so many trials at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_parallel: Option<u32>,
    /// How often a trial may be tried again after a failure that is its own (crash, out of memory). Default 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_retries: Option<u32>,
    /// Higher goes first among the sweeps of one user in one project. Default [`PRIORITY`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<u32>,
    /// Where its trials may run.
    #[serde(skip_serializing_if = "Placement::is_default")]
    pub placement: Placement,
    /// A probe: of each epoch about so many steps are done, to see what they take. No file says this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probe_steps: Option<u32>,
}

/// One entry of a plan: which point with which seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlannedTrial {
    /// Index of the point.
    pub point: u32,
    /// Index into [`Plan::seeds`].
    pub seed: u32,
}

/// A point that does not make a recipe; cannot happen for a plan made by `expand`.
#[derive(Debug, thiserror::Error)]
#[error("trial {index} of the plan does not make a recipe")]
pub struct RecipeError {
    /// Position in the plan.
    pub index: u32,
    /// What serde found.
    #[source]
    pub source: serde_json::Error,
}

impl Plan {
    /// Number of trials: points x seeds.
    pub fn len(&self) -> u32 {
        self.order.len() as u32
    }

    /// Whether there is nothing to run; never true for a plan made by `expand`.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The trial at `index` of the starting order, `index < len()`.
    pub fn trial(&self, index: u32) -> PlannedTrial {
        let flat = self.order[index as usize];
        let seeds = self.seeds.len() as u32;
        PlannedTrial { point: flat / seeds, seed: flat % seeds }
    }

    /// The cells of a point.
    pub fn row(&self, point: u32) -> &[u32] {
        let width = self.columns.len();
        &self.cells[point as usize * width..(point as usize + 1) * width]
    }

    /// Canonical text of a point with a seed, e.g. `batch_size=32;lr=0.001;seed=0`: columns sorted by
    /// path, values as JSON, cells that keep the base left out. Trial ids are derived from it.
    pub fn point_text(&self, trial: PlannedTrial) -> String {
        let mut parts: Vec<(&str, &Value)> = (self.columns.iter().zip(self.row(trial.point)))
            .filter(|(_, cell)| **cell != BASE)
            .map(|(column, cell)| (column.path.as_str(), &column.values[*cell as usize]))
            .collect();
        parts.sort_by_key(|(path, _)| *path);
        let mut text = String::new();
        for (path, value) in parts {
            text.push_str(path);
            text.push('=');
            text.push_str(&value.to_string());
            text.push(';');
        }
        text.push_str("seed=");
        text.push_str(&self.seeds[trial.seed as usize].to_string());
        text
    }

    /// Epochs of the trial at `index`, without putting its recipe together.
    pub fn epochs(&self, index: u32) -> u32 {
        let cell = self.columns.iter().position(|column| column.path == "epochs").and_then(|column| {
            let cell = self.row(self.trial(index).point)[column];
            self.columns[column].values.get(cell as usize)
        });
        let epochs = cell.or_else(|| at(&self.base, "epochs")).and_then(Value::as_u64);
        epochs.unwrap_or(0) as u32
    }

    /// The id of the trial at `index` when the plan runs as `sweep`.
    pub fn trial_id(&self, sweep: SweepId, index: u32) -> TrialId {
        TrialId::derive(sweep, &self.point_text(self.trial(index)))
    }

    /// The ids of all trials in their order, much faster than one by one.
    pub fn trial_ids(&self, sweep: SweepId) -> Vec<TrialId> {
        let mut columns: Vec<usize> = (0..self.columns.len()).collect();
        columns.sort_by_key(|at| self.columns[*at].path.as_str());
        let parts: Vec<Vec<String>> = (columns.iter().map(|at| &self.columns[*at]))
            .map(|column| {
                let part = |value: &Value| format!("{}={value};", column.path);
                column.values.iter().map(part).collect()
            })
            .collect();
        let seeds: Vec<String> = (self.seeds.iter().map(|seed| format!("seed={seed}"))).collect();
        let mut text = String::new();
        (0..self.len())
            .map(|index| {
                let trial = self.trial(index);
                let row = self.row(trial.point);
                text.clear();
                for (at, parts) in columns.iter().zip(&parts) {
                    if let Some(part) = parts.get(row[*at] as usize) {
                        text.push_str(part);
                    }
                }
                text.push_str(&seeds[trial.seed as usize]);
                TrialId::derive(sweep, &text)
            })
            .collect()
    }

    /// How a point is shown, column by column in the order of the file: `(path, label)`. Cells that
    /// keep the base show the value that the point has there, or `-` when it has none.
    pub fn labels(&self, point: u32) -> Vec<(&str, String)> {
        let row = self.row(point);
        let whole = row.contains(&BASE).then(|| self.point_value(point));
        (self.columns.iter().zip(row))
            .map(|(column, cell)| {
                let label = match (column.labels.get(*cell as usize), &whole) {
                    (Some(label), _) => label.clone(),
                    (None, whole) => (whole.as_ref())
                        .and_then(|whole| at(whole, &column.path))
                        .map_or_else(|| "-".to_owned(), |value| label_of(&column.path, value)),
                };
                (column.path.as_str(), label)
            })
            .collect()
    }

    /// The base with the cells of a point.
    fn point_value(&self, point: u32) -> Value {
        let mut value = self.base.clone();
        for (column, cell) in self.columns.iter().zip(self.row(point)) {
            if let Some(new) = column.values.get(*cell as usize) {
                put(&mut value, &column.path, new.clone());
            }
        }
        value
    }

    /// The recipe of the trial at `index`, with everything filled in.
    ///
    /// # Errors
    /// When the base and the cells do not make a recipe, which `expand` rules out.
    pub fn recipe(&self, index: u32) -> Result<Recipe, RecipeError> {
        let trial = self.trial(index);
        let mut value = self.point_value(trial.point);
        let seed = Value::from(self.seeds[trial.seed as usize]);
        put(&mut value, "seed", seed);
        let mut recipe: Recipe = serde_json::from_value(value).map_err(|source| RecipeError { index, source })?;
        // Open where models vary and dropout does not.
        recipe.dropout = Some(recipe.dropout_rate());
        Ok(recipe)
    }
}

/// The value at a dotted path.
pub fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(value, |value, key| value.get(key))
}

/// Sets a dotted path, making tables on the way. A name (`"adam"`) on the way becomes the table it
/// is short for; the table of another variant (`sgd` under `optimizer` when `optimizer.adam.beta1` is
/// set) is replaced, because an enum has one variant.
pub fn put(value: &mut Value, path: &str, new: Value) {
    let Some((key, rest)) = path.split_once('.') else {
        if let Value::Object(table) = value {
            table.insert(path.to_owned(), new);
        }
        return;
    };
    let Value::Object(table) = value else { return };
    let inner = table.entry(key).or_insert_with(|| Value::Object(serde_json::Map::new()));
    if let Value::String(name) = inner {
        let name = std::mem::take(name);
        *inner = Value::Object([(name, Value::Object(serde_json::Map::new()))].into_iter().collect());
    }
    let variant = rest.split('.').next().unwrap_or(rest);
    if is_enum(key)
        && let Value::Object(inner) = inner
    {
        inner.retain(|name, _| name == variant);
    }
    put(inner, rest, new);
}

/// Recipe fields whose table names one variant.
fn is_enum(key: &str) -> bool {
    matches!(key, "model" | "optimizer" | "schedule")
}

//! How long a plan will take and what it will cost, by what trials of the same shape took before. A *shape* is what
//! decides the cost of an epoch: data set, network, image size, batch size, precision, layout. Medians over trials; a shape that was never
//! trained is said to be unknown, not guessed.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::num::Num;
use crate::plan::{Plan, RecipeError};
use crate::state::State;
use crate::state::sweep::Sweep;
use crate::state::trial::Trial;

/// Fields of a recipe that make its shape.
const SHAPE: [&str; 9] =
    ["dataset", "model", "image_size", "batch_size", "precision", "layout", "augment_on", "copies", "freeze"];
/// Trials that are looked at, newest sweeps first.
const MOST: usize = 20_000;

/// What a plan will take.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// Its shapes, in the order in which they first come in the plan.
    pub shapes: Vec<ShapeEstimate>,
    /// Trials of points that are not known yet; they are taken to be like those that are.
    #[serde(default)]
    pub to_come: u32,
    /// Slots that could run it now.
    pub slots: u32,
    /// Of all epochs; absent while a shape is unknown.
    pub full: Option<Cost>,
    /// Of the epochs to be expected with early stopping; absent without it, or where that depends on the numbers.
    pub stopped: Option<Cost>,
}

/// Time and energy.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Time of slots, all together, hours.
    pub slot_hours: Num,
    /// Until the end on the slots there are, hours; absent without any.
    pub eta_hours: Option<Num>,
    /// Energy; absent where it was not measured.
    pub kwh: Option<Num>,
}

/// Trials of one shape.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShapeEstimate {
    /// What it is, for people: the values that are not the same for all shapes of the plan.
    pub shape: BTreeMap<String, String>,
    /// Trials of the plan.
    pub trials: u32,
    /// Their epochs.
    pub epochs: u64,
    /// What was seen; absent for a shape that was never trained.
    pub seen: Option<Seen>,
}

/// What an epoch of a shape took.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// Trials looked at.
    pub trials: u32,
    /// Time under lease for an epoch, seconds: median, least and most.
    pub seconds: Num,
    /// The quickest.
    pub least: Num,
    /// The slowest.
    pub most: Num,
    /// Median energy of an epoch, joules.
    pub joules: Option<Num>,
    /// The most memory a trainer had, bytes.
    pub peak_memory: Option<u64>,
}

#[derive(Default)]
struct Samples {
    seconds: Vec<f64>,
    joules: Vec<f64>,
    peak_memory: Option<u64>,
}

impl Samples {
    fn add(&mut self, trial: &Trial) {
        let Some(progress) = trial.progress.as_deref() else { return };
        let epochs = progress.last.as_ref().map_or(0, |last| last.epoch);
        // A live attempt's time is not booked yet.
        if epochs == 0 || progress.spent == 0 || trial.leased().is_some() {
            return;
        }
        self.seconds.push(progress.spent as f64 / 1e6 / f64::from(epochs));
        self.joules.extend(progress.energy.map(|energy| energy.joules() / f64::from(epochs)));
        self.peak_memory = self.peak_memory.max(progress.peak_memory);
    }

    fn seen(&self) -> Option<Seen> {
        let (seconds, joules) = (median(&self.seconds)?, median(&self.joules));
        let least = self.seconds.iter().copied().fold(f64::INFINITY, f64::min);
        let most = self.seconds.iter().copied().fold(0.0, f64::max);
        let (least, most, joules) = (Num(least), Num(most), joules.map(Num));
        let (trials, peak_memory) = (self.seconds.len() as u32, self.peak_memory);
        Some(Seen { trials, seconds: Num(seconds), least, most, joules, peak_memory })
    }
}

fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (low, high) = (sorted.get((sorted.len().max(1) - 1) / 2)?, sorted.get(sorted.len() / 2)?);
    Some((low + high) / 2.0)
}

/// Estimates a plan by the sweeps that `sees` holds for.
///
/// # Errors
/// When the plan is damaged; `expand` makes none that are.
pub fn estimate(state: &State, plan: &Plan, sees: impl Fn(&Sweep) -> bool) -> Result<Estimate, RecipeError> {
    let mut wanted: Vec<(Value, u32, u64)> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut shapes = Shapes::new(plan);
    for index in 0..plan.len() {
        let shape = shapes.of(index)?;
        let place = *places.entry(shape.to_string()).or_insert_with(|| {
            wanted.push((shape.clone(), 0, 0));
            wanted.len() - 1
        });
        wanted[place].1 += 1;
        wanted[place].2 += u64::from(plan.epochs(index));
    }
    let mut samples: Vec<Samples> = wanted.iter().map(|_| Samples::default()).collect();
    let mut left = MOST;
    for sweep in state.sweeps.iter().rev().filter(|sweep| sees(sweep)) {
        let mut shapes = Shapes::new(&sweep.plan);
        for (index, trial) in (0u32..).zip(&sweep.trials).filter(|(_, trial)| trial.progress.is_some()).take(left) {
            left -= 1;
            if let Some(place) = places.get(&shapes.of(index)?.to_string()) {
                samples[*place].add(trial);
            }
        }
    }
    let varies: BTreeSet<&str> =
        SHAPE.into_iter().filter(|field| wanted.iter().any(|(shape, ..)| shape[field] != wanted[0].0[field])).collect();
    let words = |shape: &Value| {
        let shown = |field: &&str| ((*field).to_owned(), crate::plan::label_of(&shape[*field]));
        SHAPE.iter().filter(|field| varies.contains(**field) || **field == "model").map(shown).collect()
    };
    let shapes: Vec<ShapeEstimate> = wanted
        .iter()
        .zip(&samples)
        .map(|((shape, trials, epochs), samples)| ShapeEstimate {
            shape: words(shape),
            trials: *trials,
            epochs: *epochs,
            seen: samples.seen(),
        })
        .collect();
    let slots = slots(state, plan);
    // What is not known yet is taken to be like what is.
    let full = cost(&shapes, slots, f64::from(plan.all_trials()) / f64::from(plan.len().max(1)));
    let all = u64::from(plan.epochs(0)) * u64::from(plan.points);
    let expected = plan.stop.as_deref().and_then(|stop| stop.expected_epochs(plan.all_points(), plan.epochs(0)));
    let stopped = expected.and_then(|expected| cost(&shapes, slots, expected as f64 / all.max(1) as f64));
    Ok(Estimate { shapes, to_come: plan.all_trials() - plan.len(), slots, full, stopped })
}

/// Of this share of the epochs of every shape.
fn cost(shapes: &[ShapeEstimate], slots: u32, share: f64) -> Option<Cost> {
    let sum = |of: fn(&Seen) -> Option<f64>| {
        let each = shapes.iter().map(|shape| Some(shape.epochs as f64 * of(shape.seen.as_ref()?)?));
        each.sum::<Option<f64>>().map(|sum| sum * share)
    };
    let hours = sum(|seen| Some(seen.seconds.0))? / 3600.0;
    let kwh = sum(|seen| seen.joules.map(|joules| joules.0)).map(|joules| Num(joules / 3.6e6));
    let eta_hours = (slots > 0).then(|| Num(hours / f64::from(slots)));
    Some(Cost { slot_hours: Num(hours), eta_hours, kwh })
}

/// Slots of agents that have a data set of the plan, as far as the sweep may use them.
fn slots(state: &State, plan: &Plan) -> u32 {
    let column = plan.columns.iter().find(|column| column.path == "dataset");
    let base = crate::plan::at(&plan.base, "dataset");
    let datasets: Vec<&str> = column
        .map_or_else(Vec::new, |column| column.values.iter().collect::<Vec<_>>())
        .into_iter()
        .chain(base)
        .filter_map(Value::as_str)
        .collect();
    let usable = state.agents.values().filter(|agent| datasets.iter().any(|dataset| agent.can_use(dataset, None)));
    let slots: u32 = usable.map(|agent| agent.slots.len() as u32).sum();
    slots.min(plan.limits.max_parallel.unwrap_or(u32::MAX)).min(plan.all_trials())
}

/// Shapes of the trials of a plan, each put together once.
struct Shapes<'a> {
    plan: &'a Plan,
    /// Columns that a shape depends on.
    columns: Vec<usize>,
    known: BTreeMap<Vec<u32>, Value>,
}

impl<'a> Shapes<'a> {
    fn new(plan: &'a Plan) -> Self {
        let top = |path: &str| path.split('.').next().map(str::to_owned).unwrap_or_default();
        let decides = |at: &usize| SHAPE.contains(&top(&plan.columns[*at].path).as_str());
        Self { plan, columns: (0..plan.columns.len()).filter(decides).collect(), known: BTreeMap::new() }
    }

    fn of(&mut self, index: u32) -> Result<&Value, RecipeError> {
        let row = self.plan.row(self.plan.trial(index).point);
        let key: Vec<u32> = self.columns.iter().map(|column| row[*column]).collect();
        if !self.known.contains_key(&key) {
            let recipe = serde_json::to_value(self.plan.recipe(index)?).unwrap_or(Value::Null);
            let shape = SHAPE.iter().map(|field| ((*field).to_owned(), recipe[*field].clone()));
            self.known.insert(key.clone(), Value::Object(shape.collect()));
        }
        Ok(&self.known[&key])
    }
}

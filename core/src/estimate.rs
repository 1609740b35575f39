//! How long a plan will take and what it will cost, by what trials of the same shape took before. A *shape* is what
//! decides the cost of an epoch: data set, network, image size, batch size, precision, layout. Medians over trials; a shape that was never
//! trained is said to be unknown, not guessed.

mod fit;
mod seen;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::num::Num;
use crate::plan::{Plan, RecipeError};
use crate::state::State;
use crate::state::agent::Agent;
use crate::state::sweep::Sweep;
use crate::stopping::Rule;

pub use fit::Fit;
use seen::Samples;
pub use seen::Seen;

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
    /// Trials that were trained already, by the sweep that has their results; what they would take is counted all the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reusable: Vec<(String, u64)>,
    /// Slots that could run it now.
    pub slots: u32,
    /// Of all epochs; absent while a shape is unknown.
    pub full: Option<Cost>,
    /// Of the fewest epochs that early stopping leaves, `full` being the most; absent without it, or where that depends on more than epochs.
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
    /// The first point of the plan that has it.
    #[serde(default)]
    pub point: u32,
    /// What it is, for people: the values that are not the same for all shapes of the plan.
    pub shape: BTreeMap<String, String>,
    /// Trials of the plan.
    pub trials: u32,
    /// Their epochs.
    pub epochs: u64,
    /// What was seen; absent for a shape that was never trained.
    pub seen: Option<Seen>,
    /// Of all of its epochs, were nothing else to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
    /// How many of its trials fit into memory at a time; absent where that was not measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fit: Option<Fit>,
    /// How its newest trial failed, if none came to an epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

/// Estimates a plan by the sweeps that `sees` holds for.
///
/// # Errors
/// When the plan is damaged; `expand` makes none that are.
pub fn estimate(state: &State, plan: &Plan, sees: impl Fn(&Sweep) -> bool) -> Result<Estimate, RecipeError> {
    let mut wanted: Vec<(Value, u32, u64)> = Vec::new();
    let mut first: Vec<u32> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut shapes = Shapes::new(plan);
    for index in 0..plan.len() {
        let shape = shapes.of(index)?;
        let place = *places.entry(shape.to_string()).or_insert_with(|| {
            wanted.push((shape.clone(), 0, 0));
            first.push(plan.trial(index).point);
            wanted.len() - 1
        });
        wanted[place].1 += 1;
        wanted[place].2 += u64::from(plan.epochs(index));
    }
    let mut samples: Vec<Samples> = wanted.iter().map(|_| Samples::default()).collect();
    let mut left = MOST;
    for sweep in state.sweeps.iter().rev().filter(|sweep| sees(sweep)) {
        let mut shapes = Shapes::new(&sweep.plan);
        for (index, trial) in (0u32..).zip(&sweep.trials).filter(|(_, trial)| trial.attempt > 0).take(left) {
            left -= 1;
            if let Some(place) = places.get(&shapes.of(index)?.to_string()) {
                samples[*place].add(trial, sweep.plan.limits.probe_steps.is_some());
            }
        }
    }
    let varies: BTreeSet<&str> =
        SHAPE.into_iter().filter(|field| wanted.iter().any(|(shape, ..)| shape[field] != wanted[0].0[field])).collect();
    let words = |shape: &Value| {
        let shown = |field: &&str| ((*field).to_owned(), crate::plan::label_of(field, &shape[*field]));
        SHAPE.iter().filter(|field| varies.contains(**field) || **field == "model").map(shown).collect()
    };
    let hosts = hosts(state, plan);
    let slots = slots(&hosts, plan);
    let of = |(number, (shape, trials, epochs)): (usize, &(Value, u32, u64))| {
        let seen = samples[number].seen();
        let fit = seen.as_ref().and_then(|seen| Fit::of(seen, &plan.limits.placement, &hosts));
        let failed = samples[number].failed.clone().filter(|_| seen.is_none());
        let (point, shape, trials, epochs) = (first[number], words(shape), *trials, *epochs);
        let mut shape = ShapeEstimate { point, shape, trials, epochs, seen, cost: None, fit, failed };
        shape.cost = cost(std::slice::from_ref(&shape), slots.min(shape.trials), 1.0, 1.0);
        shape
    };
    let shapes: Vec<ShapeEstimate> = wanted.iter().enumerate().map(of).collect();
    // What is not known yet is taken to be like what is.
    let more = f64::from(plan.all_trials()) / f64::from(plan.len().max(1));
    let full = cost(&shapes, slots, more, more);
    let stopped = fewest(plan).and_then(|share| cost(&shapes, slots, more, more * share));
    let (to_come, reusable) = (plan.all_trials() - plan.len(), Vec::new());
    Ok(Estimate { shapes, to_come, reusable, slots, full, stopped })
}

/// The share of all epochs that early stopping leaves at least.
fn fewest(plan: &Plan) -> Option<f64> {
    let stop = plan.stop.as_deref()?;
    if stop.rule != Rule::Budget {
        let all = u64::from(plan.epochs(0)) * u64::from(plan.all_points());
        return Some(stop.fewest_epochs(plan.all_points(), plan.epochs(0), plan.baseline) as f64 / all.max(1) as f64);
    }
    let most = stop.max_epochs?;
    // A budget ends everybody, the baseline included.
    let of = |most: u32| (0..plan.len()).map(|index| u64::from(plan.epochs(index).min(most))).sum::<u64>();
    Some(of(most) as f64 / of(u32::MAX).max(1) as f64)
}

/// Of this share of the trials and of the epochs of every shape; who is stopped early starts all the same.
fn cost(shapes: &[ShapeEstimate], slots: u32, trials: f64, epochs: f64) -> Option<Cost> {
    let hours = |shape: &ShapeEstimate| {
        let seen = shape.seen.as_ref()?;
        let startup = seen.startup.map_or(0.0, |startup| startup.0);
        let seconds = shape.epochs as f64 * seen.seconds.0 * epochs + f64::from(shape.trials) * startup * trials;
        Some(seconds / 3600.0)
    };
    let slot_hours = shapes.iter().map(hours).sum::<Option<f64>>()?;
    // One shape after the other, each on as many slots as it fits on.
    let lasts = |shape: &ShapeEstimate| {
        let slots = slots.min(shape.fit.map_or(u32::MAX, |fit| fit.trials));
        (slots > 0).then(|| hours(shape).map(|hours| hours / f64::from(slots)))?
    };
    let eta_hours = shapes.iter().map(lasts).sum::<Option<f64>>().map(Num);
    let joules = |shape: &ShapeEstimate| Some(shape.epochs as f64 * shape.seen.as_ref()?.joules?.0 * epochs);
    let kwh = shapes.iter().map(joules).sum::<Option<f64>>().map(|joules| Num(joules / 3.6e6));
    Some(Cost { slot_hours: Num(slot_hours), eta_hours, kwh })
}

/// Trials that wait for a slot: a probe would take one before them. In words; sweeps that `sees` does not hold for are not named.
pub fn in_the_way(state: &State, sees: impl Fn(&Sweep) -> bool) -> Option<String> {
    let (mut named, mut hidden) = (Vec::new(), 0);
    for sweep in state.ready().map(|number| &state.sweeps[number as usize]) {
        match sees(sweep) {
            true => named.push(format!("{} of {} ({})", sweep.counts.waiting, sweep.name, sweep.user)),
            false => hidden += sweep.counts.waiting,
        }
    }
    let others = (hidden > 0).then(|| format!("{hidden} of others"));
    let all: Vec<String> = named.into_iter().chain(others).collect();
    (!all.is_empty()).then(|| format!("trials wait for slots: {}", all.join(", ")))
}

/// Hosts that have a data set of the plan.
fn hosts<'a>(state: &'a State, plan: &Plan) -> Vec<&'a Agent> {
    let column = plan.columns.iter().find(|column| column.path == "dataset");
    let base = crate::plan::at(&plan.base, "dataset");
    let datasets: Vec<&str> = column
        .map_or_else(Vec::new, |column| column.values.iter().collect::<Vec<_>>())
        .into_iter()
        .chain(base)
        .filter_map(Value::as_str)
        .collect();
    let usable = |agent: &&Agent| datasets.iter().any(|dataset| agent.can_use(dataset, None));
    state.hosts().map(|(_, agent)| agent).filter(usable).collect()
}

/// Their slots, as far as the sweep may use them.
fn slots(hosts: &[&Agent], plan: &Plan) -> u32 {
    let slots: u32 = hosts.iter().map(|agent| agent.slots.len() as u32).sum();
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

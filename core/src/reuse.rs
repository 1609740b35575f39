//! Results of identical trials in earlier sweeps: which there are, and whether one may stand for a trial that was not trained.
//! *Identical* means the same recipe with its seed, trained by the same release of the trainer and of what computes in it as a
//! host would train it with now, on the same copy of the data, and with the same precision and layout where the recipe leaves them open.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::alike;
use crate::id::TrialId;
use crate::plan::Plan;
use crate::recipe::Numerics;
use crate::state::sweep::Sweep;
use crate::state::trial::Phase;
use crate::state::{State, TrialRef};

/// Results of earlier sweeps that are looked at, newest sweeps first.
pub const MOST: usize = 20_000;

/// The trials of a plan that have to be trained, by their recipes.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    by_recipe: BTreeMap<String, u32>,
    epochs: BTreeSet<u32>,
    seeds: BTreeSet<u64>,
}

/// A result that may stand for a trial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The trial's place in its plan.
    pub index: u32,
    /// Who has the result.
    pub origin: TrialId,
    /// The name of its sweep.
    pub sweep: String,
}

/// What makes a result the one that would come out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Same {
    /// What trained it.
    pub program: String,
    /// The copy of the data.
    pub fingerprint: String,
    /// What it computed with, where its recipe leaves that open and its trainer said.
    pub numerics: Option<Numerics>,
}

impl Wanted {
    /// The trials of a plan from `first` on; none where results are compared while they come.
    pub fn of(plan: &Plan, first: u32) -> Self {
        let mut wanted = Self::default();
        if refused(plan).is_some() {
            return wanted;
        }
        for index in first..plan.len() {
            if let Some(text) = recipe(plan, index) {
                wanted.by_recipe.insert(text, index);
                wanted.epochs.insert(plan.epochs(index));
                wanted.seeds.insert(plan.seeds[plan.trial(index).seed as usize]);
            }
        }
        wanted
    }
}

/// Why a plan takes no results of others: what early stopping and a search decide follows from curves in the order in which they come.
pub fn refused(plan: &Plan) -> Option<&'static str> {
    match (&plan.stop, &plan.search) {
        (Some(_), _) => Some("it stops early: who goes on is decided by curves as they come"),
        (None, Some(_)) => Some("it searches: its points follow from results as they come"),
        (None, None) => None,
    }
}

/// The results of sweeps that `sees` holds for, at most one for each trial, in the order of the plan. `target` is the sweep of the plan, if
/// there is one already.
pub fn find(
    state: &State,
    plan: &Plan,
    wanted: &Wanted,
    target: Option<&Sweep>,
    sees: impl Fn(&Sweep) -> bool,
) -> Vec<Found> {
    let mut found: BTreeMap<u32, Found> = BTreeMap::new();
    let mut bound = Bound::default();
    let mut left = MOST;
    for number in (0..state.sweeps.len() as u32).rev() {
        let sweep = &state.sweeps[number as usize];
        if wanted.by_recipe.is_empty() || target.is_some_and(|target| target.id == sweep.id) || !sees(sweep) {
            continue;
        }
        for index in 0..sweep.trials.len() as u32 {
            let seed = sweep.plan.seeds[sweep.plan.trial(index).seed as usize];
            let done = matches!(sweep.trials[index as usize].phase, Phase::Completed { .. });
            if !done || !wanted.seeds.contains(&seed) || !wanted.epochs.contains(&sweep.plan.epochs(index)) {
                continue;
            }
            if left == 0 {
                return found.into_values().collect();
            }
            left -= 1;
            let wanted = recipe(&sweep.plan, index).and_then(|text| wanted.by_recipe.get(&text).copied());
            let Some(place) = wanted.filter(|place| !found.contains_key(place)) else { continue };
            let at = TrialRef { sweep: number, index };
            let decided = |same: &Same| target.is_none_or(|target| admits(target, plan, place, same));
            if let Some(same) = same(state, at).filter(|same| decided(same) && bound.admits(plan, place, same)) {
                bound.take(plan, place, &same);
                let (origin, sweep) = (sweep.ids[index as usize], sweep.name.clone());
                found.insert(place, Found { index: place, origin, sweep });
            }
        }
    }
    found.into_values().collect()
}

/// Whether the result of `origin` may stand for a trial of a sweep.
pub fn fits(state: &State, target: &Sweep, index: u32, origin: TrialRef) -> Option<Same> {
    let (own, other) = (recipe(&target.plan, index)?, recipe(&state.sweep_of(origin).plan, origin.index)?);
    let same = same(state, origin).filter(|same| admits(target, &target.plan, index, same))?;
    (own == other && refused(&target.plan).is_none()).then_some(same)
}

/// What trained a completed trial, if that is known for certain and a host would train it the same way now.
fn same(state: &State, at: TrialRef) -> Option<Same> {
    let (sweep, trial) = (state.sweep_of(at), state.trial(at));
    let own = trial.progress.as_deref().is_some_and(|progress| progress.origin.is_none());
    // Of a probe only a few steps were done.
    let probe = sweep.plan.limits.probe_steps.is_some();
    if !own || probe || !matches!(trial.phase, Phase::Completed { .. }) {
        return None;
    }
    // Of a sweep that several releases trained nobody knows which trained what.
    let mut programs = sweep.origins.programs.iter();
    let program = programs.next().filter(|_| programs.next().is_none()).filter(|program| !is_changed(program))?;
    let fingerprint = sweep.fingerprint(at.index)?;
    let alike = state.agents.values().any(|agent| {
        agent.can_use(sweep.dataset(at.index), Some(fingerprint))
            && agent.fingerprint(sweep.dataset(at.index)) == Some(fingerprint)
            && agent.facts.offer.trainer.as_ref() == Some(program)
    });
    let numerics = alike::key(&sweep.plan, at.index).and_then(|key| sweep.choices.made(&key));
    alike.then(|| Same { program: program.clone(), fingerprint: fingerprint.to_owned(), numerics })
}

/// A trainer that was built from files that differed from their commit says so, and two such builds need not be the same.
fn is_changed(program: &str) -> bool {
    program.split([' ', ',']).any(|word| word.contains('+') && word.ends_with(".changed"))
}

/// The canonical text of a recipe with its seed; nothing for one that begins with the weights of a file, which may be another by now.
pub(crate) fn recipe(plan: &Plan, index: u32) -> Option<String> {
    let recipe = plan.recipe(index).ok().filter(|recipe| recipe.init.weights.is_empty())?;
    serde_json::to_string(&recipe).ok()
}

/// What was decided by the results before: one copy of each data set, one choice where recipes leave it open.
#[derive(Default)]
struct Bound {
    copies: BTreeMap<String, String>,
    numerics: BTreeMap<String, Option<Numerics>>,
}

impl Bound {
    fn admits(&self, plan: &Plan, index: u32, same: &Same) -> bool {
        let copy = dataset(plan, index).and_then(|name| self.copies.get(name));
        let made = alike::key(plan, index).and_then(|key| self.numerics.get(&key));
        copy.is_none_or(|copy| *copy == same.fingerprint) && made.is_none_or(|made| *made == same.numerics)
    }

    fn take(&mut self, plan: &Plan, index: u32, same: &Same) {
        if let Some(name) = dataset(plan, index) {
            self.copies.insert(name.to_owned(), same.fingerprint.clone());
        }
        if let Some(key) = alike::key(plan, index) {
            self.numerics.insert(key, same.numerics);
        }
    }
}

/// The same for what a sweep has decided; `plan` may be what its plan grows to.
fn admits(target: &Sweep, plan: &Plan, index: u32, same: &Same) -> bool {
    let place = dataset(plan, index).and_then(|name| target.datasets.iter().position(|known| known == name));
    let copy = place.and_then(|place| target.fingerprints[place].as_ref());
    let made = alike::key(plan, index).filter(|key| !target.choices.is_open(key)).map(|key| target.choices.made(&key));
    copy.is_none_or(|copy| *copy == same.fingerprint) && made.is_none_or(|made| made == same.numerics)
}

fn dataset(plan: &Plan, index: u32) -> Option<&str> {
    plan.value(plan.trial(index).point, "dataset").and_then(Value::as_str)
}

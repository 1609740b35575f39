//! Trials of an extension that need not begin at the beginning: what differs from a trial that there is in having more epochs alone goes
//! on from that one's last checkpoint, if its first epochs are the same to the bit.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::recipe::Recipe;

use super::{Plan, put};

/// A trial that begins where another one of its sweep came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoesOn {
    /// Its place in the plan.
    pub trial: u32,
    /// The place of the shorter one.
    pub from: u32,
    /// The last epoch of that one.
    pub epoch: u32,
}

impl Plan {
    /// Which trials from `first` on may go on from which before them, the longest first; whether those are over is not known here.
    pub(super) fn going_on(&self, first: u32) -> Vec<GoesOn> {
        let recipe = |point: u32| serde_json::from_value::<Recipe>(self.point_value(point)).ok();
        let before: Vec<u32> = points(self, 0..first);
        let new: Vec<u32> = points(self, first..self.len());
        let mut shorter: BTreeMap<String, Vec<(u32, u32)>> = BTreeMap::new();
        for (point, recipe) in before.iter().filter_map(|point| Some((*point, recipe(*point)?))) {
            shorter.entry(all_else(self, point)).or_default().push((recipe.epochs, point));
        }
        shorter.values_mut().for_each(|known| known.sort_unstable_by(|a, b| b.cmp(a)));
        let mut from: BTreeMap<u32, Vec<(u32, u32)>> = BTreeMap::new();
        for (point, recipe) in new.iter().filter_map(|point| Some((*point, recipe(*point)?))) {
            let known = shorter.get(&all_else(self, point)).into_iter().flatten();
            let fits = known.filter(|(epochs, _)| *epochs < recipe.epochs && !recipe.schedule.follows_length());
            from.insert(point, fits.copied().collect());
        }
        let place = |index: u32| (self.trial(index).point, self.trial(index).seed);
        let places: BTreeMap<(u32, u32), u32> = (0..first).map(|index| (place(index), index)).collect();
        let mut found = Vec::new();
        for trial in first..self.len() {
            let (point, seed) = place(trial);
            for (epoch, shorter) in from.get(&point).into_iter().flatten() {
                let from = places.get(&(*shorter, seed)).copied();
                found.extend(from.map(|from| GoesOn { trial, from, epoch: *epoch }));
            }
        }
        found
    }
}

/// The points of some trials, each once.
fn points(plan: &Plan, trials: Range<u32>) -> Vec<u32> {
    let points: BTreeSet<u32> = trials.map(|index| plan.trial(index).point).collect();
    points.into_iter().collect()
}

/// The recipe of a point without its seed and its epochs, as text.
fn all_else(plan: &Plan, point: u32) -> String {
    let mut value = plan.point_value(point);
    put(&mut value, "seed", Value::from(0));
    put(&mut value, "epochs", Value::from(1));
    match serde_json::from_value::<Recipe>(value.clone()).map(serde_json::to_value) {
        Ok(Ok(recipe)) => recipe.to_string(),
        _ => value.to_string(),
    }
}

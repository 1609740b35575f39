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

/// How many new trials begin at the beginning, by the reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FromStart {
    /// Their rate follows the number of epochs, from the first one on.
    pub follows_length: u64,
    /// The shorter one did not come to its last epoch, or its checkpoint is gone.
    pub unfinished: u64,
    /// There is none with fewer epochs, the same seed and all else equal; or the sweep stops early, and is judged by every epoch.
    pub no_shorter: u64,
}

impl Plan {
    /// Why trials from `first` on begin at the beginning: all but those in `others`, which go on or have a result. `wanted` is what
    /// could have gone on, had the shorter ones come to their end.
    pub fn from_start(&self, first: u32, wanted: &[GoesOn], others: &BTreeSet<u32>) -> FromStart {
        let wanted: BTreeSet<u32> = wanted.iter().map(|one| one.trial).collect();
        let mut follows: BTreeMap<u32, bool> = BTreeMap::new();
        let mut found = FromStart::default();
        for index in (first..self.len()).filter(|index| !others.contains(index)) {
            let follows = follows
                .entry(self.trial(index).point)
                .or_insert_with(|| self.recipe(index).is_ok_and(|recipe| recipe.schedule.follows_length()));
            match (wanted.contains(&index), *follows) {
                (true, _) => found.unfinished += 1,
                (false, true) => found.follows_length += 1,
                (false, false) => found.no_shorter += 1,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Wish, plan_text};

    #[test]
    fn trials_begin_at_the_beginning_for_a_reason() {
        let text =
            "name = \"x\"\ndataset = \"d\"\nepochs = 3\nseeds = 2\n[grid]\nschedule = [\"constant\", \"cosine\"]\n";
        let (plan, _) = plan_text(text.as_bytes()).unwrap_or_else(|errors| panic!("{errors:?}"));
        let wish = Wish { epochs: Some(5), ..Wish::default() };
        let growth = plan.growth(&wish).expect("it can grow");
        let mut grown = plan.clone();
        let first = grown.grow(&growth).start;
        let none = grown.from_start(first, &growth.goes_on, &BTreeSet::new());
        assert_eq!(none, FromStart { follows_length: 2, unfinished: 2, no_shorter: 0 });
        let going: BTreeSet<u32> = growth.goes_on.iter().take(1).map(|one| one.trial).collect();
        let one = grown.from_start(first, &growth.goes_on, &going);
        assert_eq!((one.follows_length, one.unfinished), (2, 1));
        // Nothing is like it but for its epochs.
        let alone = grown.from_start(first, &[], &BTreeSet::new());
        assert_eq!((alone.follows_length, alone.no_shorter), (2, 2));
    }
}

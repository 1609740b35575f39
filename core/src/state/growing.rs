//! Sweeps whose trials appear over time, proposed by a search or wanted by a user: they come behind those that there are.

use std::ops::Range;
use std::sync::Arc;

use crate::id::SweepId;
use crate::plan::{GoesOn, Growth, Plan};
use crate::report::words::stamp;
use crate::search::Setting;
use crate::time::Timestamp;

use super::sweep::Sweep;
use super::trial::{Phase, Progress, Trial};
use super::{State, TrialRef};

impl Sweep {
    /// What a trial that was never started would begin with, if it went on from a shorter one.
    fn beginning(&self, one: GoesOn) -> Option<Progress> {
        let new = self.trials.get(one.trial as usize);
        let fresh = new.is_some_and(|new| new.phase == Phase::Waiting && new.attempt == 0 && new.progress.is_none());
        let fits = fresh && self.plan.epochs(one.trial) > one.epoch && self.plan.epochs(one.from) == one.epoch;
        self.trials.get(one.from as usize).filter(|_| fits)?.beginning(one.from, one.epoch)
    }

    /// Those of an extension that is asked for that can be: at most one for each trial, the first that there is.
    pub fn can_go_on(&self, wanted: &[GoesOn]) -> Vec<GoesOn> {
        let mut found: Vec<GoesOn> = Vec::new();
        for one in wanted {
            let from = self.trials.get(one.from as usize);
            let fits = from.is_some_and(|from| from.beginning(one.from, one.epoch).is_some());
            if fits && found.last().is_none_or(|last| last.trial != one.trial) {
                found.push(*one);
            }
        }
        found
    }

    /// Whether more points will be proposed.
    pub fn is_searching(&self) -> bool {
        !self.closed && self.plan.points < self.plan.all_points()
    }

    /// Trials of points that are not proposed yet.
    pub fn to_come(&self) -> u32 {
        if self.is_searching() { self.plan.all_trials() - self.plan.len() } else { 0 }
    }

    /// Trials that are not over, those of points that are not proposed yet included.
    pub fn open_trials(&self) -> u32 {
        self.trials.len() as u32 - self.counts.ended() + self.to_come()
    }

    /// Every trial is over, and no other will come.
    pub fn is_over(&self) -> bool {
        self.counts.ended() as usize == self.trials.len() && !self.is_searching()
    }
}

impl State {
    /// Trials of a user that are not over.
    pub fn open_trials(&self, user: &str) -> u64 {
        self.sweeps.iter().filter(|sweep| sweep.user == user).map(|sweep| u64::from(sweep.open_trials())).sum()
    }

    pub(super) fn proposed(&mut self, id: SweepId, point: u32, settings: &[Setting]) {
        let Some(number) = self.by_id.get(&id).copied() else { return };
        let sweep = &self.sweeps[number as usize];
        if !sweep.is_searching() || sweep.plan.points != point {
            return;
        }
        self.grow(number, |plan| plan.add_point(settings));
    }

    pub(super) fn extended(&mut self, id: SweepId, user: &str, growth: &Growth, now: Timestamp) {
        let Some(number) = self.by_id.get(&id).copied() else { return };
        let plan = &self.sweeps[number as usize].plan;
        if plan.takes(growth) && !(growth.samples > 0 && self.sweeps[number as usize].closed) {
            self.grow(number, |plan| plan.grow(growth));
            growth.goes_on.iter().for_each(|one| self.begin(number, *one));
            let words = format!("{}, by {user}: {}", stamp(now.0), growth.words());
            self.sweeps[number as usize].extensions.push(words);
        }
    }

    /// The trial begins where a shorter one ended.
    fn begin(&mut self, number: u32, one: GoesOn) {
        let sweep = &self.sweeps[number as usize];
        let Some(begun) = sweep.beginning(one) else { return };
        let at = TrialRef { sweep: number, index: one.trial };
        let before = self.trial(at).stored();
        // It waits since it was added, and among those that have a checkpoint to go on from from now on.
        let sweep = &mut self.sweeps[number as usize];
        sweep.unlist(one.trial);
        sweep.trials[one.trial as usize].progress = Some(Box::new(begun));
        sweep.list(one.trial);
        self.store(at, before);
    }

    fn grow(&mut self, number: u32, change: impl FnOnce(&mut Plan) -> Range<u32>) {
        let sweep = &mut self.sweeps[number as usize];
        self.accounts.rank(sweep.member, sweep.rank(number), false);
        let added = change(Arc::make_mut(&mut sweep.plan));
        sweep.name_datasets();
        self.shapes.grow(&mut sweep.shapes, &sweep.plan);
        if let Some(racing) = &mut sweep.racing {
            let epochs = added.clone().map(|index| sweep.plan.epochs(index)).max().unwrap_or_default();
            racing.room_for(&sweep.plan, epochs);
        }
        for index in added {
            let trial = sweep.plan.trial_id(sweep.id, index);
            self.trials.insert(trial, TrialRef { sweep: number, index });
            sweep.ids.push(trial);
            sweep.trials.push(Trial::new());
            if let Some(racing) = &mut sweep.racing {
                racing.added(index);
            }
            sweep.counts.waiting += 1;
            sweep.list(index);
        }
        sweep.ended = sweep.ended.filter(|_| sweep.is_over());
        self.accounts.rank(sweep.member, sweep.rank(number), sweep.may_start());
    }

    /// Nobody will come to a rung any more but those that there are.
    pub(super) fn search_ended(&mut self, id: SweepId, now: Timestamp) {
        let Some(number) = self.by_id.get(&id).copied() else { return };
        let sweep = &mut self.sweeps[number as usize];
        if !sweep.is_searching() {
            return;
        }
        if let Some(racing) = &mut sweep.racing {
            (sweep.plan.points..sweep.plan.all_points()).for_each(|point| racing.race.over(point, false));
        }
        sweep.closed = true;
        sweep.ended = sweep.is_over().then_some(sweep.ended.unwrap_or(now));
    }
}

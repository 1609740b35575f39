//! Which trials of a sweep wait, in the order of their turns, and which of them may start: where a quota of checkpoints is full, only
//! those that have some there go on.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use crate::schedule::Closed;

use super::State;
use super::racing::{Racing, Turn};
use super::sweep::Sweep;
use super::trial::{Phase, Trial};

impl Trial {
    /// Whether an attempt would go on from a checkpoint, be it of the middle of the first epoch, and not begin.
    pub fn is_begun(&self) -> bool {
        self.progress.as_ref().is_some_and(|progress| progress.last_checkpoint.is_some())
    }
}

impl Sweep {
    /// `waiting` and `begun` computed from scratch.
    pub(super) fn count_waiting(&self) -> [Vec<BTreeSet<Turn>>; 2] {
        let mut lists = [vec![BTreeSet::new(); self.datasets.len()], vec![BTreeSet::new(); self.datasets.len()]];
        for (index, trial) in (0u32..).zip(&self.trials).filter(|(_, trial)| trial.phase == Phase::Waiting) {
            let turn = self.turn(index);
            lists[0][self.group(index)].insert(turn);
            if trial.is_begun() {
                lists[1][self.group(index)].insert(turn);
            }
        }
        lists
    }

    fn turn(&self, index: u32) -> Turn {
        let promotions = |racing: &Racing| racing.race.promotions(self.plan.trial(index).point);
        (Reverse(self.racing.as_deref().map_or(0, promotions)), index)
    }

    /// Puts a waiting trial into its list.
    pub(super) fn list(&mut self, index: u32) {
        let (group, turn) = (self.group(index), self.turn(index));
        self.waiting[group].insert(turn);
        if self.trials[index as usize].is_begun() {
            self.begun[group].insert(turn);
        }
    }

    /// Takes a waiting trial out of its list; the next phase puts it in again.
    pub(super) fn unlist(&mut self, index: u32) {
        let (group, turn) = (self.group(index), self.turn(index));
        self.waiting[group].remove(&turn);
        self.begun[group].remove(&turn);
    }
}

impl State {
    /// Whether the checkpoints of a sweep's project or user have reached their quota.
    pub fn is_full(&self, number: u32) -> bool {
        let accounts = &self.accounts;
        let member = &accounts.members[self.sweeps[number as usize].member as usize];
        let (project, user) = (&accounts.projects[member.project as usize], &accounts.users[member.user as usize]);
        Closed::full(&project.entitlement, project.stored).or(Closed::full(&user.entitlement, user.stored)).is_some()
    }

    /// Trials of a sweep that wait for a slot and may have one, in the order of their turns, by data set.
    pub fn turns(&self, number: u32) -> &[BTreeSet<Turn>] {
        let sweep = &self.sweeps[number as usize];
        if self.is_full(number) { &sweep.begun } else { &sweep.waiting }
    }

    /// The first of them.
    pub(crate) fn next_turn(&self, number: u32) -> Option<Turn> {
        self.turns(number).iter().filter_map(BTreeSet::first).min().copied()
    }

    /// How many there are.
    pub(crate) fn startable(&self, number: u32) -> u32 {
        self.turns(number).iter().map(|turns| turns.len() as u32).sum()
    }
}

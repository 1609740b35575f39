//! How many bytes of checkpoints each project and each user has in the store: what their trials refer to, counted as it changes.

use std::collections::BTreeMap;

use crate::event::{Event, Failure};

use super::trial::Trial;
use super::{State, TrialRef};

impl Trial {
    /// Bytes of the checkpoints that it refers to, each once.
    pub(super) fn stored(&self) -> u64 {
        let each = self.checkpoints().map(|checkpoint| (checkpoint.sha256.as_str(), checkpoint.bytes));
        each.collect::<BTreeMap<_, _>>().values().sum()
    }
}

impl State {
    /// What a trial has in the store, if an event may change that.
    pub(super) fn stored(&self, event: &Event) -> Option<(TrialRef, u64)> {
        let trial = match event {
            Event::LeaseGranted { lease, .. }
            | Event::CheckpointKept { lease, .. }
            | Event::TrialCompleted { lease, .. } => lease.trial,
            Event::TrialReused { trial, .. } => *trial,
            _ => return None,
        };
        let at = self.find(trial)?;
        Some((at, self.trial(at).stored()))
    }

    /// An attempt failed. What it may have said to be gone is no longer referred to.
    pub(super) fn fail(&mut self, at: TrialRef, failure: &Failure) {
        let before = self.trial(at).stored();
        self.trial_mut(at).fail(failure);
        self.store(at, before);
    }

    /// It has changed.
    pub(super) fn store(&mut self, at: TrialRef, before: u64) {
        let now = self.trial(at).stored();
        let member = self.sweeps[at.sweep as usize].member;
        self.accounts.store(member, before, now);
    }

    /// Whether what projects and users have is what their trials refer to. For tests.
    pub(super) fn check_storage(&self) -> bool {
        let (mut of_projects, mut of_users) = (BTreeMap::<u32, u64>::new(), BTreeMap::<u32, u64>::new());
        for sweep in &self.sweeps {
            let member = &self.accounts.members[sweep.member as usize];
            let stored = sweep.trials.iter().map(Trial::stored).sum::<u64>();
            *of_projects.entry(member.project).or_default() += stored;
            *of_users.entry(member.user).or_default() += stored;
        }
        let projects = self.accounts.projects.iter().map(|project| project.stored);
        let users = self.accounts.users.iter().map(|user| user.stored);
        let same = |(number, stored): (usize, u64), sums: &BTreeMap<u32, u64>| {
            stored == sums.get(&(number as u32)).copied().unwrap_or_default()
        };
        projects.enumerate().all(|of| same(of, &of_projects)) && users.enumerate().all(|of| same(of, &of_users))
    }
}

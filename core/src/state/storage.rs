//! How many bytes of checkpoints each project has in the store: what its trials refer to, counted as it changes.

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

    /// Whether what the projects have is what their trials refer to. For tests.
    pub(super) fn check_storage(&self) -> bool {
        let mut sums = vec![0; self.accounts.projects.len()];
        for sweep in &self.sweeps {
            let project = self.accounts.members[sweep.member as usize].project;
            sums[project as usize] += sweep.trials.iter().map(Trial::stored).sum::<u64>();
        }
        self.accounts.projects.iter().zip(&sums).all(|(project, sum)| project.stored == *sum)
    }
}

//! What users ended or changed.

use std::sync::Arc;

use crate::event::Event;
use crate::id::SweepId;
use crate::time::Timestamp;
use crate::tuning::Tuning;

use super::trial::{Phase, Trial};
use super::{State, TrialRef};

impl State {
    /// How much a sweep gets, and whose share it counts on.
    pub(super) fn changed(&mut self, event: &Event, now: Timestamp) {
        let (Event::SweepSet { sweep, .. } | Event::SweepMoved { sweep, .. }) = event else { return };
        let Some(number) = self.by_id.get(sweep).copied() else { return };
        match event {
            Event::SweepSet { tuning, .. } => self.tuned(number, *tuning),
            Event::SweepMoved { project, .. } => self.moved(number, project, now),
            _ => {}
        }
    }

    fn tuned(&mut self, number: u32, tuning: Tuning) {
        let sweep = &mut self.sweeps[number as usize];
        self.accounts.rank(sweep.member, sweep.rank(number), false);
        tuning.put(&mut Arc::make_mut(&mut sweep.plan).limits);
        self.accounts.rank(sweep.member, sweep.rank(number), sweep.may_start());
    }

    /// What runs and what is stored counts for the new project from now on; what was used stays where it is.
    fn moved(&mut self, number: u32, project: &str, now: Timestamp) {
        let Self { sweeps, accounts, .. } = self;
        let sweep = &mut sweeps[number as usize];
        let (before, after) = (sweep.member, accounts.member(project, &sweep.user));
        let runs: i64 = sweep.trials.iter().filter_map(Trial::leased).map(|leased| i64::from(leased.share)).sum();
        let stored = sweep.trials.iter().map(Trial::stored).sum();
        accounts.rank(before, sweep.rank(number), false);
        accounts.lease(before, -runs, now);
        accounts.store(before, stored, 0);
        (sweep.member, sweep.project) = (after, project.to_owned());
        accounts.lease(after, runs, now);
        accounts.store(after, 0, stored);
        accounts.rank(after, sweep.rank(number), sweep.may_start());
    }

    pub(super) fn cancel_sweep(&mut self, id: SweepId, now: Timestamp) {
        let Some(number) = self.by_id.get(&id).copied() else { return };
        self.search_ended(id, now);
        for index in 0..self.sweeps[number as usize].trials.len() as u32 {
            self.cancel(TrialRef { sweep: number, index }, now);
        }
    }

    pub(super) fn cancel(&mut self, at: TrialRef, now: Timestamp) {
        match &mut self.trial_mut(at).phase {
            Phase::Waiting | Phase::Backoff { .. } | Phase::Paused => self.set_phase(at, Phase::Cancelled, now),
            Phase::Leased(leased) => leased.cancelled = true,
            Phase::Completed { .. } | Phase::Failed | Phase::Cancelled | Phase::Stopped => {}
        }
    }
}

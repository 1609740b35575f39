//! What users ended or changed.

use std::sync::Arc;

use crate::id::SweepId;
use crate::time::Timestamp;
use crate::tuning::Tuning;

use super::trial::Phase;
use super::{State, TrialRef};

impl State {
    pub(super) fn tuned(&mut self, id: SweepId, tuning: Tuning) {
        let Some(number) = self.by_id.get(&id).copied() else { return };
        let sweep = &mut self.sweeps[number as usize];
        self.accounts.rank(sweep.member, sweep.rank(number), false);
        tuning.put(&mut Arc::make_mut(&mut sweep.plan).limits);
        self.accounts.rank(sweep.member, sweep.rank(number), sweep.may_start());
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

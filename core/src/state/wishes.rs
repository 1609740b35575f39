//! What users ended.

use crate::id::SweepId;
use crate::time::Timestamp;

use super::trial::Phase;
use super::{State, TrialRef};

impl State {
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

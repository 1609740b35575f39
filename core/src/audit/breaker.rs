//! The part of the oracle about sweeps that were stopped because their trials failed one after the other: only
//! failures of enough different trials of the sweep itself stop it, and nothing of it starts before somebody says so.

use std::collections::{BTreeMap, BTreeSet};

use crate::event::Event;
use crate::id::{SweepId, TrialId};
use crate::state::breaker::LIMIT;

use super::quotas::Excess;
use super::{Auditor, End};

/// Who failed, who is stopped.
#[derive(Debug, Default)]
pub(super) struct Breakers {
    trials: BTreeMap<TrialId, SweepId>,
    failed: BTreeSet<TrialId>,
    stopped: BTreeSet<SweepId>,
}

impl Breakers {
    /// Reads the next event.
    pub(super) fn read(&mut self, event: &Event) -> Option<Excess> {
        match event {
            Event::SweepSubmitted { sweep, plan, .. } => {
                self.trials.extend(plan.trial_ids(*sweep).into_iter().map(|trial| (trial, *sweep)));
            }
            Event::AttemptFailed { lease, .. } => drop(self.failed.insert(lease.trial)),
            Event::SweepSuspended { sweep, trials } => {
                self.stopped.insert(*sweep);
                let guilty = |trial: &TrialId| self.trials.get(trial) == Some(sweep) && self.failed.contains(trial);
                let counted = trials.iter().filter(|trial| guilty(trial)).collect::<BTreeSet<_>>().len();
                if counted < LIMIT {
                    let text = format!("{counted} of its trials had failed, {LIMIT} are needed");
                    return Some(Excess { sweep: Some(*sweep), rule: "suspended_without_failures", text });
                }
            }
            Event::SweepRetried { sweep, .. } => drop(self.stopped.remove(sweep)),
            Event::LeaseGranted { lease, .. } => {
                let sweep = self.trials.get(&lease.trial).filter(|sweep| self.stopped.contains(sweep))?;
                return Some(Excess { sweep: Some(*sweep), rule: "granted_while_suspended", text: lease.to_string() });
            }
            _ => {}
        }
        None
    }
}

impl Auditor {
    /// What has failed, and if that was asked for what was cancelled, runs again.
    pub(super) fn retried(&mut self, sweep: SweepId, cancelled: bool) {
        for trial in self.sweeps.get(&sweep).map(|book| book.trials.as_slice()).unwrap_or_default() {
            let Some(book) = self.trials.get_mut(trial) else { continue };
            let stopped = self.stops.is_stopped(*trial);
            let stays = stopped && self.stops.has_diverged(*trial);
            let failed = |end: &End| *end == End::Failed && !stays;
            let again = book.end.take_if(|end| failed(end) || (cancelled && *end == End::Cancelled));
            // One whose configuration was stopped has nothing to go on for.
            book.end = book.end.or(again.filter(|_| stopped).map(|_| End::Stopped));
        }
    }
}

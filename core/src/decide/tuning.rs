//! What users change about sweeps that there are.

use super::Step;
use crate::command::{Reject, Reply};
use crate::event::Event;
use crate::id::SweepId;
use crate::tuning::{Tuning, TuningPatch};

/// What changes nothing is not written down.
pub(super) fn set(step: &mut Step<'_>, sweep: SweepId, user: String, patch: TuningPatch) -> Reply {
    let Some(known) = step.core.state.sweep(sweep) else { return Reply::Rejected(Reject::SweepUnknown(sweep)) };
    let before = Tuning::of(&known.plan.limits);
    let tuning = match before.changed(patch) {
        Ok(tuning) => tuning,
        Err(reject) => return Reply::Rejected(reject),
    };
    let changed = tuning != before;
    if changed {
        step.emit(Event::SweepSet { sweep, user, tuning });
    }
    Reply::Tuned { tuning, changed }
}

//! What users change about sweeps that there are.

use super::Step;
use crate::command::{Reject, Reply};
use crate::event::Event;
use crate::id::SweepId;
use crate::shares::check_project;
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

/// Answers with the number of sweeps that were moved: none if it is there.
pub(super) fn move_to(step: &mut Step<'_>, sweep: SweepId, user: String, project: String) -> Reply {
    let Some(known) = step.core.state.sweep(sweep) else { return Reply::Rejected(Reject::SweepUnknown(sweep)) };
    if let Err(reject) = check_project(&project) {
        return Reply::Rejected(reject);
    }
    let moves = known.project != project;
    if moves {
        step.emit(Event::SweepMoved { sweep, user, project });
    }
    Reply::Changed(u32::from(moves))
}

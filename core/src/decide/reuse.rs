//! Results of earlier sweeps, taken because a user says so: each is looked at again in the step that takes it, and is an event of its own.

use super::Step;
use crate::event::Event;
use crate::id::{SweepId, TrialId};
use crate::reuse::{Same, fits};
use crate::state::trial::Phase;

/// Trials of a sweep by their places in the plan, with whose results they are to have. What does not fit any more is trained.
pub(super) fn take(step: &mut Step<'_>, id: SweepId, results: &[(u32, TrialId)]) {
    for (index, origin) in results {
        let state = &step.core.state;
        let Some((sweep, from)) = state.sweep(id).zip(state.find(*origin)) else { continue };
        let waits = |index: u32| {
            let trial = sweep.trials.get(index as usize);
            trial.is_some_and(|trial| trial.phase == Phase::Waiting && trial.attempt == 0)
        };
        let Some(same) = waits(*index).then(|| fits(state, sweep, *index, from)).flatten() else { continue };
        let (trial, of) = (sweep.ids[*index as usize], state.sweep_of(from).id);
        let Same { program, fingerprint, numerics } = same;
        step.emit(Event::TrialReused { trial, origin: *origin, of, program, fingerprint, numerics });
    }
}

//! Early stopping and search: what follows from an event, in the transaction that accepts it. Whether a configuration goes on is
//! [`crate::stopping`]'s; here its decisions become events, and trials are asked to leave.

use std::collections::VecDeque;

use crate::event::Event;
use crate::id::Lease;
use crate::state::{State, TrialRef};

/// The sweep that an event is about, if it stops early or searches.
pub(super) fn sweep(state: &State, event: &Event) -> Option<u32> {
    let number = match event {
        Event::EpochReported { lease, .. }
        | Event::CheckpointKept { lease, .. }
        | Event::TrialCompleted { lease, .. }
        | Event::AttemptFailed { lease, .. }
        | Event::LeaseLost { lease, .. } => state.find(lease.trial)?.sweep,
        Event::TrialCancelled { trial, .. } => state.find(*trial)?.sweep,
        // A limit that is raised is room for another point.
        Event::SweepCancelled { sweep, .. } | Event::SweepRetried { sweep, .. } | Event::SweepSet { sweep, .. } => {
            state.number(*sweep)?
        }
        // Its search may go on that was over.
        Event::SweepExtended { sweep, .. } => {
            let number = state.number(*sweep)?;
            return state.sweeps[number as usize].plan.search.is_some().then_some(number);
        }
        // Room for another point; nothing for early stopping.
        Event::LeaseGranted { lease, .. } => {
            let number = state.find(lease.trial)?.sweep;
            return state.sweeps[number as usize].is_searching().then_some(number);
        }
        _ => return None,
    };
    let sweep = &state.sweeps[number as usize];
    (sweep.racing.is_some() || sweep.is_searching()).then_some(number)
}

/// Trials that have to leave now, after an event about them or their configuration.
pub(super) fn halts(state: &State, number: u32, event: &Event) -> Vec<Event> {
    let sweep = &state.sweeps[number as usize];
    let ends = matches!(
        event,
        Event::TrialCompleted { .. }
            | Event::AttemptFailed { .. }
            | Event::LeaseLost { .. }
            | Event::TrialCancelled { .. }
            | Event::PointJudged { .. }
    );
    if ends && sweep.racing.as_deref().is_some_and(|racing| racing.race.begins_to_look()) {
        // Seeds of all configurations may have to wait for each other from now on.
        return (0..sweep.plan.points).flat_map(|point| halted(state, number, point)).collect();
    }
    let point = match event {
        // Who has lost its slot is waited for by those that were ahead of it.
        Event::EpochReported { lease, .. }
        | Event::CheckpointKept { lease, .. }
        | Event::AttemptFailed { lease, .. }
        | Event::LeaseLost { lease, .. } => state.find(lease.trial).map(|at| sweep.plan.trial(at.index).point),
        Event::PointJudged { point, .. } => Some(*point),
        _ => None,
    };
    point.map(|point| halted(state, number, point)).unwrap_or_default()
}

fn halted(state: &State, number: u32, point: u32) -> Vec<Event> {
    let sweep = &state.sweeps[number as usize];
    let Some(racing) = sweep.racing.as_deref() else { return Vec::new() };
    let halts = |index: &u32| {
        let trial = state.trial(TrialRef { sweep: number, index: *index });
        let epoch = racing.halts(point, trial, sweep.plan.epochs(*index), &sweep.trials)?;
        Some(Event::TrialHalted { lease: Lease { trial: sweep.ids[*index as usize], attempt: trial.attempt }, epoch })
    };
    racing.trials(point).iter().filter_map(halts).collect()
}

/// The next decision about a configuration.
pub(super) fn due(state: &State, number: u32) -> Option<Event> {
    let sweep = &state.sweeps[number as usize];
    let (point, judgement) = sweep.racing.as_deref()?.race.due()?;
    Some(Event::PointJudged { sweep: sweep.id, point, judgement })
}

/// What a journal that ends in the middle of a transaction leaves to be decided.
pub(super) fn left_over(state: &State, number: u32) -> VecDeque<Event> {
    let sweep = &state.sweeps[number as usize];
    let points = if sweep.racing.is_some() { 0..sweep.plan.points } else { 0..0 };
    let mut pending: VecDeque<Event> = points.flat_map(|point| halted(state, number, point)).collect();
    if pending.is_empty() {
        pending.extend(due(state, number));
    }
    if pending.is_empty() {
        pending.extend(super::search::due(state, number));
    }
    pending
}

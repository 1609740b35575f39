//! Which trial next, and where: a pure function from the state to the next grant.
//!
//! Contract: (1) a grant names a waiting trial and a free slot of a reachable agent that has the
//! trial's data set, in the copy that the sweep trains on once that is decided; (2) the same state gives the same grant, ties are broken by age and id; (3) no
//! trial is looked at that cannot be granted: the cost depends on the number of sweeps and of
//! agents with free slots, never on the number of waiting trials.

mod place;
mod queue;

use crate::event::Event;
use crate::id::{AgentId, Lease};
use crate::state::State;

/// The next grant, or `None` when nothing can start.
pub fn next(state: &State, is_reachable: impl Fn(AgentId) -> bool) -> Option<Event> {
    let places = place::Places::new(state, is_reachable);
    if places.is_empty() {
        return None;
    }
    queue::fair(state).find_map(|sweep| {
        let sweep = &state.sweeps[sweep as usize];
        let groups = sweep.waiting.iter().zip(&sweep.datasets).zip(&sweep.fingerprints);
        let heads = groups.filter_map(|((set, dataset), bound)| Some((set.first()?, dataset, bound)));
        let mut heads: Vec<_> = heads.collect();
        heads.sort_unstable();
        heads.into_iter().find_map(|(index, dataset, bound)| {
            let (agent, slot, fingerprint) = places.find(dataset, bound.as_deref())?;
            let trial = &sweep.trials[*index as usize];
            let lease = Lease { trial: sweep.ids[*index as usize], attempt: trial.attempt + 1 };
            Some(Event::LeaseGranted { lease, agent, slot, resume_epoch: trial.resume_epoch(), fingerprint })
        })
    })
}

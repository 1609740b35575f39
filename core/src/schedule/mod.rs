//! Which trial next and where, and which has to give way: pure functions from the state and the time to
//! events.
//!
//! Contract: (1) a grant names a waiting trial and a free slot, that nothing keeps trials from, of a reachable agent that has the
//! trial's data set, in the copy that the sweep trains on once that is decided, has what the sweep asks for, and exceeds no quota and no
//! `max_parallel`; (2) the same state at the same time gives the same plan, ties are broken by age and id; (3) no slot
//! stays free that a waiting trial could use within its limits, except where a device that trials share is emptied for one that
//! comes before and needs all of it, and for the seconds in which
//! trials of a network have to start where the first one chooses what to compute with ([`crate::alike`]); (4) with demand that stays as it is, only so
//! many trials ever give way; (5) no trial is looked at that cannot be granted: the cost depends on the number of sweeps
//! that could start a trial, of their owners, and of agents with free slots, never on the number of waiting trials.

mod host;
mod load;
mod place;
mod preempt;
mod room;
mod tree;

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::event::Event;
use crate::id::{AgentId, Lease};
use crate::state::State;
use crate::state::agent::Agent;
use crate::state::packing::Room;
use crate::state::racing::Turn;
use crate::time::{Span, Timestamp};

pub(crate) use host::is_short;
pub use preempt::preemptions;
pub(crate) use tree::{Closed, Tree};

use place::{Need, Places};

/// Everything that can start now, in the order in which it was decided.
pub fn grants(state: &State, now: Timestamp, is_reachable: impl Fn(AgentId) -> bool) -> Vec<Event> {
    let mut grants = Vec::new();
    if state.ready().next().is_none() {
        return grants;
    }
    let mut places = Places::new(state, now, &is_reachable);
    if places.is_empty() {
        return grants;
    }
    let mut tree = Tree::new(state, now);
    let mut picked = Picked {
        state,
        is_reachable: &is_reachable,
        next: BTreeMap::new(),
        bound: BTreeMap::new(),
        choosing: BTreeMap::new(),
    };
    while !places.is_empty()
        && let Some((sweep, grant)) = tree.first(|sweep| picked.next(sweep, &mut places))
    {
        if let Event::LeaseGranted { share, .. } = &grant {
            tree.start(sweep, *share);
        }
        grants.push(grant);
    }
    grants
}

/// Kinds of devices that trials share, each with the agents that have some.
pub(crate) struct Kinds<'a>(BTreeMap<Kind<'a>, Vec<(&'a Agent, &'a Room)>>);

/// Model, memory and slots.
type Kind<'a> = (&'a str, u64, usize);

impl<'a> Kinds<'a> {
    pub(crate) fn new(state: &'a State, is_reachable: impl Fn(AgentId) -> bool) -> Self {
        let mut kinds: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (_, agent) in state.agents.iter().filter(|(id, _)| is_reachable(**id)) {
            for room in &agent.rooms {
                let device = &agent.facts.offer.devices[room.device];
                let kind = (device.model.as_str(), device.memory, device.slots.len());
                kinds.entry(kind).or_default().push((agent, room));
            }
        }
        Self(kinds)
    }

    /// Thousandths of a device that the next trial of a sweep needs, where there are some that could run it; the least.
    pub(crate) fn part(&self, state: &State, number: u32) -> Option<u32> {
        let sweep = &state.sweeps[number as usize];
        let groups = sweep.waiting.iter().zip(&sweep.datasets).zip(&sweep.fingerprints);
        let heads = groups.filter_map(|((waiting, set), bound)| Some((*waiting.first()?, set, bound.as_deref())));
        let (turn, dataset, bound) = heads.min_by_key(|(turn, ..)| *turn)?;
        let (placement, alone) = (&sweep.plan.limits.placement, place::is_alone(&sweep.trials[turn.1 as usize]));
        let horizon = Span::default();
        let need = Need { dataset, bound, placement, alone, shape: sweep.shape(turn.1), horizon };
        let parts = self.0.values().filter_map(|rooms| {
            let fits = |(agent, room): &&(&Agent, &Room)| {
                let slots = &agent.facts.offer.devices[room.device].slots;
                agent.can_use(dataset, bound) && slots.first().is_some_and(|slot| placement.fits(agent, *slot))
            };
            let (agent, room) = rooms.iter().find(fits)?;
            Some(room::Shared::new(state, &agent.facts.offer.devices[room.device], room).part(&need).share)
        });
        parts.min()
    }
}

/// What this plan has taken so far, on top of the state.
struct Picked<'a> {
    state: &'a State,
    is_reachable: &'a dyn Fn(AgentId) -> bool,
    /// By sweep and data set: the last trial that was taken.
    next: BTreeMap<(u32, usize), Turn>,
    /// By sweep and data set: the copy that a grant of this plan decided for.
    bound: BTreeMap<(u32, &'a str), &'a str>,
    /// By sweep and what is undecided: the agents that may start such trials.
    choosing: BTreeMap<(u32, String), Vec<AgentId>>,
}

impl<'a> Picked<'a> {
    /// The reachable agents that trials run on whose choice this one has to share; empty if there are none.
    fn choosing(&self, number: u32, key: &str) -> Vec<AgentId> {
        if let Some(agents) = self.choosing.get(&(number, key.to_owned())) {
            return agents.clone();
        }
        let choices = &self.state.sweeps[number as usize].choices;
        choices.choosing(key).filter(|agent| (self.is_reachable)(*agent)).collect()
    }

    /// The first trial of a sweep that has a place.
    fn next(&mut self, number: u32, places: &mut Places<'a>) -> Option<Event> {
        let sweep = &self.state.sweeps[number as usize];
        let groups = sweep.waiting.iter().zip(&sweep.datasets).zip(&sweep.fingerprints).enumerate();
        let heads = groups.filter_map(|(group, ((waiting, dataset), bound))| {
            let after = self.next.get(&(number, group)).copied().map_or(Bound::Unbounded, Bound::Excluded);
            let bound = bound.as_deref().or_else(|| self.bound.get(&(number, dataset.as_str())).copied());
            Some((*waiting.range((after, Bound::Unbounded)).next()?, group, dataset.as_str(), bound))
        });
        let mut heads: Vec<_> = heads.collect();
        heads.sort_unstable();
        heads.into_iter().find_map(|(turn, group, dataset, bound)| {
            let index = turn.1;
            let undecided = sweep.undecided(index);
            let choosing = undecided.map(|key| (self.choosing(number, &key), key));
            let only = choosing.as_ref().map_or([].as_slice(), |(agents, _)| agents.as_slice());
            let (placement, alone) = (&sweep.plan.limits.placement, place::is_alone(&sweep.trials[index as usize]));
            let (shape, horizon) = (sweep.shape(index), places.horizon(sweep, index));
            let need = Need { dataset, bound, placement, alone, shape, horizon };
            let place::Taken { agent, slot, share, fingerprint } = places.take(need, only)?;
            if let Some((agents, key)) = choosing.filter(|(agents, _)| agents.is_empty()) {
                debug_assert!(agents.is_empty());
                self.choosing.insert((number, key), vec![agent]);
            }
            self.next.insert((number, group), turn);
            if let Some(fingerprint) = fingerprint {
                self.bound.entry((number, dataset)).or_insert(fingerprint);
            }
            let trial = &sweep.trials[index as usize];
            let lease = Lease { trial: sweep.ids[index as usize], attempt: trial.attempt + 1 };
            let (resume_epoch, fingerprint) = (trial.resume_epoch(), fingerprint.map(str::to_owned));
            Some(Event::LeaseGranted { lease, agent, slot, resume_epoch, fingerprint, share })
        })
    }
}

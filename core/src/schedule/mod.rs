//! Which trial next and where, and which has to give way: pure functions from the state and the time to
//! events.
//!
//! Contract: (1) a grant names a waiting trial and a free slot, that nothing keeps trials from, of a reachable agent that has the
//! trial's data set, in the copy that the sweep trains on once that is decided, has what the sweep asks for, and exceeds no quota and no
//! `max_parallel`; (2) the same state at the same time gives the same plan, ties are broken by age and id; (3) no slot
//! stays free that a waiting trial could use within its limits, except where a device that trials share is emptied for one that
//! comes before and needs all of it, and for the seconds in which
//! trials of a network have to start where the first one chooses what to compute with ([`crate::alike`]); (4) with demand that stays as it is, only so
//! many trials ever give way, and where several have to leave a device for one trial, all of them are asked in one plan or none is; (5) the cost depends on the number of sweeps that could start a trial, of their owners, and of agents with
//! free slots, not on the number of waiting trials: of those behind the first of a sweep only so many are looked at (20,000 in one plan), and only where
//! that one needs what is not there.

mod emptying;
mod head;
mod host;
mod load;
mod place;
mod preempt;
mod room;
mod tree;
mod victim;

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
pub(crate) use tree::{Closed, Tree, WHOLE as WHOLE_SLOT};

use place::{Need, Places};
use room::WHOLE;

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
        looks: LOOKS,
    };
    while !places.is_empty()
        && let Some((sweep, grant)) = tree.first(|sweep, left| picked.next(sweep, left, &mut places))
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
        let groups = state.turns(number).iter().zip(&sweep.datasets).zip(&sweep.fingerprints);
        let heads = groups.filter_map(|((waiting, set), bound)| Some((*waiting.first()?, set, bound.as_deref())));
        let (turn, dataset, bound) = heads.min_by_key(|(turn, ..)| *turn)?;
        let (placement, alone) = (&sweep.plan.limits.placement, place::is_alone(&sweep.trials[turn.1 as usize]));
        let horizon = Span::default();
        let need = Need { dataset, bound, placement, alone, shape: sweep.shape(turn.1), horizon, most: WHOLE };
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
    /// So many trials behind the first ones may still be looked at.
    looks: usize,
}

/// Trials that one plan looks at behind the first of their sweeps, where those need something that is not there: about a millisecond.
const LOOKS: usize = 20_000;

impl<'a> Picked<'a> {
    /// The reachable agents that trials run on whose choice this one has to share; empty if there are none.
    fn choosing(&self, number: u32, key: &str) -> Vec<AgentId> {
        if let Some(agents) = self.choosing.get(&(number, key.to_owned())) {
            return agents.clone();
        }
        let choices = &self.state.sweeps[number as usize].choices;
        choices.choosing(key).filter(|agent| (self.is_reachable)(*agent)).collect()
    }

    /// The first trial of a sweep that has a place: the first of each data set, else one behind it that needs something else. What has
    /// none now has none to the end of this plan, as places and quotas are only taken, so that nothing is looked at twice.
    fn next(&mut self, number: u32, left: u32, places: &mut Places<'a>) -> Option<Event> {
        let (sweep, turns) = (&self.state.sweeps[number as usize], self.state.turns(number));
        let groups = turns.iter().enumerate().filter_map(|(group, waiting)| {
            let after = self.next.get(&(number, group)).copied().map_or(Bound::Unbounded, Bound::Excluded);
            Some((*waiting.range((after, Bound::Unbounded)).next()?, group))
        });
        let mut heads: Vec<(Turn, usize)> = groups.collect();
        heads.sort_unstable();
        if let Some(grant) = heads.iter().find_map(|(turn, group)| self.take(number, *group, *turn, left, places)) {
            return Some(grant);
        }
        let kind = |turn: Turn| (sweep.shape(turn.1), place::is_alone(&sweep.trials[turn.1 as usize]));
        for (first, group) in heads {
            let mut nowhere = vec![kind(first)];
            if sweep.shapes.len() < 2 && !nowhere[0].1 {
                continue;
            }
            for turn in turns[group].range((Bound::Excluded(first), Bound::Unbounded)).copied() {
                if self.looks == 0 {
                    return None;
                }
                self.looks -= 1;
                if nowhere.contains(&kind(turn)) {
                    continue;
                }
                let grant = self.take(number, group, turn, left, places);
                if grant.is_some() {
                    return grant;
                }
                nowhere.push(kind(turn));
            }
        }
        None
    }

    /// A place for a trial, if there is one.
    fn take(&mut self, number: u32, group: usize, turn: Turn, most: u32, places: &mut Places<'a>) -> Option<Event> {
        let (sweep, index) = (&self.state.sweeps[number as usize], turn.1);
        let dataset = sweep.datasets[group].as_str();
        let bound = sweep.fingerprints[group].as_deref().or_else(|| self.bound.get(&(number, dataset)).copied());
        let undecided = sweep.undecided(index);
        let choosing = undecided.map(|key| (self.choosing(number, &key), key));
        let only = choosing.as_ref().map_or([].as_slice(), |(agents, _)| agents.as_slice());
        let trial = &sweep.trials[index as usize];
        let (placement, alone) = (&sweep.plan.limits.placement, place::is_alone(trial));
        let (shape, horizon) = (sweep.shape(index), places.horizon(sweep, index));
        let need = Need { dataset, bound, placement, alone, shape, horizon, most };
        let place::Taken { agent, slot, share, fingerprint } = places.take(number, need, only)?;
        if let Some((agents, key)) = choosing.filter(|(agents, _)| agents.is_empty()) {
            debug_assert!(agents.is_empty());
            self.choosing.insert((number, key), vec![agent]);
        }
        self.next.insert((number, group), turn);
        if let Some(fingerprint) = fingerprint {
            self.bound.entry((number, dataset)).or_insert(fingerprint);
        }
        let lease = Lease { trial: sweep.ids[index as usize], attempt: trial.attempt + 1 };
        let (resume_epoch, fingerprint) = (trial.resume_epoch(), fingerprint.map(str::to_owned));
        Some(Event::LeaseGranted { lease, agent, slot, resume_epoch, fingerprint, share })
    }
}

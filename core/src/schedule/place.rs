//! Which slot: one that nothing keeps trials from and that has what the sweep asks for, on an agent that has looked at
//! the data set if there is one; spread over agents, so that one host is not full while another idles, or packed.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::attempt::FailureClass;
use crate::id::AgentId;
use crate::placement::{Placement, Taken};
use crate::state::State;
use crate::state::agent::{Agent, Known};
use crate::state::trial::Trial;
use crate::time::Timestamp;

/// What a trial needs.
#[derive(Clone, Copy)]
pub(super) struct Need<'a> {
    pub(super) dataset: &'a str,
    /// The copy of it, if that is decided.
    pub(super) bound: Option<&'a str>,
    pub(super) placement: &'a Placement,
    /// No other trial may be on its device.
    pub(super) alone: bool,
}

/// What needs have in common that are met by the same slots.
type Kind<'a> = (&'a str, Option<&'a str>, &'a Placement, bool);

/// Free slots of reachable agents; those that are taken here are no longer free.
pub(super) struct Places<'a> {
    state: &'a State,
    now: Timestamp,
    agents: BTreeMap<AgentId, Place<'a>>,
    /// The agent with most free slots first.
    order: BTreeSet<(Reverse<u32>, AgentId)>,
    /// Needs that no free slot meets: it stays so, because slots are only taken.
    nowhere: BTreeSet<Kind<'a>>,
    /// Needs that no slot meets of an agent that has looked at the data set.
    unseen: BTreeSet<Kind<'a>>,
}

struct Place<'a> {
    agent: &'a Agent,
    /// Slots below are not free.
    from: usize,
    /// Slots that this plan has taken at or above, with whose placement, and whether alone.
    taken: BTreeMap<u32, (&'a Placement, bool)>,
}

/// A trial that ran out of memory is tried again without company.
pub(super) fn is_alone(trial: &Trial) -> bool {
    let failure = trial.failure.as_deref();
    failure.is_some_and(|failure| failure.class == FailureClass::OutOfMemory)
}

impl<'a> Places<'a> {
    pub(super) fn new(state: &'a State, now: Timestamp, is_reachable: impl Fn(AgentId) -> bool) -> Self {
        let reachable = state.agents.iter().filter(|(id, agent)| agent.free > 0 && is_reachable(**id));
        let open = reachable.map(|(id, agent)| (*id, agent, agent.open(now))).filter(|(_, _, open)| *open > 0);
        let (mut agents, mut order) = (BTreeMap::new(), BTreeSet::new());
        for (id, agent, open) in open {
            agents.insert(id, Place { agent, from: 0, taken: BTreeMap::new() });
            order.insert((Reverse(open), id));
        }
        Self { state, now, agents, order, nowhere: BTreeSet::new(), unseen: BTreeSet::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Takes the lowest slot that meets a need of the first agent that has one, with the fingerprint of its copy of
    /// the data set. Only one of `only` will do, unless that is empty.
    pub(super) fn take(&mut self, need: Need<'a>, only: &[AgentId]) -> Option<(AgentId, u32, Option<&'a str>)> {
        let kind = (need.dataset, need.bound, need.placement, need.alone);
        if self.nowhere.contains(&kind) {
            return None;
        }
        let any = only.is_empty();
        let mut found = None;
        if !self.unseen.contains(&kind) {
            found = self.find(need, only, |agent| matches!(agent.dataset(need.dataset), Some(Known::Seen(_))));
            if found.is_none() && any {
                self.unseen.insert(kind);
            }
        }
        let Some((free, id, slot)) = found.or_else(|| self.find(need, only, |_| true)) else {
            if any {
                self.nowhere.insert(kind);
            }
            return None;
        };
        let place = self.agents.get_mut(&id)?;
        place.taken.insert(slot, (need.placement, need.alone));
        self.order.remove(&(Reverse(free), id));
        if free > 1 {
            self.order.insert((Reverse(free - 1), id));
        }
        Some((id, slot, place.agent.fingerprint(need.dataset)))
    }

    fn find(
        &mut self,
        need: Need<'a>,
        only: &[AgentId],
        prefers: impl Fn(&Agent) -> bool,
    ) -> Option<(u32, AgentId, u32)> {
        let (state, now) = (self.state, self.now);
        let agents = &mut self.agents;
        let mut on = |(Reverse(free), id): &(Reverse<u32>, AgentId)| {
            if !only.is_empty() && !only.contains(id) {
                return None;
            }
            let place = agents.get_mut(id)?;
            let usable = place.agent.can_use(need.dataset, need.bound) && prefers(place.agent);
            let slot = if usable { place.slot(state, now, need)? } else { return None };
            Some((*free, *id, slot))
        };
        match need.placement.pack {
            true => self.order.iter().rev().find_map(&mut on),
            false => self.order.iter().find_map(&mut on),
        }
    }
}

impl<'a> Place<'a> {
    /// The lowest slot that meets a need.
    fn slot(&mut self, state: &State, now: Timestamp, need: Need<'a>) -> Option<u32> {
        let agent = self.agent;
        let is_free = |taken: &BTreeMap<u32, (&Placement, bool)>, slot: u32| {
            agent.slots[slot as usize].is_none() && !taken.contains_key(&slot) && agent.block(slot, now).is_none()
        };
        let slots = agent.slots.len();
        while self.from < slots && !is_free(&self.taken, self.from as u32) {
            self.from += 1;
        }
        let free = (self.from as u32..slots as u32).filter(|slot| is_free(&self.taken, *slot));
        if need.placement.is_default() && !need.alone && agent.facts.offer.devices.is_empty() {
            return free.min();
        }
        let mut fit = free.filter(|slot| need.placement.fits(agent, *slot) && self.has_room(state, *slot, need));
        fit.next()
    }

    /// Whether a trial fits beside those on the same device and host.
    fn has_room(&self, state: &State, slot: u32, need: Need<'a>) -> bool {
        let device = self.agent.facts.offer.device_of(slot).filter(|device| device.slots.len() > 1);
        let asks = need.placement.memory.is_some() || need.placement.ram.is_some() || need.placement.cores.is_some();
        if device.is_none() && !asks {
            return true;
        }
        let mut sum = Taken::default();
        let beside = |other: u32| device.is_some_and(|device| device.slots.contains(&other));
        let held = (0u32..).zip(&self.agent.slots).filter_map(|(other, lease)| {
            let (at, _) = state.leased((*lease)?)?;
            Some((other, &state.sweep_of(at).plan.limits.placement, is_alone(state.trial(at))))
        });
        let taken = self.taken.iter().map(|(other, (placement, alone))| (*other, *placement, *alone));
        for (other, placement, alone) in held.chain(taken) {
            sum.ram = sum.ram.saturating_add(placement.ram.unwrap_or_default());
            sum.cores = sum.cores.saturating_add(placement.cores.unwrap_or_default());
            if beside(other) {
                if alone || need.alone {
                    return false;
                }
                sum.memory = sum.memory.saturating_add(placement.memory.unwrap_or_default());
            }
        }
        need.placement.fits_beside(self.agent, slot, sum)
    }
}

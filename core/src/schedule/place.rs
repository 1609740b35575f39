//! Which slot: one that nothing keeps trials from and that has what the sweep asks for, on an agent that has looked at
//! the data set if there is one; spread over agents, so that one host is not full while another idles, or packed. On
//! devices that trials share, an empty one comes before company; where somebody needs a whole one and none comes free
//! by itself, the one with the fewest trials is filled no more.

use std::cell::OnceCell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::attempt::FailureClass;
use crate::id::AgentId;
use crate::maintenance;
use crate::placement::Placement;
use crate::shares::DEVICE;
use crate::state::State;
use crate::state::agent::{Agent, Known};
use crate::state::sweep::Sweep;
use crate::state::trial::Trial;
use crate::time::{Span, Timestamp};

use super::host::{Booked, HostPart};
use super::room::{Part, Shared, WHOLE};

/// What a trial needs.
#[derive(Clone, Copy)]
pub(super) struct Need<'a> {
    pub(super) dataset: &'a str,
    /// The copy of it, if that is decided.
    pub(super) bound: Option<&'a str>,
    pub(super) placement: &'a Placement,
    /// No other trial may be on its device.
    pub(super) alone: bool,
    /// What decides how much of a device it needs.
    pub(super) shape: Option<u32>,
    /// How long its slot has to stay open; nothing where no maintenance is planned.
    pub(super) horizon: Span,
    /// Thousandths of a device that quotas leave.
    pub(super) most: u32,
}

impl<'a> Need<'a> {
    pub(super) fn kind(&self) -> Kind<'a> {
        (self.dataset, self.bound, self.placement, self.alone, self.shape, self.horizon, self.most)
    }

    /// Whether quotas leave so many thousandths of a device.
    pub(super) fn may_have(&self, share: u32) -> bool {
        share <= self.most
    }
}

/// A place for a trial.
pub(super) struct Taken<'a> {
    pub(super) agent: AgentId,
    pub(super) slot: u32,
    /// Thousandths of the device.
    pub(super) share: u32,
    /// Of the agent's copy of the data set.
    pub(super) fingerprint: Option<&'a str>,
}

/// What needs have in common that are met by the same slots.
pub(super) type Kind<'a> = (&'a str, Option<&'a str>, &'a Placement, bool, Option<u32>, Span, u32);

/// Free slots of reachable agents; those that are taken here are no longer free.
pub(super) struct Places<'a> {
    state: &'a State,
    now: Timestamp,
    is_reachable: &'a dyn Fn(AgentId) -> bool,
    /// Those with open slots, and those whose devices are shared.
    agents: BTreeMap<AgentId, Place<'a>>,
    /// The agent with most free slots first.
    order: BTreeSet<(Reverse<u32>, AgentId)>,
    /// Needs that no free slot meets: it stays so, because slots are only taken.
    nowhere: BTreeSet<Kind<'a>>,
    /// Needs that no slot meets of an agent that has looked at the data set.
    unseen: BTreeSet<Kind<'a>>,
    /// Some device is shared by several trials, or would be.
    crowded: bool,
    /// Maintenance is planned somewhere.
    planned: bool,
    /// By sweep: devices that trials share and that somebody is leaving for one of its trials.
    awaited: BTreeMap<u32, Vec<(AgentId, usize)>>,
}

struct Place<'a> {
    agent: &'a Agent,
    /// Slots below are not free.
    from: usize,
    /// Slots that this plan has taken at or above, with whose placement, and whether alone.
    taken: BTreeMap<u32, (&'a Placement, bool)>,
    /// Devices that trials share.
    rooms: Vec<Shared<'a>>,
    /// Counted when it is asked for.
    booked: OnceCell<Booked>,
}

/// A trial that ran out of memory is tried again without company.
pub(super) fn is_alone(trial: &Trial) -> bool {
    let failure = trial.failure.as_deref();
    failure.is_some_and(|failure| failure.class == FailureClass::OutOfMemory)
}

/// A need is met nowhere. If it is for more of a device than is left of any, and no place that could meet it comes
/// free by itself, the device with the fewest trials is kept from others until it is empty; one that somebody gave way
/// on for another sweep, last of all.
pub(super) fn emptied<'r, 'a: 'r, R: Iterator<Item = (usize, &'r Shared<'a>)>>(
    sweep: u32,
    need: &Need<'_>,
    now: Timestamp,
    agents: impl Iterator<Item = (AgentId, &'r Agent, R)>,
) -> Option<(AgentId, usize)> {
    let mut fewest = None;
    for (id, agent, rooms) in agents.filter(|(_, agent, _)| agent.can_use(need.dataset, need.bound)) {
        let fits = |slot: u32| need.placement.fits(agent, slot) && agent.block(slot, now).is_none();
        let mut apart = (0u32..agent.slots.len() as u32).filter(|slot| agent.room(*slot).is_none());
        if need.may_have(WHOLE) && apart.any(fits) {
            return None;
        }
        for (number, room) in rooms.filter(|(_, room)| room.trials > 0) {
            if !need.may_have(room.part(need).share) || !room.device.slots.iter().any(|slot| fits(*slot)) {
                continue;
            }
            if room.comes_free(need) {
                return None;
            }
            let others = room.awaits.is_some_and(|awaits| awaits != sweep);
            let one = (!room.kept, others, room.trials, id, number);
            fewest = Some(fewest.map_or(one, |fewest| one.min(fewest)));
        }
    }
    fewest.map(|(.., id, number)| (id, number))
}

impl<'a> Places<'a> {
    pub(super) fn new(state: &'a State, now: Timestamp, is_reachable: &'a dyn Fn(AgentId) -> bool) -> Self {
        let (agents, order) = (BTreeMap::new(), BTreeSet::new());
        let (nowhere, unseen, crowded) = (BTreeSet::new(), BTreeSet::new(), false);
        let ahead = |agent: &Agent| agent.devices.holds.values().any(|hold| hold.from > Some(now));
        let planned = state.agents.values().any(ahead);
        let awaited = BTreeMap::new();
        let mut places = Self { state, now, is_reachable, agents, order, nowhere, unseen, crowded, planned, awaited };
        let may = |agent: &Agent| agent.free > 0 || !agent.rooms.is_empty();
        for (id, agent) in state.agents.iter().filter(|(id, agent)| may(agent) && is_reachable(**id)) {
            let devices = &agent.facts.offer.devices;
            let rooms = agent.rooms.iter().map(|room| Shared::new(state, &devices[room.device], room)).collect();
            let place = Place { agent, from: 0, taken: BTreeMap::new(), rooms, booked: OnceCell::new() };
            places.crowded |= place.rooms.iter().any(|room| room.trials > 1 || (room.trials == 1 && room.is_open()));
            let open = place.open(now);
            if open > 0 {
                places.order.insert((Reverse(open), *id));
            }
            if open > 0 || !place.rooms.is_empty() {
                places.agents.insert(*id, place);
            }
        }
        for leased in state.leaving().filter_map(|at| state.trial(at).leased()) {
            let sweep = leased.yields_to.and_then(|taker| state.number(taker));
            let place = places.agents.get(&leased.agent);
            let Some((sweep, number)) = sweep.zip(place.and_then(|place| place.agent.lodging(leased.slot))) else {
                continue;
            };
            let (awaited, one) = (places.awaited.entry(sweep).or_default(), (leased.agent, number));
            // Others have come meanwhile where it is not the one that is awaited any more.
            if place.is_some_and(|place| place.rooms[number].awaits == Some(sweep)) && !awaited.contains(&one) {
                awaited.push(one);
            }
        }
        places
    }

    /// How long a slot has to stay open for a trial.
    pub(super) fn horizon(&self, sweep: &Sweep, index: u32) -> Span {
        if self.planned { maintenance::horizon(sweep, index) } else { Span::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Takes the lowest slot that meets a need of a sweep, of the first agent that has one. Only one of `only` will do,
    /// unless that is empty.
    pub(super) fn take(&mut self, sweep: u32, need: Need<'a>, only: &[AgentId]) -> Option<Taken<'a>> {
        let kind = need.kind();
        if self.nowhere.contains(&kind) {
            self.keep_awaited(sweep);
            return None;
        }
        let any = only.is_empty();
        let mut found = None;
        if !self.unseen.contains(&kind) {
            let has_seen = |agent: &Agent| matches!(agent.dataset(need.dataset), Some(Known::Seen(_)));
            found = self.apart_or_together(need, only, has_seen);
            if found.is_none() && any {
                self.unseen.insert(kind);
            }
        }
        let Some((free, agent, slot, part)) = found.or_else(|| self.apart_or_together(need, only, |_| true)) else {
            let kept = self.keep_awaited(sweep);
            if any {
                self.nowhere.insert(kind);
                if !kept && self.crowded {
                    self.keep(sweep, need);
                }
            }
            return None;
        };
        let place = self.agents.get_mut(&agent)?;
        place.occupy(self.state, slot, need);
        let mut left = free - 1;
        if let (Some(part), Some(room)) = (part, place.room_mut(slot)) {
            room.take(part);
            self.crowded = true;
            left = place.open(self.now);
        }
        self.order.remove(&(Reverse(free), agent));
        if left > 0 {
            self.order.insert((Reverse(left), agent));
        }
        let (share, fingerprint) =
            (part.map_or(DEVICE as u32, |part| part.share), place.agent.fingerprint(need.dataset));
        Some(Taken { agent, slot, share, fingerprint })
    }

    fn apart_or_together(
        &mut self,
        need: Need<'a>,
        only: &[AgentId],
        prefers: impl Fn(&Agent) -> bool,
    ) -> Option<(u32, AgentId, u32, Option<Part>)> {
        let apart = self.find(need, only, false, &prefers);
        if apart.is_some() || !self.crowded {
            return apart;
        }
        self.find(need, only, true, &prefers)
    }

    /// What others were asked to leave for a trial of a sweep, and it cannot have yet, is kept from others until it can.
    fn keep_awaited(&mut self, sweep: u32) -> bool {
        let rooms = self.awaited.remove(&sweep);
        // Each trial that waits and may start takes one.
        let waiting = self.state.startable(sweep) as usize;
        let rooms: Vec<_> = rooms.into_iter().flatten().take(waiting).collect();
        rooms.iter().for_each(|(id, number)| self.keep_from_others(*id, *number));
        !rooms.is_empty()
    }

    /// A need was met nowhere: [`emptied`].
    fn keep(&mut self, sweep: u32, need: Need<'a>) {
        let reachable = self.state.agents.iter().filter(|(id, _)| (self.is_reachable)(**id));
        let agents = reachable.map(|(id, agent)| {
            let rooms = self.agents.get(id).map(|place| place.rooms.iter().enumerate());
            (*id, agent, rooms.into_iter().flatten())
        });
        if let Some((id, number)) = emptied(sweep, &need, self.now, agents) {
            self.keep_from_others(id, number);
        }
    }

    fn keep_from_others(&mut self, id: AgentId, number: usize) {
        let Some(place) = self.agents.get_mut(&id) else { return };
        let before = place.open(self.now);
        place.rooms[number].kept = true;
        let left = place.open(self.now);
        if self.order.remove(&(Reverse(before), id)) && left > 0 {
            self.order.insert((Reverse(left), id));
        }
    }

    fn find(
        &mut self,
        need: Need<'a>,
        only: &[AgentId],
        joins: bool,
        prefers: impl Fn(&Agent) -> bool,
    ) -> Option<(u32, AgentId, u32, Option<Part>)> {
        let (state, now) = (self.state, self.now);
        let agents = &mut self.agents;
        let mut on = |(Reverse(free), id): &(Reverse<u32>, AgentId)| {
            if !only.is_empty() && !only.contains(id) {
                return None;
            }
            let place = agents.get_mut(id)?;
            let usable = place.agent.can_use(need.dataset, need.bound) && prefers(place.agent);
            let (slot, part) = if usable { place.slot(state, now, need, joins)? } else { return None };
            Some((*free, *id, slot, part))
        };
        match need.placement.pack {
            true => self.order.iter().rev().find_map(&mut on),
            false => self.order.iter().find_map(&mut on),
        }
    }
}

impl<'a> Place<'a> {
    fn room(&self, slot: u32) -> Option<&Shared<'a>> {
        self.rooms.get(self.agent.lodging(slot)?)
    }

    fn room_mut(&mut self, slot: u32) -> Option<&mut Shared<'a>> {
        self.rooms.get_mut(self.agent.lodging(slot)?)
    }

    /// Slots that somebody could get.
    fn open(&self, now: Timestamp) -> u32 {
        if self.rooms.is_empty() {
            return self.agent.open(now);
        }
        let open = |slot: &u32| self.room(*slot).is_none_or(Shared::is_open) && self.is_free(*slot, now);
        (0..self.agent.slots.len() as u32).filter(open).count() as u32
    }

    fn is_free(&self, slot: u32, now: Timestamp) -> bool {
        let agent = self.agent;
        agent.slots[slot as usize].is_none() && !self.taken.contains_key(&slot) && agent.block(slot, now).is_none()
    }

    /// The lowest slot that meets a need, with what it takes of a shared device.
    fn slot(&mut self, state: &State, now: Timestamp, need: Need<'a>, joins: bool) -> Option<(u32, Option<Part>)> {
        let agent = self.agent;
        let slots = agent.slots.len();
        while self.from < slots && !self.is_free(self.from as u32, now) {
            self.from += 1;
        }
        let mut free = (self.from as u32..slots as u32).filter(|slot| self.is_free(*slot, now));
        let lasts = |slot: u32| agent.planned(slot, now).is_none_or(|(left, _)| left >= need.horizon);
        if need.placement.is_default() && !need.alone && agent.facts.offer.devices.is_empty() {
            if !need.may_have(WHOLE) {
                return None;
            }
            let slot = free.find(|slot| lasts(*slot))?;
            return self.has_room(state, slot, need).then_some((slot, None));
        }
        free.find_map(|slot| {
            let part = match self.room(slot) {
                Some(room) => Some(room.admits(&need, joins)?),
                None if need.may_have(WHOLE) => None,
                None => return None,
            };
            let fits = lasts(slot) && need.placement.fits(agent, slot) && self.has_room(state, slot, need);
            fits.then_some((slot, part))
        })
    }

    /// What its trials take of the host, those of this plan included.
    fn booked(&self, state: &State) -> &Booked {
        self.booked.get_or_init(|| Booked::of(state, self.agent))
    }

    /// A trial of this plan takes a slot.
    fn occupy(&mut self, state: &State, slot: u32, need: Need<'a>) {
        let part = HostPart::of(state, self.agent, slot, need.placement, need.shape);
        self.booked(state);
        self.booked.get_mut().into_iter().for_each(|booked| booked.add(part));
        self.taken.insert(slot, (need.placement, need.alone));
    }

    /// Whether a trial fits beside those on the same device and host.
    fn has_room(&self, state: &State, slot: u32, need: Need<'a>) -> bool {
        let part = HostPart::of(state, self.agent, slot, need.placement, need.shape);
        if !part.fits(self.agent, || self.booked(state)) {
            return false;
        }
        // The parts of a shared device never come to more than all of it.
        let device = self.agent.facts.offer.device_of(slot);
        let Some(device) = device.filter(|device| device.slots.len() > 1 && !device.packed) else { return true };
        let mut sum: u64 = 0;
        let held = (0u32..).zip(&self.agent.slots).filter_map(|(other, lease)| {
            let (at, _) = state.leased((*lease)?)?;
            Some((other, &state.sweep_of(at).plan.limits.placement, is_alone(state.trial(at))))
        });
        let taken = self.taken.iter().map(|(other, (placement, alone))| (*other, *placement, *alone));
        for (_, placement, alone) in held.chain(taken).filter(|(other, ..)| device.slots.contains(other)) {
            if alone || need.alone {
                return false;
            }
            sum = sum.saturating_add(placement.memory.unwrap_or_default());
        }
        need.placement.memory.is_none_or(|wanted| sum.saturating_add(wanted) <= device.memory)
    }
}

//! A trial that may give way, and what its host has once it has left. What is known of a host and of the devices that
//! its trials share is counted once for all of them, and only when it is asked for.

use std::cell::OnceCell;
use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::id::{AgentId, Lease};
use crate::state::agent::Agent;
use crate::state::{State, TrialRef};
use crate::time::{Span, Timestamp};

use super::host::{Booked, HostPart};
use super::place::Need;
use super::room::{Shared, WHOLE};

/// Who goes first: lowest priority, then the newest checkpoint, then the youngest attempt.
type Order = (u32, Reverse<Timestamp>, Reverse<Timestamp>, TrialRef);

/// A trial that may give way.
pub(super) struct Victim {
    pub(super) at: TrialRef,
    pub(super) lease: Lease,
    /// Its place among [`Hosts`].
    pub(super) host: usize,
    pub(super) slot: u32,
    /// Thousandths of its device.
    pub(super) share: u32,
    /// The device, where trials share it: its number on the host.
    pub(super) room: Option<usize>,
    pub(super) order: Order,
}

/// The hosts of victims.
pub(super) struct Hosts<'a> {
    state: &'a State,
    now: Timestamp,
    known: Vec<Host<'a>>,
    /// No trial takes less of one of their devices, in thousandths.
    pub(super) least: u32,
    places: BTreeMap<AgentId, Option<usize>>,
}

/// A host, and what is left on it.
pub(super) struct Host<'a> {
    pub(super) id: AgentId,
    pub(super) agent: &'a Agent,
    /// Slots that nobody has to leave.
    protected: u32,
    rooms: Vec<OnceCell<Shared<'a>>>,
    booked: OnceCell<Booked>,
}

impl<'a> Hosts<'a> {
    pub(super) fn new(state: &'a State, now: Timestamp) -> Self {
        Self { state, now, known: Vec::new(), least: WHOLE, places: BTreeMap::new() }
    }

    /// A host, if its agent is reachable.
    pub(super) fn get(&self, place: usize) -> &Host<'a> {
        &self.known[place]
    }

    fn place(&mut self, id: AgentId, is_reachable: impl Fn(AgentId) -> bool) -> Option<usize> {
        let (state, known, least) = (self.state, &mut self.known, &mut self.least);
        *self.places.entry(id).or_insert_with(|| {
            let agent = state.agents.get(&id).filter(|_| is_reachable(id))?;
            let protected = state.accounts.shares.hosts.get(&agent.facts.host).copied().unwrap_or_default();
            let rooms = agent.rooms.iter().map(|_| OnceCell::new()).collect();
            let devices = agent.rooms.iter().filter_map(|room| agent.facts.offer.devices.get(room.device));
            let parts = devices.map(|device| WHOLE / (device.slots.len() as u32).max(1));
            *least = parts.chain([*least]).min().unwrap_or(WHOLE);
            known.push(Host { id, agent, protected, rooms, booked: OnceCell::new() });
            Some(known.len() - 1)
        })
    }

    /// A trial that has kept a checkpoint, if it may give way: it has run for a while, nothing keeps trials from its slot, and that is not protected.
    pub(super) fn victim(
        &mut self,
        at: TrialRef,
        after: Span,
        is_reachable: impl Fn(AgentId) -> bool,
    ) -> Option<Victim> {
        let (state, now) = (self.state, self.now);
        let (trial, sweep) = (state.trial(at), state.sweep_of(at));
        let leased = trial.leased().filter(|leased| leased.is_wanted() && now - leased.since >= after)?;
        let host = self.place(leased.agent, is_reachable)?;
        let known = &self.known[host];
        // One that has trained its last epoch is as good as gone.
        let epochs = sweep.plan.epochs(at.index);
        let ends = epochs > 0 && trial.resume_epoch() >= epochs;
        if ends || leased.slot < known.protected || known.agent.block(leased.slot, now).is_some() {
            return None;
        }
        let lease = Lease { trial: state.trial_id(at), attempt: trial.attempt };
        let (slot, share, room) = (leased.slot, leased.share, known.agent.lodging(leased.slot));
        let order = (sweep.priority(), Reverse(leased.kept?), Reverse(leased.since), at);
        Some(Victim { at, lease, host, slot, share, room, order })
    }

    /// Thousandths of the device that a trial takes once a victim has left, if it fits beside those that stay.
    pub(super) fn part(&self, victim: &Victim, need: &Need<'_>) -> Option<u32> {
        let share = match victim.room {
            None => WHOLE,
            Some(room) => self.get(victim.host).room(self.state, room).without(victim.share, need)?.share,
        };
        need.may_have(share).then_some(share)
    }

    /// Whether the host has what a trial of a sweep takes of it, once a victim has left.
    pub(super) fn leaves_room(&self, victim: &Victim, trial: (u32, u32)) -> bool {
        let (state, host) = (self.state, self.get(victim.host));
        let part = |at: TrialRef| {
            let sweep = state.sweep_of(at);
            let (placement, shape) = (&sweep.plan.limits.placement, sweep.shape(at.index));
            HostPart::of(state, host.agent, victim.slot, placement, shape)
        };
        let left = OnceCell::new();
        let beside = || left.get_or_init(|| host.booked(state).without(part(victim.at)));
        part(TrialRef { sweep: trial.0, index: trial.1 }).fits(host.agent, beside)
    }
}

impl<'a> Host<'a> {
    /// A device that trials share.
    pub(super) fn room(&self, state: &'a State, number: usize) -> &Shared<'a> {
        self.rooms[number].get_or_init(|| {
            let room = &self.agent.rooms[number];
            Shared::new(state, &self.agent.facts.offer.devices[room.device], room)
        })
    }

    /// What its trials take of it.
    fn booked(&self, state: &State) -> &Booked {
        self.booked.get_or_init(|| Booked::of(state, self.agent))
    }
}

//! A trial that may give way, and what its host has once it has left. What is known of a host and of the devices that
//! its trials share is counted once for all of them, and only when it is asked for.

use std::cell::OnceCell;
use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::id::{AgentId, Lease};
use crate::state::agent::Agent;
use crate::state::trial::Leased;
use crate::state::{State, TrialRef};
use crate::time::{Span, Timestamp};

use super::host::{Booked, HostPart};
use super::place::Need;
use super::room::{Shared, WHOLE};

/// Who goes first: lowest priority, then the newest checkpoint, then the youngest attempt.
type Order = (u32, Reverse<Timestamp>, Reverse<Timestamp>, TrialRef);

/// A device that trials share: the place of its host among [`Hosts`], and its number there.
pub(super) type Door = (usize, usize);

/// A trial on a slot that is not shared: the place of its host, the slot, and thousandths of it.
type Apart = (usize, u32, TrialRef, u32);

/// A trial that may give way.
pub(super) struct Victim {
    pub(super) at: TrialRef,
    pub(super) lease: Lease,
    /// Its place among [`Hosts`].
    pub(super) host: usize,
    pub(super) slot: u32,
    /// Thousandths of its device.
    pub(super) share: u32,
    /// The device, where trials share it.
    pub(super) door: Option<Door>,
    pub(super) order: Order,
    /// When its last checkpoint was kept.
    pub(super) kept: Timestamp,
}

/// Every reachable host.
pub(super) struct Hosts<'a> {
    pub(super) state: &'a State,
    pub(super) now: Timestamp,
    known: Vec<Host<'a>>,
    places: BTreeMap<AgentId, usize>,
    /// No trial takes less of a device, in thousandths.
    pub(super) least: u32,
    apart: OnceCell<Vec<Apart>>,
    /// Members with trials that run.
    pub(super) members: Vec<u32>,
    /// One of each kind of device that trials share.
    pub(super) kinds: Vec<Door>,
}

/// A host, and what is left on it.
pub(super) struct Host<'a> {
    pub(super) id: AgentId,
    pub(super) agent: &'a Agent,
    /// Slots below are left by nobody.
    pub(super) protected: u32,
    rooms: Vec<OnceCell<Shared<'a>>>,
    booked: OnceCell<Booked>,
}

impl<'a> Hosts<'a> {
    pub(super) fn new(state: &'a State, now: Timestamp, is_reachable: impl Fn(AgentId) -> bool) -> Self {
        let protected = &state.accounts.shares.hosts;
        let reachable = state.agents.iter().filter(|(id, _)| is_reachable(**id));
        let host = |(id, agent): (&AgentId, &'a Agent)| Host {
            id: *id,
            agent,
            protected: protected.get(&agent.facts.host).copied().unwrap_or_default(),
            rooms: agent.rooms.iter().map(|_| OnceCell::new()).collect(),
            booked: OnceCell::new(),
        };
        let known: Vec<Host<'a>> = reachable.map(host).collect();
        let places = known.iter().enumerate().map(|(place, host)| (host.id, place)).collect();
        let devices = known.iter().flat_map(|host| {
            host.agent.rooms.iter().filter_map(|room| host.agent.facts.offer.devices.get(room.device))
        });
        let least = devices.map(|device| WHOLE / (device.slots.len() as u32).max(1)).min().unwrap_or(WHOLE);
        let runs = (0u32..).zip(&state.accounts.members).filter(|(_, member)| member.meter.running > 0);
        let members = runs.map(|(number, _)| number).collect();
        let mut kinds = BTreeMap::new();
        for (place, host) in known.iter().enumerate() {
            for (number, room) in host.agent.rooms.iter().enumerate() {
                let device = &host.agent.facts.offer.devices[room.device];
                kinds.entry((&device.model, device.memory, device.slots.len())).or_insert((place, number));
            }
        }
        let kinds = kinds.into_values().collect();
        Self { state, now, known, places, least, apart: OnceCell::new(), members, kinds }
    }

    pub(super) fn get(&self, place: usize) -> &Host<'a> {
        &self.known[place]
    }

    /// A device that trials share.
    pub(super) fn door(&self, id: AgentId, room: usize) -> Option<Door> {
        Some((*self.places.get(&id)?, room))
    }

    /// The device that trials share and that one of them is on.
    pub(super) fn lodging(&self, leased: &Leased) -> Option<Door> {
        let place = *self.places.get(&leased.agent)?;
        Some((place, self.get(place).agent.lodging(leased.slot)?))
    }

    /// All devices that trials share and that somebody is on, with so many trials.
    pub(super) fn doors(&self) -> impl Iterator<Item = (usize, Door)> + '_ {
        let doors = self.known.iter().enumerate().flat_map(|(place, host)| {
            host.agent.rooms.iter().enumerate().map(move |(number, room)| (room.trials.len(), (place, number)))
        });
        doors.filter(|(trials, _)| *trials > 0)
    }

    /// The same by host.
    pub(super) fn rooms(&self) -> impl Iterator<Item = (AgentId, &Agent, impl Iterator<Item = (usize, &Shared<'a>)>)> {
        let rooms = |host: &'_ Host<'a>| (0..host.rooms.len()).collect::<Vec<_>>();
        self.known.iter().map(move |host| {
            let of = rooms(host).into_iter().map(|number| (number, host.room(self.state, number)));
            (host.id, host.agent, of)
        })
    }

    /// Trials that may be asked to leave a slot that is not shared.
    pub(super) fn apart(&self) -> &[Apart] {
        self.apart.get_or_init(|| {
            let slots = self.known.iter().enumerate().flat_map(|(place, host)| {
                (0u32..).zip(&host.agent.slots).map(move |(slot, lease)| (place, host, slot, *lease))
            });
            let apart = slots.filter(|(_, host, slot, _)| host.agent.room(*slot).is_none() && *slot >= host.protected);
            let trials = apart.filter_map(|(place, _, slot, lease)| {
                let (at, leased) = self.state.leased(lease?)?;
                leased.is_wanted().then_some((place, slot, at, leased.share))
            });
            trials.collect()
        })
    }

    /// A trial that has kept a checkpoint in this attempt, if it may give way: it has run for a while, nothing keeps trials from its slot, and that is
    /// not protected.
    pub(super) fn victim(&self, at: TrialRef, after: Span) -> Option<Victim> {
        let (state, now) = (self.state, self.now);
        let (trial, sweep) = (state.trial(at), state.sweep_of(at));
        let leased = trial.leased().filter(|leased| leased.is_wanted() && now - leased.since >= after)?;
        let host = *self.places.get(&leased.agent)?;
        let known = self.get(host);
        // One that has trained its last epoch is as good as gone.
        let epochs = sweep.plan.epochs(at.index);
        let last = || trial.progress.as_ref().and_then(|progress| progress.last.as_ref()).map_or(0, |last| last.epoch);
        let trained = if leased.acked_seq > 0 { last() } else { 0 };
        let ends = epochs > 0 && trial.resume_epoch().max(trained) >= epochs;
        if ends || leased.slot < known.protected || known.agent.block(leased.slot, now).is_some() {
            return None;
        }
        let lease = Lease { trial: state.trial_id(at), attempt: trial.attempt };
        let (slot, share, room) = (leased.slot, leased.share, known.agent.lodging(leased.slot));
        let kept = leased.kept?;
        let order = (sweep.priority(), Reverse(kept), Reverse(leased.since), at);
        Some(Victim { at, lease, host, slot, share, door: room.map(|room| (host, room)), order, kept })
    }

    /// Thousandths of the device that a trial takes once a victim has left, if it fits beside those that stay.
    pub(super) fn part(&self, victim: &Victim, need: &Need<'_>) -> Option<u32> {
        let share = match victim.door {
            None => WHOLE,
            Some((host, room)) => self.get(host).room(self.state, room).without(victim.share, need)?.share,
        };
        need.may_have(share).then_some(share)
    }

    /// Whether a host has what a trial takes of it on a slot, once others have left.
    pub(super) fn leaves_room(&self, place: usize, slot: u32, gone: &[TrialRef], trial: TrialRef) -> bool {
        let (state, host) = (self.state, self.get(place));
        let part = |at: TrialRef| {
            let sweep = state.sweep_of(at);
            HostPart::of(state, host.agent, slot, &sweep.plan.limits.placement, sweep.shape(at.index))
        };
        let left = OnceCell::new();
        let all = || host.booked.get_or_init(|| Booked::of(state, host.agent));
        let beside = || left.get_or_init(|| gone.iter().fold(*all(), |booked, at| booked.without(part(*at))));
        part(trial).fits(host.agent, beside)
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
}

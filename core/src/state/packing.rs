//! Devices that trials share: who is on one, and what was measured of the shapes that ran there.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::attempt::EpochMetrics;
use crate::id::{Lease, SweepId};
use crate::packing::{Measured, NONE, shape, shapes, with_headroom};
use crate::plan::Plan;
use crate::time::{Span, Timestamp};

use super::State;
use super::agent::Agent;

/// A device whose slots are given out by what trials need of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Room {
    /// Index into the devices of the agent's offer.
    pub device: usize,
    /// Who is there, by slot.
    pub trials: BTreeMap<u32, Lodger>,
    /// Since when they have been these.
    pub since: Timestamp,
    /// The sweep, by its position in the state, that the last one that was asked to leave made room for, until somebody comes.
    pub awaits: Option<u32>,
}

/// A trial on a shared device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lodger {
    /// Of which shape.
    pub shape: Option<u32>,
    /// Thousandths of the device that it was given.
    pub share: u32,
}

impl Room {
    /// Thousandths that are given out.
    pub fn used(&self) -> u32 {
        self.trials.values().map(|lodger| lodger.share).sum()
    }
}

/// All shapes that were ever submitted, and what was measured of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Shapes {
    ids: BTreeMap<String, u32>,
    measured: BTreeMap<u32, BTreeMap<String, Measured>>,
    ram: BTreeMap<u32, Ram>,
}

/// The most memory of a host that trials of a shape had for themselves, bytes; 0 while that is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Ram {
    /// Computing on the processors.
    processors: u64,
    /// Computing on an accelerator.
    accelerator: u64,
}

impl Ram {
    fn of(&mut self, accelerated: bool) -> &mut u64 {
        if accelerated { &mut self.accelerator } else { &mut self.processors }
    }
}

impl Shapes {
    /// The shapes of a plan by point, or one for all.
    pub(super) fn of(&mut self, plan: &Plan) -> Vec<u32> {
        let told = shapes(plan);
        let ids = told.keys.into_iter().map(|key| {
            let next = self.ids.len() as u32;
            *self.ids.entry(key).or_insert(next)
        });
        let ids: Vec<u32> = ids.collect();
        told.of.into_iter().map(|number| ids.get(number as usize).copied().unwrap_or(NONE)).collect()
    }

    /// Points were added to a plan: theirs are behind those that are known, and nothing is needed where one stands for all.
    pub(super) fn grow(&mut self, known: &mut Vec<u32>, plan: &Plan) {
        for point in known.len() as u32..plan.points {
            let Some(key) = shape(plan, point) else { return };
            let next = self.ids.len() as u32;
            known.push(*self.ids.entry(key).or_insert(next));
        }
    }

    /// What was measured of a shape on a model of device.
    pub fn measured(&self, shape: Option<u32>, model: &str) -> Option<&Measured> {
        self.measured.get(&shape?)?.get(model)
    }

    /// The memory of a host to reckon with for a trial of a shape, on an accelerator or not, bytes; nothing while that is not known.
    pub fn ram(&self, shape: Option<u32>, accelerated: bool) -> Option<u64> {
        let most = *self.ram.get(&shape?)?.clone().of(accelerated);
        (most > 0).then(|| with_headroom(most))
    }

    fn note_ram(&mut self, shape: u32, accelerated: bool, bytes: u64) {
        let most = self.ram.entry(shape).or_default().of(accelerated);
        *most = bytes.max(*most);
    }

    fn note(&mut self, shape: u32, model: &str, note: impl FnOnce(&mut Measured)) {
        let models = self.measured.entry(shape).or_default();
        match models.get_mut(model) {
            Some(measured) => note(measured),
            None => note(models.entry(model.to_owned()).or_default()),
        }
    }
}

impl Agent {
    /// The shared device of a slot.
    pub fn room(&self, slot: u32) -> Option<&Room> {
        self.rooms.get(self.lodging(slot)?)
    }

    /// Its number.
    pub(crate) fn lodging(&self, slot: u32) -> Option<usize> {
        (*self.lodging.get(slot as usize)?).map(|room| room as usize)
    }

    pub(super) fn lodge(&mut self, slot: u32, lodger: Lodger, now: Timestamp) {
        if let Some(room) = self.room_mut(slot) {
            room.trials.insert(slot, lodger);
            (room.since, room.awaits) = (now, None);
        }
    }

    pub(super) fn leave(&mut self, slot: u32, now: Timestamp) {
        if let Some(room) = self.room_mut(slot) {
            room.trials.remove(&slot);
            room.since = now;
        }
    }

    /// As before the agent came back.
    pub(super) fn go_on_waiting(&mut self, before: &[Room]) {
        for room in &mut self.rooms {
            room.awaits = before.iter().find(|before| before.device == room.device).and_then(|room| room.awaits);
        }
    }

    fn room_mut(&mut self, slot: u32) -> Option<&mut Room> {
        let room = self.lodging(slot)?;
        self.rooms.get_mut(room)
    }
}

impl State {
    /// A trial was asked to give its slot up to a sweep.
    pub(super) fn preempted(&mut self, lease: Lease, sweep: SweepId) {
        self.live(lease, |_, leased| leased.yields_to = Some(sweep));
        let Some((at, leased)) = self.leased(lease) else { return };
        let (agent, slot) = (leased.agent, leased.slot);
        self.leaving.insert(at);
        let awaits = self.number(sweep);
        if let Some(room) = self.agents.get_mut(&agent).and_then(|agent| agent.room_mut(slot)) {
            room.awaits = awaits;
        }
    }

    /// An epoch tells how much memory its trial needs of the host, and, where trials share a device, how much of that, and how fast it is beside
    /// those that were there all the while.
    pub(super) fn measure(&mut self, lease: Lease, metrics: &EpochMetrics, now: Timestamp) {
        let Some((at, leased)) = self.leased(lease) else { return };
        let own = metrics.cost.as_deref().and_then(|cost| cost.own_memory);
        let known = self.sweep_of(at).shape(at.index).zip(self.agents.get(&leased.agent));
        if let (Some(own), Some((shape, agent))) = (own, known) {
            let accelerated = agent.facts.offer.device_of(leased.slot).is_some();
            self.shapes.note_ram(shape, accelerated, own);
        }
        let Some((at, leased)) = self.leased(lease) else { return };
        let before = leased.reported;
        let Some((room, agent)) =
            self.agents.get(&leased.agent).and_then(|agent| Some((agent.room(leased.slot)?, agent)))
        else {
            return;
        };
        let (Some(shape), Some(device)) =
            (self.sweep_of(at).shape(at.index), agent.facts.offer.devices.get(room.device))
        else {
            return;
        };
        let trials = room.trials.len() as u32;
        let alike = room.trials.values().all(|lodger| lodger.shape == Some(shape));
        // The first epoch of an attempt warms up. One that came late, with others, is not known to be of this time.
        let lasted = Span((metrics.seconds.0 * 1e6).clamp(0.0, 1e15) as i64);
        let steady = before.is_some_and(|before| room.since < before && now - before >= Span(lasted.0 / 2));
        let bytes = metrics.cost.as_deref().and_then(|cost| cost.device_memory);
        let model = device.model.clone();
        self.shapes.note(shape, &model, |measured| {
            if let Some(bytes) = bytes {
                measured.note_memory(bytes);
            }
            if alike && steady {
                measured.note_speed(trials, metrics.images_per_s);
            }
        });
        self.live(lease, |_, leased| leased.reported = Some(now));
    }

    /// A trial ran out of memory.
    pub(super) fn ran_out(&mut self, lease: Lease) {
        let Some((at, leased)) = self.leased(lease) else { return };
        let Some(agent) = self.agents.get(&leased.agent) else { return };
        let Some((room, shape)) = agent.room(leased.slot).zip(self.sweep_of(at).shape(at.index)) else { return };
        let Some(device) = agent.facts.offer.devices.get(room.device) else { return };
        let (trials, model) = (room.trials.len() as u32, device.model.clone());
        self.shapes.note(shape, &model, |measured| measured.note_failure(trials));
    }

    /// Whether everybody is where the leases say. For tests. A device may hold more than all of it: its agent came back and lets
    /// trials share it since then, and those of before stay. That nobody was put beside them is for the oracle to see.
    pub(super) fn check_rooms(&self) -> bool {
        self.agents.values().all(|agent| {
            let there = |(slot, lease): (u32, &Option<Lease>)| {
                let (at, leased) = self.leased((*lease)?)?;
                agent.room(slot)?;
                Some((slot, Lodger { shape: self.sweep_of(at).shape(at.index), share: leased.share }))
            };
            let right: BTreeMap<u32, Lodger> = (0u32..).zip(&agent.slots).filter_map(there).collect();
            let known: BTreeMap<u32, Lodger> =
                agent.rooms.iter().flat_map(|room| room.trials.iter().map(|(slot, lodger)| (*slot, *lodger))).collect();
            right == known
        })
    }
}

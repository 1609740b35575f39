//! One agent: its slots, what runs on them, which data sets it has.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::device::{Block, Hold, Offer};
use crate::event::{AgentFacts, DatasetFacts};
use crate::id::{AgentId, Lease};
use crate::time::{Span, Timestamp};

use super::devices::Devices;
use super::packing::Room;

impl AgentFacts {
    /// An agent with so many slots that runs anything and needs no data, for those that only pretend.
    pub fn pretend(agent: AgentId, host: impl Into<String>, slots: usize) -> Self {
        Self {
            agent,
            host: host.into(),
            incarnation: 1,
            slots: vec!["pretend".to_owned(); slots],
            datasets: Vec::new(),
            data_roots: Vec::new(),
            any_dataset: true,
            offer: Offer::default(),
        }
    }
}

/// An agent as last heard of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Agent {
    /// What it said.
    pub facts: AgentFacts,
    /// What runs on each slot.
    pub slots: Vec<Option<Lease>>,
    /// Slots without a lease.
    pub free: u32,
    /// What keeps trials from them.
    pub devices: Devices,
    /// Devices that trials share.
    pub rooms: Vec<Room>,
    /// By slot: which of them it is on.
    pub(super) lodging: Vec<Option<u32>>,
}

impl Agent {
    pub(super) fn new(facts: AgentFacts, devices: Devices) -> Self {
        let slots = vec![None; facts.slots.len()];
        let free = slots.len() as u32;
        let shared = facts.offer.devices.iter().enumerate().filter(|(_, device)| device.packed);
        let room = |device| Room { device, trials: BTreeMap::new(), since: Timestamp::default(), awaits: None };
        let rooms: Vec<Room> = shared.map(|(device, _)| room(device)).collect();
        let mut lodging = vec![None; slots.len()];
        for (number, room) in (0u32..).zip(&rooms) {
            for slot in &facts.offer.devices[room.device].slots {
                lodging.get_mut(*slot as usize).into_iter().for_each(|lodging| *lodging = Some(number));
            }
        }
        Self { facts, slots, free, devices, rooms, lodging }
    }

    /// What it knows about a data set given by name or path. `None`: it does not have it.
    pub fn dataset(&self, dataset: &str) -> Option<Known<'_>> {
        if self.facts.any_dataset {
            return Some(Known::Unseen);
        }
        if dataset.starts_with('/') {
            return self.at_path(dataset);
        }
        self.facts.datasets.iter().find(|facts| facts.name == dataset).map(Known::Seen)
    }

    fn at_path(&self, dataset: &str) -> Option<Known<'_>> {
        let facts = &self.facts.datasets;
        let under = self.facts.data_roots.iter().find_map(|root| Path::new(dataset).strip_prefix(root).ok())?;
        if let Some(seen) = facts.iter().find(|facts| facts.path.as_deref() == Some(dataset)) {
            return Some(Known::Seen(seen));
        }
        // An agent that says where its data sets are has looked at every folder of its roots, but not below.
        let looked = facts.iter().any(|facts| facts.path.is_some());
        let name = under.to_str()?;
        if !looked {
            return Some(facts.iter().find(|facts| facts.name == name).map_or(Known::Unseen, Known::Seen));
        }
        (name.is_empty() || name.starts_with('.') || name.contains('/')).then_some(Known::Unseen)
    }

    /// Whether it can train on a data set, as far as it knows. With `bound`, only on the copy with that
    /// fingerprint; a pretend agent has no copy and never differs.
    pub fn can_use(&self, dataset: &str, bound: Option<&str>) -> bool {
        match self.dataset(dataset) {
            Some(Known::Seen(facts)) => {
                facts.problem.is_none() && bound.is_none_or(|bound| facts.fingerprint.as_deref() == Some(bound))
            }
            Some(Known::Unseen) => bound.is_none() || self.facts.any_dataset,
            None => false,
        }
    }

    /// The fingerprint of its copy of a data set, if it knows it.
    pub fn fingerprint(&self, dataset: &str) -> Option<&str> {
        match self.dataset(dataset)? {
            Known::Seen(facts) => facts.fingerprint.as_deref(),
            Known::Unseen => None,
        }
    }

    /// Why a slot gets no trials, whether something runs there or not.
    pub fn block(&self, slot: u32, now: Timestamp) -> Option<Block<'_>> {
        self.devices.block(&self.facts, slot, now)
    }

    /// How long until the next maintenance of a slot that has not begun, and which it is.
    pub fn planned(&self, slot: u32, now: Timestamp) -> Option<(Span, &Hold)> {
        let planned = if self.devices.holds.is_empty() { None } else { self.devices.planned(&self.facts, slot, now) };
        planned.map(|(from, hold)| (from - now, hold))
    }

    /// Slots that could get a trial now.
    pub fn open(&self, now: Timestamp) -> u32 {
        if self.free == 0 || self.devices.is_open() {
            return self.free;
        }
        let free = (0u32..).zip(&self.slots).filter(|(_, lease)| lease.is_none());
        free.filter(|(slot, _)| self.block(*slot, now).is_none()).count() as u32
    }

    pub(super) fn occupy(&mut self, slot: u32, lease: Lease) {
        self.slots[slot as usize] = Some(lease);
        self.free -= 1;
    }

    pub(super) fn release(&mut self, slot: u32, lease: Lease, now: Timestamp) {
        if let Some(held) = self.slots.get_mut(slot as usize)
            && *held == Some(lease)
        {
            *held = None;
            self.free += 1;
            self.leave(slot, now);
        }
    }
}

/// What an agent knows about a data set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Known<'a> {
    /// It has looked at it.
    Seen(&'a DatasetFacts),
    /// It lies inside a data root, or needs no data.
    Unseen,
}

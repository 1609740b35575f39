//! The part of the oracle about slots: nothing is granted on one that people hold, whose host is outside of its guest
//! hours, or whose device others use. It keeps its own books, from events only; what ends by itself (a slot that is
//! given back for a time) is not looked at, because events carry no time.

use std::collections::BTreeMap;

use crate::device::{HoldKind, Occupant};
use crate::event::{AgentFacts, Event};
use crate::id::AgentId;

use super::quotas::Excess;

/// What is closed.
#[derive(Debug, Default)]
pub(super) struct Devices {
    facts: BTreeMap<AgentId, AgentFacts>,
    held: BTreeMap<(AgentId, Option<u32>, HoldKind), String>,
    busy: BTreeMap<(AgentId, String), Vec<Occupant>>,
    closed: BTreeMap<AgentId, ()>,
}

impl Devices {
    /// Reads the next event; a grant may be on a closed slot.
    pub(super) fn read(&mut self, event: &Event) -> Option<Excess> {
        match event {
            Event::AgentJoined(facts) => drop(self.facts.insert(facts.agent, facts.clone())),
            Event::SlotHeld { agent, slot, hold } if hold.until.is_none() && hold.from.is_none() => {
                self.held.insert((*agent, *slot, hold.kind), hold.reason.clone());
            }
            // It takes the place of one without an end.
            Event::SlotHeld { agent, slot, hold } => drop(self.held.remove(&(*agent, *slot, hold.kind))),
            Event::HoldsLifted { agent, slot, kind: Some(only), .. } => {
                self.held.retain(|(of, held, kind), _| of != agent || kind != only || (slot.is_some() && held != slot));
            }
            Event::HoldsLifted { agent, slot, kind: None, .. } => {
                let slots = slot.map(|slot| self.beside(*agent, slot));
                let is_lifted = |held: &Option<u32>| match (&slots, held) {
                    (None, _) => true,
                    (Some(slots), Some(held)) => slots.contains(held),
                    (Some(_), None) => false,
                };
                self.held.retain(|(of, held, _), _| of != agent || !is_lifted(held));
            }
            Event::DeviceBusy { agent, device, by } if by.is_empty() => {
                self.busy.remove(&(*agent, device.clone()));
            }
            Event::DeviceBusy { agent, device, by } => {
                self.busy.insert((*agent, device.clone()), by.clone());
            }
            Event::GuestHours { agent, closed: Some(_) } => drop(self.closed.insert(*agent, ())),
            Event::GuestHours { agent, closed: None } => drop(self.closed.remove(agent)),
            Event::LeaseGranted { lease, agent, slot, .. } => {
                let why = self.why(*agent, *slot)?;
                let text = format!("{lease} on slot {slot} of {agent}: {why}");
                return Some(Excess { sweep: None, rule: "slot_closed", text });
            }
            _ => {}
        }
        None
    }

    /// The slots on the device of a slot.
    fn beside(&self, agent: AgentId, slot: u32) -> Vec<u32> {
        let device = self.facts.get(&agent).and_then(|facts| facts.offer.device_of(slot));
        device.map_or_else(|| vec![slot], |device| device.slots.clone())
    }

    fn why(&self, agent: AgentId, slot: u32) -> Option<String> {
        let beside = self.beside(agent, slot);
        let covers = |held: &Option<u32>| held.is_none_or(|held| beside.contains(&held));
        if let Some(((_, _, kind), _)) = self.held.iter().find(|((of, held, _), _)| *of == agent && covers(held)) {
            return Some(kind.reason().to_owned());
        }
        if self.closed.contains_key(&agent) {
            return Some("outside of its guest hours".to_owned());
        }
        let device = self.facts.get(&agent)?.offer.device_of(slot)?;
        self.busy.get(&(agent, device.id.clone())).map(|_| "others are on its device".to_owned())
    }
}

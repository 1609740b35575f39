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
    held: BTreeMap<(AgentId, Spot, HoldKind), String>,
    busy: BTreeMap<(AgentId, String), Vec<Occupant>>,
    closed: BTreeMap<AgentId, ()>,
}

/// Where something is held: a device keeps it when its host counts anew.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Spot {
    Host,
    Device(String),
    /// One on no device.
    Slot(u32),
}

impl Devices {
    /// Reads the next event; a grant may be on a closed slot.
    pub(super) fn read(&mut self, event: &Event) -> Option<Excess> {
        match event {
            Event::AgentJoined(facts) => drop(self.facts.insert(facts.agent, facts.clone())),
            Event::SlotHeld { agent, slot, hold } if hold.until.is_none() && hold.from.is_none() => {
                let spot = self.spot(*agent, *slot);
                self.held.insert((*agent, spot, hold.kind), hold.reason.clone());
            }
            // It takes the place of one without an end.
            Event::SlotHeld { agent, slot, hold } => {
                let spot = self.spot(*agent, *slot);
                self.held.remove(&(*agent, spot, hold.kind));
            }
            Event::HoldsLifted { agent, slot, kind: Some(only), .. } => {
                let spot = self.spot(*agent, *slot);
                let stays = |held: &Spot| spot != Spot::Host && *held != spot;
                self.held.retain(|(of, held, kind), _| of != agent || kind != only || stays(held));
            }
            Event::HoldsLifted { agent, slot, kind: None, .. } => {
                let spot = self.spot(*agent, *slot);
                self.held.retain(|(of, held, _), _| of != agent || spot != Spot::Host && *held != spot);
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

    fn spot(&self, agent: AgentId, slot: Option<u32>) -> Spot {
        let Some(slot) = slot else { return Spot::Host };
        let device = self.facts.get(&agent).and_then(|facts| facts.offer.device_of(slot));
        device.map_or(Spot::Slot(slot), |device| Spot::Device(device.id.clone()))
    }

    fn why(&self, agent: AgentId, slot: u32) -> Option<String> {
        let spot = self.spot(agent, Some(slot));
        let covers = |held: &Spot| *held == Spot::Host || *held == spot;
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

//! Which slots of an agent are closed to trials, and why. Kept when the agent comes back.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::attempt::FailureClass;
use crate::device::{Block, Closed, Hold, HoldKind, Occupant, Offer};
use crate::event::{AgentFacts, Failure};
use crate::id::{AgentId, Lease};
use crate::retry::is_of_the_host;
use crate::time::{Span, Timestamp};

use super::State;
use super::agent::Agent;

/// Everything that keeps trials from slots of one agent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Devices {
    /// By slot (`None`: the whole host) and kind, and of maintenance by beginning and end: any number of windows stands.
    pub holds: BTreeMap<HoldKey, Hold>,
    /// By id of a device: who else is on it. Never empty lists.
    pub busy: BTreeMap<String, Vec<Occupant>>,
    /// The host is outside of its guest hours.
    pub closed: Option<Closed>,
    /// By slot: device faults in a row. Slots without are left out.
    pub faults: BTreeMap<u32, u8>,
    /// Failures in a row for which the host could not run anything.
    pub unfit: u8,
    /// By id of a device that its host does not have now: what is said of its slots, of the first one first.
    pub away: BTreeMap<String, Vec<Away>>,
}

/// What is kept of a slot until its device is there again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Away {
    holds: Vec<Hold>,
    faults: u8,
}

/// What a hold takes the place of: one with the same key.
pub type HoldKey = (Option<u32>, HoldKind, Window);
/// Beginning and end of maintenance; nothing of other kinds, of which there is one at a time.
pub type Window = Option<(Option<Timestamp>, Option<Timestamp>)>;

/// The key of a hold.
pub fn hold_key(slot: Option<u32>, hold: &Hold) -> HoldKey {
    (slot, hold.kind, (hold.kind == HoldKind::Maintenance).then_some((hold.from, hold.until)))
}

impl Devices {
    /// Nothing keeps trials from any slot.
    pub fn is_open(&self) -> bool {
        self.holds.is_empty() && self.busy.is_empty() && self.closed.is_none()
    }

    /// Why a slot gets no trials: what people said comes first, then guest hours, then others' processes.
    pub fn block<'a>(&'a self, facts: &AgentFacts, slot: u32, now: Timestamp) -> Option<Block<'a>> {
        if self.is_open() {
            return None;
        }
        let busy = || facts.offer.device_of(slot).and_then(|device| self.busy.get(&device.id));
        self.order(facts, slot, now, |_| true).or_else(|| busy().map(|by| Block::Busy(by)))
    }

    /// Why what runs on a slot has to leave, if it has to.
    pub fn eviction<'a>(&'a self, facts: &AgentFacts, slot: u32, now: Timestamp) -> Option<Block<'a>> {
        if self.holds.is_empty() && self.closed.is_none() {
            return None;
        }
        self.order(facts, slot, now, HoldKind::evicts)
    }

    fn order<'a>(
        &'a self,
        facts: &AgentFacts,
        slot: u32,
        now: Timestamp,
        of: impl Fn(HoldKind) -> bool,
    ) -> Option<Block<'a>> {
        let mut holds = self.holds.iter().filter(|((_, kind, _), hold)| of(*kind) && hold.is_on(now));
        let held = holds.find(|((held, ..), _)| held.is_none_or(|held| is_together(facts, held, slot)));
        held.map(|(_, hold)| Block::Held(hold)).or_else(|| self.closed.map(Block::Closed))
    }

    /// What is held from now on; windows that are over are forgotten, so that there are never more than are planned.
    pub(crate) fn hold(&mut self, slot: Option<u32>, hold: &Hold, now: Timestamp) {
        self.holds.retain(|(.., window), hold| window.is_none() || !hold.is_over(now));
        self.holds.insert(hold_key(slot, hold), hold.clone());
    }

    /// The next maintenance of a slot that has not begun.
    pub fn planned(&self, facts: &AgentFacts, slot: u32, now: Timestamp) -> Option<(Timestamp, &Hold)> {
        let covers = |held: &Option<u32>| held.is_none_or(|held| is_together(facts, held, slot));
        let later = |hold: &'_ Hold| hold.from.filter(|from| *from > now);
        let holds = self.holds.iter().filter(|((held, ..), _)| covers(held));
        holds.filter_map(|(_, hold)| Some((later(hold)?, hold))).min_by_key(|(from, _)| *from)
    }

    /// When trials get a slot again, and for as long as `horizon`, if that is known: what is on it from others has no known end.
    pub(crate) fn opens(&self, facts: &AgentFacts, slot: u32, now: Timestamp, horizon: Span) -> Option<Timestamp> {
        if facts.offer.device_of(slot).is_some_and(|device| self.busy.contains_key(&device.id)) {
            return None;
        }
        let mut opens = self.closed.map_or(Some(now), |closed| closed.until)?.max(now);
        let covers = |held: &Option<u32>| held.is_none_or(|held| is_together(facts, held, slot));
        // Each hold that is on then, or begins too soon, puts it off to its end, so that none is met twice.
        loop {
            let soon = |hold: &Hold| hold.from.is_none_or(|from| from <= opens || from - opens < horizon);
            let met = |hold: &&Hold| !hold.is_over(opens) && soon(hold);
            let mut holds = self.holds.iter().filter(|((held, ..), _)| covers(held)).map(|(_, hold)| hold);
            match holds.find(met) {
                Some(hold) => opens = hold.until?,
                None => return Some(opens),
            }
        }
    }

    /// Lifts what is held on a slot, or on the host and all of its slots; only of one kind if that is said, and only what begins then.
    /// Whoever lifts all of it trusts the device again.
    pub(crate) fn lift(
        &mut self,
        facts: &AgentFacts,
        slot: Option<u32>,
        only: Option<HoldKind>,
        from: Option<Timestamp>,
    ) {
        if let Some(only) = only {
            let is_other = |hold: &Hold| from.is_some() && hold.from != from;
            self.holds
                .retain(|(held, kind, _), hold| *kind != only || (slot.is_some() && *held != slot) || is_other(hold));
            if slot.is_none() {
                let away = self.away.values_mut().flatten();
                away.for_each(|away| away.holds.retain(|hold| hold.kind != only || is_other(hold)));
                self.forget_away();
            }
            return;
        }
        let stays = |held: u32| slot.is_some_and(|slot| !is_together(facts, held, slot));
        self.holds.retain(|(held, ..), _| match held {
            None => slot.is_some(),
            Some(held) => stays(*held),
        });
        self.faults.retain(|held, _| stays(*held));
        if slot.is_none() {
            self.away.clear();
        }
    }

    /// The host has other devices than before, or counts them in another order: what is held on a device stays with the device.
    pub(super) fn renumber(&mut self, before: &Offer, now: &Offer) {
        let slots = |offer: &Offer| {
            offer.devices.iter().map(|device| (device.id.clone(), device.slots.clone())).collect::<BTreeMap<_, _>>()
        };
        let (before, now) = (slots(before), slots(now));
        if before == now && self.away.is_empty() {
            return;
        }
        for (id, slots) in before {
            let said: Vec<Away> = slots.iter().map(|slot| self.take(*slot)).collect();
            if said.iter().any(|said| *said != Away::default()) {
                self.away.insert(id, said);
            }
        }
        let is_back = |id: &String| now.get(id).is_some_and(|slots| !slots.is_empty());
        let back: Vec<String> = self.away.keys().filter(|id| is_back(id)).cloned().collect();
        for id in back {
            let (said, slots) = (self.away.remove(&id).unwrap_or_default(), &now[&id]);
            for (at, Away { holds, faults }) in said.into_iter().enumerate() {
                // It may have fewer slots now; one of them stands for all.
                let Some(slot) = slots.get(at).or(slots.first()).copied() else { continue };
                holds.into_iter().for_each(|hold| self.keep_longer(slot, hold));
                if faults > 0 {
                    let known = self.faults.entry(slot).or_default();
                    *known = faults.max(*known);
                }
            }
        }
    }

    /// Of two holds that are one from now on the one that ends later stays.
    fn keep_longer(&mut self, slot: u32, hold: Hold) {
        let end = |hold: &Hold| hold.until.map_or(i64::MAX, |until| until.0);
        let key = hold_key(Some(slot), &hold);
        if self.holds.get(&key).is_none_or(|known| end(known) < end(&hold)) {
            self.holds.insert(key, hold);
        }
    }

    /// What is said of slots of devices that are not there, if anything is.
    fn forget_away(&mut self) {
        self.away.retain(|_, said| said.iter().any(|said| *said != Away::default()));
    }

    /// The holds that are not over, also those on devices that are not there now.
    pub(crate) fn standing(&self, now: Timestamp) -> usize {
        let away = self.away.values().flatten().flat_map(|away| &away.holds);
        self.holds.values().chain(away).filter(|hold| !hold.is_over(now)).count()
    }

    /// What is said of a slot, which is not said of it any more.
    fn take(&mut self, slot: u32) -> Away {
        let of_slot = |(held, ..): &HoldKey| *held == Some(slot);
        let keys: Vec<HoldKey> = self.holds.keys().filter(|key| of_slot(key)).copied().collect();
        let holds = keys.iter().filter_map(|key| self.holds.remove(key)).collect();
        Away { holds, faults: self.faults.remove(&slot).unwrap_or_default() }
    }

    pub(super) fn faulty(&mut self, slot: u32) {
        let faults = self.faults.entry(slot).or_default();
        *faults = faults.saturating_add(1);
    }

    pub(super) fn worked(&mut self, slot: u32) {
        self.faults.remove(&slot);
        self.unfit = 0;
    }

    pub(super) fn used_by(&mut self, device: &str, by: &[Occupant]) {
        match by {
            [] => drop(self.busy.remove(device)),
            _ => drop(self.busy.insert(device.to_owned(), by.to_vec())),
        }
    }
}

/// A device is in repair as a whole, however many slots it has.
fn is_together(facts: &AgentFacts, held: u32, slot: u32) -> bool {
    held == slot || facts.offer.device_of(slot).is_some_and(|device| device.slots.contains(&held))
}

impl State {
    pub(super) fn devices(&mut self, agent: AgentId, change: impl FnOnce(&mut Agent)) {
        if let Some(agent) = self.agents.get_mut(&agent) {
            change(agent);
        }
    }

    /// What the failure of an attempt says of its host and its device.
    pub(super) fn found(&mut self, lease: Lease, failure: &Failure) {
        self.tested(lease, (failure.class == FailureClass::Device).then_some(false));
        if failure.class == FailureClass::OutOfMemory {
            self.ran_out(lease);
        }
        let agent = self.leased(lease).map(|(_, leased)| leased.agent);
        if let Some(agent) = agent.filter(|_| is_of_the_host(failure)) {
            self.devices(agent, |agent| agent.devices.unfit = agent.devices.unfit.saturating_add(1));
        }
    }

    /// Whether the device of a lease works: `None` if the fault is not the device's.
    pub(super) fn tested(&mut self, lease: Lease, works: Option<bool>) {
        let Some((_, leased)) = self.leased(lease) else { return };
        let (agent, slot) = (leased.agent, leased.slot);
        self.devices(agent, |agent| match works {
            Some(true) => agent.devices.worked(slot),
            Some(false) => agent.devices.faulty(slot),
            None => {}
        });
    }
}

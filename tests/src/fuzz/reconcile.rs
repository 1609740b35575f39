//! Any orders against any attempts of a host: there is always an answer; nothing wanted is stopped, nothing is started on a slot
//! that is not free; doing what is said once is enough; and when what is unwanted has gone, all that can run runs.

use std::collections::{BTreeMap, BTreeSet};

use arbitrary::{Result, Unstructured};
use sweep_agent::reconcile::{Action, Running, reconcile as decide};
use sweep_core::id::{Lease, SweepId, TrialId};

use super::kind;

/// Most leases on each side.
const MOST: usize = 24;

struct Host {
    wanted: BTreeMap<Lease, Option<u32>>,
    running: BTreeMap<Lease, Running>,
    slots: u32,
    stuck: BTreeSet<u32>,
}

impl Host {
    fn read(from: &mut Unstructured<'_>) -> Result<Self> {
        let slots = if from.ratio(1, 20)? { from.arbitrary()? } else { from.int_in_range(0..=8)? };
        let mut host = Self { wanted: BTreeMap::new(), running: BTreeMap::new(), slots, stuck: BTreeSet::new() };
        while !from.is_empty() && host.wanted.len() + host.running.len() < MOST {
            match from.int_in_range(0..=4)? {
                0 | 1 => drop(host.wanted.insert(lease(from)?, slot(from)?)),
                2 | 3 => {
                    let unit = Running { slot: slot(from)?, over: from.ratio(1, 3)?, stopping: from.ratio(1, 4)? };
                    host.running.insert(lease(from)?, unit);
                }
                _ => drop(slot(from)?.map(|slot| host.stuck.insert(slot))),
            }
        }
        Ok(host)
    }

    fn decide(&self) -> Vec<Action> {
        decide(&self.wanted, &self.running, self.slots, &self.stuck)
    }

    /// What a supervisor does, judged.
    fn act(&mut self, actions: &[Action]) {
        for action in actions {
            match action {
                Action::Start(lease) => {
                    let slot = self.wanted[lease].expect("it was told where");
                    assert!(slot < self.slots && !self.stuck.contains(&slot), "started on slot {slot}");
                    let on = |unit: &&Running| !unit.over && unit.slot.is_none_or(|other| other == slot);
                    assert_eq!(self.running.values().filter(on).count(), 0, "slot {slot} is not free");
                    let fresh = Running { slot: Some(slot), over: false, stopping: false };
                    assert_eq!(self.running.insert(*lease, fresh), None, "started twice");
                }
                Action::Stop(lease) => {
                    assert!(!self.wanted.contains_key(lease), "stopped although it is wanted");
                    let unit = self.running.get_mut(lease).expect("what is stopped is there");
                    assert!(!unit.over && !unit.stopping, "stopped twice");
                    unit.stopping = true;
                }
                Action::NoSlot(lease) | Action::StuckSlot(lease) => {
                    assert!(self.wanted.contains_key(lease), "nobody wanted it");
                    let over = Running { slot: None, over: true, stopping: false };
                    assert_eq!(self.running.insert(*lease, over), None, "it is there already");
                }
            }
        }
    }
}

/// See the module.
pub(super) fn reconcile(bytes: &[u8]) -> u64 {
    let Ok(mut host) = Host::read(&mut Unstructured::new(bytes)) else { return 0 };
    let first = host.decide();
    host.act(&first);
    assert_eq!(host.decide(), [], "once is not enough");
    for (lease, unit) in &mut host.running {
        assert!(host.wanted.contains_key(lease) || unit.over || unit.stopping, "{lease} runs and nobody wants it");
        // What was asked to leave leaves, and where the others are is told.
        unit.over |= unit.stopping || unit.slot.is_none();
    }
    let second = host.decide();
    host.act(&second);
    assert_eq!(host.decide(), [], "twice is not enough");
    for (lease, slot) in &host.wanted {
        let taken = host.running.values().any(|unit| !unit.over && unit.slot == *slot);
        assert!(slot.is_none() || host.running.contains_key(lease) || taken, "{lease} waits for nothing");
    }
    let word = |action: &Action| std::mem::discriminant(action);
    kind((first.iter().map(word).collect::<Vec<_>>(), second.iter().map(word).collect::<Vec<_>>()))
}

fn lease(from: &mut Unstructured<'_>) -> Result<Lease> {
    let number: u8 = from.int_in_range(0..=11)?;
    let trial = TrialId::derive(SweepId::derive("fuzz", ""), &number.to_string());
    Ok(Lease { trial, attempt: from.int_in_range(1..=2)? })
}

fn slot(from: &mut Unstructured<'_>) -> Result<Option<u32>> {
    Ok(match from.int_in_range(0..=9)? {
        0 => None,
        1 => Some(from.arbitrary()?),
        _ => Some(from.int_in_range(0..=9)?),
    })
}

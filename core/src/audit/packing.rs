//! The part of the oracle about devices that trials share: what is given out of one is never more than all of it, no
//! trial has less than its file asks for, and one that ran out of memory is tried again with nobody beside it.
//! Its own books, from events only.

use std::collections::{BTreeMap, BTreeSet};

use crate::attempt::FailureClass;
use crate::event::{AgentFacts, Event};
use crate::id::{AgentId, Lease, SweepId, TrialId};

use super::quotas::Excess;

/// Who was given how much of what.
#[derive(Debug, Default)]
pub(super) struct Packing {
    facts: BTreeMap<AgentId, AgentFacts>,
    asked: BTreeMap<TrialId, (SweepId, Option<u64>)>,
    limits: BTreeMap<SweepId, Option<u64>>,
    /// Trials whose last failure was that memory ran out.
    starved: BTreeSet<TrialId>,
    live: BTreeMap<TrialId, Part>,
    shares: BTreeMap<(AgentId, u32), u32>,
}

#[derive(Clone, Debug)]
struct Part {
    lease: Lease,
    agent: AgentId,
    slot: u32,
    share: u32,
}

impl Packing {
    /// Reads the next event; a grant may be wrong.
    pub(super) fn read(&mut self, event: &Event) -> Option<Excess> {
        match event {
            Event::AgentJoined(facts) => drop(self.facts.insert(facts.agent, facts.clone())),
            Event::SweepSubmitted { sweep, plan, .. } => {
                let asked = (*sweep, plan.limits.placement.memory);
                self.limits.insert(*sweep, asked.1);
                for trial in plan.trial_ids(*sweep) {
                    self.asked.entry(trial).or_insert(asked);
                }
            }
            Event::LeaseGranted { lease, agent, slot, share, .. } => {
                let part = Part { lease: *lease, agent: *agent, slot: *slot, share: *share };
                return self.granted(part);
            }
            Event::AttemptFailed { lease, failure, .. } => {
                match failure.class {
                    FailureClass::OutOfMemory => self.starved.insert(lease.trial),
                    _ => self.starved.remove(&lease.trial),
                };
                self.ended(*lease);
            }
            Event::TrialCompleted { lease, .. } | Event::LeaseLost { lease, .. } => self.ended(*lease),
            _ => {}
        }
        None
    }

    /// Another trial of a sweep.
    pub(super) fn added(&mut self, sweep: SweepId, trial: TrialId) {
        let asked = self.limits.get(&sweep).copied().flatten();
        self.asked.insert(trial, (sweep, asked));
    }

    fn granted(&mut self, part: Part) -> Option<Excess> {
        let (sweep, asked) = self.asked.get(&part.lease.trial).copied()?;
        self.live.insert(part.lease.trial, part.clone());
        self.shares.insert((part.agent, part.slot), part.share);
        let device = self.facts.get(&part.agent)?.offer.device_of(part.slot).filter(|device| device.packed)?;
        let shares: Vec<u32> =
            device.slots.iter().filter_map(|slot| self.shares.get(&(part.agent, *slot)).copied()).collect();
        let sum: u64 = shares.iter().map(|share| u64::from(*share)).sum();
        let most = u128::from(device.memory) * u128::from(part.share);
        let alone = shares.len() == 1;
        let wrong = match () {
            () if sum > 1000 => format!("{sum} thousandths of {} are given out", device.id),
            () if !alone && self.starved.contains(&part.lease.trial) => {
                format!("it ran out of memory and is not alone on {}", device.id)
            }
            () if part.share < 1000 && asked.is_some_and(|asked| u128::from(asked) * 1000 > most) => {
                format!("{} thousandths of {} are less than its file asks for", part.share, device.id)
            }
            () => return None,
        };
        let text = format!("{}: {wrong}", part.lease);
        Some(Excess { sweep: Some(sweep), rule: "device_overfull", text })
    }

    fn ended(&mut self, lease: Lease) {
        if let Some(part) = self.live.get(&lease.trial).filter(|part| part.lease == lease).cloned() {
            self.live.remove(&lease.trial);
            self.shares.remove(&(part.agent, part.slot));
        }
    }
}

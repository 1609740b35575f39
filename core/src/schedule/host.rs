//! A host that trials share, while a plan is made: nobody is put there whose memory or cores are not left.
//!
//! Of memory a trial takes what its file says (`placement.ram`), else what was measured of its shape, else the part of a slot, until its first
//! trial has measured it. Of the cores it takes what its file says (`placement.cores`), else the part of a slot, which is what its trainer computes with. The
//! parts of all slots come to no more than the host, so that whoever declared more slots than cores gets them all as long as no file says
//! something else. A host that does not say what it has is not counted on; files that ask for something are not put there.

use crate::placement::Placement;
use crate::state::State;
use crate::state::agent::Agent;

/// A core, in the unit of cores.
const CORE: u64 = 1000;

/// What a trial takes of its host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct HostPart {
    /// Bytes; and whether its file says so.
    ram: (u64, bool),
    /// Thousandths of cores.
    cores: u64,
}

/// What the trials on a host take of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Booked {
    trials: u32,
    /// Sums that never come to an end, so that what is taken away again leaves what there was.
    ram: u128,
    cores: u128,
}

impl HostPart {
    pub(super) fn of(state: &State, agent: &Agent, slot: u32, placement: &Placement, shape: Option<u32>) -> Self {
        let (offer, slots) = (&agent.facts.offer, (agent.slots.len() as u64).max(1));
        let ram = match placement.ram {
            Some(ram) => (ram, true),
            None => {
                let measured = state.shapes.ram(shape, offer.device_of(slot).is_some());
                (measured.unwrap_or(offer.memory / slots), false)
            }
        };
        let cores = match placement.cores {
            Some(cores) => u64::from(cores) * CORE,
            None => u64::from(offer.cores) * CORE / slots,
        };
        Self { ram, cores }
    }

    /// Whether it is left. What was measured, maybe elsewhere, does not keep a trial from a host that has nothing else to do.
    pub(super) fn fits<'b>(self, agent: &Agent, booked: impl Fn() -> &'b Booked) -> bool {
        let offer = &agent.facts.offer;
        let left = |taken: u128, wanted: u64, most: u64| wanted == 0 || taken + u128::from(wanted) <= u128::from(most);
        if self == Self::default() {
            return true;
        }
        let booked = booked();
        let unbound = !self.ram.1 && (offer.memory == 0 || booked.trials == 0);
        (unbound || left(booked.ram, self.ram.0, offer.memory))
            && left(booked.cores, self.cores, u64::from(offer.cores) * CORE)
    }
}

impl Booked {
    /// Of all trials there.
    pub(super) fn of(state: &State, agent: &Agent) -> Self {
        let mut booked = Self::default();
        for (slot, lease) in (0u32..).zip(&agent.slots) {
            let Some((at, _)) = lease.and_then(|lease| state.leased(lease)) else { continue };
            let sweep = state.sweep_of(at);
            booked.add(HostPart::of(state, agent, slot, &sweep.plan.limits.placement, sweep.shape(at.index)));
        }
        booked
    }

    pub(super) fn add(&mut self, part: HostPart) {
        self.trials += 1;
        self.ram += u128::from(part.ram.0);
        self.cores += u128::from(part.cores);
    }

    /// Once a trial has left that takes such a part.
    pub(super) fn without(self, part: HostPart) -> Self {
        let (ram, cores) = (u128::from(part.ram.0), u128::from(part.cores));
        Self {
            trials: self.trials.saturating_sub(1),
            ram: self.ram.saturating_sub(ram),
            cores: self.cores.saturating_sub(cores),
        }
    }

    /// Whether a trial of a sweep fits beside them.
    pub(super) fn leaves(&self, state: &State, trial: (u32, u32), agent: &Agent, slot: u32) -> bool {
        let sweep = &state.sweeps[trial.0 as usize];
        HostPart::of(state, agent, slot, &sweep.plan.limits.placement, sweep.shape(trial.1)).fits(agent, || self)
    }
}

/// Whether the next trial of a sweep finds too little memory or too few cores left beside those on an agent.
pub(crate) fn is_short(state: &State, number: u32, agent: &Agent) -> bool {
    let next = state.next_turn(number);
    let slot = agent.slots.iter().position(Option::is_none);
    let Some((turn, slot)) = next.zip(slot) else { return false };
    !Booked::of(state, agent).leaves(state, (number, turn.1), agent, slot as u32)
}

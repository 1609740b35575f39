//! What the next trials of sweeps need, worked out once for a plan in which nothing starts: asked for again and again, for
//! each slot that may come free.

use std::cell::OnceCell;

use crate::id::AgentId;
use crate::maintenance;
use crate::placement::Placement;
use crate::state::State;
use crate::state::agent::Agent;
use crate::time::{Span, Timestamp};

use super::place::{Need, is_alone};

/// The next trial of a sweep on one of its data sets.
pub(super) struct Head<'a> {
    pub(super) index: u32,
    dataset: &'a str,
    bound: Option<&'a str>,
    placement: &'a Placement,
    alone: bool,
    shape: Option<u32>,
    horizon: Span,
    /// It may start only here, where others find out what it has to compute with.
    only: Option<Vec<AgentId>>,
}

/// Those of all sweeps.
pub(super) struct Heads<'a> {
    state: &'a State,
    known: Vec<OnceCell<Vec<Head<'a>>>>,
}

impl<'a> Heads<'a> {
    pub(super) fn new(state: &'a State) -> Self {
        Self { state, known: state.sweeps.iter().map(|_| OnceCell::new()).collect() }
    }

    /// Of one sweep.
    pub(super) fn of(&self, number: u32) -> &[Head<'a>] {
        self.known[number as usize].get_or_init(|| {
            let sweep = &self.state.sweeps[number as usize];
            let placement = &sweep.plan.limits.placement;
            let groups = self.state.turns(number).iter().zip(&sweep.datasets).zip(&sweep.fingerprints);
            let open = groups.filter_map(|((waiting, dataset), bound)| Some((waiting.first()?.1, dataset, bound)));
            let head = |(index, dataset, bound): (u32, &'a String, &'a Option<String>)| {
                let choosing = sweep.undecided(index).map(|key| sweep.choices.choosing(&key).collect::<Vec<_>>());
                let only = choosing.filter(|agents| !agents.is_empty());
                let (alone, shape) = (is_alone(&sweep.trials[index as usize]), sweep.shape(index));
                let horizon = maintenance::horizon(sweep, index);
                Head { index, dataset, bound: bound.as_deref(), placement, alone, shape, horizon, only }
            };
            open.map(head).collect()
        })
    }
}

impl<'a> Head<'a> {
    /// What it needs, where quotas leave so many thousandths of a device.
    pub(super) fn need(&self, most: u32) -> Need<'a> {
        let Self { dataset, bound, placement, alone, shape, horizon, .. } = *self;
        Need { dataset, bound, placement, alone, shape, horizon, most }
    }

    /// Whether it could run on a slot that nobody else is on, and that nothing else is asked of.
    pub(super) fn fits(&self, id: AgentId, agent: &Agent, slot: u32, now: Timestamp) -> bool {
        self.placement.fits(agent, slot)
            && agent.can_use(self.dataset, self.bound)
            && self.only.as_ref().is_none_or(|only| only.contains(&id))
            && agent.planned(slot, now).is_none_or(|(left, _)| left >= self.horizon)
    }
}

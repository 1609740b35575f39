//! Agents whose copy of a data set differs from the one that a sweep trains on: who they are and how
//! people are told. That they get none of its trials is decided in `schedule`.

use std::fmt;

use crate::id::AgentId;
use crate::state::State;
use crate::state::agent::{Agent, Known};
use crate::state::sweep::Sweep;

/// One agent, one data set, two fingerprints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OtherCopy<'a> {
    /// The sweep's name.
    pub sweep: &'a str,
    /// The data set's name.
    pub dataset: &'a str,
    /// What the sweep trains on.
    pub bound: &'a str,
    /// The agent's host.
    pub host: &'a str,
    /// What the agent has; nothing if it cannot say.
    pub found: Option<&'a str>,
}

impl fmt::Display for OtherCopy<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sweep, dataset, bound, host, found } = self;
        match found {
            Some(found) => write!(
                out,
                "{host} gets no trials of {sweep}: its copy of the data set {dataset} has the fingerprint {found}, \
                 the sweep trains on {bound}"
            ),
            None => write!(
                out,
                "{host} gets no trials of {sweep}: it cannot say the fingerprint of its copy of the data set \
                 {dataset}, the sweep trains on {bound}"
            ),
        }
    }
}

/// The agents that get none of a sweep's waiting trials because of their copy.
pub fn of_sweep<'a>(state: &'a State, sweep: &'a Sweep) -> impl Iterator<Item = OtherCopy<'a>> {
    state.hosts().flat_map(|(_, agent)| of(agent, sweep))
}

/// The sweeps with waiting trials that an agent gets none of because of its copy.
pub fn of_agent(state: &State, agent: AgentId) -> impl Iterator<Item = OtherCopy<'_>> {
    let agent = state.agents.get(&agent);
    let ready = state.ready().map(|number| &state.sweeps[number as usize]);
    ready.flat_map(move |sweep| agent.into_iter().flat_map(|agent| of(agent, sweep)))
}

fn of<'a>(agent: &'a Agent, sweep: &'a Sweep) -> impl Iterator<Item = OtherCopy<'a>> {
    let groups = sweep.waiting.iter().zip(&sweep.datasets).zip(&sweep.fingerprints);
    groups.filter_map(|((waiting, dataset), bound)| {
        let bound = bound.as_deref().filter(|_| !waiting.is_empty())?;
        match agent.dataset(dataset)? {
            // What is broken gets no trials at all, for another reason.
            Known::Seen(facts) if facts.problem.is_some() => return None,
            _ if agent.can_use(dataset, Some(bound)) => return None,
            _ => {}
        }
        let found = agent.fingerprint(dataset);
        Some(OtherCopy { sweep: &sweep.name, dataset, bound, host: &agent.facts.host, found })
    })
}

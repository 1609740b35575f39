//! Which slot: spread over agents, so that one host is not full while another idles.

use std::cmp::Reverse;

use crate::id::AgentId;
use crate::state::State;
use crate::state::agent::Agent;

/// Reachable agents with a free slot, the one with most free slots first.
pub(super) struct Places<'a>(Vec<(AgentId, &'a Agent)>);

impl<'a> Places<'a> {
    pub(super) fn new(state: &'a State, is_reachable: impl Fn(AgentId) -> bool) -> Self {
        let open = state.agents.iter().filter(|(id, agent)| agent.free > 0 && is_reachable(**id));
        let mut open: Vec<_> = open.map(|(id, agent)| (*id, agent)).collect();
        open.sort_by_key(|(id, agent)| (Reverse(agent.free), *id));
        Self(open)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first agent that has the data set (the copy `bound`, if that is decided), and its lowest free slot.
    pub(super) fn find(&self, dataset: &str, bound: Option<&str>) -> Option<(AgentId, u32, Option<String>)> {
        let (id, agent) = self.0.iter().find(|(_, agent)| agent.can_use(dataset, bound))?;
        Some((*id, agent.free_slot()?, agent.fingerprint(dataset).map(str::to_owned)))
    }
}

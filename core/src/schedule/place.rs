//! Which slot: one that nothing keeps trials from, spread over agents, so that one host is not full while another idles.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::id::AgentId;
use crate::state::State;
use crate::state::agent::Agent;
use crate::time::Timestamp;

/// Free slots of reachable agents; those that are taken here are no longer free.
pub(super) struct Places<'a> {
    now: Timestamp,
    agents: BTreeMap<AgentId, Place<'a>>,
    /// The agent with most free slots first.
    order: BTreeSet<(Reverse<u32>, AgentId)>,
    /// Data sets, in a copy, that no free slot has: it stays so, because slots are only taken.
    nowhere: BTreeSet<(&'a str, Option<&'a str>)>,
}

struct Place<'a> {
    agent: &'a Agent,
    /// Slots below are not free.
    from: usize,
}

impl<'a> Places<'a> {
    pub(super) fn new(state: &'a State, now: Timestamp, is_reachable: impl Fn(AgentId) -> bool) -> Self {
        let reachable = state.agents.iter().filter(|(id, agent)| agent.free > 0 && is_reachable(**id));
        let open = reachable.map(|(id, agent)| (*id, agent, agent.open(now))).filter(|(_, _, open)| *open > 0);
        let (mut agents, mut order) = (BTreeMap::new(), BTreeSet::new());
        for (id, agent, open) in open {
            agents.insert(id, Place { agent, from: 0 });
            order.insert((Reverse(open), id));
        }
        Self { now, agents, order, nowhere: BTreeSet::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Takes the lowest free slot of the first agent that has the data set (the copy `bound`, if that
    /// is decided), with the fingerprint of its copy. Only one of `only` will do, unless that is empty.
    pub(super) fn take(
        &mut self,
        dataset: &'a str,
        bound: Option<&'a str>,
        only: &[AgentId],
    ) -> Option<(AgentId, u32, Option<&'a str>)> {
        if self.nowhere.contains(&(dataset, bound)) {
            return None;
        }
        let will_do =
            |id: &AgentId| (only.is_empty() || only.contains(id)) && self.agents[id].agent.can_use(dataset, bound);
        let found = self.order.iter().find(|(_, id)| will_do(id)).copied();
        let Some((Reverse(free), id)) = found else {
            if only.is_empty() {
                self.nowhere.insert((dataset, bound));
            }
            return None;
        };
        let place = self.agents.get_mut(&id)?;
        let (agent, now) = (place.agent, self.now);
        let mut slots = (place.from..).zip(&agent.slots[place.from..]);
        let slot = slots.find(|(slot, lease)| lease.is_none() && agent.block(*slot as u32, now).is_none())?.0;
        place.from = slot + 1;
        self.order.remove(&(Reverse(free), id));
        if free > 1 {
            self.order.insert((Reverse(free - 1), id));
        }
        Some((id, slot as u32, place.agent.fingerprint(dataset)))
    }
}

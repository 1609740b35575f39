//! Hosts, by what people call them. One whose agent was revoked is none any more: it stays in the history, and its name is free for
//! another agent.

use crate::command::Reject;
use crate::device::HoldKind;
use crate::id::AgentId;
use crate::nearest::nearest;

use super::State;
use super::agent::Agent;

/// Fewest digits of the beginning of an id.
const SHORTEST: usize = 4;

impl Agent {
    /// Whether its certificate was revoked, and it has not joined again.
    pub fn is_revoked(&self) -> bool {
        self.devices.holds.contains_key(&(None, HoldKind::Revoked, None))
    }
}

impl State {
    /// Every host, but those that were revoked and run nothing.
    pub fn hosts(&self) -> impl Iterator<Item = (&AgentId, &Agent)> + Clone {
        let is_out = |agent: &Agent| agent.free == agent.slots.len() as u32 && agent.is_revoked();
        self.agents.iter().filter(move |(_, agent)| !is_out(agent))
    }

    /// A host by its name, or by the id of its agent or the beginning of it.
    ///
    /// # Errors
    /// When there is none, or several.
    pub fn host(&self, text: &str) -> Result<(AgentId, &Agent), Reject> {
        let of_name = || self.hosts().filter(|(_, agent)| agent.facts.host == text);
        let of_id = || self.hosts().filter(|(id, _)| text.len() >= SHORTEST && id.to_string().starts_with(text));
        let found: Vec<_> = if of_name().next().is_some() { of_name().collect() } else { of_id().collect() };
        match found[..] {
            [(id, agent)] => Ok((*id, agent)),
            [] => {
                let known: Vec<String> = self.hosts().map(|(_, agent)| agent.facts.host.clone()).collect();
                let nearest = nearest(text, known.iter().map(String::as_str)).map(str::to_owned);
                Err(Reject::HostUnknown { name: text.to_owned(), known, nearest })
            }
            _ => {
                let agents = found.iter().map(|(id, _)| id.to_string()).collect();
                Err(Reject::HostAmbiguous { name: text.to_owned(), agents })
            }
        }
    }
}

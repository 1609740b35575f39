//! Members of the lab as messages, and which agent it is that somebody names.

use std::collections::BTreeMap;

use sweep_core::id::AgentId;
use sweep_core::state::agent::Agent;
use sweep_core::time::Timestamp;
use sweep_proto::convert::id_bytes;
use sweep_proto::status::status;
use sweep_proto::v1;
use tonic::{Code, Status};

use super::refused;
use crate::access::book::{AgentRecord, Book, TokenRecord, User};
use crate::handle::Handle;

/// Fewest digits of the beginning of an id.
const SHORTEST: usize = 4;

/// What a member that has called is called.
pub(super) struct Host {
    pub(super) name: String,
    /// Whether it is a host no more: it was revoked, and the trials that it had were given to others.
    is_dismissed: bool,
}

/// The hosts of agents that have called.
pub(super) async fn hosts(handle: &Handle) -> Result<BTreeMap<AgentId, Host>, Status> {
    let hosts = handle.query(|view| {
        let host = |agent: &Agent| Host { name: agent.facts.host.clone(), is_dismissed: agent.is_revoked() };
        view.core.state().agents.iter().map(|(id, agent)| (*id, host(agent))).collect()
    });
    hosts.await.map_err(refused)
}

/// The member that somebody names by its host, its id, or the beginning of that. One that was revoked is found by its id only, as its host may
/// have another agent by now; but by its host, too, where nobody else has that and the revocation is half done: a coordinator in safe mode
/// lets nobody in with it, and cannot give its trials to others.
pub(super) fn named(book: &Book, hosts: &BTreeMap<AgentId, Host>, text: &str) -> Result<AgentId, Status> {
    let of_host = |is_revoked: bool| {
        let members = book.agents.values().filter(move |agent| agent.revoked.is_some() == is_revoked);
        // One that has joined again and not called yet is still taken for dismissed.
        let counts = |host: &Host| !is_revoked || !host.is_dismissed;
        let on_host = |id: &AgentId| hosts.get(id).is_some_and(|host| host.name == text && counts(host));
        members.map(|agent| agent.agent).filter(on_host).collect()
    };
    let mut found: Vec<AgentId> = of_host(false);
    if found.is_empty() {
        found = of_host(true);
    }
    if found.is_empty() {
        let digits: String = text.chars().filter(|digit| *digit != '-').collect();
        let begins = |id: &&AgentId| digits.len() >= SHORTEST && id.to_string().starts_with(&digits);
        found = book.agents.keys().filter(begins).copied().collect();
    }
    let shown: String = text.chars().take(80).flat_map(char::escape_debug).collect();
    match found[..] {
        [one] => Ok(one),
        [] => {
            let text = format!(
                "no agent has joined from a host `{shown}` or with such an id; `sweepctl admin agent list` shows them"
            );
            Err(status(Code::NotFound, "agent_not_enrolled", text))
        }
        _ => {
            let ids: Vec<String> = found.iter().map(ToString::to_string).collect();
            let text = format!(
                "several agents are called `{shown}` or have ids that begin like that: name one by its id: {}",
                ids.join(", ")
            );
            Err(status(Code::InvalidArgument, "host_ambiguous", text))
        }
    }
}

/// A user.
pub(super) fn user_summary(book: &Book, user: &User, now: Timestamp) -> v1::UserSummary {
    let good = book.tokens.values().filter(|token| token.user.as_ref() == Some(&user.name));
    let good = good.filter(|token| book.good(&token.id, now).is_some()).count();
    v1::UserSummary {
        name: user.name.clone(),
        role: user.role.name().to_owned(),
        projects: user.projects.iter().cloned().collect(),
        created: user.created.0,
        removed: user.removed.map_or(0, |removed| removed.0),
        tokens: good as u32,
    }
}

/// A token, without what is secret of it.
pub(super) fn token_summary(token: &TokenRecord) -> v1::TokenSummary {
    v1::TokenSummary {
        id: token.id.clone(),
        kind: if token.user.is_some() { "user" } else { "join" }.to_owned(),
        user: token.user.clone().unwrap_or_default(),
        role: if token.user.is_some() { token.role.name() } else { "" }.to_owned(),
        note: token.note.clone(),
        created: token.created.0,
        expires: token.expires.0,
        revoked: token.revoked.map_or(0, |revoked| revoked.0),
    }
}

/// An agent that has joined, with its host if it has called.
pub(super) fn agent_summary(agent: &AgentRecord, host: Option<&Host>) -> v1::AgentCertificate {
    v1::AgentCertificate {
        agent_id: id_bytes(agent.agent),
        note: agent.note.clone(),
        enrolled: agent.enrolled.0,
        expires: agent.expires.0,
        revoked: agent.revoked.map_or(0, |revoked| revoked.0),
        host: host.map(|host| host.name.clone()).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use sweep_proto::status::reason_of;
    use uuid::Uuid;

    use super::*;

    fn agent(number: u128, revoked: bool) -> AgentRecord {
        let (agent, note) = (AgentId::from(Uuid::from_u128(number << 100)), String::new());
        let (enrolled, expires, revoked) = (Timestamp(1), Timestamp(9), revoked.then_some(Timestamp(2)));
        AgentRecord { agent, note, generation: 1, enrolled, expires, revoked }
    }

    #[test]
    fn a_member_is_found_by_its_host_and_one_that_was_revoked_by_its_id() {
        let mut book = Book::default();
        let agents = [agent(1, true), agent(2, false), agent(3, false), agent(4, false), agent(0x21, false)];
        agents.iter().for_each(|agent| drop(book.agents.insert(agent.agent, agent.clone())));
        let names = [(0, "gpu-1"), (1, "gpu-1"), (2, "gpu-2"), (3, "gpu-2")];
        let host =
            |at: usize, name: &str, is_dismissed| (agents[at].agent, Host { name: name.to_owned(), is_dismissed });
        let mut hosts: BTreeMap<_, _> = names.into_iter().map(|(at, name)| host(at, name, false)).collect();
        let find = |text: &str| named(&book, &hosts, text).map_err(|refusal| reason_of(&refusal).unwrap());
        assert_eq!(find("gpu-1"), Ok(agents[1].agent), "the other is none of them any more");
        assert_eq!(find("gpu-2"), Err("host_ambiguous".to_owned()));
        assert_eq!(find(&agents[2].agent.to_string()), Ok(agents[2].agent));
        assert_eq!(find(&agents[2].agent.0.hyphenated().to_string()[..10]), Ok(agents[2].agent));
        assert_eq!(
            find(&agents[0].agent.to_string()),
            Ok(agents[0].agent),
            "again, so that what was lost on the way is done"
        );
        assert_eq!(find("0000"), Err("host_ambiguous".to_owned()));
        assert_eq!(find("000"), Err("agent_not_enrolled".to_owned()));
        assert_eq!(find("gpu-3"), Err("agent_not_enrolled".to_owned()));
        // Revoked while the coordinator was in safe mode: by its name again, until its trials are others'.
        hosts.extend([host(0, "gpu-4", false)]);
        assert_eq!(named(&book, &hosts, "gpu-4").ok(), Some(agents[0].agent));
        hosts.extend([host(0, "gpu-4", true)]);
        assert!(named(&book, &hosts, "gpu-4").is_err());
        // Joined again, and not called since.
        hosts.extend([host(1, "gpu-1", true)]);
        assert_eq!(named(&book, &hosts, "gpu-1").ok(), Some(agents[1].agent));
    }
}

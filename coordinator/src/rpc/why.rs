//! The story of a trial, a slot, a host or a sweep: what is asked for, what may be seen of it, and the telling.

use sweep_core::id::AgentId;
use sweep_core::state::State;
use sweep_core::state::agent::Agent;
use sweep_core::story::{Names, Story, Subject, Teller};
use sweep_proto::status::status;
use tonic::{Code, Status};

use super::{Edge, refs, refused, unreadable};
use crate::access::identity::Identity;

/// Tells it from the journal on disk.
///
/// # Errors
/// When nothing, or more than one thing, is called like that.
pub(super) async fn tell(edge: &Edge, what: String, caller: Identity) -> Result<Story, Status> {
    let found = edge.handle.query(move |view| {
        let state = view.core.state();
        let subject = subject(state, &what, &caller)?;
        Ok::<_, Status>(Teller::new(subject, Names::of(state, |sweep| caller.sees(sweep))))
    });
    let mut teller = found.await.map_err(refused)??;
    edge.reader.tell(&mut teller).await.map_err(unreadable)?;
    let finish = |view: crate::handle::View<'_>| {
        teller.finish(view.core.state(), view.now, |agent| view.core.is_reachable(agent, view.now))
    };
    edge.handle.query(finish).await.map_err(refused)
}

/// A host comes before a sweep of the same name: it is what stands in tables beside slots.
fn subject(state: &State, what: &str, caller: &Identity) -> Result<Subject, Status> {
    if let Some((host, slot)) = what.rsplit_once(':')
        && let Ok(slot) = slot.parse()
    {
        let unknown = || status(Code::NotFound, "host_unknown", format!("no host is called `{host}`"));
        return agent(state, host)?.map(|agent| Subject::Slot(agent, slot)).ok_or_else(unknown);
    }
    if let Some(agent) = agent(state, what)? {
        return Ok(Subject::Agent(agent));
    }
    let sweep = refs::sweep(state, what, caller);
    if let Ok(number) = sweep {
        return Ok(Subject::Sweep(state.sweeps[number as usize].id));
    }
    match (refs::trial(state, what, caller), sweep) {
        (Ok(at), _) => Ok(Subject::Trial(state.trial_id(at))),
        (Err(error @ refs::RefError::Ambiguous { .. }), _) | (_, Err(error)) => Err(error.into()),
        (Err(error), Ok(_)) => Err(error.into()),
    }
}

fn agent(state: &State, text: &str) -> Result<Option<AgentId>, Status> {
    let is_id = |id: &AgentId| text.len() >= 4 && id.to_string().starts_with(text);
    // One that was revoked has a history, but its name only as long as nobody else has it.
    let on = |agent: &Agent| agent.facts.host == text;
    let named = state.hosts().any(|(_, agent)| on(agent));
    let is_meant = |agent: &Agent| on(agent) && !(named && agent.is_revoked());
    let found: Vec<_> =
        state.agents.iter().filter(|(id, agent)| is_meant(agent) || is_id(id)).map(|(id, _)| *id).collect();
    match found[..] {
        [] => Ok(None),
        [one] => Ok(Some(one)),
        _ => {
            let ids: Vec<String> = found.iter().map(ToString::to_string).collect();
            let ids = ids.join(", ");
            let text = format!(
                "several agents are called `{text}` or have ids that begin like that: name one by its id: {ids}"
            );
            Err(status(Code::InvalidArgument, "host_ambiguous", text))
        }
    }
}

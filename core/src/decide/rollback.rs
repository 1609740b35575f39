//! What happens when the end of the journal was lost: it is noticed, nothing is decided until an admin has accepted it,
//! and then everybody is asked again what they hold.

use super::{Core, Seen, Step};
use crate::command::{Command, Reject, Reply, Verdict};
use crate::event::Event;
use crate::id::AgentId;
use crate::lineage::{Acceptance, Position, Suspicion};

/// A call of an agent that says what it has seen of the journal.
pub(super) fn seen(step: &mut Step<'_>, seen: Position, command: Command) -> Reply {
    let Some(agent) = caller(&command) else { return Reply::Noted };
    let lineage = &step.core.state.lineage;
    if lineage.is_behind(seen) {
        let known = lineage.suspicion.as_ref().map(|(_, _, known)| (known.generation, known.events));
        if known.is_none_or(|known| known < (seen.generation, seen.events)) {
            let host = match &command {
                Command::Hello { facts, .. } => facts.host.clone(),
                _ => step.core.state.agents.get(&agent).map(|agent| agent.facts.host.clone()).unwrap_or_default(),
            };
            let Position { generation, events, .. } = seen;
            step.emit(Event::RollbackSuspected(Suspicion { agent: Some(agent), host, generation, events }));
        }
    }
    let lineage = &step.core.state.lineage;
    if lineage.suspicion.is_some() {
        return paused(step, command);
    }
    if let Command::Hello { facts, held } = command {
        return super::agents::hello(step, facts, &held, Some(seen));
    }
    // What it says may be of attempts that this history has given to others under the same numbers.
    if lineage.is_older(Some(seen)) {
        return Reply::Rejected(Reject::AgentUnknown(agent));
    }
    match command {
        Command::Heartbeat { agent, known } => super::agents::heartbeat(step, agent, &known, Some(seen)),
        command => step.core.handle(command, step.now, step.out),
    }
}

fn caller(command: &Command) -> Option<AgentId> {
    match command {
        Command::Hello { facts, .. } => Some(facts.agent),
        Command::Heartbeat { agent, .. } | Command::Report { agent, .. } => Some(*agent),
        _ => None,
    }
}

/// Safe mode: agents are heard and told to go on, everything else waits.
pub(super) fn paused(step: &mut Step<'_>, command: Command) -> Reply {
    match command {
        Command::Hello { facts, held } => {
            super::agents::heard(step, facts.agent);
            Reply::Welcome(held.iter().map(|_| Verdict::Hold).collect())
        }
        Command::Heartbeat { agent, .. } | Command::Observe { agent, .. } => match super::agents::called(step, agent) {
            true => Reply::Noted,
            false => Reply::Rejected(Reject::AgentUnknown(agent)),
        },
        Command::Seen { position, command } => seen(step, position, *command),
        Command::Start { build } => start(step, build),
        Command::AcceptRollback { user } => accept(step, user),
        _ => Reply::Rejected(Reject::SafeMode(step.core.state.lineage.words().unwrap_or_default())),
    }
}

/// A coordinator process begins.
pub(super) fn start(step: &mut Step<'_>, build: String) -> Reply {
    let run = step.core.state.lineage.next_run(step.now);
    step.emit(Event::CoordinatorStarted { run, build });
    Reply::Noted
}

/// Goes on without what was lost. Every agent has to say again what it holds, and has a full lease time to do so.
pub(super) fn accept(step: &mut Step<'_>, user: String) -> Reply {
    let lineage = &step.core.state.lineage;
    let Some((_, _, suspicion)) = &lineage.suspicion else { return Reply::Changed(0) };
    let generation = lineage.generation.max(suspicion.generation) + 1;
    step.emit(Event::RollbackAccepted(Acceptance { user, generation }));
    let core: &mut Core = step.core;
    core.seen = core.state.agents.keys().map(|agent| (*agent, Seen::begin(&core.state, step.now))).collect();
    Reply::Changed(1)
}

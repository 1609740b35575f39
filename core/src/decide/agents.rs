//! Agents: hello, heartbeat, and what happens when one is silent for too long.

use super::late::Knows;
use super::{Core, LEASE_TIME, Seen, Step};
use crate::command::{Reject, Reply, Verdict};
use crate::device::{Hold, HoldKind, Offer, SYSTEM};
use crate::event::{AgentFacts, Event, LossCause};
use crate::id::{AgentId, Lease};
use crate::lineage::Position;
use crate::state::agent::Agent;
use crate::state::trial::Leased;

/// The agent says what it is and what it holds. A lease that this coordinator believes in and the
/// agent does not is lost; an attempt that the agent holds gets exactly one verdict.
pub(super) fn hello(step: &mut Step<'_>, facts: AgentFacts, held: &[Lease], seen: Option<Position>) -> Reply {
    let id = facts.agent;
    let welcome = |core: &Core| Reply::Welcome(held.iter().map(|lease| verdict(core, id, *lease, seen)).collect());
    let Core { state, seen: agents, .. } = &mut *step.core;
    let before = agents.entry(id).or_insert_with(|| Seen::begin(state, step.now));
    let is_late = state
        .agents
        .get(&id)
        .is_some_and(|agent| before.knows.is_late(&state.lineage, facts.incarnation, agent.facts != facts, seen));
    if is_late {
        // An agent that waits for the answer is asked again, and says the same with more in its eyes.
        before.knows.ask_again(facts.incarnation);
        before.called = false;
        return welcome(step.core);
    }
    let (called, knows) = (before.called, before.knows.clone());
    heard(step, id);
    let known = step.core.state.agents.get(&id);
    let leases: Vec<(u32, Lease)> = known
        .map(|agent| (0u32..).zip(&agent.slots).filter_map(|(slot, lease)| lease.map(|lease| (slot, lease))).collect())
        .unwrap_or_default();
    // The same process that only lost its connection knows all of its orders, but a grant may have
    // been decided while its hello was on the way: such a lease is offered again, not lost.
    // Since the end of the journal was lost, what it does not hold is not on its way either.
    // One that has called since then does so in a hello that was on its way.
    let older = step.core.state.lineage.is_older(seen) && !(called && seen.is_some());
    let restarted = known.is_none_or(|agent| agent.facts.incarnation != facts.incarnation);
    // Also one whose device has another number now: what its trial does would be said of the wrong device.
    let offers = known.map(|agent| (&agent.facts.offer, &facts.offer)).filter(|(_, offer)| !offer.is_empty());
    let is_other = |slot: u32| {
        let device = |offer: &Offer| offer.device_of(slot).map(|device| device.id.clone());
        offers.is_some_and(|(before, now)| device(before).is_some_and(|before| device(now) != Some(before)))
    };
    let gone: Vec<u32> = leases.iter().map(|(slot, _)| *slot).filter(|slot| is_other(*slot)).collect();
    let is_gone = |slot: u32| slot as usize >= facts.slots.len() || gone.contains(&slot);
    for (slot, lease) in leases {
        if is_gone(slot) {
            step.emit(Event::LeaseLost { lease, cause: LossCause::SlotGone });
        } else if !held.contains(&lease) && (older || restarted && is_forgotten(step.core, &knows, lease, seen)) {
            step.emit(Event::LeaseLost { lease, cause: LossCause::Forgotten });
        }
    }
    if step.core.state.agents.get(&id).is_none_or(|agent| agent.facts != facts) {
        step.emit(Event::AgentJoined(facts));
    }
    // Whoever calls has been let in again; the quarantine stays until somebody trusts it.
    if step.core.state.agents.get(&id).is_some_and(Agent::is_revoked) {
        let (user, kind) = (SYSTEM.to_owned(), Some(HoldKind::Revoked));
        step.emit(Event::HoldsLifted { agent: id, slot: None, user, kind, from: None });
    }
    let Core { state, seen: agents, .. } = &mut *step.core;
    if let Some(agent) = agents.get_mut(&id) {
        agent.knows.greeted(&state.lineage, seen);
    }
    welcome(step.core)
}

/// Whether an agent that was started again has lost an attempt. One that has never reported is offered again: if its order came
/// to an earlier life, nothing is left of it.
fn is_forgotten(core: &Core, knows: &Knows, lease: Lease, seen: Option<Position>) -> bool {
    let reports = core.state.leased(lease).is_some_and(|(_, leased)| leased.acked_seq > 0);
    seen.is_none() || reports && knows.is_after(&core.state.lineage, lease, seen)
}

/// Nothing that this history has not granted is thrown away: it may be of an end of the journal that was lost.
fn verdict(core: &Core, agent: AgentId, lease: Lease, seen: Option<Position>) -> Verdict {
    let older = core.state.lineage.is_older(seen);
    let was_here = |leased: &Leased| !older || leased.generation <= seen.map_or(0, |seen| seen.generation);
    match core.state.leased(lease) {
        Some((_, leased)) if leased.agent == agent && was_here(leased) => {
            Verdict::Continue { acked_seq: leased.acked_seq }
        }
        _ if older => Verdict::Unknown,
        Some(_) => Verdict::Fenced,
        None => match core.state.find(lease.trial) {
            Some(at) if core.state.trial(at).attempt >= lease.attempt => Verdict::Fenced,
            _ => Verdict::Unknown,
        },
    }
}

/// A lease that the agent does not know although it should is over: a withdrawn order that never
/// arrived will never be reported as ended, and an attempt that has reported before was lost by the
/// agent, unless the heartbeat was on its way since before that. A fresh order that is still on its way is left alone.
pub(super) fn heartbeat(step: &mut Step<'_>, agent: AgentId, known: &[Lease], seen: Option<Position>) -> Reply {
    if let Some(heard) = step.core.seen.get_mut(&agent) {
        heard.knows.says(seen);
    }
    if !called(step, agent) {
        return Reply::Rejected(Reject::AgentUnknown(agent));
    }
    let (state, heard) = (&step.core.state, step.core.seen.get(&agent));
    let is_after = |lease| heard.is_some_and(|heard| heard.knows.is_after(&state.lineage, lease, seen));
    let slots = state.agents.get(&agent).map(|agent| agent.slots.as_slice()).unwrap_or_default();
    let over = |lease: &Lease| {
        let (_, leased) = state.leased(*lease).filter(|_| !known.contains(lease))?;
        match leased {
            Leased { acked_seq: 1.., .. } if !is_after(*lease) => None,
            leased if !leased.is_wanted() => Some((*lease, LossCause::Stopped)),
            Leased { acked_seq: 1.., .. } => Some((*lease, LossCause::Forgotten)),
            _ => None,
        }
    };
    for (lease, cause) in slots.iter().flatten().filter_map(over).collect::<Vec<_>>() {
        step.emit(Event::LeaseLost { lease, cause });
    }
    Reply::Noted
}

/// The first epoch of an attempt is in the journal: from here on its agent knows of it.
pub(super) fn first_epoch(step: &mut Step<'_>, lease: Lease) {
    let Core { state, seen, .. } = &mut *step.core;
    let Some((_, leased)) = state.leased(lease) else { return };
    if let Some(seen) = seen.get_mut(&leased.agent) {
        seen.knows.first(&state.lineage, lease, |lease| state.leased(lease).is_some());
    }
}

/// An agent has said hello.
pub(super) fn heard(step: &mut Step<'_>, agent: AgentId) {
    let Core { state, seen, .. } = &mut *step.core;
    let seen = seen.entry(agent).or_insert_with(|| Seen::begin(state, step.now));
    (seen.at, seen.called) = (step.now, true);
}

/// Notes that an agent called. False for one that has not said hello to this coordinator: it must
/// say what it holds first.
pub(super) fn called(step: &mut Step<'_>, agent: AgentId) -> bool {
    match step.core.seen.get_mut(&agent) {
        Some(seen) if seen.called => {
            seen.at = seen.at.max(step.now);
            true
        }
        _ => false,
    }
}

/// The agent is shut out: nobody waits until it is silent for long, nor for somebody who can take over, and its host is none any more.
/// Answers with the number of trials that it had.
pub(super) fn dismiss(step: &mut Step<'_>, user: String, agent: AgentId) -> Reply {
    let Some(known) = step.core.state.agents.get(&agent) else { return Reply::Changed(0) };
    let leases: Vec<Lease> = known.slots.iter().flatten().copied().collect();
    let is_held = |kind| known.devices.holds.contains_key(&(None, kind, None));
    let missing = [HoldKind::Quarantine, HoldKind::Revoked].into_iter().filter(|kind| !is_held(*kind));
    let missing: Vec<HoldKind> = missing.collect();
    if let Some(seen) = step.core.seen.get_mut(&agent) {
        seen.called = false;
    }
    for kind in missing {
        let (user, reason) = (user.clone(), "its certificate was revoked".to_owned());
        let hold = Hold { kind, user, reason, from: None, until: None };
        step.emit(Event::SlotHeld { agent, slot: None, hold });
    }
    for lease in &leases {
        step.emit(Event::LeaseLost { lease: *lease, cause: LossCause::Expired });
    }
    Reply::Changed(leases.len() as u32)
}

/// Takes the leases of silent agents back, but only when a reachable agent could use the trials:
/// with nobody to take over, training on is better than starting again.
pub(super) fn expire(step: &mut Step<'_>) {
    let core = &step.core;
    let now = step.now;
    let silent: Vec<AgentId> =
        core.seen.iter().filter(|(_, seen)| now - seen.at > LEASE_TIME).map(|(agent, _)| *agent).collect();
    for agent in silent {
        let Some(known) = step.core.state.agents.get(&agent) else { continue };
        for lease in known.slots.iter().flatten().copied().collect::<Vec<_>>() {
            if can_move(step.core, lease, step) {
                step.emit(Event::LeaseLost { lease, cause: LossCause::Expired });
            }
        }
    }
}

fn can_move(core: &Core, lease: Lease, step: &Step<'_>) -> bool {
    let Some((at, leased)) = core.state.leased(lease) else { return false };
    // A cancelled or halted trial needs no other host to end.
    let sweep = core.state.sweep_of(at);
    let (dataset, bound) = (sweep.dataset(at.index), sweep.fingerprint(at.index));
    leased.cancelled
        || leased.halted
        || (core.state.agents.iter()).any(|(id, agent)| {
            *id != leased.agent && core.is_reachable(*id, step.now) && sweep.can_run_on(agent, dataset, bound)
        })
}

//! Slots that are closed: by people, by guest hours, by others' processes, by faults. What runs on a slot that is
//! drained, given back or outside of its guest hours leaves; beside others' processes it goes on.

use super::{Step, agents};
use crate::attempt::FailureClass;
use crate::command::{Reject, Reply};
use crate::device::{
    Block, DeviceSeen, FAULTS, FREE_AFTER, HOST_FAULTS, HOST_PAUSE, Hold, HoldChange, HoldKind, MAX_REASON, MAX_YIELD,
};
use crate::device::{Occupant, SYSTEM, Sighting};
use crate::event::{Event, Failure};
use crate::id::{AgentId, Lease};
use crate::maintenance;
use crate::state::State;
use crate::state::agent::Agent;
use crate::state::devices::hold_key;
use crate::time::Span;

/// Maintenance is planned at most so far ahead.
const MAX_AHEAD: Span = Span::hours(365 * 24);
/// Windows of maintenance of a host and its slots that stand at once.
const MAX_WINDOWS: usize = 64;
/// Most processes that are written down of one device.
const OCCUPANTS: usize = 8;

/// Others' processes close a device at once; it opens when none was seen for a while. A fault closes its slots until
/// somebody opens them.
pub(super) fn observe(step: &mut Step<'_>, agent: AgentId, sighting: Sighting) -> Reply {
    if !agents::called(step, agent) {
        return Reply::Rejected(Reject::AgentUnknown(agent));
    }
    let Some(known) = step.core.state.agents.get(&agent) else {
        return Reply::Rejected(Reject::AgentUnknown(agent));
    };
    let mut events = Vec::new();
    if known.devices.closed != sighting.closed {
        events.push(Event::GuestHours { agent, closed: sighting.closed });
    }
    let sight = step.core.sights.entry(agent).or_default();
    let after = sighting.free_after.unwrap_or(FREE_AFTER);
    for seen in &sighting.devices {
        let Some(device) = known.facts.offer.devices.iter().find(|device| device.id == seen.id) else { continue };
        let others = others(seen);
        match (others.is_empty(), known.devices.busy.get(&seen.id)) {
            (true, None) => {}
            (true, Some(_)) => {
                let since = *sight.quiet.entry(seen.id.clone()).or_insert(step.now);
                if step.now - since >= after {
                    sight.quiet.remove(&seen.id);
                    events.push(Event::DeviceBusy { agent, device: seen.id.clone(), by: Vec::new() });
                }
            }
            (false, before) => {
                sight.quiet.remove(&seen.id);
                if !before.is_some_and(|before| is_still(&others, before)) {
                    events.push(Event::DeviceBusy { agent, device: seen.id.clone(), by: others });
                }
            }
        }
        if let (Some(fault), Some(slot)) = (&seen.fault, device.slots.first()) {
            events.extend(quarantine(known, agent, *slot, fault.clone()));
        }
    }
    sight.last = sighting;
    events.into_iter().for_each(|event| step.emit(event));
    Reply::Noted
}

/// Processes that are not ours, those with most memory first.
fn others(seen: &DeviceSeen) -> Vec<Occupant> {
    let others = seen.processes.iter().filter(|process| !process.ours);
    let mut others: Vec<Occupant> = others.map(|process| process.who.clone()).collect();
    others.sort_by_key(|who| (std::cmp::Reverse(who.memory), who.pid));
    others.truncate(OCCUPANTS);
    others
}

fn is_still(now: &[Occupant], before: &[Occupant]) -> bool {
    let known = |who: &Occupant| before.iter().any(|other| who.is_still(other));
    now.len() == before.len() && now.iter().all(known)
}

fn quarantine(known: &Agent, agent: AgentId, slot: u32, reason: String) -> Option<Event> {
    let held = known.devices.holds.contains_key(&(Some(slot), HoldKind::Quarantine, None));
    let hold = Hold { kind: HoldKind::Quarantine, user: SYSTEM.to_owned(), reason, from: None, until: None };
    (!held).then_some(Event::SlotHeld { agent, slot: Some(slot), hold })
}

/// A slot whose device failed too often in a row is no longer trusted. A host on which nothing can run is left alone for a
/// while: else it would take every trial that waits, and fail it.
pub(super) fn trust(step: &mut Step<'_>, agent: AgentId, slot: u32, why: &str) {
    let Some(known) = step.core.state.agents.get(&agent) else { return };
    let held = known.devices.holds.get(&(None, HoldKind::Quarantine, None)).is_some_and(|hold| hold.is_on(step.now));
    if known.devices.unfit >= HOST_FAULTS && !held {
        let reason = format!("nothing can run there ({why})");
        let until = Some(step.now + HOST_PAUSE);
        let hold = Hold { kind: HoldKind::Quarantine, user: SYSTEM.to_owned(), reason, from: None, until };
        step.emit(Event::SlotHeld { agent, slot: None, hold });
    }
    let Some(known) = step.core.state.agents.get(&agent) else { return };
    let faults = known.devices.faults.get(&slot).copied().unwrap_or_default();
    if faults >= FAULTS
        && let Some(event) = quarantine(known, agent, slot, format!("{faults} device faults in a row"))
    {
        step.emit(event);
    }
}

/// Who is to blame for a failure: a device that ran out of memory while others used it, too, is no fault of the trial.
pub(super) fn blamed(state: &State, lease: Lease, failure: Failure) -> Failure {
    let busy = || {
        let (_, leased) = state.leased(lease)?;
        let agent = state.agents.get(&leased.agent)?;
        let by = agent.devices.busy.get(&agent.facts.offer.device_of(leased.slot)?.id)?;
        Some(Block::Busy(by).to_string())
    };
    match failure.class {
        FailureClass::OutOfMemory => match busy() {
            Some(busy) => Failure {
                class: FailureClass::Host,
                reason: "memory_of_others".to_owned(),
                message: format!("{}; the device is {busy}", failure.message),
            },
            None => failure,
        },
        _ => failure,
    }
}

/// What runs on slots that have to be empty is asked to leave.
pub(super) fn evict(step: &mut Step<'_>) {
    let (state, now) = (&step.core.state, step.now);
    let mut events = Vec::new();
    for agent in state.agents.values().filter(|agent| !agent.devices.is_open()) {
        for (slot, lease) in (0u32..).zip(&agent.slots).filter_map(|(slot, lease)| Some((slot, (*lease)?))) {
            let wanted = state.leased(lease).is_some_and(|(_, leased)| leased.is_wanted());
            if let Some(block) = agent.devices.eviction(&agent.facts, slot, now).filter(|_| wanted) {
                events.push(Event::TrialEvicted { lease, why: block.to_string() });
            }
        }
    }
    let early = maintenance::early(state, now);
    events.extend(early.into_iter().map(|(lease, why)| Event::TrialEvicted { lease, why }));
    events.into_iter().for_each(|event| step.emit(event));
}

/// What an administrator says about a slot or a host. Answers with the number of trials that have to leave, or of
/// holds that were lifted.
pub(super) fn hold(step: &mut Step<'_>, user: String, host: &str, slot: Option<u32>, change: HoldChange) -> Reply {
    let planned = matches!(change, HoldChange::CallOff { .. } | HoldChange::Set { kind: HoldKind::Maintenance, .. });
    let agents = match maintenance::everybody(&step.core.state, host).filter(|_| planned) {
        Some(agents) => agents,
        None => match step.core.state.host(host) {
            Ok((agent, _)) => vec![agent],
            Err(reject) => return Reply::Rejected(reject),
        },
    };
    let mut sum = 0;
    for agent in agents {
        match held(step, user.clone(), agent, slot, change.clone()) {
            Ok((event, count)) => {
                event.into_iter().for_each(|event| step.emit(event));
                sum += count;
            }
            Err(reject) => return Reply::Rejected(reject),
        }
    }
    Reply::Changed(sum)
}

fn held(
    step: &Step<'_>,
    user: String,
    agent: AgentId,
    slot: Option<u32>,
    change: HoldChange,
) -> Result<(Option<Event>, u32), Reject> {
    let Some(known) = step.core.state.agents.get(&agent) else { return Err(Reject::AgentUnknown(agent)) };
    let host = known.facts.host.as_str();
    let slots = known.slots.len() as u32;
    if let Some(slot) = slot.filter(|slot| *slot >= slots) {
        return Err(Reject::SlotUnknown { host: host.to_owned(), slot, last: slots.saturating_sub(1) });
    }
    match change {
        HoldChange::Lift => lift(known, agent, user, host, slot),
        HoldChange::CallOff { from } => {
            let only = Some(HoldKind::Maintenance);
            let mut after = known.devices.clone();
            after.lift(&known.facts, slot, only, from);
            let count = (known.devices.standing(step.now) - after.standing(step.now)) as u32;
            Ok(((count > 0).then_some(Event::HoldsLifted { agent, slot, user, kind: only, from }), count))
        }
        HoldChange::Set { kind, reason, span, from } => {
            check(&reason, span)?;
            let until = span.map(|span| from.unwrap_or(step.now) + span);
            if until.is_some_and(|until| until <= step.now) {
                let (value, fix) = ("over by now".to_owned(), "a time that ends later".to_owned());
                return Err(Reject::SettingInvalid { what: "from", value, fix });
            }
            let from = from.filter(|from| *from > step.now);
            if from.is_some_and(|from| from - step.now > MAX_AHEAD) {
                let (value, fix) = ("more than a year ahead".to_owned(), "at most 365 days ahead".to_owned());
                return Err(Reject::SettingInvalid { what: "from", value, fix });
            }
            let hold = Hold { kind, user, reason, from, until };
            if known.devices.holds.get(&hold_key(slot, &hold)) == Some(&hold) {
                return Ok((None, 0));
            }
            let mut after = known.devices.clone();
            after.hold(slot, &hold, step.now);
            if after.holds.keys().filter(|(.., window)| window.is_some()).count() > MAX_WINDOWS {
                let (value, fix) =
                    (format!("of {host}"), format!("at most {MAX_WINDOWS} windows; call some off (`--cancel`)"));
                return Err(Reject::SettingInvalid { what: "maintenance", value, fix });
            }
            let is_wanted = |lease: Lease| step.core.state.leased(lease).is_some_and(|(_, leased)| leased.is_wanted());
            let leaves = |slot: u32| after.eviction(&known.facts, slot, step.now).is_some();
            let running = (0u32..).zip(&known.slots).filter_map(|(slot, lease)| Some((slot, (*lease)?)));
            let count = running.filter(|(slot, lease)| is_wanted(*lease) && leaves(*slot)).count() as u32;
            Ok((Some(Event::SlotHeld { agent, slot, hold }), count))
        }
    }
}

fn lift(
    known: &Agent,
    agent: AgentId,
    user: String,
    host: &str,
    slot: Option<u32>,
) -> Result<(Option<Event>, u32), Reject> {
    let mut after = known.devices.clone();
    after.lift(&known.facts, slot, None, None);
    let count = (known.devices.holds.len() - after.holds.len()) as u32;
    let whole = after.holds.iter().find(|((held, ..), _)| held.is_none());
    if let (0, Some((_, hold)), Some(slot)) = (count, whole, slot) {
        let what = Block::Held(hold).to_string();
        return Err(Reject::HeldWhole { host: host.to_owned(), slot, what });
    }
    let any = count > 0 || after != known.devices;
    Ok((any.then_some(Event::HoldsLifted { agent, slot, user, kind: None, from: None }), count))
}

fn check(reason: &str, span: Option<Span>) -> Result<(), Reject> {
    let invalid = |what, value: String, fix: String| Err(Reject::SettingInvalid { what, value, fix });
    if reason.len() > MAX_REASON || reason.chars().any(char::is_control) {
        let value = reason.chars().take(40).filter(|letter| !letter.is_control()).collect();
        return invalid("reason", value, format!("one line of at most {MAX_REASON} bytes"));
    }
    match span {
        Some(span) if span < Span::seconds(1) || span > MAX_YIELD => {
            invalid("for", format!("{} s", span.0 / 1_000_000), "from 1 second to 30 days".to_owned())
        }
        _ => Ok(()),
    }
}

//! What people want to be told of without asking: a sweep is over, a trial has failed for good, a device is no longer trusted. Follows from a step's events and
//! the state after them; how it gets to people is the coordinator's business.

use std::collections::BTreeSet;

use crate::device::{Block, HoldKind};
use crate::event::Event;
use crate::id::SweepId;
use crate::state::trial::Phase;
use crate::state::{State, TrialRef};
use crate::time::Timestamp;

/// Which kind of news.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A sweep is over.
    SweepEnd,
    /// A trial has failed and is not tried again, or so many have that their sweep is suspended.
    Failure,
    /// A slot or a host is in quarantine.
    Quarantine,
    /// The end of the journal was lost: nothing is decided before an admin says how to go on.
    Rollback,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::SweepEnd, Self::Failure, Self::Quarantine, Self::Rollback];

    /// The word in configuration and messages.
    pub fn word(self) -> &'static str {
        match self {
            Self::SweepEnd => "sweep-end",
            Self::Failure => "failure",
            Self::Quarantine => "quarantine",
            Self::Rollback => "rollback",
        }
    }
}

/// A piece of news.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What kind.
    pub kind: Kind,
    /// Of which sweep, if of one.
    pub sweep: Option<SweepId>,
    /// Its name; of a quarantine the host, with the slot.
    pub name: String,
    /// Whose it is; who says so.
    pub user: String,
    /// In which project; empty if in none.
    pub project: String,
    /// For people: one line.
    pub text: String,
}

/// The news in the events of a step that was taken at `now`. `state` is the state after all of them; a sweep that ends in the
/// step and is opened again in it has no end.
pub fn of(state: &State, events: &[Event], now: Timestamp) -> Vec<Notice> {
    let mut notices = Vec::new();
    let mut touched = BTreeSet::new();
    for event in events {
        match event {
            Event::TrialCompleted { lease, .. } | Event::LeaseLost { lease, .. } => {
                touched.extend(state.find(lease.trial).map(|at| at.sweep));
            }
            Event::AttemptFailed { lease, failure, .. } => {
                let Some(at) = state.find(lease.trial) else { continue };
                touched.insert(at.sweep);
                if state.trial(at).phase == Phase::Failed {
                    let text = format!(
                        "trial {} failed for good after attempt {}: {} ({}): {}",
                        lease.trial.short(),
                        lease.attempt,
                        failure.class.as_str(),
                        failure.reason,
                        failure.message.lines().next().unwrap_or_default()
                    );
                    notices.push(notice(state, at.sweep, Kind::Failure, &text));
                }
            }
            Event::SweepSuspended { sweep, .. } => {
                let Some(index) = state.number(*sweep) else { continue };
                let sweep = state.sweep_of(TrialRef { sweep: index, index: 0 });
                if let Some(why) = sweep.suspended_because() {
                    let text = format!("suspended: {why}; mend it, then `sweepctl retry {}`", sweep.name);
                    notices.push(notice(state, index, Kind::Failure, &text));
                }
            }
            Event::SlotHeld { agent, slot, hold } if hold.kind == HoldKind::Quarantine => {
                let Some(agent) = state.agents.get(agent) else { continue };
                let slot = slot.map(|slot| format!(":{slot}")).unwrap_or_default();
                let name = format!("{}{slot}", agent.facts.host);
                let text = format!("{name} is {}", Block::Held(hold));
                let (kind, user) = (Kind::Quarantine, hold.user.clone());
                notices.push(Notice { kind, sweep: None, name, user, project: String::new(), text });
            }
            Event::RollbackSuspected(suspicion) => {
                let (name, user) = (suspicion.host.clone(), "system".to_owned());
                let text = state.lineage.words().unwrap_or_default();
                notices.push(Notice { kind: Kind::Rollback, sweep: None, name, user, project: String::new(), text });
            }
            Event::TrialCancelled { trial, .. } | Event::TrialReused { trial, .. } => {
                touched.extend(state.find(*trial).map(|at| at.sweep))
            }
            Event::SweepCancelled { sweep, .. } | Event::SearchEnded { sweep } => {
                touched.extend(state.sweeps.iter().position(|known| known.id == *sweep).map(|index| index as u32));
            }
            _ => {}
        }
    }
    let over = |index: &u32| state.sweep_of(TrialRef { sweep: *index, index: 0 }).ended == Some(now);
    for index in touched.into_iter().filter(over) {
        let sweep = state.sweep_of(TrialRef { sweep: index, index: 0 });
        let counts = sweep.counts;
        let text = format!(
            "{}: {} completed, {} failed, {} cancelled",
            sweep.status(),
            counts.completed,
            counts.failed,
            counts.cancelled
        );
        notices.push(notice(state, index, Kind::SweepEnd, &text));
    }
    notices
}

fn notice(state: &State, index: u32, kind: Kind, text: &str) -> Notice {
    let sweep = state.sweep_of(TrialRef { sweep: index, index: 0 });
    let text = format!("sweep {} ({}): {text}", sweep.name, sweep.user);
    Notice {
        kind,
        sweep: Some(sweep.id),
        name: sweep.name.clone(),
        user: sweep.user.clone(),
        project: sweep.project.clone(),
        text,
    }
}

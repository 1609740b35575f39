//! `why`: what happened to a trial, a slot, an agent or a sweep, in plain words, from the journal alone. Reads the events
//! in order and keeps what concerns its subject; times are beside the words, because how they are written is not decided
//! here.

mod now;
mod words;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::event::Event;
use crate::id::{AgentId, Lease, SweepId, TrialId};
use crate::state::State;
use crate::state::sweep::Sweep;
use crate::time::{Span, Timestamp};

/// Longer stories keep their beginning and their end.
const LONGEST: usize = 400;
/// Lines that a story which is too long keeps of its beginning.
pub const BEGINNING: usize = 40;

/// What a story is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A trial.
    Trial(TrialId),
    /// A slot of an agent.
    Slot(AgentId, u32),
    /// All of an agent.
    Agent(AgentId),
    /// A sweep.
    Sweep(SweepId),
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// When, microseconds since 1970.
    pub at: Timestamp,
    /// What.
    pub text: String,
}

/// What happened, and how it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Story {
    /// In order.
    pub lines: Vec<Line>,
    /// How many lines were left out of the middle.
    pub left_out: u64,
    /// How it stands, and why.
    pub now: String,
}

/// What things are called: of a state, as far as somebody may see it.
#[derive(Clone, Debug, Default)]
pub struct Names {
    sweeps: BTreeMap<SweepId, String>,
    trials: BTreeMap<TrialId, (SweepId, u32)>,
}

impl Names {
    /// The names of the sweeps that `sees` lets through, and of their trials.
    pub fn of(state: &State, sees: impl Fn(&Sweep) -> bool) -> Self {
        let mut names = Self::default();
        for sweep in state.sweeps.iter().filter(|sweep| sees(sweep)) {
            names.sweeps.insert(sweep.id, sweep.name.clone());
            let points = (0u32..).map(|index| sweep.plan.trial(index).point);
            names.trials.extend(sweep.ids.iter().zip(points).map(|(trial, point)| (*trial, (sweep.id, point))));
        }
        names
    }
}

/// Where a trial runs, and how far it has come since that was last said.
#[derive(Clone, Debug)]
struct Running {
    agent: AgentId,
    slot: u32,
    epoch: u32,
    epochs: u64,
    kept: u32,
}

/// Listens to the journal.
#[derive(Debug)]
pub struct Teller {
    subject: Subject,
    story: Story,
    hosts: BTreeMap<AgentId, String>,
    names: Names,
    running: BTreeMap<Lease, Running>,
    waiting_since: BTreeMap<TrialId, Timestamp>,
    completed: u64,
}

impl Teller {
    /// Has heard nothing yet.
    pub fn new(subject: Subject, names: Names) -> Self {
        Self {
            subject,
            story: Story::default(),
            hosts: BTreeMap::new(),
            names,
            running: BTreeMap::new(),
            waiting_since: BTreeMap::new(),
            completed: 0,
        }
    }

    /// Hears the next event.
    pub fn read(&mut self, at: Timestamp, event: &Event) {
        match event {
            Event::SweepSubmitted { sweep, name, user, project, plan } => {
                let trials = plan.trial_ids(*sweep);
                if self.is_of(*sweep) {
                    let count = trials.len();
                    self.say(at, format!("submitted by {user} to project {project}: sweep {name}, {count} trials"));
                }
                self.waiting_since.extend(trials.into_iter().map(|trial| (trial, at)));
            }
            Event::AgentJoined(facts) => {
                let is_back = self.hosts.insert(facts.agent, facts.host.clone()).is_some();
                if self.is_about(facts.agent, None) {
                    let slots = facts.slots.len();
                    let how = if is_back { "called again, changed or restarted" } else { "called for the first time" };
                    self.say(at, format!("{} {how}: {slots} slots", facts.host));
                }
            }
            Event::LeaseGranted { lease, agent, slot, resume_epoch, .. } => {
                self.granted(at, *lease, (*agent, *slot), *resume_epoch);
            }
            Event::EpochReported { lease, metrics } => {
                if let Some(running) = self.running.get_mut(lease) {
                    (running.epoch, running.epochs) = (metrics.epoch, running.epochs + 1);
                }
            }
            Event::CheckpointKept { lease, checkpoint } => {
                if let Some(running) = self.running.get_mut(lease) {
                    running.kept = running.kept.max(checkpoint.epoch);
                }
            }
            Event::TrialCompleted { lease, early, .. } => {
                let how = if *early { "done, early: it got no better any more" } else { "done" };
                self.ended(at, *lease, how);
                self.completed += u64::from(self.is_trial_of_sweep(lease.trial));
            }
            Event::AttemptFailed { lease, failure, retry_at } => {
                let is_seen = self.names.trials.contains_key(&lease.trial);
                let text = words::failure(failure, retry_at.map(|until| until - at), is_seen);
                self.ended(at, *lease, &text);
                self.waiting_since.insert(lease.trial, retry_at.unwrap_or(at));
            }
            Event::LeaseLost { lease, cause } => {
                self.ended(at, *lease, words::loss(*cause));
                self.waiting_since.insert(lease.trial, at);
            }
            Event::TrialPreempted { lease, sweep } => {
                let to = self.names.sweeps.get(sweep).map_or("of others", String::as_str);
                self.asked(
                    at,
                    *lease,
                    &format!("asked to give its slot to sweep {to}, whose owner had less than a share"),
                );
            }
            Event::TrialHalted { lease, epoch } => {
                self.asked(at, *lease, &format!("asked to leave at epoch {epoch}: early stopping compares first"));
            }
            Event::TrialEvicted { lease, why } => {
                self.asked(at, *lease, &format!("asked to leave its slot, which is {why}"));
            }
            Event::TrialReused { trial, origin, .. } => {
                let text = format!("done without training: the result of identical trial {} was taken", origin.short());
                self.of_trial(at, *trial, &text);
                self.completed += u64::from(self.is_trial_of_sweep(*trial));
            }
            Event::TrialCancelled { trial, user } => self.of_trial(at, *trial, &format!("cancelled by {user}")),
            other => self.rest(at, other),
        }
    }

    /// What concerns sweeps and devices as such.
    fn rest(&mut self, at: Timestamp, event: &Event) {
        match event {
            Event::SweepCancelled { sweep, user } => self.of_sweep(at, *sweep, &format!("sweep cancelled by {user}")),
            Event::SweepSet { sweep, user, tuning } => self.of_sweep(at, *sweep, &format!("{user} set {tuning}")),
            Event::SweepMoved { sweep, user, project } => {
                self.of_sweep(at, *sweep, &format!("moved to project {project} by {user}"));
            }
            Event::SweepRetried { sweep, user, .. } => {
                self.of_sweep(at, *sweep, &format!("{user} had what failed tried again"));
            }
            Event::SweepSuspended { sweep, trials } => {
                let text = format!("sweep suspended: {} different trials failed one after the other", trials.len());
                self.of_sweep(at, *sweep, &text);
            }
            Event::SweepExtended { sweep, user, growth } => {
                let (points, seeds) = (growth.points.len(), growth.seeds.len());
                self.of_sweep(at, *sweep, &format!("extended by {user}: {points} points, {seeds} seeds more"));
            }
            Event::PointJudged { sweep, point, judgement } => {
                let mine = match self.subject {
                    Subject::Sweep(of) => of == *sweep,
                    Subject::Trial(trial) => self.names.trials.get(&trial) == Some(&(*sweep, *point)),
                    Subject::Slot(..) | Subject::Agent(_) => false,
                };
                if mine {
                    self.say(at, format!("point {point}: {}", words::judgement(judgement)));
                }
            }
            Event::SlotHeld { agent, slot, hold } if self.is_about(*agent, *slot) => {
                let place = self.place(*agent, *slot);
                self.say(at, format!("{place} {}", words::hold(hold)));
            }
            Event::HoldsLifted { agent, slot, user, .. } if self.is_about(*agent, *slot) => {
                let place = self.place(*agent, *slot);
                self.say(at, format!("{place} opened again by {user}"));
            }
            Event::DeviceBusy { agent, device, by } if self.is_about(*agent, None) => {
                let host = self.place(*agent, None);
                let text = match by.first() {
                    None => format!("device {device} of {host} is free of others again"),
                    Some(first) => {
                        let program = crate::program::of_line(&first.command);
                        format!("{} ({program}) computes on device {device} of {host}", first.user)
                    }
                };
                self.say(at, text);
            }
            Event::GuestHours { agent, closed } if self.is_about(*agent, None) => {
                let what = if closed.is_some() { "outside of its guest hours" } else { "open: guest hours" };
                let text = format!("{} is {what}", self.place(*agent, None));
                self.say(at, text);
            }
            Event::CoordinatorStarted { build, .. } if self.is_under_way() => {
                self.say(at, format!("the coordinator was started again (version {build})"));
            }
            Event::RollbackSuspected(_) => self.say(at, "safe mode: the end of the journal was lost".to_owned()),
            Event::RollbackAccepted(accepted) => {
                let text = format!("{} went on without it: generation {}", accepted.user, accepted.generation);
                self.say(at, text);
            }
            _ => {}
        }
    }

    fn granted(&mut self, at: Timestamp, lease: Lease, (agent, slot): (AgentId, u32), resume: u32) {
        let running = Running { agent, slot, epoch: resume, epochs: 0, kept: resume };
        self.running.insert(lease, running);
        let waited = self.waiting_since.remove(&lease.trial).map_or(Span(0), |since| at - since);
        let is_mine = self.subject == Subject::Trial(lease.trial);
        if !is_mine && !self.is_about(agent, Some(slot)) {
            return;
        }
        let place = self.place(agent, Some(slot));
        let who = if is_mine { String::new() } else { format!("{} ", self.name(lease.trial)) };
        let from = if resume > 0 { format!(" and goes on after epoch {resume}") } else { String::new() };
        let waited =
            if waited.0 >= 1_000_000 { format!(", having waited {}", words::span(waited)) } else { String::new() };
        self.say(at, format!("{who}started on {place} (attempt {}){from}{waited}", lease.attempt));
    }

    fn ended(&mut self, at: Timestamp, lease: Lease, how: &str) {
        let Some(running) = self.running.remove(&lease) else { return };
        let is_mine = self.subject == Subject::Trial(lease.trial);
        if !is_mine && !self.is_about(running.agent, Some(running.slot)) {
            let failed = self.is_trial_of_sweep(lease.trial) && how.starts_with("failed");
            if failed {
                let name = self.name(lease.trial);
                self.say(at, format!("{name} {how}"));
            }
            return;
        }
        let who = if is_mine { String::new() } else { format!("{} ", self.name(lease.trial)) };
        self.say(at, format!("{who}{how}{}", words::came_so_far(running.epochs, running.epoch, running.kept)));
    }

    fn asked(&mut self, at: Timestamp, lease: Lease, what: &str) {
        let Some(running) = self.running.get(&lease).cloned() else { return };
        if self.subject == Subject::Trial(lease.trial) {
            self.say(at, what.to_owned());
        } else if self.is_about(running.agent, Some(running.slot)) {
            let name = self.name(lease.trial);
            self.say(at, format!("{name} {what}"));
        }
    }

    fn of_trial(&mut self, at: Timestamp, trial: TrialId, what: &str) {
        if self.subject == Subject::Trial(trial) {
            self.say(at, what.to_owned());
        } else if self.is_trial_of_sweep(trial) {
            let name = self.name(trial);
            self.say(at, format!("{name} {what}"));
        }
    }

    fn of_sweep(&mut self, at: Timestamp, sweep: SweepId, what: &str) {
        if self.is_of(sweep) {
            self.say(at, what.to_owned());
        }
    }

    fn is_of(&self, sweep: SweepId) -> bool {
        match self.subject {
            Subject::Sweep(of) => of == sweep,
            Subject::Trial(trial) => self.names.trials.get(&trial).is_some_and(|(of, _)| *of == sweep),
            Subject::Slot(..) | Subject::Agent(_) => false,
        }
    }

    fn is_trial_of_sweep(&self, trial: TrialId) -> bool {
        matches!(self.subject, Subject::Sweep(sweep) if self.names.trials.get(&trial).is_some_and(|(of, _)| *of == sweep))
    }

    /// Whether something of an agent, or of one of its slots, is of interest.
    fn is_about(&self, agent: AgentId, slot: Option<u32>) -> bool {
        match self.subject {
            Subject::Agent(of) => of == agent,
            Subject::Slot(of, number) => of == agent && slot.is_none_or(|slot| slot == number),
            Subject::Trial(_) | Subject::Sweep(_) => false,
        }
    }

    /// Whether anything of interest is running now.
    fn is_under_way(&self) -> bool {
        self.running.iter().any(|(lease, at)| {
            self.subject == Subject::Trial(lease.trial)
                || self.is_trial_of_sweep(lease.trial)
                || self.is_about(at.agent, Some(at.slot))
        })
    }

    fn place(&self, agent: AgentId, slot: Option<u32>) -> String {
        let host = self.hosts.get(&agent).cloned().unwrap_or_else(|| agent.to_string());
        slot.map_or(host.clone(), |slot| format!("{host}:{slot}"))
    }

    fn name(&self, trial: TrialId) -> String {
        match self.names.trials.get(&trial).and_then(|(sweep, _)| self.names.sweeps.get(sweep)) {
            Some(sweep) => format!("trial {} of {sweep}", trial.short()),
            None => "a trial of others".to_owned(),
        }
    }

    fn say(&mut self, at: Timestamp, text: String) {
        if self.story.lines.len() >= LONGEST {
            self.story.lines.remove(BEGINNING);
            self.story.left_out += 1;
        }
        self.story.lines.push(Line { at, text });
    }
}

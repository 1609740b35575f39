//! What follows from the state but would be expensive to recompute for every question: who runs a
//! lease, the best trial of a sweep, its pace, and what lately went wrong. Not durable; rebuilt from the
//! state at the start. Decides nothing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use sweep_core::event::Event;
use sweep_core::id::{AgentId, Lease, SweepId, TrialId};
use sweep_core::state::sweep::Sweep;
use sweep_core::state::{State, TrialRef};
use sweep_core::stopping::Fate;
use sweep_core::time::Timestamp;
use tokio::sync::watch;

/// Notes kept of a sweep.
const NOTES: usize = 100;

/// All of it.
#[derive(Debug)]
pub struct Books {
    owners: BTreeMap<TrialId, AgentId>,
    desks: BTreeMap<AgentId, watch::Sender<u64>>,
    touched: BTreeSet<AgentId>,
    sweeps: Vec<SweepBook>,
    /// Revisions count up from the time of the start, so that they never go back over a restart.
    revision: u64,
    /// When this coordinator started.
    pub started: Timestamp,
}

/// About one sweep.
#[derive(Debug, Default)]
pub struct SweepBook {
    /// Index in the plan and validation accuracy of the best trial with a result.
    pub best: Option<(u32, f64)>,
    /// What went wrong lately; newest last.
    pub notes: VecDeque<String>,
    /// When the sweep last went from no running trial to some, and how much of it was done then (in trials).
    pub pace: Option<(Timestamp, f64)>,
}

impl Books {
    /// Of a recovered state.
    pub fn new(state: &State, now: Timestamp) -> Self {
        let mut books = Self {
            owners: BTreeMap::new(),
            desks: BTreeMap::new(),
            touched: BTreeSet::new(),
            sweeps: Vec::new(),
            revision: now.0.max(1) as u64,
            started: now,
        };
        for (agent, known) in &state.agents {
            books.desk(*agent);
            books.owners.extend(known.slots.iter().flatten().map(|lease| (lease.trial, *agent)));
        }
        for sweep in &state.sweeps {
            let mut book = SweepBook::default();
            (0..sweep.trials.len() as u32).for_each(|index| book.rank(sweep, index));
            books.sweeps.push(book);
            books.start_pace(state, books.sweeps.len() as u32 - 1, now);
        }
        books
    }

    /// About a sweep, by its position in the state.
    pub fn sweep(&self, number: u32) -> &SweepBook {
        &self.sweeps[number as usize]
    }

    /// The revision of an agent's orders, and where its changes are raised.
    pub fn desk(&mut self, agent: AgentId) -> &watch::Sender<u64> {
        self.desks.entry(agent).or_insert_with(|| watch::Sender::new(self.revision))
    }

    /// Notes events that were just applied to `state`.
    pub fn observe(&mut self, state: &State, events: &[Event], now: Timestamp) {
        for event in events {
            match event {
                Event::SweepSubmitted { .. } => self.sweeps.push(SweepBook::default()),
                Event::AgentJoined(facts) => {
                    self.touched.insert(facts.agent);
                }
                Event::LeaseGranted { lease, agent, .. } => {
                    self.owners.insert(lease.trial, *agent);
                    self.touched.insert(*agent);
                    if let Some(at) = state.find(lease.trial)
                        && self.sweeps[at.sweep as usize].pace.is_none()
                    {
                        self.start_pace(state, at.sweep, now);
                    }
                }
                Event::EpochReported { .. }
                | Event::CheckpointKept { .. }
                | Event::RetryDue { .. }
                | Event::NumericsChosen { .. }
                | Event::TrainerStarted { .. } => {}
                Event::TrialCompleted { lease, .. } => {
                    self.ended(state, *lease);
                }
                Event::TrialReused { trial, .. } => {
                    if let Some(at) = state.find(*trial) {
                        self.sweeps[at.sweep as usize].rank(state.sweep_of(at), at.index);
                    }
                }
                Event::AttemptFailed { lease, failure, retry_at } => {
                    if let Some(at) = self.ended(state, *lease) {
                        let next = if retry_at.is_some() { "will be tried again" } else { "gives up" };
                        let (class, reason) = (failure.class.as_str(), &failure.reason);
                        self.note(
                            at,
                            now,
                            &format!("{} {next} after {class} ({reason}): {}", name(*lease), failure.message),
                        );
                    }
                }
                Event::LeaseLost { lease, cause } => {
                    if let Some(at) = self.ended(state, *lease) {
                        let cause = serde_json::to_string(cause).unwrap_or_default();
                        self.note(
                            at,
                            now,
                            &format!("{} ended without a result: {}", name(*lease), cause.trim_matches('"')),
                        );
                    }
                }
                Event::TrialPreempted { lease, sweep } => {
                    self.touched.extend(self.owners.get(&lease.trial));
                    let to = state.sweep(*sweep).map(|sweep| sweep.name.as_str()).unwrap_or_default();
                    if let Some(at) = state.find(lease.trial) {
                        self.note(at, now, &format!("{} gives way to {to}", name(*lease)));
                    }
                }
                Event::TrialHalted { lease, .. } => self.touched.extend(self.owners.get(&lease.trial)),
                Event::PointJudged { sweep, point, judgement } => {
                    // Trainers wait for it.
                    let trials = state.sweep(*sweep).into_iter().flat_map(|sweep| sweep.judged_together(*point));
                    for trial in trials {
                        self.touched.extend(self.owners.get(&trial));
                        // At the end of a budget those that wait have a result at once.
                        if let Some(at) = state.find(trial) {
                            self.sweeps[at.sweep as usize].rank(state.sweep_of(at), at.index);
                        }
                    }
                    let fate = match judgement.fate {
                        Fate::Promote => "goes on",
                        Fate::Stop => "is stopped",
                        Fate::Spare => "runs to its end for the stop audit",
                    };
                    self.note_sweep(state, *sweep, now, &format!("point {point} {fate}: {}", judgement.why()));
                }
                Event::PointProposed { sweep, point, from, .. } => {
                    let how = match from {
                        0 => "drawn at random".to_owned(),
                        results => format!("chosen from the results of {results} points"),
                    };
                    self.note_sweep(state, *sweep, now, &format!("point {point} is next, {how}"));
                }
                Event::SearchEnded { sweep } => {
                    self.note_sweep(state, *sweep, now, "every point that can be tried has been: the search is over");
                }
                Event::SweepExtended { sweep, user, growth } => {
                    if let Some(number) = state.number(*sweep) {
                        self.sweeps[number as usize].pace = None;
                        self.start_pace(state, number, now);
                    }
                    let (points, seeds) = (growth.points.len(), growth.seeds.len());
                    self.note_sweep(state, *sweep, now, &format!("extended by {user}: {points} points, {seeds} seeds"));
                }
                Event::SweepSet { sweep, user, tuning } => {
                    self.note_sweep(state, *sweep, now, &format!("{user} set {tuning}"));
                }
                Event::SweepMoved { sweep, user, project } => {
                    self.note_sweep(state, *sweep, now, &format!("moved to project {project} by {user}"));
                }
                Event::TrialEvicted { lease, why } => {
                    self.touched.extend(self.owners.get(&lease.trial));
                    if let Some(at) = state.find(lease.trial) {
                        self.note(at, now, &format!("{} leaves its slot, which is {why}", name(*lease)));
                    }
                }
                Event::SharesSet { .. }
                | Event::SlotHeld { .. }
                | Event::HoldsLifted { .. }
                | Event::DeviceBusy { .. }
                | Event::GuestHours { .. }
                | Event::RollbackSuspected(_) => {}
                Event::CoordinatorStarted { build, .. } => {
                    let text = format!("the coordinator was started again (version {build})");
                    for number in 0..self.sweeps.len() as u32 {
                        if !state.sweeps[number as usize].is_over() {
                            self.note(TrialRef { sweep: number, index: 0 }, now, &text);
                        }
                    }
                }
                Event::RollbackAccepted(_) => self.touched.extend(state.agents.keys()),
                Event::SweepCancelled { sweep, user } => {
                    self.touched.extend(state.agents.keys());
                    self.note_sweep(state, *sweep, now, &format!("cancelled by {user}"));
                }
                Event::TrialCancelled { trial, user } => {
                    self.touched.extend(self.owners.get(trial));
                    if let Some(at) = state.find(*trial) {
                        self.note(at, now, &format!("trial {} cancelled by {user}", trial.short()));
                    }
                }
                Event::SweepSuspended { sweep, .. } => {
                    if let Some(number) = state.number(*sweep) {
                        let why = state.sweeps[number as usize].suspended_because().unwrap_or_default();
                        self.note(TrialRef { sweep: number, index: 0 }, now, &format!("suspended: {why}"));
                    }
                }
                Event::SweepRetried { sweep, user, .. } => {
                    let number = state.sweeps.iter().position(|known| known.id == *sweep);
                    if let Some(number) = number {
                        self.sweeps[number].pace = None;
                        self.note(TrialRef { sweep: number as u32, index: 0 }, now, &format!("retried by {user}"));
                    }
                }
            }
        }
    }

    /// Raises what was noted; call when it is durable.
    pub fn publish(&mut self) {
        for agent in std::mem::take(&mut self.touched) {
            self.revision += 1;
            let revision = self.revision;
            self.desk(agent).send_replace(revision);
        }
    }

    fn ended(&mut self, state: &State, lease: Lease) -> Option<TrialRef> {
        self.touched.extend(self.owners.remove(&lease.trial));
        let at = state.find(lease.trial)?;
        // However the attempt ended: at the end of a budget it may have been lost, or have failed.
        self.sweeps[at.sweep as usize].rank(state.sweep_of(at), at.index);
        if state.sweep_of(at).counts.running == 0 {
            self.sweeps[at.sweep as usize].pace = None;
        }
        Some(at)
    }

    fn note_sweep(&mut self, state: &State, sweep: SweepId, now: Timestamp, text: &str) {
        if let Some(number) = state.number(sweep) {
            self.note(TrialRef { sweep: number, index: 0 }, now, text);
        }
    }

    fn note(&mut self, at: TrialRef, now: Timestamp, text: &str) {
        let notes = &mut self.sweeps[at.sweep as usize].notes;
        if notes.len() == NOTES {
            notes.pop_front();
        }
        notes.push_back(format!("{} {text}", time(now)));
    }

    fn start_pace(&mut self, state: &State, number: u32, now: Timestamp) {
        let sweep = &state.sweeps[number as usize];
        if sweep.counts.running > 0 {
            self.sweeps[number as usize].pace = Some((now, done(state, number)));
        }
    }

    /// Seconds until the end of a sweep by its pace since it last started to run.
    pub fn eta_seconds(&self, state: &State, number: u32, now: Timestamp) -> Option<f64> {
        let sweep = &state.sweeps[number as usize];
        let (since, done_then) = self.sweeps[number as usize].pace?;
        let done_now = done(state, number);
        let seconds = (now - since).as_seconds();
        let left = sweep.trials.len() as f64 + f64::from(sweep.to_come())
            - f64::from(sweep.counts.cancelled + sweep.counts.stopped)
            - done_now;
        (done_now > done_then && seconds > 0.0).then(|| seconds * left / (done_now - done_then))
    }
}

impl SweepBook {
    /// Puts a trial into its place if it has a result: the highest accuracy; the earliest in plan order of equals; NaN never.
    fn rank(&mut self, sweep: &Sweep, index: u32) {
        let trial = &sweep.trials[index as usize];
        let best = trial.progress.as_ref().and_then(|progress| progress.best.as_ref());
        let Some(best) = best.filter(|_| sweep.has_result(index)) else { return };
        let accuracy = best.val_accuracy.0;
        let better = self.best.is_none_or(|(at, most)| accuracy > most || (accuracy == most && index < at));
        if better && !accuracy.is_nan() {
            self.best = Some((index, accuracy));
        }
    }
}

/// Trials that have come to their own end, and the done parts of those that run. A cancelled trial is
/// no work done, only less to do.
fn done(state: &State, number: u32) -> f64 {
    let sweep = &state.sweeps[number as usize];
    let leases = state.agents.values().flat_map(|agent| agent.slots.iter().flatten());
    let refs = leases.filter_map(|lease| state.find(lease.trial)).filter(|at| at.sweep == number);
    let part = |at: TrialRef| {
        let last = state.trial(at).progress.as_ref().and_then(|progress| progress.last.as_ref());
        f64::from(last.map_or(0, |last| last.epoch)) / f64::from(sweep.plan.epochs(at.index).max(1))
    };
    f64::from(sweep.counts.completed + sweep.counts.failed) + refs.map(|at| part(at).min(1.0)).sum::<f64>()
}

fn name(lease: Lease) -> String {
    format!("trial {} attempt {}", lease.trial.short(), lease.attempt)
}

/// `hh:mm:ss` UTC.
fn time(now: Timestamp) -> String {
    let seconds = now.0.div_euclid(1_000_000).rem_euclid(86_400);
    format!("{:02}:{:02}:{:02}Z", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

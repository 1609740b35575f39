//! The oracle: was this history legal? It reads events only and shares no code with the state, so
//! that it cannot repeat the state's mistakes. Every test ends with it, and `sweepctl audit` runs it
//! on a user's journal.

mod breaker;
mod choices;
mod devices;
mod growth;
mod packing;
mod quotas;
mod reuse;
mod rollback;
mod stops;
mod verdict;

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::sync::Arc;

use crate::attempt::CheckpointKind;
use crate::event::Event;
use crate::id::{AgentId, Lease, SweepId, TrialId};
use crate::plan::Plan;
use crate::recipe::Numerics;
use crate::stopping::Fate;

use breaker::Breakers;
use devices::Devices;
use packing::Packing;
use quotas::Quotas;
use reuse::Reuses;
use rollback::Rollbacks;
use stops::Stops;

pub use verdict::{Audit, Violation};

/// Reads a journal event by event.
#[derive(Debug, Default)]
pub struct Auditor {
    read: u64,
    sweeps: BTreeMap<SweepId, SweepBook>,
    trials: BTreeMap<TrialId, Book>,
    slots: BTreeMap<(AgentId, u32), Lease>,
    quotas: Quotas,
    stops: Stops,
    devices: Devices,
    breakers: Breakers,
    packing: Packing,
    reuses: Reuses,
    rollbacks: Rollbacks,
    violations: Vec<(Option<SweepId>, Violation)>,
}

#[derive(Debug)]
struct SweepBook {
    trials: Vec<TrialId>,
    plan: Arc<Plan>,
    /// By data set, the copy that was trained on first.
    copies: BTreeMap<String, String>,
    /// By [`crate::alike::key`], what was chosen first.
    chosen: BTreeMap<String, Numerics>,
    /// A search has come to its end, or was cancelled.
    closed: bool,
}

/// What is known about one trial.
#[derive(Debug)]
struct Book {
    sweep: SweepId,
    /// Its place in the plan.
    index: u32,
    attempts: u32,
    live: Option<Live>,
    end: Option<End>,
    completions: u32,
    last_checkpoint: u32,
    earlier_checkpoint: u32,
    epochs: u64,
    checkpoints: u64,
}

impl Book {
    /// An attempt is over, and with it the trial if there is an end: then the checkpoint before the newest is let go.
    fn over(&mut self, end: Option<End>) {
        self.end = end;
        if end.is_some() {
            self.earlier_checkpoint = 0;
        }
    }
}

#[derive(Debug)]
struct Live {
    slot: (AgentId, u32),
    seq: u64,
    epoch: u32,
    cancelled: bool,
    /// By kind, epoch and hash of what was kept last.
    kept: BTreeMap<CheckpointKind, (u32, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Completed,
    Failed,
    Cancelled,
    Stopped,
    Reused,
}

impl Auditor {
    /// Nothing read yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the next event of the journal.
    pub fn read(&mut self, event: &Event) {
        self.read += 1;
        let found = [
            self.quotas.read(event),
            self.stops.read(event),
            self.devices.read(event),
            self.breakers.read(event),
            self.packing.read(event),
            self.rollbacks.read(event),
        ];
        for what in found.into_iter().flatten() {
            self.violation(what.sweep, what.rule, what.text);
        }
        match event {
            Event::SweepSubmitted { sweep, plan, .. } => self.submitted(*sweep, plan),
            Event::AgentJoined(facts) => self.reuses.joined(facts.agent, facts.offer.trainer.as_ref()),
            Event::RetryDue { .. }
            | Event::SweepSuspended { .. }
            | Event::SharesSet { .. }
            | Event::SweepSet { .. }
            | Event::SweepMoved { .. }
            | Event::SlotHeld { .. }
            | Event::HoldsLifted { .. }
            | Event::DeviceBusy { .. }
            | Event::GuestHours { .. }
            | Event::CoordinatorStarted { .. }
            | Event::RollbackSuspected(_)
            | Event::RollbackAccepted(_) => {}
            Event::TrialPreempted { lease, .. }
            | Event::TrialEvicted { lease, .. }
            | Event::TrialHalted { lease, .. } => self.asked(*lease, "order to leave"),
            Event::TrainerStarted { lease, origin } => {
                self.asked(*lease, "start");
                self.said(*lease, origin);
            }
            Event::TrialReused { .. } => self.reused(event),
            Event::PointJudged { sweep, point, judgement } => {
                if judgement.fate == Fate::Stop {
                    self.stopped(*sweep, *point);
                }
            }
            Event::PointProposed { sweep, point, settings, .. } => self.proposed(*sweep, *point, settings),
            Event::SearchEnded { sweep } => self.closed(*sweep),
            Event::SweepExtended { sweep, growth, .. } => self.extended(*sweep, growth),
            Event::LeaseGranted { lease, agent, slot, resume_epoch, fingerprint, .. } => {
                self.granted(*lease, (*agent, *slot), *resume_epoch);
                self.copy_used(*lease, fingerprint.as_deref());
            }
            Event::NumericsChosen { lease, numerics } => self.chosen(*lease, *numerics),
            Event::EpochReported { lease, metrics } => {
                self.live(*lease, "epoch", |book, live| {
                    let expected = (live.seq + 1, live.epoch + 1);
                    (live.seq, live.epoch) = (metrics.seq, metrics.epoch);
                    book.epochs += 1;
                    let seen = (metrics.seq, metrics.epoch);
                    let text = || format!("{lease}: (seq, epoch) {seen:?}, expected {expected:?}");
                    (seen != expected).then(|| ("epoch_gap", text()))
                });
            }
            Event::CheckpointKept { lease, checkpoint } => {
                self.live(*lease, "checkpoint", |book, live| {
                    book.checkpoints += 1;
                    if checkpoint.kind == CheckpointKind::Last {
                        book.earlier_checkpoint = mem::replace(&mut book.last_checkpoint, checkpoint.epoch);
                    }
                    let now = (checkpoint.epoch, checkpoint.sha256.clone());
                    let before = live.kept.insert(checkpoint.kind, now.clone());
                    if let Some(before) = before.filter(|before| now.0 < before.0 || now == *before) {
                        let text = format!("{lease}: epoch {} kept after epoch {}", now.0, before.0);
                        return Some(("checkpoint_back", text));
                    }
                    let early = checkpoint.seq > live.seq || checkpoint.epoch > live.epoch;
                    let text = || format!("{lease}: epoch {} kept before its report", checkpoint.epoch);
                    early.then(|| ("checkpoint_early", text()))
                });
            }
            Event::TrialCompleted { lease, final_seq, .. } => {
                let missing = self.live(*lease, "completion", |book, live| {
                    book.completions += 1;
                    let text = || format!("{lease}: ended at seq {final_seq}, {} accepted", live.seq);
                    (*final_seq != live.seq).then(|| ("reports_missing", text()))
                });
                if missing {
                    self.end(*lease, |_| Some(End::Completed));
                }
            }
            Event::AttemptFailed { lease, retry_at, failure } => {
                let lost = failure.reason == "checkpoint_missing";
                let forget = |book: &mut Book, _: &mut Live| {
                    if lost {
                        book.last_checkpoint = mem::take(&mut book.earlier_checkpoint);
                    }
                    None
                };
                if self.live(*lease, "failure", forget) {
                    let stopped = self.stops.is_stopped(lease.trial).then_some(End::Stopped);
                    self.end(*lease, |cancelled| match retry_at {
                        _ if cancelled => Some(End::Cancelled),
                        Some(_) => stopped,
                        None => Some(End::Failed),
                    });
                }
            }
            Event::LeaseLost { lease, .. } => {
                if self.live(*lease, "loss", |_, _| None) {
                    let stopped = self.stops.is_stopped(lease.trial).then_some(End::Stopped);
                    self.end(*lease, |cancelled| if cancelled { Some(End::Cancelled) } else { stopped });
                }
            }
            Event::SweepCancelled { sweep, .. } => {
                self.closed(*sweep);
                for trial in self.sweeps.get(sweep).map(|book| book.trials.clone()).unwrap_or_default() {
                    self.cancelled(trial);
                }
            }
            Event::TrialCancelled { trial, .. } => self.cancelled(*trial),
            Event::SweepRetried { sweep, cancelled, .. } => self.retried(*sweep, *cancelled),
        }
    }

    /// The verdict on one sweep; `None` if the journal does not have it.
    pub fn sweep(&self, sweep: SweepId) -> Option<Audit> {
        let book = self.sweeps.get(&sweep)?;
        let mut audit = self.verdict(book.trials.iter(), |of| of.is_none_or(|of| of == sweep));
        audit.expect(book.to_come());
        Some(audit)
    }

    /// The verdict on everything read.
    pub fn all(&self) -> Audit {
        let mut audit = self.verdict(self.sweeps.values().flat_map(|book| &book.trials), |_| true);
        audit.expect(self.sweeps.values().map(SweepBook::to_come).sum());
        audit
    }

    fn verdict<'a>(&self, trials: impl Iterator<Item = &'a TrialId>, of: impl Fn(Option<SweepId>) -> bool) -> Audit {
        let mut audit = Audit { events: self.read, ..Audit::default() };
        for book in trials.filter_map(|trial| self.trials.get(trial)) {
            audit.planned += 1;
            audit.attempts += u64::from(book.attempts);
            audit.epochs += book.epochs;
            audit.checkpoints += book.checkpoints;
            match book.end {
                Some(End::Completed) => audit.completed += 1,
                Some(End::Reused) => audit.reused += 1,
                Some(End::Failed) => audit.failed += 1,
                Some(End::Cancelled) => audit.cancelled += 1,
                Some(End::Stopped) => {
                    audit.stopped += 1;
                    let rule = self.sweeps.get(&book.sweep).and_then(|sweep| sweep.plan.stop.as_deref());
                    audit.stopped_by.extend(rule.map(|stop| stop.rule.name()));
                }
                None => audit.open += 1,
            }
        }
        audit.violations =
            self.violations.iter().filter(|(sweep, _)| of(*sweep)).map(|(_, violation)| violation.clone()).collect();
        audit
    }

    fn violation(&mut self, sweep: Option<SweepId>, rule: &'static str, what: String) {
        self.violations.push((sweep, Violation { event: self.read, rule, what }));
    }

    fn submitted(&mut self, sweep: SweepId, plan: &Arc<Plan>) {
        if self.sweeps.contains_key(&sweep) {
            return self.violation(Some(sweep), "submitted_twice", sweep.to_string());
        }
        let mut texts = BTreeSet::new();
        let mut trials = Vec::with_capacity(plan.order.len());
        for index in 0..plan.order.len() as u32 {
            let text = plan.point_text(plan.trial(index));
            let trial = TrialId::derive(sweep, &text);
            if !texts.insert(text) || !self.planned(sweep, index, trial) {
                self.violation(Some(sweep), "planned_twice", format!("trial {index} of the plan"));
                continue;
            }
            trials.push(trial);
        }
        if texts.len() as u64 != u64::from(plan.points) * plan.seeds.len() as u64 {
            let what = format!("{} trials for {} points x {} seeds", texts.len(), plan.points, plan.seeds.len());
            self.violation(Some(sweep), "plan_incomplete", what);
        }
        let (copies, chosen, closed) = (BTreeMap::new(), BTreeMap::new(), false);
        self.sweeps.insert(sweep, SweepBook { trials, plan: plan.clone(), copies, chosen, closed });
    }

    /// Opens the book of a trial; false if there is one.
    fn planned(&mut self, sweep: SweepId, index: u32, trial: TrialId) -> bool {
        let (attempts, last_checkpoint, earlier_checkpoint, epochs, checkpoints) = (0, 0, 0, 0, 0);
        let (live, end, completions) = (None, None, 0);
        let book = Book {
            sweep,
            index,
            attempts,
            live,
            end,
            completions,
            last_checkpoint,
            earlier_checkpoint,
            epochs,
            checkpoints,
        };
        let is_new = !self.trials.contains_key(&trial);
        self.trials.entry(trial).or_insert(book);
        is_new
    }

    fn granted(&mut self, lease: Lease, slot: (AgentId, u32), resume_epoch: u32) {
        let Some(book) = self.trials.get_mut(&lease.trial) else {
            return self.violation(None, "trial_unknown", lease.to_string());
        };
        let mut wrong = Vec::new();
        if book.live.is_some() {
            wrong.push(("lease_overlap", format!("{lease} granted while attempt {} is live", book.attempts)));
        }
        if book.end.is_some() {
            wrong.push(("granted_after_end", lease.to_string()));
        }
        if lease.attempt != book.attempts + 1 {
            wrong.push(("attempt_number", format!("{lease} after attempt {}", book.attempts)));
        }
        if resume_epoch != book.last_checkpoint {
            let what = format!("{lease} goes on from epoch {resume_epoch}, checkpoint is {}", book.last_checkpoint);
            wrong.push(("resume_point", what));
        }
        if let Some(other) = self.slots.get(&slot) {
            wrong.push(("slot_shared", format!("{lease} and {other} on slot {} of {}", slot.1, slot.0)));
        }
        book.attempts = lease.attempt;
        book.live = Some(Live { slot, seq: 0, epoch: resume_epoch, cancelled: false, kept: BTreeMap::new() });
        let sweep = book.sweep;
        self.slots.insert(slot, lease);
        for (rule, what) in wrong {
            self.violation(Some(sweep), rule, what);
        }
    }

    /// Runs `check` on the live attempt of `lease`; false (and a violation) when the lease is over.
    fn live(
        &mut self,
        lease: Lease,
        what: &str,
        check: impl FnOnce(&mut Book, &mut Live) -> Option<(&'static str, String)>,
    ) -> bool {
        let Some(book) = self.trials.get_mut(&lease.trial) else {
            self.violation(None, "trial_unknown", lease.to_string());
            return false;
        };
        let sweep = book.sweep;
        let live = book.live.take_if(|_| book.attempts == lease.attempt);
        let Some(mut live) = live else {
            self.violation(Some(sweep), "late_effect", format!("{what} accepted for {lease}, whose lease is over"));
            return false;
        };
        let wrong = check(book, &mut live);
        book.live = Some(live);
        if let Some((rule, what)) = wrong {
            self.violation(Some(sweep), rule, what);
        }
        true
    }

    fn end(&mut self, lease: Lease, end: impl FnOnce(bool) -> Option<End>) {
        let Some(book) = self.trials.get_mut(&lease.trial) else { return };
        let Some(live) = book.live.take() else { return };
        self.slots.remove(&live.slot);
        book.over(end(live.cancelled));
        let (sweep, completions) = (book.sweep, book.completions);
        if completions > 1 {
            self.violation(Some(sweep), "completed_twice", lease.to_string());
        }
    }

    fn cancelled(&mut self, trial: TrialId) {
        let Some(book) = self.trials.get_mut(&trial) else { return };
        match (&mut book.live, book.end) {
            (Some(live), _) => live.cancelled = true,
            (None, None) => book.over(Some(End::Cancelled)),
            (None, Some(_)) => {}
        }
    }
}

//! The owner of every attempt of this agent. Synchronous: it is told what happened and says what
//! follows. Calls to the coordinator are the session's, the life of a process is the unit's.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use sweep_core::attempt::{CheckpointLine, FailureClass};
use sweep_core::command::{Effect, EffectResult, Ending, Verdict};
use sweep_core::event::Failure;
use sweep_core::id::Lease;
use sweep_ops::traces::Traces;
use sweep_proto::convert::{Orders, PlacedOrder};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::attempt::{Attempt, Fate};
use crate::energy::meters::Meters;
use crate::launcher::{Disposal, Found, Launcher, Source};
use crate::outbox::{Sent, Step, Uploaded};
use crate::reconcile::{Action, Running, reconcile};
use crate::series::{LogPiece, Series};
use crate::spans::Spans;
use crate::unit::{Over, Told, Unit};
use crate::waits::Waits;

/// Ended attempts that are remembered, so that an order delayed on its way starts none again.
const REMEMBERED: usize = 4096;
/// Most effects in one report.
const EFFECTS_AT_ONCE: usize = 1_000;

/// See the module.
pub struct Supervisor {
    launcher: Arc<dyn Launcher>,
    slots: u32,
    grace: Duration,
    tell: mpsc::Sender<(Lease, Told)>,
    units: JoinSet<()>,
    attempts: BTreeMap<Lease, Attempt>,
    wanted: BTreeMap<Lease, Option<u32>>,
    bodies: BTreeMap<Lease, PlacedOrder>,
    waits: Waits,
    /// Of the last orders taken from the coordinator that was greeted last.
    revision: Option<u64>,
    stuck: BTreeSet<u32>,
    settled: BTreeSet<Lease>,
    settled_order: VecDeque<Lease>,
    /// What the coordinator says about sweeps that this agent gets no trials of.
    notes: Vec<String>,
    /// What people look at, on its way.
    pub series: Series,
    meters: Meters,
    /// What is done, for whoever collects traces.
    pub(crate) spans: Spans,
}

/// Effects to report.
#[derive(Debug, Default)]
pub struct Report {
    /// What happened.
    pub effects: Vec<Effect>,
    /// Which of them is which.
    pub sent: Vec<(Lease, Sent)>,
    /// What the agent knows after them.
    pub known: Vec<Lease>,
}

impl Supervisor {
    /// An agent with so many slots. Units tell through `tell`.
    pub fn new(launcher: Arc<dyn Launcher>, slots: u32, grace: Duration, tell: mpsc::Sender<(Lease, Told)>) -> Self {
        Self {
            meters: launcher.meters(),
            launcher,
            slots,
            grace,
            tell,
            units: JoinSet::new(),
            attempts: BTreeMap::new(),
            wanted: BTreeMap::new(),
            bodies: BTreeMap::new(),
            waits: Waits::default(),
            revision: None,
            stuck: BTreeSet::new(),
            settled: BTreeSet::new(),
            settled_order: VecDeque::new(),
            notes: Vec::new(),
            series: Series::default(),
            spans: Spans::default(),
        }
    }

    /// Tells of what it does there.
    #[must_use]
    pub fn traced(mut self, traces: Traces) -> Self {
        self.spans.traces = traces;
        self
    }

    /// Takes over what an earlier life left.
    pub fn attach_found(&mut self) {
        for Found { lease, slot } in self.launcher.found() {
            tracing::info!(%lease, slot, "attempt of an earlier life taken over");
            let begin = self.launcher.attach(lease);
            self.spawn(lease, slot, begin);
        }
    }

    fn spawn(
        &mut self,
        lease: Lease,
        slot: Option<u32>,
        begin: futures_util::future::BoxFuture<'static, Result<Box<dyn crate::launcher::Trainer>, Failure>>,
    ) {
        let (ask, stop) = oneshot::channel();
        let unit = Unit { lease, begin, stop, grace: self.grace, tell: self.tell.clone() };
        while self.units.try_join_next().is_some() {}
        self.units.spawn(unit.run());
        self.meters.start(lease, slot);
        self.spans.began(lease, slot);
        self.attempts.insert(lease, Attempt::new(slot, Some(ask)));
    }

    /// Reads the counters of energy, now and then.
    pub fn look_at_meters(&mut self) {
        self.meters.look();
    }

    /// Every attempt that is here and not settled.
    pub fn held(&self) -> Vec<Lease> {
        self.attempts.keys().copied().collect()
    }

    /// A coordinator was greeted: its orders count from anew, and these are its verdicts.
    pub fn greeted(&mut self, verdicts: &[(Lease, Verdict)]) {
        self.revision = None;
        // Whatever was settled, this coordinator does not order again, unless the end of its journal was lost.
        self.settled.clear();
        self.settled_order.clear();
        for (lease, verdict) in verdicts {
            let Some(attempt) = self.attempts.get_mut(lease) else {
                continue;
            };
            match verdict {
                Verdict::Continue { acked_seq } => attempt.outbox.resume_from(*acked_seq),
                Verdict::Fenced => self.give_up(*lease, Fate::Fenced),
                Verdict::Unknown => self.give_up(*lease, Fate::Unknown),
                Verdict::Hold => {}
            }
        }
    }

    /// Of the newest orders acted on; 0 if there were none since the coordinator was greeted.
    pub fn revision(&self) -> u64 {
        self.revision.unwrap_or(0)
    }

    /// Takes orders, unless they are older than others from the same coordinator. Says whether
    /// anything was to be done.
    pub fn orders(&mut self, orders: Orders) -> bool {
        if self.revision.is_some_and(|revision| orders.revision < revision) {
            return false;
        }
        self.revision = Some(orders.revision);
        if orders.notes != self.notes {
            for note in orders.notes.iter().filter(|note| !self.notes.contains(note)) {
                tracing::warn!("{note}");
            }
            self.notes = orders.notes;
        }
        for body in orders.bodies {
            if !self.attempts.contains_key(&body.lease) && !self.settled.contains(&body.lease) {
                self.bodies.insert(body.lease, body);
            }
        }
        let slot = |lease: &Lease| self.bodies.get(lease).map(|body| body.slot);
        let open = orders.leases.into_iter().filter(|lease| !self.settled.contains(lease));
        self.wanted = open.map(|lease| (lease, slot(&lease))).collect();
        let wanted = &self.wanted;
        self.bodies.retain(|lease, _| wanted.contains_key(lease));
        let attempts = &self.attempts;
        for (lease, epoch) in self.waits.news(self.wanted.keys(), &orders.waits, |lease| attempts.contains_key(lease)) {
            self.waits.heard(lease, self.launcher.wait_at(lease, epoch));
            self.end_if_stranded(lease);
        }
        self.act()
    }

    /// A trainer that waits for a decision which waits for a checkpoint that is lost would wait for ever. It leaves, and the trial goes on
    /// from an earlier one.
    fn end_if_stranded(&mut self, lease: Lease) {
        if let (Some(epoch), Some(attempt)) = (self.waits.of(lease), self.attempts.get_mut(&lease))
            && attempt.outbox.strand(epoch)
        {
            tracing::warn!(%lease, epoch, "the checkpoint that the trial waits with is lost");
            attempt.ask_to_stop();
        }
    }

    /// Starts and stops what the orders ask for.
    fn act(&mut self) -> bool {
        if self.revision.is_none() {
            return false;
        }
        let running = self.attempts.iter().map(|(lease, attempt)| {
            let running = Running { slot: attempt.slot, over: attempt.over, stopping: attempt.stop.is_none() };
            (*lease, running)
        });
        let running = running.collect();
        let actions = reconcile(&self.wanted, &running, self.slots, &self.stuck);
        let any = !actions.is_empty();
        for action in actions {
            match action {
                Action::Start(lease) => {
                    let Some(order) = self.bodies.remove(&lease) else {
                        continue;
                    };
                    tracing::debug!(%lease, slot = order.slot, "start");
                    let slot = order.slot;
                    let begin = self.launcher.start(order);
                    self.spawn(lease, Some(slot), begin);
                }
                Action::Stop(lease) => {
                    tracing::info!(%lease, "no longer ordered, asked to stop");
                    if let Some(attempt) = self.attempts.get_mut(&lease) {
                        attempt.ask_to_stop();
                    }
                }
                Action::NoSlot(lease) => self.refuse(lease, "slot_unknown", "there is no such slot"),
                Action::StuckSlot(lease) => {
                    self.refuse(lease, "slot_stuck", "the slot is held by a process that cannot be killed")
                }
            }
        }
        any
    }

    /// Ends an attempt that cannot begin.
    fn refuse(&mut self, lease: Lease, reason: &str, message: &str) {
        self.bodies.remove(&lease);
        let mut attempt = Attempt::new(None, None);
        attempt.over = true;
        attempt.outbox.finish(|| {
            Ending::Failed(Failure { class: FailureClass::Host, reason: reason.into(), message: message.into() })
        });
        self.attempts.insert(lease, attempt);
    }

    /// Takes what a unit tells.
    pub fn told(&mut self, lease: Lease, told: Told) {
        let Some(attempt) = self.attempts.get_mut(&lease) else { return };
        match told {
            Told::Log { offset, text } => self.series.log(LogPiece { lease, offset, text }),
            Told::Lines(mut lines) => {
                self.meters.stamp_all(lease, &mut lines);
                attempt.take(lease, lines, &mut self.series);
            }
            Told::Stuck => {
                tracing::error!(%lease, slot = attempt.slot, "SIGKILL does not end the trainer; its slot is not used until it is gone");
                self.stuck.extend(attempt.slot);
            }
            Told::Over(mut over) => {
                if let Over::Gone { lines, .. } = &mut over {
                    self.meters.stamp_all(lease, lines);
                }
                self.meters.stop(lease);
                self.spans.over(lease, &over);
                attempt.over(lease, over, &mut self.series);
                if let Some(slot) = attempt.slot {
                    self.stuck.remove(&slot);
                }
                match attempt.fate {
                    Fate::Reported => {}
                    Fate::Fenced => self.settle(lease, Disposal::KeepLog),
                    Fate::Unknown => self.settle(lease, Disposal::Unknown),
                }
                self.act();
            }
        }
    }

    /// Nothing of the attempt will be accepted.
    fn give_up(&mut self, lease: Lease, fate: Fate) {
        let Some(attempt) = self.attempts.get_mut(&lease) else { return };
        tracing::warn!(%lease, ?fate, "the coordinator does not want this attempt");
        attempt.fate = fate;
        attempt.ask_to_stop();
        if attempt.over {
            let how = match fate {
                Fate::Unknown => Disposal::Unknown,
                Fate::Fenced | Fate::Reported => Disposal::KeepLog,
            };
            self.settle(lease, how);
        }
    }

    fn settle(&mut self, lease: Lease, how: Disposal) {
        self.launcher.dispose(lease, how);
        self.waits.forget(lease);
        self.attempts.remove(&lease);
        self.wanted.remove(&lease);
        // The same numbers may come again, for another attempt, where this one is unknown.
        if how != Disposal::Unknown && self.settled.insert(lease) {
            self.settled_order.push_back(lease);
        }
        while self.settled_order.len() > REMEMBERED
            && let Some(oldest) = self.settled_order.pop_front()
        {
            self.settled.remove(&oldest);
        }
    }

    /// Everything that may be reported now; nothing if that is nothing.
    pub fn report(&mut self) -> Option<Report> {
        let mut report = Report::default();
        let mut ended = BTreeSet::new();
        for (lease, attempt) in &mut self.attempts {
            if attempt.fate != Fate::Reported || !attempt.outbox.is_ready() {
                continue;
            }
            for (what, sent) in attempt.outbox.take() {
                if sent == Sent::Ended {
                    ended.insert(*lease);
                }
                report.effects.push(Effect { lease: *lease, what });
                report.sent.push((*lease, sent));
            }
            if report.effects.len() >= EFFECTS_AT_ONCE {
                break;
            }
        }
        if report.effects.is_empty() {
            return None;
        }
        let held = self.attempts.keys().copied();
        report.known = held.filter(|lease| !ended.contains(lease)).collect();
        Some(report)
    }

    /// Takes the answer to a report. Says whether some effect did not get anywhere.
    pub fn reported(&mut self, sent: &[(Lease, Sent)], results: &[EffectResult]) -> bool {
        let mut stuck = false;
        for ((lease, sent), result) in sent.iter().zip(results) {
            let Some(attempt) = self.attempts.get_mut(lease) else {
                continue;
            };
            match attempt.outbox.answer(sent, *result) {
                Step::On => {}
                Step::Stuck => stuck = true,
                Step::Fenced => self.give_up(*lease, Fate::Fenced),
                Step::Finished => {
                    let how = attempt.disposal();
                    self.settle(*lease, how);
                }
            }
        }
        stuck
    }

    /// The store has lost a checkpoint that was stored: all of a report are brought again.
    pub fn blobs_missing(&mut self, sent: &[(Lease, Sent)]) {
        for (lease, sent) in sent {
            if let (Some(attempt), Sent::Checkpoint(line)) = (self.attempts.get_mut(lease), sent) {
                attempt.outbox.uploaded(line, Uploaded::Later);
            }
        }
    }

    /// Uploads that may start now.
    pub fn uploads(&mut self, now: Instant) -> Vec<(Lease, CheckpointLine, Option<Source>)> {
        let mut out = Vec::new();
        for (lease, attempt) in &mut self.attempts {
            if attempt.fate != Fate::Reported || attempt.upload_at.is_some_and(|at| at > now) {
                continue;
            }
            for line in attempt.outbox.take_uploads() {
                let source = self.launcher.checkpoint(*lease, &line.file);
                out.push((*lease, line, source));
            }
        }
        out
    }

    /// An upload ended.
    pub fn uploaded(&mut self, lease: Lease, line: &CheckpointLine, outcome: Uploaded, now: Instant) {
        let Some(attempt) = self.attempts.get_mut(&lease) else { return };
        attempt.uploaded(line, outcome, now);
        self.end_if_stranded(lease);
    }

    /// When a paused upload may be tried again.
    pub fn next_upload(&self) -> Option<Instant> {
        self.attempts.values().filter_map(|attempt| attempt.upload_at).min()
    }
}

#[cfg(test)]
#[path = "supervisor_tests.rs"]
mod tests;

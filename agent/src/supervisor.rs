//! The owner of every attempt of this agent. Synchronous: it is told what happened and says what
//! follows. Calls to the coordinator are the session's, the life of a process is the unit's.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use sweep_core::attempt::{CheckpointLine, FailureClass, Line};
use sweep_core::command::{Effect, EffectResult, Ending, Verdict};
use sweep_core::event::Failure;
use sweep_core::id::Lease;
use sweep_proto::convert::{Orders, PlacedOrder};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::launcher::{Disposal, Exit, ExitKind, Found, Launcher, Source};
use crate::outbox::{Outbox, Sent, Step, Uploaded};
use crate::reconcile::{Action, Running, reconcile};
use crate::series::{LogPiece, Series, StepLoss};
use crate::unit::{Over, Told, Unit};

/// Ended attempts that are remembered, so that an order delayed on its way starts none again.
const REMEMBERED: usize = 4096;
/// Most effects in one report.
const EFFECTS_AT_ONCE: usize = 1_000;
/// First pause after an upload that did not work; doubled up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

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
    /// Of the last orders taken from the coordinator that was greeted last.
    revision: Option<u64>,
    stuck: BTreeSet<u32>,
    settled: BTreeSet<Lease>,
    settled_order: VecDeque<Lease>,
    /// What people look at, on its way.
    pub series: Series,
}

struct Attempt {
    slot: Option<u32>,
    /// Taken when the attempt is asked to stop.
    stop: Option<oneshot::Sender<()>>,
    over: bool,
    outbox: Outbox,
    fate: Fate,
    /// Its events make no sense; what else it says is not listened to.
    corrupt: bool,
    /// Pause between uploads that do not work, and when the next may start.
    upload_pause: Duration,
    upload_at: Option<Instant>,
}

/// What is to become of an attempt when it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Reported,
    Fenced,
    Unknown,
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
            launcher,
            slots,
            grace,
            tell,
            units: JoinSet::new(),
            attempts: BTreeMap::new(),
            wanted: BTreeMap::new(),
            bodies: BTreeMap::new(),
            revision: None,
            stuck: BTreeSet::new(),
            settled: BTreeSet::new(),
            settled_order: VecDeque::new(),
            series: Series::default(),
        }
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
        self.attempts.insert(lease, Attempt::new(slot, Some(ask)));
    }

    /// Every attempt that is here and not settled.
    pub fn held(&self) -> Vec<Lease> {
        self.attempts.keys().copied().collect()
    }

    /// A coordinator was greeted: its orders count from anew, and these are its verdicts.
    pub fn greeted(&mut self, verdicts: &[(Lease, Verdict)]) {
        self.revision = None;
        for (lease, verdict) in verdicts {
            let Some(attempt) = self.attempts.get_mut(lease) else {
                continue;
            };
            match verdict {
                Verdict::Continue { acked_seq } => attempt.outbox.resume_from(*acked_seq),
                Verdict::Fenced => self.give_up(*lease, Fate::Fenced),
                Verdict::Unknown => self.give_up(*lease, Fate::Unknown),
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
        self.act()
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
        let Some(attempt) = self.attempts.get_mut(&lease) else {
            return;
        };
        match told {
            Told::Log { offset, text } => self.series.log(LogPiece { lease, offset, text }),
            Told::Lines(lines) => attempt.take(lease, lines, &mut self.series),
            Told::Stuck => {
                tracing::error!(%lease, slot = attempt.slot, "SIGKILL does not end the trainer; its slot is not used until it is gone");
                self.stuck.extend(attempt.slot);
            }
            Told::Over(over) => {
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
        let Some(attempt) = self.attempts.get_mut(&lease) else {
            return;
        };
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
        self.attempts.remove(&lease);
        self.wanted.remove(&lease);
        if self.settled.insert(lease) {
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
        let Some(attempt) = self.attempts.get_mut(&lease) else {
            return;
        };
        attempt.outbox.uploaded(line, outcome);
        if outcome == Uploaded::Later {
            attempt.upload_at = Some(now + attempt.upload_pause);
            attempt.upload_pause = (attempt.upload_pause * 2).min(LONGEST_PAUSE);
        } else {
            attempt.upload_at = None;
            attempt.upload_pause = FIRST_PAUSE;
        }
    }

    /// When a paused upload may be tried again.
    pub fn next_upload(&self) -> Option<Instant> {
        self.attempts.values().filter_map(|attempt| attempt.upload_at).min()
    }
}

impl Attempt {
    fn new(slot: Option<u32>, stop: Option<oneshot::Sender<()>>) -> Self {
        Self {
            slot,
            stop,
            over: false,
            outbox: Outbox::default(),
            fate: Fate::Reported,
            corrupt: false,
            upload_pause: FIRST_PAUSE,
            upload_at: None,
        }
    }

    fn ask_to_stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            stop.send(()).ok();
        }
    }

    fn take(&mut self, lease: Lease, lines: Vec<Line>, series: &mut Series) {
        for line in lines {
            if self.corrupt {
                return;
            }
            match self.outbox.push(line) {
                Ok(None) => {}
                Ok(Some(step)) => series.step(StepLoss { lease, step: step.step, loss: step.loss.0 }),
                Err(failure) => {
                    tracing::error!(%lease, problem = failure.message, "the trainer's events make no sense");
                    self.corrupt = true;
                    self.outbox.fail(failure);
                    self.ask_to_stop();
                }
            }
        }
    }

    fn over(&mut self, lease: Lease, over: Over, series: &mut Series) {
        let asked = self.stop.is_none();
        self.stop = None;
        self.over = true;
        match over {
            Over::NeverStarted => self.outbox.finish(|| Ending::Stopped),
            Over::Failed(failure) => {
                tracing::warn!(%lease, reason = failure.reason, message = failure.message, "could not start");
                self.outbox.finish(|| Ending::Failed(failure));
            }
            Over::Gone { lines, exit, killed } => {
                self.take(lease, lines, series);
                if let ExitKind::Corrupt(problem) = &exit.how {
                    self.corrupt = true;
                    self.outbox.fail(crate::outbox::corrupt(problem.clone()));
                }
                if !self.outbox.has_end() && !asked {
                    tracing::warn!(%lease, how = ?exit.how, killed, "the trainer died without a final line");
                }
                self.outbox.finish(|| match asked {
                    true => Ending::Stopped,
                    false => Ending::Failed(crash(&exit)),
                });
            }
        }
    }

    fn disposal(&self) -> Disposal {
        match self.outbox.ending() {
            _ if self.corrupt => Disposal::Quarantine,
            Some(Ending::Failed(_)) => Disposal::KeepLog,
            _ => Disposal::Remove,
        }
    }
}

/// The failure of a trainer that left no final line.
fn crash(exit: &Exit) -> Failure {
    let (class, reason, mut message) = match &exit.how {
        ExitKind::Code(code) => {
            (FailureClass::Crash, "exited", format!("the trainer ended with code {code} and no final line"))
        }
        ExitKind::Signal(number) => {
            (FailureClass::Crash, "killed", format!("the trainer was killed by signal {number}"))
        }
        ExitKind::Vanished => {
            (FailureClass::Crash, "vanished", "the trainer ended while no agent was there to see it".to_owned())
        }
        ExitKind::Rebooted => {
            (FailureClass::Host, "host_restarted", "the host was started again under the trainer".to_owned())
        }
        ExitKind::Corrupt(problem) => return crate::outbox::corrupt(problem.clone()),
    };
    if !exit.words.is_empty() {
        message.push_str("; its last words: ");
        message.push_str(&exit.words);
    }
    Failure { class, reason: reason.into(), message }
}

#[cfg(test)]
#[path = "supervisor_tests.rs"]
mod tests;

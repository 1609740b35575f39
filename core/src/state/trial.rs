//! One trial: its phase, its progress, its checkpoints.

use serde::{Deserialize, Serialize};

use crate::attempt::{EpochMetrics, FailureClass};
use crate::cost::{Energy, EpochCost, Part};
use crate::evaluation::Score;
use crate::event::{Checkpoint, Failure};
use crate::id::{AgentId, Attempt, SweepId};
use crate::num::Num;
use crate::recipe::Watched;
use crate::retry;
use crate::time::Timestamp;

use super::TrialRef;
use super::took::Took;

mod kept;

/// Where a trial stands. Terminal phases change only when a user asks for a retry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Phase {
    /// Ready to run.
    Waiting,
    /// Granted to a slot.
    Leased(Box<Leased>),
    /// Failed; waits before it is tried again.
    Backoff {
        /// When it is ready.
        until: Timestamp,
    },
    /// Waits at a rung, its slot free, until its configuration is promoted or stopped.
    Paused,
    /// Finished, with a result.
    Completed {
        /// By patience, before the last epoch.
        early: bool,
    },
    /// Failed for good.
    Failed,
    /// Ended by a user.
    Cancelled,
    /// Its configuration was stopped: not worth going on with.
    Stopped,
}

impl Phase {
    /// The word used in tables and JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Leased(_) => "running",
            Self::Backoff { .. } => "backoff",
            Self::Completed { .. } => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        }
    }

    /// Whether a grant is to be believed. None is made to a trial that waits for the other seeds, but an earlier release made them, and what
    /// stands in the journal has happened.
    pub(super) fn may_be_granted(&self) -> bool {
        matches!(self, Self::Waiting | Self::Paused)
    }

    /// Whether nothing more will happen by itself.
    pub fn is_terminal(&self) -> bool {
        matches!(self, Self::Completed { .. } | Self::Failed | Self::Cancelled | Self::Stopped)
    }
}

/// A live lease.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Leased {
    /// Who runs it.
    pub agent: AgentId,
    /// On which of its slots.
    pub slot: u32,
    /// Since when.
    pub since: Timestamp,
    /// Epoch reports accepted so far in this attempt.
    pub acked_seq: u64,
    /// A user wants it to end: the order is withdrawn.
    pub cancelled: bool,
    /// The copy of the data set that it was granted for.
    pub fingerprint: Option<String>,
    /// When the last checkpoint of this attempt was kept.
    pub kept: Option<Timestamp>,
    /// It has to give way to this sweep: the order is withdrawn, the trial waits again when it has left.
    pub yields_to: Option<SweepId>,
    /// It has to leave with its checkpoint: it waits at a rung, or is stopped.
    pub halted: bool,
    /// It has to leave its slot: the order is withdrawn in the same way.
    pub evicted: bool,
    /// Thousandths of the device that it was given.
    pub share: u32,
    /// In which generation of the journal it was granted.
    pub generation: u32,
    /// When the last epoch of this attempt was accepted, on a device that trials share.
    pub reported: Option<Timestamp>,
}

impl Leased {
    /// `place` is the agent, the slot, and thousandths of the device.
    pub(super) fn new(
        place: (AgentId, u32, u32),
        since: Timestamp,
        fingerprint: Option<String>,
        generation: u32,
    ) -> Self {
        let (agent, slot, share) = place;
        let (acked_seq, cancelled, kept, yields_to, halted, evicted) = (0, false, None, None, false, false);
        let reported = None;
        Self {
            agent,
            slot,
            since,
            acked_seq,
            cancelled,
            fingerprint,
            kept,
            yields_to,
            halted,
            evicted,
            share,
            generation,
            reported,
        }
    }

    /// It was asked to leave for others, and waits again when it has left.
    pub fn gives_way(&self) -> bool {
        self.yields_to.is_some() || self.evicted
    }

    /// Its agent should be running it.
    pub fn is_wanted(&self) -> bool {
        !self.cancelled && !self.halted && !self.gives_way()
    }
}

/// A trial's whole state, small because there may be 100,000.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Where it stands.
    pub phase: Phase,
    /// How often it was granted.
    pub attempt: Attempt,
    /// Failures in a row that were its own, without a new checkpoint between them.
    pub own_failures: u16,
    /// Failures in a row of any kind, for the length of the backoff.
    pub failures: u16,
    /// Numbers and checkpoints, once there are any.
    pub progress: Option<Box<Progress>>,
    /// The latest failure.
    pub failure: Option<Box<Failure>>,
}

/// What a trial has reached along its visible curve.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// The newest epoch.
    pub last: Option<EpochMetrics>,
    /// The epoch with the highest validation accuracy; the earliest of equals.
    pub best: Option<EpochMetrics>,
    /// The lowest validation loss, whichever epoch had it: where the loss is watched, this is what was reached.
    pub best_loss: Option<Num>,
    /// Where a next attempt goes on.
    pub last_checkpoint: Option<Box<Kept>>,
    /// Where it goes on if that one is no longer in the store: the one before. Let go when the trial is done.
    pub earlier_checkpoint: Option<Box<Kept>>,
    /// The best state.
    pub best_checkpoint: Option<Checkpoint>,
    /// Epochs after the last checkpoint, in order: reports run ahead of uploads. Empty once the trial is over.
    pub ahead: Vec<EpochMetrics>,
    /// Time under lease of ended attempts, microseconds.
    pub spent: i64,
    /// What all epochs took, those that were repeated included; absent where it is not measured.
    pub energy: Option<Energy>,
    /// What the visible curve took of both, ended attempts only: nothing that was repeated or thrown away.
    pub run: Took,
    /// The precision and layout that it computes with, for people.
    pub numerics: Option<String>,
    /// The most memory that a trainer had, bytes.
    pub peak_memory: Option<u64>,
    /// The most memory that it had on an accelerator, bytes.
    pub device_memory: Option<u64>,
    /// Median time from one batch to the next in the newest epoch, milliseconds.
    pub step_ms: Option<Num>,
    /// What of the newest epoch was done and what that took, if it is a probe.
    pub probed: Option<Box<(Part, Option<Energy>)>>,
    /// Hash of the final weights.
    pub weights: Option<String>,
    /// The test images, if there are any, by the final weights.
    pub test: Option<Box<Score>>,
    /// The agent of each attempt, the first one first.
    pub ran_on: Vec<AgentId>,
    /// Where the trial is that was trained, if this one was not.
    pub origin: Option<TrialRef>,
    /// The place of the shorter trial of this sweep that it was up to an epoch, and that epoch.
    pub begun: Option<(u32, u32)>,
    /// When the first attempt started.
    pub started: Option<Timestamp>,
    /// When the trial ended.
    pub ended: Option<Timestamp>,
}

/// A checkpoint with the progress that belongs to it, so that a new attempt starts from both.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// The blob.
    pub checkpoint: Checkpoint,
    /// The epoch it was taken after.
    pub last: Option<EpochMetrics>,
    /// The best epoch up to it.
    pub best: Option<EpochMetrics>,
    /// The lowest validation loss up to it.
    pub best_loss: Option<Num>,
    /// The checkpoint of that epoch, if it came.
    pub best_checkpoint: Option<Checkpoint>,
    /// What it took to get there.
    pub took: Took,
}

impl Trial {
    pub(super) fn new() -> Self {
        Self { phase: Phase::Waiting, attempt: 0, own_failures: 0, failures: 0, progress: None, failure: None }
    }

    /// Whether it is over because its loss was no number any more.
    pub(crate) fn has_diverged(&self) -> bool {
        let failure = self.failure.as_deref().filter(|_| self.phase == Phase::Failed);
        failure.is_some_and(|failure| failure.class == FailureClass::Diverged)
    }

    pub(super) fn progress_mut(&mut self) -> &mut Progress {
        self.progress.get_or_insert_default()
    }

    /// The epoch a next attempt would go on from; 0 means from the beginning.
    pub fn resume_epoch(&self) -> u32 {
        let kept = self.progress.as_ref().and_then(|progress| progress.last_checkpoint.as_ref());
        kept.map_or(0, |kept| kept.checkpoint.epoch)
    }

    /// The checkpoints in the store that it refers to, some more than once. Only a trial that is not over may have to go back to the
    /// one before the newest.
    pub fn checkpoints(&self) -> impl Iterator<Item = &Checkpoint> {
        let earlier = !self.phase.is_terminal();
        self.progress.as_deref().into_iter().flat_map(move |progress| progress.checkpoints(earlier))
    }

    /// Who was given an attempt.
    pub fn ran_on(&self, attempt: Attempt) -> Option<AgentId> {
        self.progress.as_ref()?.ran_on.get(usize::try_from(attempt).ok()?.checked_sub(1)?).copied()
    }

    /// An attempt failed.
    pub(super) fn fail(&mut self, failure: &Failure) {
        self.failures = self.failures.saturating_add(1);
        if retry::is_own(failure.class) {
            self.own_failures = self.own_failures.saturating_add(1);
        }
        self.failure = Some(Box::new(failure.clone()));
        if retry::goes_on_without_best(failure)
            && let Some(progress) = &mut self.progress
        {
            progress.forget_best();
        }
        if retry::begins_again(failure)
            && let Some(progress) = &mut self.progress
        {
            progress.last_checkpoint = progress.earlier_checkpoint.take();
            progress.begun = progress.begun.filter(|_| progress.last_checkpoint.is_some());
            progress.rewind();
        }
    }

    /// What a longer trial may begin with, if this one, at `place` of their sweep, was trained here to the last of its epochs.
    pub(crate) fn beginning(&self, place: u32, epochs: u32) -> Option<Progress> {
        let done = self.phase == Phase::Completed { early: false };
        let trained = self.progress.as_deref().filter(|progress| done && progress.origin.is_none());
        trained.and_then(|progress| progress.begun(place, epochs))
    }

    /// The live lease, if there is one.
    pub fn leased(&self) -> Option<&Leased> {
        match &self.phase {
            Phase::Leased(leased) => Some(leased),
            _ => None,
        }
    }
}

impl Progress {
    /// What a longer trial begins with that goes on from the trial at `place`: its curve, its best state and where it stands.
    /// Nothing if that one did not come to its last epoch.
    fn begun(&self, place: u32, epochs: u32) -> Option<Self> {
        let checkpoint = self.last_checkpoint.as_deref()?.checkpoint.clone();
        let (last, best, best_checkpoint) = (self.last.clone(), self.best.clone(), self.best_checkpoint.clone());
        let best_loss = self.best_loss;
        if checkpoint.epoch != epochs || last.as_ref().is_none_or(|last| last.epoch != epochs) {
            return None;
        }
        // What it took is counted with the trial that was trained.
        let kept = Kept { checkpoint, last, best, best_loss, best_checkpoint, took: Took::default() };
        let mut begun = Self { last_checkpoint: Some(Box::new(kept)), begun: Some((place, epochs)), ..Self::default() };
        begun.numerics.clone_from(&self.numerics);
        begun.rewind();
        Some(begun)
    }

    /// The best value of a metric so far, of any epoch.
    pub fn reached(&self, metric: Watched) -> Option<f64> {
        match metric {
            Watched::ValAccuracy => self.best.as_ref().map(|best| best.val_accuracy.0),
            Watched::ValLoss => self.best_loss.map(|loss| loss.0),
        }
    }

    /// The trial is over for good: what a next attempt would need is let go.
    pub(super) fn complete(&mut self, weights: &str, test: Option<&Score>) {
        self.weights = Some(weights.to_owned());
        self.test = test.cloned().map(Box::new);
        self.earlier_checkpoint = None;
        if let Some(kept) = &mut self.last_checkpoint {
            (kept.last, kept.best, kept.best_loss, kept.best_checkpoint) = (None, None, None, None);
        }
    }

    pub(super) fn report(&mut self, metrics: &EpochMetrics) {
        // The curve beside the journal has every epoch's cost; the state stays small.
        self.draw(metrics.cost.as_deref().and_then(|cost| cost.energy));
        if let Some(cost) = metrics.cost.as_deref() {
            if cost.numerics.is_some() {
                self.numerics.clone_from(&cost.numerics);
            }
            self.peak_memory = self.peak_memory.max(cost.peak_memory);
            self.device_memory = self.device_memory.max(cost.device_memory);
            self.step_ms = Some(cost.step_ms);
            self.probed = cost.part.map(|part| Box::new((part, cost.energy)));
        }
        let energy = metrics.cost.as_deref().and_then(|cost| cost.energy);
        let cost = energy.map(|energy| Box::new(EpochCost { energy: Some(energy), ..EpochCost::default() }));
        self.ahead.push(EpochMetrics { cost, ..metrics.clone() });
        let metrics = EpochMetrics { cost: None, ..metrics.clone() };
        if is_better(&metrics, self.best.as_ref()) {
            self.best = Some(metrics.clone());
        }
        self.best_loss = lower(self.best_loss, metrics.val_loss);
        self.last = Some(metrics);
    }
}

/// Higher validation accuracy. NaN is never better, and anything is better than NaN.
fn is_better(metrics: &EpochMetrics, than: Option<&EpochMetrics>) -> bool {
    than.is_none_or(|best| {
        metrics.val_accuracy.0 > best.val_accuracy.0
            || (best.val_accuracy.0.is_nan() && !metrics.val_accuracy.0.is_nan())
    })
}

/// The lower of two losses; anything is lower than what is not a number.
fn lower(than: Option<Num>, loss: Num) -> Option<Num> {
    Some(than.filter(|than| loss.0.is_nan() || than.0 <= loss.0).unwrap_or(loss))
}

#[cfg(test)]
#[path = "trial_tests.rs"]
mod tests;

//! What one attempt has to say and the coordinator has not accepted yet: epochs, checkpoints, the
//! end. Pure. It decides what may be sent now and what an answer means; sending is the session's job.
//!
//! Order: what was chosen and what trains first; epochs as they come; a checkpoint once its blob is stored, never before its epochs; the
//! newest state never before the best state that came before it (else a next attempt could start
//! from an epoch whose best is lost); the end after everything. A checkpoint that a newer one of its
//! kind has replaced may be left out.

use sweep_core::attempt::{Body, CheckpointKind, CheckpointLine, EpochMetrics, FailureClass, Line, StepMetrics};
use sweep_core::command::{EffectKind, EffectResult, Ending};
use sweep_core::event::{Checkpoint, Failure};
use sweep_core::origin::Origin;
use sweep_core::recipe::Numerics;

use crate::accepted::Accepted;

/// Most epochs in one report: well below the limit of a message.
const EPOCHS_AT_ONCE: usize = 5_000;

/// See the module.
#[derive(Debug, Default)]
pub struct Outbox {
    /// Every epoch of the attempt, `seq` 1 first: kept, so that any rewind can be served.
    epochs: Vec<EpochMetrics>,
    /// Accepted by the coordinator.
    acked: u64,
    /// What the trainer chose, until the coordinator knows.
    chosen: Option<Numerics>,
    /// What it said when it started, until the coordinator knows. It goes along with the next report, and asks for none.
    started: Option<Origin>,
    checkpoints: Vec<Pending>,
    end: Option<Ending>,
    /// Its trainer waits with a checkpoint that is lost.
    stranded: bool,
    /// The process is gone and its slot is free.
    over: bool,
    accepted: Accepted,
}

#[derive(Debug)]
struct Pending {
    line: CheckpointLine,
    blob: Blob,
    /// Its best state was left out: never commit it.
    blocked: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blob {
    Waiting,
    Uploading,
    Stored,
    Lost,
}

/// What became of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uploaded {
    /// It is in the store.
    Stored,
    /// There is no such file, or its content is not what the line says.
    Lost,
    /// Try again later.
    Later,
}

/// Something sent, to be matched with its answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Sent {
    /// What the trainer computes with.
    Chosen,
    /// What trains.
    Started,
    /// Epochs.
    Metrics,
    /// This checkpoint.
    Checkpoint(CheckpointLine),
    /// The end.
    Ended,
}

/// What follows from an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Go on.
    On,
    /// Nothing was accepted that was not before: do not send the same again at once.
    Stuck,
    /// The attempt is over and everything of it is accepted.
    Finished,
    /// Nothing of it will be accepted.
    Fenced,
}

impl Outbox {
    /// Takes a line of the trainer. Steps are returned: they are no business of the outbox.
    ///
    /// # Errors
    /// When the line cannot follow the ones before it.
    pub fn push(&mut self, line: Line) -> Result<Option<StepMetrics>, Failure> {
        if line.work != 0 || self.end.is_some() {
            return Err(corrupt("a line for other work, or after the final one".into()));
        }
        match line.body {
            Body::Started(started) => self.started = Some(started.into()),
            Body::Chosen(numerics) => self.chosen = Some(numerics),
            Body::Step(step) => return Ok(Some(step)),
            Body::Epoch(epoch) if epoch.seq == self.epochs.len() as u64 + 1 => {
                self.epochs.push(epoch);
            }
            Body::Epoch(epoch) => {
                let expected = self.epochs.len() + 1;
                return Err(corrupt(format!("epoch line {} where {expected} was due", epoch.seq)));
            }
            Body::Checkpoint(line) if line.seq > self.epochs.len() as u64 => {
                return Err(corrupt("a checkpoint line ahead of its epochs".into()));
            }
            Body::Checkpoint(line) if !is_digest(&line.sha256) => {
                return Err(corrupt("a checkpoint line without a SHA-256".into()));
            }
            Body::Checkpoint(line) => self.add(line),
            Body::Done(done) => {
                self.close(done.final_seq, Ending::Done { early: done.early, weights: done.weights, test: done.test })?
            }
            Body::Stopped(stopped) => self.close(stopped.final_seq, Ending::Stopped)?,
            Body::Failed(failed) => self.close(
                failed.final_seq,
                Ending::Failed(Failure { class: failed.class, reason: failed.reason, message: failed.message }),
            )?,
        }
        Ok(None)
    }

    fn close(&mut self, final_seq: u64, ending: Ending) -> Result<(), Failure> {
        if final_seq != self.epochs.len() as u64 {
            let seen = self.epochs.len();
            return Err(corrupt(format!("the final line counts {final_seq} epochs, there are {seen}")));
        }
        self.end = Some(ending);
        Ok(())
    }

    fn add(&mut self, line: CheckpointLine) {
        let idle = |pending: &Pending| matches!(pending.blob, Blob::Waiting | Blob::Lost);
        let replaced = |pending: &Pending| idle(pending) && pending.line.kind == line.kind;
        if line.kind == CheckpointKind::Best
            && let Some(first) = self.checkpoints.iter().position(replaced)
        {
            // The newest states after a best state that is left out go with it.
            let (before, after) = self.checkpoints.split_at_mut(first);
            debug_assert!(before.iter().all(|pending| !replaced(pending)));
            for pending in after.iter_mut().filter(|pending| pending.line.kind == CheckpointKind::Last) {
                pending.blocked = true;
            }
        }
        let left_out = |pending: &Pending| replaced(pending) || (pending.blocked && idle(pending));
        self.checkpoints.retain(|pending| !left_out(pending));
        self.checkpoints.push(Pending { line, blob: Blob::Waiting, blocked: false });
    }

    /// The attempt is over: nothing more will come and the slot is free. `without` is how it ended
    /// if its trainer left no final line.
    pub fn finish(&mut self, without: impl FnOnce() -> Ending) {
        if !self.over {
            self.end.get_or_insert_with(without);
            self.over = true;
        }
    }

    /// Ends the attempt as failed, whatever its trainer said or says.
    pub fn fail(&mut self, failure: Failure) {
        self.end = Some(Ending::Failed(failure));
    }

    /// Whether the final line is there.
    pub fn has_end(&self) -> bool {
        self.end.is_some()
    }

    /// How it ended, once that is known.
    pub fn ending(&self) -> Option<&Ending> {
        self.end.as_ref()
    }

    /// What the coordinator has accepted, as it says itself after a hello. What cannot be counted in epochs is offered again.
    pub fn resume_from(&mut self, acked: u64) {
        self.acked = acked;
        let Accepted { chosen, started, checkpoints } = std::mem::take(&mut self.accepted);
        self.chosen = self.chosen.or(chosen);
        self.started = self.started.take().or(started);
        for line in checkpoints.into_iter().rev() {
            if self.checkpoints.iter().all(|pending| pending.line != line) {
                let later = self.checkpoints.iter().position(|pending| pending.line.seq >= line.seq);
                let at = later.unwrap_or(self.checkpoints.len());
                // Where the store has lost it, the report is refused, and it is brought again.
                self.checkpoints.insert(at, Pending { line, blob: Blob::Stored, blocked: false });
            }
        }
    }

    /// Checkpoints whose upload may start now; they count as uploading from here on.
    pub fn take_uploads(&mut self) -> Vec<CheckpointLine> {
        let waiting = self.checkpoints.iter_mut().filter(|pending| pending.blob == Blob::Waiting);
        waiting
            .map(|pending| {
                pending.blob = Blob::Uploading;
                pending.line.clone()
            })
            .collect()
    }

    /// An upload ended.
    pub fn uploaded(&mut self, line: &CheckpointLine, outcome: Uploaded) {
        let Some(at) = self.checkpoints.iter().position(|pending| pending.line == *line) else {
            return;
        };
        // By their order, not by epochs: one epoch may have several.
        let newest =
            self.checkpoints.iter().rposition(|pending| pending.line.kind == line.kind).filter(|last| *last > at);
        self.checkpoints[at].blob = match outcome {
            Uploaded::Stored => Blob::Stored,
            Uploaded::Lost => Blob::Lost,
            Uploaded::Later => Blob::Waiting,
        };
        if self.checkpoints[at].blocked {
            self.checkpoints.remove(at);
        } else if let Some(newest) = newest.filter(|_| outcome != Uploaded::Stored) {
            // A newer one waits already: as if it had come after this one failed.
            let best = line.kind == CheckpointKind::Best;
            self.checkpoints.remove(at);
            if best {
                for pending in &mut self.checkpoints[at..newest - 1] {
                    pending.blocked |= pending.line.kind == CheckpointKind::Last;
                }
                self.checkpoints
                    .retain(|pending| !(pending.blocked && matches!(pending.blob, Blob::Waiting | Blob::Lost)));
            }
        }
    }

    /// Whether a trainer that waits after `epoch` does so with a checkpoint that can never be reported: then its attempt has to end,
    /// and ends as failed.
    pub fn strand(&mut self, epoch: u32) -> bool {
        let newest = |pending: &Pending| pending.line.kind == CheckpointKind::Last && pending.line.epoch >= epoch;
        let Some(newest) = self.checkpoints.iter().rposition(newest).filter(|_| self.end.is_none()) else {
            return false;
        };
        // The newest state never comes before the best one.
        let mut with = self.checkpoints[..=newest].iter().enumerate();
        self.stranded |=
            with.any(|(at, one)| one.blob == Blob::Lost && (at == newest || one.line.kind == CheckpointKind::Best));
        self.stranded
    }

    /// Whether [`Outbox::take`] would give anything.
    pub fn is_ready(&self) -> bool {
        self.acked < self.epochs.len() as u64
            || self.chosen.is_some()
            || self.checkpoints.iter().any(|pending| pending.blob == Blob::Stored && !pending.blocked)
            || self.may_end()
    }

    fn may_end(&self) -> bool {
        self.over
            && (self.end.is_some())
            && self.checkpoints.iter().all(|pending| matches!(pending.blob, Blob::Stored | Blob::Lost))
    }

    /// Everything that may be sent now, in order. Sending it twice is harmless.
    pub fn take(&mut self) -> Vec<(EffectKind, Sent)> {
        let mut out = Vec::new();
        // Before the first epoch: whoever reports one without a choice has none.
        out.extend(self.chosen.map(|numerics| (EffectKind::Chosen(numerics), Sent::Chosen)));
        out.extend(self.started.clone().map(|origin| (EffectKind::Started(Box::new(origin)), Sent::Started)));
        let from = (self.acked as usize).min(self.epochs.len());
        let until = self.epochs.len().min(from + EPOCHS_AT_ONCE);
        if from < until {
            let epochs = self.epochs[from..until].to_vec();
            out.push((EffectKind::Metrics(epochs), Sent::Metrics));
        }
        let seq = self.acked.max(until as u64);
        let mut best_is_in = true;
        for pending in &self.checkpoints {
            let last = pending.line.kind == CheckpointKind::Last;
            let stored = pending.blob == Blob::Stored && pending.line.seq <= seq;
            if stored && !pending.blocked && (!last || best_is_in) {
                let checkpoint = to_checkpoint(&pending.line);
                let sent = Sent::Checkpoint(pending.line.clone());
                out.push((EffectKind::Checkpoint(checkpoint), sent));
            } else if !last {
                best_is_in = false;
            }
        }
        if self.may_end() && until == self.epochs.len() {
            out.extend(self.ended().map(|ended| (ended, Sent::Ended)));
        }
        out
    }

    /// The end as it is to be reported, if the attempt can end like that.
    fn ended(&self) -> Option<EffectKind> {
        let seen = self.epochs.len() as u64;
        let is_done = matches!(self.end, Some(Ending::Done { .. }));
        let lost = self.checkpoints.iter().find(|pending| pending.blob == Blob::Lost);
        let how = if self.acked > seen {
            let acked = self.acked;
            Ending::Failed(corrupt(format!("the coordinator has {acked} epochs of this attempt, the file has {seen}")))
        } else if let Some(lost) = lost.filter(|_| is_done || self.stranded) {
            Ending::Failed(Failure {
                class: FailureClass::Host,
                reason: "checkpoint_lost".into(),
                message: format!(
                    "the checkpoint {} is gone or damaged; the trial goes on from an earlier one",
                    lost.line.file
                ),
            })
        } else {
            self.end.clone()?
        };
        let final_seq = self.acked.max(seen);
        Some(EffectKind::Ended { final_seq, how })
    }

    /// A checkpoint is kept: an older newest state that is still on its way must not follow it.
    fn settle(&mut self, line: &CheckpointLine) {
        let at = self.checkpoints.iter().position(|pending| pending.line == *line).unwrap_or(0);
        for pending in &mut self.checkpoints[..at] {
            pending.blocked |= line.kind == CheckpointKind::Last && pending.line.kind == CheckpointKind::Last;
        }
        let over = |pending: &Pending| pending.blocked && pending.blob != Blob::Uploading;
        self.checkpoints.retain(|pending| pending.line != *line && !over(pending));
        self.accepted.keep(line);
    }

    /// Takes the answer to something that was sent.
    pub fn answer(&mut self, sent: &Sent, result: EffectResult) -> Step {
        match result {
            EffectResult::Fenced => Step::Fenced,
            EffectResult::Gap { acked_seq } => {
                let moved = acked_seq != self.acked;
                self.acked = acked_seq;
                if moved { Step::On } else { Step::Stuck }
            }
            EffectResult::Accepted { acked_seq } => {
                self.acked = acked_seq;
                match sent {
                    Sent::Chosen => {
                        self.accepted.chosen = self.chosen.take();
                        Step::On
                    }
                    Sent::Started => {
                        self.accepted.started = self.started.take();
                        Step::On
                    }
                    Sent::Metrics => Step::On,
                    Sent::Checkpoint(line) => {
                        self.settle(line);
                        Step::On
                    }
                    Sent::Ended => Step::Finished,
                }
            }
        }
    }
}

fn is_digest(text: &str) -> bool {
    let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.len() == 64 && text.bytes().all(digit)
}

fn to_checkpoint(line: &CheckpointLine) -> Checkpoint {
    Checkpoint { kind: line.kind, epoch: line.epoch, seq: line.seq, sha256: line.sha256.clone(), bytes: line.bytes }
}

/// The failure of an attempt whose events make no sense: the host's fault, not the trial's.
pub fn corrupt(message: String) -> Failure {
    Failure { class: FailureClass::Host, reason: "events_corrupt".into(), message }
}

#[cfg(test)]
#[path = "outbox_tests.rs"]
mod tests;

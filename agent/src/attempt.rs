//! One attempt as its agent knows it: what it has said, what is to become of it, and how its end is
//! called when its trainer left no word. When to start, stop and report is the supervisor's business.

use std::time::Duration;

use sweep_core::attempt::{CheckpointLine, FailureClass, Line};
use sweep_core::command::Ending;
use sweep_core::event::Failure;
use sweep_core::id::Lease;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::launcher::{Disposal, Exit, ExitKind};
use crate::outbox::{Outbox, Uploaded};
use crate::series::{Series, StepLoss};
use crate::unit::Over;

/// First pause after an upload that did not work; doubled up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// See the module.
pub(crate) struct Attempt {
    pub(crate) slot: Option<u32>,
    /// Taken when the attempt is asked to stop.
    pub(crate) stop: Option<oneshot::Sender<()>>,
    pub(crate) over: bool,
    pub(crate) outbox: Outbox,
    pub(crate) fate: Fate,
    /// Its events make no sense; what else it says is not listened to.
    pub(crate) corrupt: bool,
    /// Pause between uploads that do not work, and when the next may start.
    pub(crate) upload_pause: Duration,
    pub(crate) upload_at: Option<Instant>,
}

/// What is to become of an attempt when it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The coordinator is told how it ended.
    Reported,
    /// Its lease is over.
    Fenced,
    /// The coordinator has never heard of it.
    Unknown,
}

impl Attempt {
    pub(crate) fn new(slot: Option<u32>, stop: Option<oneshot::Sender<()>>) -> Self {
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

    pub(crate) fn ask_to_stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            stop.send(()).ok();
        }
    }

    pub(crate) fn take(&mut self, lease: Lease, lines: Vec<Line>, series: &mut Series) {
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

    pub(crate) fn over(&mut self, lease: Lease, over: Over, series: &mut Series) {
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

    /// An upload of it ended; after one that did not work the next waits.
    pub(crate) fn uploaded(&mut self, line: &CheckpointLine, outcome: Uploaded, now: Instant) {
        self.outbox.uploaded(line, outcome);
        if outcome == Uploaded::Later {
            self.upload_at = Some(now + self.upload_pause);
            self.upload_pause = (self.upload_pause * 2).min(LONGEST_PAUSE);
        } else {
            self.upload_at = None;
            self.upload_pause = FIRST_PAUSE;
        }
    }

    pub(crate) fn disposal(&self) -> Disposal {
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
        ExitKind::NoRoom(code) => {
            let message = format!("the trainer ended with code {code} on a full disk; make room where --state is");
            (FailureClass::Host, "disk_full", message)
        }
        // SIGKILL and SIGTERM come from outside: no trainer does that to itself.
        ExitKind::Signal(number @ (9 | 15)) => {
            (FailureClass::Host, "killed", format!("the trainer was killed from outside by signal {number}"))
        }
        ExitKind::Signal(number) => {
            (FailureClass::Crash, "crashed", format!("the trainer was ended by signal {number}"))
        }
        ExitKind::OutOfMemory => {
            (FailureClass::OutOfMemory, "host_memory", "the kernel killed the trainer for lack of memory".to_owned())
        }
        ExitKind::Vanished => {
            (FailureClass::Host, "vanished", "the trainer ended while no agent was there to see it".to_owned())
        }
        ExitKind::Rebooted => {
            (FailureClass::Host, "host_restarted", "the host was started again under the trainer".to_owned())
        }
        ExitKind::Stalled { quiet, state } => {
            // Somebody has stopped it, or it waits for a disk, a share or a driver: not the trial's doing.
            let (class, what) = match state {
                Some('T' | 't') => (FailureClass::Host, ": its process was stopped (SIGSTOP or a debugger)"),
                Some('D') => (FailureClass::Host, ": its process waited for a disk, a network share or a driver"),
                _ => (FailureClass::Crash, ""),
            };
            let seconds = quiet.as_secs();
            (
                class,
                "stalled",
                format!("the trainer got no further for {seconds} s and was killed (--stall-limit){what}"),
            )
        }
        ExitKind::Corrupt(problem) => return crate::outbox::corrupt(problem.clone()),
    };
    if !exit.words.is_empty() {
        message.push_str("; its last words: ");
        message.push_str(&exit.words);
    }
    Failure { class, reason: reason.into(), message }
}

//! The life of one attempt: Preparing, Running, Stopping, Killing, Releasing, Over. One task per
//! attempt runs it and tells the supervisor what happens; what the coordinator is told is the
//! outbox's business.

use std::future::pending;
use std::time::Duration;

use futures_util::future::BoxFuture;
use sweep_core::attempt::Line;
use sweep_core::event::Failure;
use sweep_core::id::Lease;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until};

use crate::launcher::{Exit, News, Signal, Trainer};

/// How often a killed trainer is looked for.
const LOOK: Duration = Duration::from_millis(10);
/// How long after the first SIGKILL people are told that it does not help.
const STUCK_AFTER: Duration = Duration::from_secs(30);
/// How long a process may live on after its trainer has gone, before it is killed.
const STRAGGLE: Duration = Duration::from_millis(200);

/// What happens to an attempt.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    /// Its trainer wrote lines.
    Lines(Vec<Line>),
    /// Its trainer wrote to its log.
    Log {
        /// Where the text starts, bytes.
        offset: u64,
        /// The text.
        text: bytes::Bytes,
    },
    /// It does not die. It is still tried.
    Stuck,
    /// No process of it is left.
    Over(Over),
}

/// How an attempt got over.
#[derive(Clone, Debug, PartialEq)]
pub enum Over {
    /// Its trainer is gone.
    Gone {
        /// Its last lines.
        lines: Vec<Line>,
        /// How it went.
        exit: Exit,
        /// This agent killed it.
        killed: bool,
    },
    /// It was stopped before there was a process.
    NeverStarted,
    /// It could not be started.
    Failed(Failure),
}

/// Where an attempt stands while it has a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    /// It has written its final line, or was asked to stop: it has until then to leave.
    Leaving(Instant),
    /// It was killed first at this time.
    Killing(Instant),
}

/// What a unit is made of.
pub struct Unit {
    /// Which attempt.
    pub lease: Lease,
    /// Gives the trainer.
    pub begin: BoxFuture<'static, Result<Box<dyn Trainer>, Failure>>,
    /// Asks it to stop. A dropped sender asks nothing.
    pub stop: oneshot::Receiver<()>,
    /// Time between SIGTERM and SIGKILL.
    pub grace: Duration,
    /// Who wants to know.
    pub tell: mpsc::Sender<(Lease, Told)>,
}

impl Unit {
    /// Runs until no process is left. Ends early, leaving the trainer alone, when nobody listens.
    pub async fn run(self) {
        let Self { lease, begin, stop, grace, tell } = self;
        let mut stop = Box::pin(async move {
            if stop.await.is_err() {
                pending::<()>().await;
            }
        });
        let begun = tokio::select! {
            biased;
            () = &mut stop => Err(Over::NeverStarted),
            begun = begin => begun.map_err(Over::Failed),
        };
        let mut trainer = match begun {
            Ok(trainer) => trainer,
            Err(over) => {
                tell.send((lease, Told::Over(over))).await.ok();
                return;
            }
        };
        let mut phase = Phase::Running;
        let mut said = false;
        let (lines, exit) = loop {
            tokio::select! {
                biased;
                () = &mut stop, if phase == Phase::Running => {
                    trainer.signal(Signal::Stop);
                    phase = Phase::Leaving(Instant::now() + grace);
                }
                () = due(phase) => {
                    trainer.signal(Signal::Kill);
                    let first = match phase {
                        Phase::Killing(first) => first,
                        _ => {
                            tracing::warn!(%lease, "the trainer did not leave in time (--grace) and is killed");
                            Instant::now()
                        }
                    };
                    phase = Phase::Killing(first);
                    if first.elapsed() >= STUCK_AFTER && !said {
                        said = true;
                        tell.send((lease, Told::Stuck)).await.ok();
                    }
                }
                news = trainer.news() => {
                    let told = match news {
                        News::Gone { lines, exit } => break (lines, exit),
                        News::Log { offset, text } => Told::Log { offset, text },
                        News::Lines(lines) => {
                            if phase == Phase::Running && lines.iter().any(|line| line.body.is_final()) {
                                phase = Phase::Leaving(Instant::now() + grace);
                            }
                            Told::Lines(lines)
                        }
                    };
                    if tell.send((lease, told)).await.is_err() {
                        return;
                    }
                }
            }
        };
        if let Some((offset, text)) = trainer.rest_of_log() {
            tell.send((lease, Told::Log { offset, text })).await.ok();
        }
        release(lease, trainer.as_mut(), &tell, said).await;
        let killed = matches!(phase, Phase::Killing(_));
        let over = Over::Gone { lines, exit, killed };
        tell.send((lease, Told::Over(over))).await.ok();
    }
}

/// Waits until the next SIGKILL is due.
async fn due(phase: Phase) {
    match phase {
        Phase::Running => pending().await,
        Phase::Leaving(until) => sleep_until(until).await,
        Phase::Killing(_) => sleep(Duration::from_secs(1)).await,
    }
}

/// Waits until nothing of the trainer is left. What it leaves behind holds memory and devices that
/// the next attempt needs.
async fn release(lease: Lease, trainer: &mut dyn Trainer, tell: &mpsc::Sender<(Lease, Told)>, mut said: bool) {
    let since = Instant::now();
    while !trainer.is_released() {
        if since.elapsed() >= STRAGGLE {
            trainer.signal(Signal::Kill);
        }
        if since.elapsed() >= STUCK_AFTER && !said {
            said = true;
            tell.send((lease, Told::Stuck)).await.ok();
        }
        sleep(LOOK).await;
    }
}

#[cfg(test)]
#[path = "unit_tests.rs"]
mod tests;

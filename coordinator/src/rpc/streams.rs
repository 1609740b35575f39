//! Answers that go on: watching a sweep, following a log. Each is a task with a small queue; it ends
//! when there is nothing more to say, when the caller leaves, or when the coordinator stops.

use std::time::Duration;

use sweep_core::id::Lease;
use sweep_core::state::TrialRef;
use sweep_proto::v1::{LogText, SweepSummary};
use tokio::sync::mpsc;
use tokio::time::sleep;
use tonic::{Code, Status};

use super::{Edge, refused, unreadable, views};
use sweep_proto::status::status;

/// Between two summaries.
const WATCH: Duration = Duration::from_millis(250);
/// Between two looks for new log text.
const FOLLOW: Duration = Duration::from_millis(250);
/// Answers that wait for a slow caller.
pub(super) const AHEAD: usize = 8;

/// What is sent to the caller.
pub(super) type Sink<T> = mpsc::Sender<Result<T, Status>>;

/// Summaries of a sweep until it is over.
pub(super) async fn watch(edge: Edge, number: u32, sink: Sink<SweepSummary>) {
    let mut changed = edge.handle.changed();
    let mut sent = None;
    loop {
        changed.borrow_and_update();
        let summary = match edge.handle.query(move |view| views::sweep(view, number)).await {
            Ok(summary) => summary,
            Err(refusal) => return end(&sink, Err(refused(refusal))).await,
        };
        let over = summary.ended != 0;
        if sent.as_ref() != Some(&summary) {
            if sink.send(Ok(summary.clone())).await.is_err() {
                return;
            }
            sent = Some(summary);
        }
        if over {
            return;
        }
        let change = async {
            sleep(WATCH).await;
            changed.changed().await
        };
        tokio::select! {
            biased;
            () = edge.stopping.cancelled() => return end(&sink, Err(stopping())).await,
            () = sink.closed() => return,
            _ = change => {}
        }
    }
}

/// Log text of a trial's attempts (`only` one, or all); with `follow` until the trial is over.
pub(super) async fn logs(edge: Edge, at: TrialRef, only: u32, follow: bool, sink: Sink<LogText>) {
    let (mut attempt, mut offset) = (only.max(1), 0);
    loop {
        let known = edge.handle.query(move |view| {
            let trial = view.core.state().trial(at);
            (view.core.state().trial_id(at), trial.attempt, trial.phase.is_terminal())
        });
        let (trial, newest, over) = match known.await {
            Ok(known) => known,
            Err(refusal) => return end(&sink, Err(refused(refusal))).await,
        };
        // What an attempt still sends when the next one has begun comes within a round.
        let last_round = !follow || over || (attempt < newest && only != 0);
        if last_round && follow {
            sleep(FOLLOW).await;
        }
        loop {
            let pieces = match edge.reader.logs(Lease { trial, attempt }, offset).await {
                Ok(pieces) => pieces,
                Err(error) => return end(&sink, Err(unreadable(error))).await,
            };
            if pieces.is_empty() {
                if attempt < newest && only == 0 {
                    (attempt, offset) = (attempt + 1, 0);
                    continue;
                }
                break;
            }
            for (at, text) in pieces {
                offset = at + text.len().max(1) as u64;
                if sink.send(Ok(LogText { attempt, text: text.into() })).await.is_err() {
                    return;
                }
            }
        }
        if last_round {
            return;
        }
        tokio::select! {
            biased;
            () = edge.stopping.cancelled() => return end(&sink, Err(stopping())).await,
            () = sink.closed() => return,
            () = sleep(FOLLOW) => {}
        }
    }
}

async fn end<T>(sink: &Sink<T>, last: Result<T, Status>) {
    // A caller that has left needs no last word.
    drop(sink.send(last).await);
}

fn stopping() -> Status {
    status(Code::Unavailable, "stopping", "the coordinator is stopping")
}

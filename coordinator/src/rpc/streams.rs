//! Answers that go on: watching a sweep, following a log. Each is a task with a small queue; it ends
//! when there is nothing more to say, when the caller leaves or may no longer see it, or when the coordinator stops.

use std::time::Duration;

use sweep_core::id::Lease;
use sweep_core::state::TrialRef;
use sweep_proto::status::status;
use sweep_proto::v1::{LogText, SweepSummary};
use tokio::sync::mpsc;
use tokio::time::sleep;
use tonic::{Code, Status};

use super::{Edge, refused, unreadable, views};
use crate::access::identity::Identity;
use crate::handle::View;

/// Between two summaries.
const WATCH: Duration = Duration::from_millis(250);
/// Between two looks for new log text.
const FOLLOW: Duration = Duration::from_millis(250);
/// Answers that wait for a slow caller.
pub(super) const AHEAD: usize = 8;

/// What is sent to the caller.
pub(super) type Sink<T> = mpsc::Sender<Result<T, Status>>;

/// Summaries of a sweep until it is over.
pub(super) async fn watch(edge: Edge, caller: Identity, number: u32, sink: Sink<SweepSummary>) {
    let mut changed = edge.handle.changed();
    let mut sent = None;
    loop {
        changed.borrow_and_update();
        let by = caller.clone();
        let seen = move |view: View<'_>| {
            by.sees(&view.core.state().sweeps[number as usize]).then(|| views::sweep(view, number))
        };
        let summary = match edge.handle.query(seen).await {
            Ok(Some(summary)) => summary,
            Ok(None) => return end(&sink, Err(elsewhere())).await,
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
pub(super) async fn logs(edge: Edge, caller: Identity, at: TrialRef, (only, follow): (u32, bool), sink: Sink<LogText>) {
    let (mut attempt, mut offset) = (only.max(1), 0);
    loop {
        let by = caller.clone();
        let known = edge.handle.query(move |view| {
            let (state, trial) = (view.core.state(), view.core.state().trial(at));
            let known = (state.trial_id(at), trial.attempt, trial.phase.is_terminal());
            by.sees(state.sweep_of(at)).then_some(known)
        });
        let (trial, newest, over) = match known.await {
            Ok(Some(known)) => known,
            Ok(None) => return end(&sink, Err(elsewhere())).await,
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

/// The sweep was moved to a project that the caller is not in.
fn elsewhere() -> Status {
    status(Code::NotFound, "sweep_unknown", "the sweep is no longer in a project of yours")
}

fn stopping() -> Status {
    status(Code::Unavailable, "stopping", "the coordinator is stopping")
}

//! What this agent did for attempts, for whoever collects traces: the attempt itself, checkpoints that it brought, reports that were
//! answered. Where they stand in the trace follows from the lease.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use sweep_core::attempt::CheckpointLine;
use sweep_core::id::Lease;
use sweep_core::spans::{self, Place};
use sweep_ops::traces::{Span, Traces};

use crate::launcher::ExitKind;
use crate::outbox::{Sent, Uploaded};
use crate::unit::Over;

/// The attempts of this agent that run.
#[derive(Debug, Default)]
pub(crate) struct Spans {
    pub(crate) traces: Traces,
    began: BTreeMap<Lease, (SystemTime, Option<u32>)>,
    /// Since when an answer to a report is waited for.
    asked: Option<SystemTime>,
}

impl Spans {
    /// An attempt begins, or is taken over from an earlier life.
    pub(crate) fn began(&mut self, lease: Lease, slot: Option<u32>) {
        if self.traces.is_on() {
            self.began.insert(lease, (SystemTime::now(), slot));
        }
    }

    /// No process of it is left.
    pub(crate) fn over(&mut self, lease: Lease, over: &Over) {
        let Some((since, slot)) = self.began.remove(&lease) else { return };
        let error = match over {
            Over::Gone { exit, .. } if exit.how == ExitKind::Code(0) => None,
            Over::Gone { exit, .. } => Some(format!("{:?}", exit.how)),
            Over::NeverStarted => Some("stopped before there was a process".to_owned()),
            Over::Failed(failure) => Some(failure.reason.clone()),
        };
        let slot = slot.map(|slot| ("slot", slot.to_string()));
        let attributes = about(lease).into_iter().chain(slot).collect();
        self.traces.end(span("attempt", spans::attempt(lease), since, attributes, error));
    }

    /// A report goes out.
    pub(crate) fn reporting(&mut self) {
        self.asked = self.traces.is_on().then(SystemTime::now);
    }

    /// It was answered: one span for each attempt that it was about.
    pub(crate) fn reported(&mut self, sent: &[(Lease, Sent)]) {
        let Some(since) = self.asked.take() else { return };
        let mut counts = BTreeMap::<Lease, u64>::new();
        sent.iter().for_each(|(lease, _)| *counts.entry(*lease).or_default() += 1);
        for (lease, count) in counts {
            let mut attributes = about(lease);
            attributes.push(("effects", count.to_string()));
            let place = spans::part(lease, &format!("report {}", micros(since)));
            self.traces.end(span("report", place, since, attributes, None));
        }
    }
}

/// A checkpoint was brought, or not.
pub(crate) fn checkpoint(traces: &Traces, lease: Lease, line: &CheckpointLine, since: SystemTime, how: Uploaded) {
    if !traces.is_on() {
        return;
    }
    let error = (how != Uploaded::Stored).then(|| format!("{how:?}"));
    let mut attributes = about(lease);
    attributes.extend([("epoch", line.epoch.to_string()), ("bytes", line.bytes.to_string())]);
    attributes.push(("kind", format!("{:?}", line.kind).to_lowercase()));
    let place = spans::part(lease, &format!("checkpoint {} {}", line.file, micros(since)));
    traces.end(span("checkpoint", place, since, attributes, error));
}

fn about(lease: Lease) -> Vec<(&'static str, String)> {
    vec![("trial", lease.trial.to_string()), ("attempt", lease.attempt.to_string())]
}

fn micros(since: SystemTime) -> u128 {
    since.duration_since(UNIX_EPOCH).unwrap_or_default().as_micros()
}

fn span(
    name: &'static str,
    place: Place,
    since: SystemTime,
    attributes: Vec<(&'static str, String)>,
    error: Option<String>,
) -> Span {
    let Place { trace, span: id, parent } = place;
    Span { trace, id, parent, name, times: (since, SystemTime::now()), attributes, follows: None, error }
}

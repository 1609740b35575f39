//! What the coordinator decided, for whoever collects traces: submissions, grants, and each trial from its submission to its end. Told
//! after it is durable. What agents do in between, they tell themselves.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sweep_core::event::Event;
use sweep_core::id::SweepId;
use sweep_core::spans::{self, Place};
use sweep_core::state::trial::Phase;
use sweep_core::state::{State, TrialRef};
use sweep_core::time::Timestamp;
use sweep_ops::traces::{Span, Traces};

/// Events that were just committed; `state` is the state after them, `at` their time.
pub(crate) fn observe(traces: &Traces, state: &State, events: &[Event], at: Timestamp) {
    if !traces.is_on() {
        return;
    }
    let mut over = BTreeSet::new();
    for event in events {
        match event {
            Event::SweepSubmitted { sweep, plan, .. } => {
                let about = vec![("sweep", sweep.to_string()), ("trials", plan.len().to_string())];
                traces.end(span("submit", spans::of_sweep(*sweep, "submit"), at, about));
            }
            Event::LeaseGranted { lease, agent, slot, .. } => {
                let host = state.agents.get(agent).map(|agent| agent.facts.host.clone()).unwrap_or_default();
                let mut about = vec![("trial", lease.trial.to_string()), ("attempt", lease.attempt.to_string())];
                about.extend([("host", host), ("slot", slot.to_string())]);
                traces.end(span("grant", spans::grant(*lease), at, about));
            }
            Event::TrialCompleted { lease, .. }
            | Event::AttemptFailed { lease, .. }
            | Event::LeaseLost { lease, .. } => over.extend(state.find(lease.trial)),
            Event::TrialCancelled { trial, .. } | Event::TrialReused { trial, .. } => over.extend(state.find(*trial)),
            Event::SweepCancelled { sweep, .. } => over.extend(trials(state, *sweep)),
            // What waits at a rung is stopped without a word from an agent.
            Event::PointJudged { sweep, point, .. } => {
                let Some(number) = state.number(*sweep) else { continue };
                let racing = state.sweep_of(TrialRef { sweep: number, index: 0 }).racing.as_ref();
                let of_point = racing.map_or(&[][..], |racing| racing.trials(*point));
                over.extend(of_point.iter().map(|index| TrialRef { sweep: number, index: *index }));
            }
            _ => {}
        }
    }
    let mut sweeps = BTreeSet::new();
    for of in over {
        let known = state.trial(of);
        let ended = known.progress.as_ref().and_then(|progress| progress.ended);
        if known.phase.is_terminal() && ended == Some(at) && known.attempt > 0 {
            traces.end(trial(state, of));
        }
        sweeps.insert(of.sweep);
    }
    for sweep in sweeps.into_iter().map(|sweep| state.sweep_of(TrialRef { sweep, index: 0 })) {
        if sweep.ended == Some(at) {
            let mut about = vec![("sweep", sweep.id.to_string()), ("name", sweep.name.clone())];
            about.extend([("user", sweep.user.clone()), ("end", sweep.status().to_owned())]);
            traces.end(span("sweep", spans::sweep(sweep.id), sweep.submitted, about));
        }
    }
}

/// All trials of a sweep.
fn trials(state: &State, sweep: SweepId) -> impl Iterator<Item = TrialRef> {
    let known = state.number(sweep).map(|sweep| TrialRef { sweep, index: 0 });
    known.into_iter().flat_map(|first| {
        let count = state.sweep_of(first).trials.len() as u32;
        (0..count).map(move |index| TrialRef { index, ..first })
    })
}

/// Results were read for a report.
pub(crate) fn read(traces: &Traces, sweep: SweepId, since: SystemTime) {
    if !traces.is_on() {
        return;
    }
    let micros = since.duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
    let place = spans::of_sweep(sweep, &format!("report {micros}"));
    let times = (since, SystemTime::now());
    traces.end(Span { times, ..span("report", place, Timestamp(0), vec![("sweep", sweep.to_string())]) });
}

/// A trial that is over, for now: `retry` may open it again.
fn trial(state: &State, of: TrialRef) -> Span {
    let (sweep, known) = (state.sweep_of(of), state.trial(of));
    let id = sweep.plan.trial_id(sweep.id, of.index);
    let about = vec![
        ("trial", id.to_string()),
        ("sweep", sweep.id.to_string()),
        ("end", known.phase.name().to_owned()),
        ("attempts", known.attempt.to_string()),
    ];
    let above = spans::sweep(sweep.id);
    let error = known.failure.as_ref().filter(|_| known.phase == Phase::Failed).map(|of| of.reason.clone());
    let follows = Some((above.trace, above.span));
    Span { follows, error, ..span("trial", spans::trial(id), sweep.submitted, about) }
}

fn span(name: &'static str, place: Place, since: Timestamp, attributes: Vec<(&'static str, String)>) -> Span {
    let Place { trace, span: id, parent } = place;
    let since = UNIX_EPOCH + Duration::from_micros(since.0.max(0).unsigned_abs());
    Span { trace, id, parent, name, times: (since, SystemTime::now()), attributes, follows: None, error: None }
}

//! What agents report about attempts. Every effect is checked against the live lease in the same
//! step that makes its event, so nothing late, doubled or out of order ever gets in.

use super::Step;
use crate::alike;
use crate::attempt::{CheckpointKind, EpochMetrics, FailureClass};
use crate::command::{Effect, EffectKind, EffectResult, Ending, Reject, Reply};
use crate::event::{Checkpoint, Event, Failure, LossCause};
use crate::id::{AgentId, Lease};
use crate::origin::Origin;
use crate::recipe::Numerics;
use crate::retry;
use crate::state::trial::Leased;

pub(super) fn report(step: &mut Step<'_>, agent: AgentId, effects: Vec<Effect>) -> Reply {
    if !super::agents::called(step, agent) {
        return Reply::Rejected(Reject::AgentUnknown(agent));
    }
    Reply::Effects(effects.into_iter().map(|effect| one(step, agent, effect)).collect())
}

fn one(step: &mut Step<'_>, agent: AgentId, effect: Effect) -> EffectResult {
    let lease = effect.lease;
    let acked_seq = match step.core.state.leased(lease) {
        Some((_, Leased { agent: holder, acked_seq, .. })) if *holder == agent => *acked_seq,
        _ => return EffectResult::Fenced,
    };
    match effect.what {
        EffectKind::Chosen(numerics) => {
            choose(step, lease, numerics);
            EffectResult::Accepted { acked_seq }
        }
        EffectKind::Started(origin) => {
            started(step, lease, origin);
            EffectResult::Accepted { acked_seq }
        }
        EffectKind::Metrics(records) => metrics(step, lease, records, acked_seq),
        EffectKind::Checkpoint(checkpoint) => keep(step, lease, checkpoint, acked_seq),
        EffectKind::Ended { final_seq, .. } if final_seq != acked_seq => EffectResult::Gap { acked_seq },
        EffectKind::Ended { final_seq, how } => {
            end(step, lease, final_seq, how);
            EffectResult::Accepted { acked_seq }
        }
    }
}

fn metrics(step: &mut Step<'_>, lease: Lease, records: Vec<EpochMetrics>, mut acked_seq: u64) -> EffectResult {
    for metrics in records {
        if metrics.seq <= acked_seq {
            continue;
        }
        if metrics.seq != acked_seq + 1 {
            return EffectResult::Gap { acked_seq };
        }
        if Some(metrics.epoch) != newest(step, lease).and_then(|epoch| epoch.checked_add(1)) {
            let message = format!("epoch {} came as report {} of the attempt", metrics.epoch, metrics.seq);
            return nonsense(step, lease, message);
        }
        acked_seq = metrics.seq;
        step.emit(Event::EpochReported { lease, metrics });
        if acked_seq == 1 {
            super::agents::first_epoch(step, lease);
        }
    }
    EffectResult::Accepted { acked_seq }
}

/// The epoch that an attempt has come to.
fn newest(step: &Step<'_>, lease: Lease) -> Option<u32> {
    let (at, leased) = step.core.state.leased(lease)?;
    let trial = step.core.state.trial(at);
    let reported = trial.progress.as_ref().and_then(|progress| progress.last.as_ref()).map(|metrics| metrics.epoch);
    reported.filter(|_| leased.acked_seq > 0).or_else(|| Some(trial.resume_epoch()))
}

/// Numbers that no trainer can mean: nothing of them counts, and the attempt is over, by the fault of its host.
fn nonsense(step: &mut Step<'_>, lease: Lease, message: String) -> EffectResult {
    let failure = Failure { class: FailureClass::Host, reason: "events_corrupt".into(), message };
    end(step, lease, 0, Ending::Failed(failure));
    EffectResult::Fenced
}

/// The first word counts; what is not among what was left open is not heard.
fn choose(step: &mut Step<'_>, lease: Lease, numerics: Numerics) {
    let Some((at, _)) = step.core.state.leased(lease) else { return };
    let sweep = step.core.state.sweep_of(at);
    let open = alike::key(&sweep.plan, at.index).filter(|key| sweep.choices.is_open(key));
    if open.is_some_and(|key| alike::permits(&key, numerics)) {
        step.emit(Event::NumericsChosen { lease, numerics });
    }
}

/// Said by every attempt; written down where it is news.
fn started(step: &mut Step<'_>, lease: Lease, origin: Box<Origin>) {
    let Some((at, _)) = step.core.state.leased(lease) else { return };
    let sweep = step.core.state.sweep_of(at);
    if sweep.origins.is_news(sweep.plan.trial(at.index).point, &origin) {
        step.emit(Event::TrainerStarted { lease, origin });
    }
}

/// A checkpoint ahead of its metrics would leave a hole in the curve if the host died now.
fn keep(step: &mut Step<'_>, lease: Lease, checkpoint: Checkpoint, acked_seq: u64) -> EffectResult {
    if checkpoint.seq > acked_seq {
        return EffectResult::Gap { acked_seq };
    }
    if newest(step, lease).is_none_or(|epoch| checkpoint.epoch > epoch) {
        return nonsense(step, lease, format!("a checkpoint of epoch {} came before that epoch", checkpoint.epoch));
    }
    let progress = step.core.state.leased(lease).and_then(|(at, _)| step.core.state.trial(at).progress.as_ref());
    let kept = progress.is_some_and(|progress| {
        let newest = match checkpoint.kind {
            CheckpointKind::Last => progress.last_checkpoint.as_ref().map(|kept| &kept.checkpoint),
            CheckpointKind::Best => progress.best_checkpoint.as_ref(),
        };
        // An older one comes when a report is heard a second time: it is known, and nothing goes back to it.
        newest.is_some_and(|newest| *newest == checkpoint || checkpoint.epoch < newest.epoch)
    });
    if !kept {
        step.emit(Event::CheckpointKept { lease, checkpoint });
    }
    EffectResult::Accepted { acked_seq }
}

fn end(step: &mut Step<'_>, lease: Lease, final_seq: u64, how: Ending) {
    let event = match how {
        Ending::Done { early, weights, test } => Event::TrialCompleted { lease, final_seq, early, weights, test },
        Ending::Stopped => Event::LeaseLost { lease, cause: LossCause::Stopped },
        Ending::Failed(failure) => failed(step, lease, super::devices::blamed(&step.core.state, lease, failure)),
    };
    let why = match &event {
        Event::AttemptFailed { failure, .. } => failure.reason.clone(),
        _ => String::new(),
    };
    let slot = step.core.state.leased(lease).map(|(_, leased)| (leased.agent, leased.slot));
    let sweep = step.core.state.find(lease.trial).map(|at| at.sweep);
    step.emit(event);
    if let Some(suspended) = sweep.and_then(|number| step.core.state.suspension(number)) {
        step.emit(suspended);
    }
    if let Some((agent, slot)) = slot {
        super::devices::trust(step, agent, slot, &why);
    }
}

fn failed(step: &Step<'_>, lease: Lease, failure: Failure) -> Event {
    let state = &step.core.state;
    let gives_way = state.leased(lease).is_some_and(|(_, leased)| leased.gives_way() || leased.halted);
    if gives_way && retry::is_of_the_moment(failure.class) {
        // It was asked to leave, and this is how it left.
        return Event::LeaseLost { lease, cause: LossCause::Stopped };
    }
    let pause = state.leased(lease).and_then(|(at, _)| {
        let trial = state.trial(at);
        let most = state.sweep_of(at).max_retries();
        retry::pause(failure.class, trial.own_failures, trial.failures, most)
    });
    Event::AttemptFailed { lease, failure, retry_at: pause.map(|pause| step.now + pause) }
}

//! The state as messages: summaries of sweeps, trials, agents. Every function costs what it shows, not
//! what there is.

use std::collections::BTreeSet;

use sweep_core::copies;
use sweep_core::decide::{LEASE_TIME, REACHABLE};
use sweep_core::id::{AgentId, TrialId};
use sweep_core::state::TrialRef;
use sweep_core::state::agent::Agent;
use sweep_core::state::sweep::Sweep;
use sweep_core::state::trial::Trial;
use sweep_core::stopping::summary;
use sweep_proto::convert::id_bytes;
use sweep_proto::v1::{
    AgentSummary, BoundDataset, Checkpoint, Dataset, DeviceState, EpochMetrics, HoldSummary, Offer, Score, SlotSummary,
    SweepSummary, TrialSummary,
};

use uuid::Uuid;

use crate::handle::View;

/// Point, seed and newest epoch of every trial, in plan order.
pub(super) fn plan_places(sweep: &Sweep) -> Vec<(u32, u64, u32)> {
    let place = |(index, trial): (u32, &Trial)| {
        let planned = sweep.plan.trial(index);
        let newest = trial.progress.as_ref().and_then(|progress| progress.last.as_ref());
        (planned.point, sweep.plan.seeds[planned.seed as usize], newest.map_or(0, |metrics| metrics.epoch))
    };
    (0u32..).zip(&sweep.trials).map(place).collect()
}

/// A sweep, by its position.
pub(super) fn sweep(view: View<'_>, number: u32) -> SweepSummary {
    let state = view.core.state();
    let sweep = &state.sweeps[number as usize];
    let best = view.books.sweep(number).best;
    let counts = &sweep.counts;
    SweepSummary {
        sweep_id: id_bytes(sweep.id),
        name: sweep.name.clone(),
        user: sweep.user.clone(),
        status: sweep.status().to_owned(),
        submitted: sweep.submitted.0,
        ended: sweep.ended.map_or(0, |ended| ended.0),
        trials: sweep.trials.len() as u64 + u64::from(sweep.to_come()),
        waiting: counts.waiting.into(),
        running: counts.running.into(),
        backoff: counts.backoff.into(),
        completed: counts.completed.into(),
        failed: counts.failed.into(),
        cancelled: counts.cancelled.into(),
        paused: counts.paused.into(),
        stopped: counts.stopped.into(),
        reused: sweep.reused.into(),
        probe_steps: sweep.plan.limits.probe_steps,
        best_accuracy: best.map(|(_, accuracy)| accuracy),
        best_trial_id: best.map(|(index, _)| id_bytes(sweep.ids[index as usize])).unwrap_or_default(),
        eta_seconds: view.books.eta_seconds(state, number, view.now),
        project: sweep.project.clone(),
        priority: sweep.priority(),
        max_parallel: sweep.plan.limits.max_parallel,
    }
}

/// What varies in a sweep.
pub(super) fn paths(view: View<'_>, number: u32) -> Vec<String> {
    view.core.state().sweeps[number as usize].plan.columns.iter().map(|column| column.path.clone()).collect()
}

/// The data sets that a sweep's trials need.
pub(super) fn datasets(view: View<'_>, number: u32) -> Vec<BoundDataset> {
    let sweep = &view.core.state().sweeps[number as usize];
    let used: BTreeSet<&str> = (0..sweep.trials.len() as u32).map(|index| sweep.dataset(index)).collect();
    let bound = |name: &&str| {
        let place = sweep.datasets.iter().position(|known| known == *name)?;
        sweep.fingerprints[place].clone()
    };
    used.iter()
        .map(|name| BoundDataset { name: (*name).to_owned(), fingerprint: bound(name).unwrap_or_default() })
        .collect()
}

/// Why agents get none of a sweep's waiting trials now.
pub(super) fn waits(view: View<'_>, number: u32) -> Vec<String> {
    let state = view.core.state();
    copies::of_sweep(state, &state.sweeps[number as usize]).map(|other| other.to_string()).collect()
}

/// A page of a sweep's trials, and how many match.
pub(super) fn page(
    view: View<'_>,
    number: u32,
    phases: &[String],
    offset: u64,
    limit: u32,
) -> (Vec<TrialSummary>, u64) {
    let trials = &view.core.state().sweeps[number as usize].trials;
    let (offset, limit) = (usize::try_from(offset).unwrap_or(usize::MAX), limit as usize);
    let summary = |index: u32| trial(view, TrialRef { sweep: number, index });
    if phases.is_empty() {
        let page = (0..trials.len() as u32).skip(offset).take(limit);
        return (page.map(summary).collect(), trials.len() as u64);
    }
    let matches = |index: &u32| phases.iter().any(|phase| phase == trials[*index as usize].phase.name());
    let matching: Vec<u32> = (0..trials.len() as u32).filter(matches).collect();
    let page = matching.iter().skip(offset).take(limit);
    (page.map(|index| summary(*index)).collect(), matching.len() as u64)
}

/// One trial.
pub(super) fn trial(view: View<'_>, at: TrialRef) -> TrialSummary {
    let state = view.core.state();
    let (sweep, trial) = (state.sweep_of(at), state.trial(at));
    let planned = sweep.plan.trial(at.index);
    let progress = trial.progress.as_deref();
    let leased = trial.leased();
    let last = progress.and_then(|progress| progress.last.as_ref());
    let spent = progress.map_or(0, |progress| progress.spent) + leased.map_or(0, |leased| (view.now - leased.since).0);
    let (class, reason, message) = trial.failure.as_deref().map_or_else(Default::default, |failure| {
        (failure.class.as_str().to_owned(), failure.reason.clone(), failure.message.clone())
    });
    let host = leased.and_then(|leased| state.agents.get(&leased.agent)).map(|agent| agent.facts.host.clone());
    let origin = progress.and_then(|progress| progress.origin);
    TrialSummary {
        origin_trial: origin.map(|at| id_bytes(state.trial_id(at))).unwrap_or_default(),
        origin_sweep: origin.map(|at| state.sweep_of(at).name.clone()).unwrap_or_default(),
        trial_id: id_bytes(state.trial_id(at)),
        index: at.index.into(),
        labels: sweep.plan.labels(planned.point).into_iter().map(|(_, label)| label).collect(),
        seed: sweep.plan.seeds[planned.seed as usize],
        phase: trial.phase.name().to_owned(),
        attempt: trial.attempt,
        epoch: last.map_or(0, |last| last.epoch),
        epochs: sweep.plan.epochs(at.index),
        last: last.map(EpochMetrics::from),
        best: progress.and_then(|progress| progress.best.as_ref()).map(EpochMetrics::from),
        host: host.unwrap_or_default(),
        slot: leased.map_or(0, |leased| leased.slot),
        failure_class: class,
        failure_reason: reason,
        failure_message: message,
        best_checkpoint: progress.and_then(|progress| progress.best_checkpoint.as_ref()).map(Checkpoint::from),
        last_checkpoint: progress
            .and_then(|progress| progress.last_checkpoint.as_ref())
            .map(|kept| Checkpoint::from(&kept.checkpoint)),
        weights: progress.and_then(|progress| progress.weights.clone()).unwrap_or_default(),
        seconds: spent as f64 / 1e6,
        test: progress.and_then(|progress| progress.test.as_deref()).map(Score::from),
        why: summary::why(sweep, at.index).unwrap_or_default(),
        early: trial.phase == sweep_core::state::trial::Phase::Completed { early: true },
    }
}

/// What runs on a slot is somebody else's.
const OTHERS: &str = "(another project's)";

/// One agent. Of trials that the caller may not see it is said that they are there.
pub(super) fn agent(view: View<'_>, id: AgentId, agent: &Agent, sees: impl Fn(&Sweep) -> bool) -> AgentSummary {
    let state = view.core.state();
    let seen = view.core.last_seen(id);
    let silent = view.now - seen.unwrap_or(view.books.started);
    let seen_on = view.core.sighting(id).map(|sighting| sighting.devices.as_slice()).unwrap_or_default();
    let status = match seen {
        _ if silent > LEASE_TIME => "gone",
        Some(_) if silent <= REACHABLE => "reachable",
        _ => "unreachable",
    };
    let slot = |((number, what), lease): ((u32, &String), &Option<sweep_core::id::Lease>)| {
        let block = agent.block(number, view.now);
        let running = lease.and_then(|lease| Some((lease, state.leased(lease)?)));
        SlotSummary {
            what: what.clone(),
            trial_id: match running {
                Some((lease, (at, _))) if sees(state.sweep_of(at)) => id_bytes(lease.trial),
                Some(_) => id_bytes(TrialId::from(Uuid::nil())),
                None => Default::default(),
            },
            attempt: running.map_or(0, |(lease, _)| lease.attempt),
            sweep_name: match running {
                Some((_, (at, _))) if sees(state.sweep_of(at)) => state.sweep_of(at).name.clone(),
                Some(_) => OTHERS.to_owned(),
                None => String::new(),
            },
            since: running.map_or(0, |(_, (_, leased))| leased.since.0),
            closed: block.as_ref().map(|block| block.reason().to_owned()).unwrap_or_default(),
            why: block.as_ref().map(ToString::to_string).unwrap_or_default(),
            until: block.as_ref().and_then(|block| block.until()).map(|until| until.0),
            share: running.map_or(0, |(_, (_, leased))| leased.share),
        }
    };
    AgentSummary {
        agent_id: id_bytes(id),
        host: agent.facts.host.clone(),
        status: status.to_owned(),
        last_seen: seen.map_or(0, |seen| seen.0),
        slots: (0u32..).zip(&agent.facts.slots).zip(&agent.slots).map(slot).collect(),
        datasets: agent.facts.datasets.iter().map(|dataset| dataset.name.clone()).collect(),
        data: agent.facts.datasets.iter().map(Dataset::from).collect(),
        offer: Some(Offer::from(&agent.facts.offer)),
        devices: seen_on.iter().map(DeviceState::from).collect(),
        holds: {
            let holds = agent.devices.holds.iter().filter(|(_, hold)| !hold.is_over(view.now));
            holds.map(|((slot, ..), hold)| HoldSummary::new(*slot, hold)).collect()
        },
        notes: copies::of_agent(state, id).map(|other| other.to_string()).collect(),
    }
}

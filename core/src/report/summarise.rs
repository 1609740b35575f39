//! The results of a sweep, from the state.

use std::collections::BTreeMap;

use super::{BestTrial, EpochRow, FailedTrial, PointRow, Provenance, Reached, Report, Spread, Taken, TrialRow, costs};
use crate::attempt::{EpochMetrics, FailureClass};
use crate::id::SweepId;
use crate::num::Num;
use crate::plan::Plan;
use crate::recipe::Watched;
use crate::state::State;
use crate::state::sweep::Sweep;
use crate::state::trial::{Phase, Progress, Trial};
use crate::stopping;

/// The report of a sweep as it stands.
pub fn summarise(state: &State, id: SweepId) -> Option<Report> {
    let sweep = state.sweep(id)?;
    let seeds = sweep.plan.seeds.len();
    let mut at = vec![0u32; sweep.plan.len() as usize];
    for (index, flat) in (0u32..).zip(&sweep.plan.order) {
        at[*flat as usize] = index;
    }
    let mut points: Vec<PointRow> =
        (0..sweep.plan.points).map(|point| row(state, sweep, point, &at[point as usize * seeds..][..seeds])).collect();
    // A mean over the seeds that happened not to diverge is no better than one over all of them.
    let last = |row: &PointRow| (row.accuracy.n == 0, row.diverged);
    let order = |a: &PointRow, b: &PointRow| last(a).cmp(&last(b)).then(compare(a.accuracy.mean, b.accuracy.mean));
    points.sort_by(|a, b| order(a, b).then(a.point.cmp(&b.point)));
    let with_result = points.iter_mut().filter(|row| row.accuracy.n > 0);
    (1u32..).zip(with_result).for_each(|(rank, row)| row.rank = Some(rank));
    Some(Report {
        sweep: sweep.id,
        name: sweep.name.clone(),
        status: sweep.status().to_owned(),
        metric: "val_accuracy".to_owned(),
        judged_by: judged_by(&sweep.plan),
        curves: Vec::new(),
        drawn: sweep.plan.drawn(),
        provenance: provenance(sweep),
        best: best(sweep),
        trials: sweep.plan.len() + sweep.to_come(),
        completed: sweep.counts.completed,
        failures: failures(sweep),
        numerics: numerics(sweep),
        probe_steps: sweep.plan.limits.probe_steps,
        reused: reused(state, sweep),
        stopping: stopping::summary::summarise(sweep),
        cost: costs::of_sweep(sweep),
        points,
    })
}

/// The loss, if early stopping or the search goes by it; where both compare they have one metric.
fn judged_by(plan: &Plan) -> Watched {
    let stop = plan.stop.as_deref().map(|stop| stop.metric);
    let search = plan.search.as_deref().map(|search| search.knobs.metric);
    if [stop, search].contains(&Some(Watched::ValLoss)) { Watched::ValLoss } else { Watched::ValAccuracy }
}

/// Higher first; NaN and nothing last.
fn compare(a: Option<Num>, b: Option<Num>) -> std::cmp::Ordering {
    let key = |value: Option<Num>| value.map(|num| num.0).filter(|value| !value.is_nan()).unwrap_or(f64::NEG_INFINITY);
    key(b).total_cmp(&key(a))
}

fn row(state: &State, sweep: &Sweep, point: u32, indices: &[u32]) -> PointRow {
    let completed = |index: &&u32| sweep.has_result(**index);
    let diverged = |index: &&u32| {
        let trial = &sweep.trials[**index as usize];
        let class = trial.failure.as_ref().map(|failure| failure.class);
        trial.phase == Phase::Failed && class == Some(FailureClass::Diverged)
    };
    let best_of = |index: &u32| sweep.trials[*index as usize].progress.as_ref()?.best.as_ref();
    let results: Vec<&EpochMetrics> = indices.iter().filter(completed).filter_map(best_of).collect();
    let spread =
        |pick: fn(&EpochMetrics) -> Num| Spread::of(&results.iter().map(|metrics| pick(metrics).0).collect::<Vec<_>>());
    let progress_of = |index: &u32| sweep.trials[*index as usize].progress.as_deref();
    let lowest = indices.iter().filter(completed).filter_map(|index| progress_of(index)?.reached(Watched::ValLoss));
    let test_of = |index: &u32| sweep.trials[*index as usize].progress.as_ref()?.test.as_deref();
    let tests = indices.iter().filter(completed).filter_map(test_of).map(|score| score.accuracy.0);
    let labels = sweep.plan.labels(point).into_iter();
    let trials: Vec<TrialRow> = indices.iter().map(|index| trial_row(state, sweep, *index)).collect();
    PointRow {
        rank: None,
        point,
        baseline: sweep.plan.baseline == Some(point),
        spared: sweep.is_spared(point),
        settings: labels.map(|(path, label)| (path.to_owned(), label)).collect(),
        values: sweep.plan.unspelt(point),
        seeds: indices.len() as u32,
        diverged: indices.iter().filter(diverged).count() as u32,
        accuracy: spread(|metrics| metrics.val_accuracy),
        loss: spread(|metrics| metrics.val_loss),
        lowest_loss: Spread::of(&lowest.collect::<Vec<_>>()),
        test: Spread::of(&tests.collect::<Vec<_>>()),
        parameters: sweep.origins.parameters.get(&point).copied(),
        stopped: Reached::of(&trials, sweep.is_spared(point)),
        cost: costs::of_point(state, sweep, indices),
        trials,
    }
}

fn trial_row(state: &State, sweep: &Sweep, index: u32) -> TrialRow {
    let trial = &sweep.trials[index as usize];
    let progress = trial.progress.as_deref();
    let last = progress.and_then(|progress| progress.last.as_ref());
    TrialRow {
        trial: sweep.ids[index as usize],
        seed: seed(sweep, index),
        phase: trial.phase.name().to_owned(),
        ended_by_budget: sweep.is_ended_by_budget(index),
        spared: sweep.is_spared(sweep.plan.trial(index).point),
        best: progress.and_then(|progress| progress.best.as_ref()).map(EpochRow::from),
        last: last.map(|last| last.val_accuracy),
        lowest_loss: progress.and_then(|progress| progress.best_loss),
        cost: costs::of_point(state, sweep, &[index]),
        epochs: last.map_or(0, |last| last.epoch),
        weights: progress.and_then(|progress| progress.weights.clone()),
        test: progress.and_then(|progress| progress.test.as_deref().cloned()),
        origin: progress.and_then(|progress| taken(state, progress)),
        begun: progress.and_then(|progress| progress.begun).map(|(_, epoch)| epoch),
    }
}

fn taken(state: &State, progress: &Progress) -> Option<Taken> {
    progress.origin.map(|at| Taken { trial: state.trial_id(at), sweep: state.sweep_of(at).name.clone() })
}

fn reused(state: &State, sweep: &Sweep) -> BTreeMap<String, u32> {
    let mut from = BTreeMap::new();
    for taken in sweep.trials.iter().filter_map(|trial| taken(state, trial.progress.as_deref()?)) {
        *from.entry(taken.sweep).or_default() += 1;
    }
    from
}

fn seed(sweep: &Sweep, index: u32) -> u64 {
    sweep.plan.seeds[sweep.plan.trial(index).seed as usize]
}

/// The highest validation accuracy of a trial with a result; the earliest in plan order of equals.
fn best(sweep: &Sweep) -> Option<BestTrial> {
    let result =
        |index: u32, trial: &Trial| sweep.has_result(index).then(|| trial.progress.as_ref()?.best.clone()).flatten();
    let results = (0u32..).zip(&sweep.trials).filter_map(|(index, trial)| Some((index, result(index, trial)?)));
    let better = |a: &(u32, EpochMetrics), b: &(u32, EpochMetrics)| {
        compare(Some(a.1.val_accuracy), Some(b.1.val_accuracy)).then(a.0.cmp(&b.0))
    };
    let (index, epoch) = results.min_by(better)?;
    let progress = sweep.trials[index as usize].progress.as_deref();
    Some(BestTrial {
        trial: sweep.ids[index as usize],
        point: sweep.plan.trial(index).point,
        seed: seed(sweep, index),
        epoch: EpochRow::from(&epoch),
        checkpoint: progress.and_then(|progress| progress.best_checkpoint.clone()),
    })
}

fn failures(sweep: &Sweep) -> Vec<FailedTrial> {
    let failed = (0u32..).zip(&sweep.trials).filter(|(_, trial)| trial.phase == Phase::Failed);
    let rows = failed.filter_map(|(index, trial)| {
        let failure = trial.failure.as_ref()?;
        Some(FailedTrial {
            trial: sweep.ids[index as usize],
            point: sweep.plan.trial(index).point,
            seed: seed(sweep, index),
            class: failure.class.as_str().to_owned(),
            reason: failure.reason.clone(),
            message: failure.message.clone(),
        })
    });
    rows.collect()
}

fn provenance(sweep: &Sweep) -> Provenance {
    let mut data: Vec<(String, Option<String>)> =
        sweep.datasets.iter().cloned().zip(sweep.fingerprints.iter().cloned()).collect();
    data.sort();
    data.dedup();
    Provenance {
        user: sweep.user.clone(),
        project: sweep.project.clone(),
        submitted: sweep.submitted.0,
        ended: sweep.ended.map(|ended| ended.0),
        data,
        devices: sweep.devices.clone(),
        recipe: sweep.plan.base.clone(),
        seeds: sweep.plan.seeds.clone(),
        build: env!("CARGO_PKG_VERSION").to_owned(),
        programs: sweep.origins.programs.iter().cloned().collect(),
        hardware: sweep.origins.hardware.iter().cloned().collect(),
        images: sweep.origins.images.iter().cloned().collect(),
        extensions: sweep.extensions.clone(),
        source: sweep.plan.source.clone(),
    }
}

fn numerics(sweep: &Sweep) -> BTreeMap<String, u32> {
    let mut out = BTreeMap::new();
    for progress in sweep.trials.iter().filter_map(|trial| trial.progress.as_deref()) {
        if let Some(numerics) = &progress.numerics {
            *out.entry(numerics.clone()).or_default() += 1;
        }
    }
    out
}

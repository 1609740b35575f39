//! What came out of a sweep: points ranked by validation accuracy, with mean and spread over seeds.
//! Pure arithmetic over the state; printing is the caller's.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::attempt::EpochMetrics;
use crate::cost::Energy;
use crate::evaluation::Score;
use crate::event::Checkpoint;
use crate::id::{SweepId, TrialId};
use crate::num::Num;
use crate::state::State;
use crate::state::sweep::Sweep;
use crate::state::trial::{Phase, Progress, Trial};
use crate::stopping::{self, summary::StopSummary};

/// Everything a report shows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The sweep.
    pub sweep: SweepId,
    /// Its name.
    pub name: String,
    /// `completed`, `failed`, `cancelled`, `running` or `waiting`.
    pub status: String,
    /// What points are ranked by.
    pub metric: &'static str,
    /// Points, best mean first; points without a result last, in plan order.
    pub points: Vec<PointRow>,
    /// The best trial's checkpoint.
    pub best: Option<BestTrial>,
    /// Trials in the plan.
    pub trials: u32,
    /// Trials with a result.
    pub completed: u32,
    /// Trials that failed for good, with the reason.
    pub failures: Vec<FailedTrial>,
    /// The precisions and layouts that trials computed with, and how many did; more than one is worth a look.
    pub numerics: BTreeMap<String, u32>,
    /// What early stopping did; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopping: Option<StopSummary>,
    /// Time that slots spent on this sweep.
    pub cost: Cost,
}

/// One point over its seeds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PointRow {
    /// 1 for the best; absent without a result.
    pub rank: Option<u32>,
    /// Index of the point in the plan.
    pub point: u32,
    /// Whether the design compares the others with it.
    pub baseline: bool,
    /// `(path, value)` for everything that varies, in the order of the file.
    pub settings: Vec<(String, String)>,
    /// Seeds planned.
    pub seeds: u32,
    /// Best validation accuracy (0 to 1) over the seeds with a result.
    pub accuracy: Spread,
    /// Validation loss of the same epochs.
    pub loss: Spread,
    /// Accuracy on the test images (0 to 1), by the final weights, where there are any. Never ranked by.
    pub test: Spread,
    /// What all its trials took so far.
    pub cost: PointCost,
    /// Trials of this point, by seed.
    pub trials: Vec<TrialRow>,
}

/// One trial of a point.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrialRow {
    /// Its id.
    pub trial: TrialId,
    /// Its seed.
    pub seed: u64,
    /// Where it stands.
    pub phase: &'static str,
    /// The epoch with the best validation accuracy.
    pub best: Option<EpochRow>,
    /// Epochs trained.
    pub epochs: u32,
    /// Hash of the final weights.
    pub weights: Option<String>,
    /// What they make of the test images, if there are any.
    pub test: Option<Score>,
}

/// The part of an epoch that does not depend on the machine's speed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EpochRow {
    /// Which epoch.
    pub epoch: u32,
    /// Validation accuracy, 0 to 1.
    pub val_accuracy: Num,
    /// Validation loss, nats.
    pub val_loss: Num,
    /// Training accuracy, 0 to 1.
    pub train_accuracy: Num,
    /// Training loss, nats.
    pub train_loss: Num,
}

impl From<&EpochMetrics> for EpochRow {
    fn from(metrics: &EpochMetrics) -> Self {
        Self {
            epoch: metrics.epoch,
            val_accuracy: metrics.val_accuracy,
            val_loss: metrics.val_loss,
            train_accuracy: metrics.train_accuracy,
            train_loss: metrics.train_loss,
        }
    }
}

/// Mean and spread of some values.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// How many values.
    pub n: u32,
    /// Their mean; absent without values.
    pub mean: Option<Num>,
    /// Sample standard deviation (n - 1); absent for fewer than two values: one run says nothing about spread.
    pub std: Option<Num>,
    /// Smallest value.
    pub min: Option<Num>,
    /// Largest value.
    pub max: Option<Num>,
}

impl Spread {
    /// Of some values; NaN makes mean and spread NaN.
    pub fn of(values: &[f64]) -> Self {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
        Self {
            n: values.len() as u32,
            mean: (!values.is_empty()).then_some(Num(mean)),
            std: (values.len() >= 2).then_some(Num(variance.sqrt())),
            min: values.iter().copied().reduce(f64::min).map(Num),
            max: values.iter().copied().reduce(f64::max).map(Num),
        }
    }
}

/// The trial with the best single result.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BestTrial {
    /// Which.
    pub trial: TrialId,
    /// Its point.
    pub point: u32,
    /// Its seed.
    pub seed: u64,
    /// Its best epoch.
    pub epoch: EpochRow,
    /// Where its weights are.
    pub checkpoint: Option<Checkpoint>,
}

/// A trial without a result.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FailedTrial {
    /// Which.
    pub trial: TrialId,
    /// Its point.
    pub point: u32,
    /// Its seed.
    pub seed: u64,
    /// What kind of failure.
    pub class: &'static str,
    /// The stable word.
    pub reason: String,
    /// For people.
    pub message: String,
}

/// Time spent; depends on the machine and on interruptions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Cost {
    /// Seconds that slots were leased, over all attempts that have ended.
    pub slot_seconds: f64,
    /// Attempts granted.
    pub attempts: u64,
    /// What its epochs took; absent where no host of the sweep measures it.
    pub energy: Option<Energy>,
    /// Trials of which that is known.
    pub energy_trials: u32,
    /// Seconds from submission to the end, once all trials are over.
    pub wall_seconds: Option<f64>,
}

/// Time, energy and memory of one point's trials; depends on the machine and on interruptions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct PointCost {
    /// Seconds that slots were leased, over all attempts that have ended.
    pub slot_seconds: f64,
    /// What its epochs took; absent where it is not measured.
    pub energy: Option<Energy>,
    /// The most memory that one of its trainers had, bytes.
    pub peak_memory: Option<u64>,
}

/// The report of a sweep as it stands.
pub fn summarise(state: &State, id: SweepId) -> Option<Report> {
    let sweep = state.sweep(id)?;
    let seeds = sweep.plan.seeds.len();
    let mut at = vec![0u32; sweep.plan.len() as usize];
    for (index, flat) in (0u32..).zip(&sweep.plan.order) {
        at[*flat as usize] = index;
    }
    let mut points: Vec<PointRow> =
        (0..sweep.plan.points).map(|point| row(sweep, point, &at[point as usize * seeds..][..seeds])).collect();
    points.sort_by(|a, b| compare(a.accuracy.mean, b.accuracy.mean).then(a.point.cmp(&b.point)));
    let with_result = points.iter_mut().filter(|row| row.accuracy.n > 0);
    (1u32..).zip(with_result).for_each(|(rank, row)| row.rank = Some(rank));
    Some(Report {
        sweep: sweep.id,
        name: sweep.name.clone(),
        status: sweep.status().to_owned(),
        metric: "val_accuracy",
        best: best(sweep),
        trials: sweep.plan.len(),
        completed: sweep.counts.completed,
        failures: failures(sweep),
        numerics: numerics(sweep),
        stopping: stopping::summary::summarise(sweep),
        cost: cost(sweep),
        points,
    })
}

/// Higher first; NaN and nothing last.
fn compare(a: Option<Num>, b: Option<Num>) -> std::cmp::Ordering {
    let key = |value: Option<Num>| value.map(|num| num.0).filter(|value| !value.is_nan()).unwrap_or(f64::NEG_INFINITY);
    key(b).total_cmp(&key(a))
}

fn row(sweep: &Sweep, point: u32, indices: &[u32]) -> PointRow {
    let completed = |index: &&u32| matches!(sweep.trials[**index as usize].phase, Phase::Completed { .. });
    let best_of = |index: &u32| sweep.trials[*index as usize].progress.as_ref()?.best.as_ref();
    let results: Vec<&EpochMetrics> = indices.iter().filter(completed).filter_map(best_of).collect();
    let spread =
        |pick: fn(&EpochMetrics) -> Num| Spread::of(&results.iter().map(|metrics| pick(metrics).0).collect::<Vec<_>>());
    let test_of = |index: &u32| sweep.trials[*index as usize].progress.as_ref()?.test.as_deref();
    let tests = indices.iter().filter(completed).filter_map(test_of).map(|score| score.accuracy.0);
    let labels = sweep.plan.labels(point).into_iter();
    PointRow {
        rank: None,
        point,
        baseline: sweep.plan.baseline == Some(point),
        settings: labels.map(|(path, label)| (path.to_owned(), label)).collect(),
        seeds: indices.len() as u32,
        accuracy: spread(|metrics| metrics.val_accuracy),
        loss: spread(|metrics| metrics.val_loss),
        test: Spread::of(&tests.collect::<Vec<_>>()),
        cost: point_cost(indices.iter().filter_map(|index| sweep.trials[*index as usize].progress.as_deref())),
        trials: indices.iter().map(|index| trial_row(sweep, *index)).collect(),
    }
}

fn trial_row(sweep: &Sweep, index: u32) -> TrialRow {
    let trial = &sweep.trials[index as usize];
    let progress = trial.progress.as_deref();
    TrialRow {
        trial: sweep.ids[index as usize],
        seed: seed(sweep, index),
        phase: trial.phase.name(),
        best: progress.and_then(|progress| progress.best.as_ref()).map(EpochRow::from),
        epochs: progress.and_then(|progress| progress.last.as_ref()).map_or(0, |last| last.epoch),
        weights: progress.and_then(|progress| progress.weights.clone()),
        test: progress.and_then(|progress| progress.test.as_deref().cloned()),
    }
}

fn seed(sweep: &Sweep, index: u32) -> u64 {
    sweep.plan.seeds[sweep.plan.trial(index).seed as usize]
}

/// The highest validation accuracy of a completed trial; the earliest in plan order of equals.
fn best(sweep: &Sweep) -> Option<BestTrial> {
    let result = |trial: &Trial| {
        let done = matches!(trial.phase, Phase::Completed { .. });
        done.then(|| trial.progress.as_ref()?.best.clone()).flatten()
    };
    let results = (0u32..).zip(&sweep.trials).filter_map(|(index, trial)| Some((index, result(trial)?)));
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
            class: failure.class.as_str(),
            reason: failure.reason.clone(),
            message: failure.message.clone(),
        })
    });
    rows.collect()
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

fn point_cost<'a>(trials: impl Iterator<Item = &'a Progress>) -> PointCost {
    let mut spent = 0;
    let mut cost = PointCost::default();
    for progress in trials {
        spent += progress.spent;
        cost.energy = Energy::of_both(cost.energy, progress.energy);
        cost.peak_memory = cost.peak_memory.max(progress.peak_memory);
    }
    PointCost { slot_seconds: spent as f64 / 1e6, ..cost }
}

fn cost(sweep: &Sweep) -> Cost {
    let trials = || sweep.trials.iter().filter_map(|trial| trial.progress.as_deref());
    let PointCost { slot_seconds, energy, .. } = point_cost(trials());
    Cost {
        slot_seconds,
        energy,
        energy_trials: trials().filter(|progress| progress.energy.is_some()).count() as u32,
        attempts: sweep.trials.iter().map(|trial| u64::from(trial.attempt)).sum(),
        wall_seconds: sweep.ended.map(|ended| (ended - sweep.submitted).as_seconds()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spread_is_the_sample_deviation_and_unknown_for_one_run() {
        // numpy.std([0.1, 0.2, 0.4], ddof=1) = 0.15275252316519466
        let spread = Spread::of(&[0.1, 0.2, 0.4]);
        assert!((spread.std.unwrap().0 - 0.152_752_523_165_194_66).abs() < 1e-15);
        assert!((spread.mean.unwrap().0 - 0.7 / 3.0).abs() < 1e-15);
        assert_eq!(Spread::of(&[0.5]).std, None);
        assert_eq!(Spread::of(&[]).mean, None);
    }
}

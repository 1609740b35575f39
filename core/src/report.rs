//! What came out of a sweep: points ranked by validation accuracy, with mean and spread over seeds.
//! Pure arithmetic over the state; what follows from it is in `report/analysis.rs`, printing is the caller's.

pub mod analysis;
pub mod columns;
pub mod compare;
mod costs;
pub mod curves;
pub mod document;
pub mod effects;
mod factors;
pub mod figures;
pub mod importance;
mod notes;
pub mod pareto;
pub mod ranges;
mod spread;
mod stopped;
pub mod stops;
mod summarise;
pub mod trials;
pub mod words;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::attempt::EpochMetrics;
use crate::evaluation::Score;
use crate::event::Checkpoint;
use crate::id::{SweepId, TrialId};
use crate::num::Num;
use crate::recipe::Watched;
use crate::stopping::summary::StopSummary;

pub use costs::{Cost, PointCost};
pub use spread::Spread;
pub use stopped::Reached;
pub use summarise::summarise;

/// Everything a report shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The sweep.
    #[serde(with = "simple")]
    pub sweep: SweepId,
    /// Its name.
    pub name: String,
    /// `completed`, `failed`, `cancelled`, `running` or `waiting`.
    pub status: String,
    /// What points are ranked by.
    pub metric: String,
    /// What early stopping and search compare by: not what points are ranked by, if the file says so.
    #[serde(default)]
    pub judged_by: Watched,
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
    #[serde(default)]
    pub numerics: BTreeMap<String, u32>,
    /// Of a probe: the most steps of each epoch. It trains no more, to learn how long a plan takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe_steps: Option<u32>,
    /// Sweeps whose results were taken over, and how many of each: their trials were not trained here.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reused: BTreeMap<String, u32>,
    /// What early stopping did; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopping: Option<StopSummary>,
    /// Time that slots spent on this sweep.
    pub cost: Cost,
    /// Paths whose values were drawn from a range, so that every point has its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drawn: Vec<String>,
    /// Where the numbers come from.
    #[serde(default)]
    pub provenance: Provenance,
    /// Epoch by epoch, where it was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub curves: Vec<Curve>,
}

impl Report {
    /// What has to be said of a probe before anything else; nothing of other sweeps.
    pub fn probe(&self) -> Option<String> {
        self.probe_steps.map(|steps| {
            format!(
                "This is a probe, not a result: of each epoch its trials did at most {steps} steps, so that `plan --estimate` knows \
                 what they take. Their accuracies say nothing about the settings."
            )
        })
    }

    /// Which results were not trained here; nothing if all were.
    pub fn taken(&self) -> Option<String> {
        let from: Vec<String> =
            self.reused.iter().map(|(sweep, trials)| format!("{trials} of sweep {sweep}")).collect();
        let all: u32 = self.reused.values().sum();
        (all > 0).then(|| {
            format!(
                "{all} of {} completed trials have the results of identical trials (same recipe, code and data) of earlier sweeps: {}.",
                self.completed,
                from.join(", ")
            )
        })
    }

    /// Which points have seeds that diverged; nothing if none has.
    pub fn diverged(&self) -> Option<String> {
        let points = |count: usize| if count == 1 { "1 point".to_owned() } else { format!("{count} points") };
        let all = self.points.iter().filter(|row| row.all_diverged()).count();
        let some = self.points.iter().filter(|row| row.diverged > 0).count() - all;
        let none_left = (all > 0).then(|| format!("Of {} all seeds diverged: no result.", points(all)));
        let some_left = (some > 0).then(|| {
            format!(
                "Of {} some seeds diverged: those come after the others, whatever the rest of their seeds reached, because a mean \
                 over the seeds that did not is one over the lucky ones.",
                points(some)
            )
        });
        let sentences: Vec<String> = some_left.into_iter().chain(none_left).collect();
        (!sentences.is_empty()).then(|| sentences.join(" "))
    }

    /// What early stopping and search go by, if not by what points are ranked by; nothing where both are the same.
    pub fn other_metric(&self) -> Option<&'static str> {
        (self.judged_by == Watched::ValLoss).then_some(
            "Early stopping and search of this sweep compare by validation loss, a run by its lowest; points are ranked by accuracy all the same.",
        )
    }

    /// Which trials have more behind them than what they trained themselves; nothing if none has.
    pub fn went_on(&self) -> Option<String> {
        let begun = self.points.iter().flat_map(|row| &row.trials).filter(|trial| trial.begun.is_some()).count();
        (begun > 0).then(|| {
            format!(
                "Of {begun} trials the first epochs are those of a shorter trial, from which they went on: what these took is \
                 counted for the points of both, and once in the sum."
            )
        })
    }
}

/// Where the numbers of a sweep come from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Provenance {
    /// Who submitted it.
    pub user: String,
    /// What for.
    pub project: String,
    /// When, microseconds since 1970.
    pub submitted: i64,
    /// When its last trial ended, once all have.
    pub ended: Option<i64>,
    /// Data sets and the fingerprint of the copy that was trained on.
    pub data: Vec<(String, Option<String>)>,
    /// Host, device and the trials' attempts granted there.
    pub devices: Vec<(String, String, u64)>,
    /// The recipe that all trials share where nothing varies, with every default filled in; where something does, `settings` of the points
    /// have the values.
    pub recipe: serde_json::Value,
    /// The seeds.
    pub seeds: Vec<u64>,
    /// Release of the coordinator that wrote this.
    pub build: String,
    /// Programs that trained, with what computes in them.
    pub programs: Vec<String>,
    /// What they computed on: processors, drivers of accelerators.
    pub hardware: Vec<String>,
    /// Images and classes, with the digest of the decoded images.
    pub images: Vec<(String, String)>,
    /// What the sweep was extended by since then, in words.
    pub extensions: Vec<String>,
    /// The sweep file, word for word; absent for a sweep of an earlier release.
    pub source: Option<String>,
}

/// The epochs of one trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// Index of the point in the plan.
    pub point: u32,
    /// The seed.
    pub seed: u64,
    /// From the first on, without a gap.
    pub epochs: Vec<EpochRow>,
}

/// Ids without hyphens, as they are written everywhere.
mod simple {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::id::Id;

    pub(super) fn serialize<Kind, S: Serializer>(id: &Id<Kind>, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(id)
    }

    pub(super) fn deserialize<'de, Kind, D: Deserializer<'de>>(from: D) -> Result<Id<Kind>, D::Error> {
        Ok(Id::from(uuid::Uuid::deserialize(from)?))
    }
}

/// One point over its seeds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PointRow {
    /// 1 for the best; absent without a result.
    pub rank: Option<u32>,
    /// Index of the point in the plan.
    pub point: u32,
    /// Whether the design compares the others with it.
    pub baseline: bool,
    /// Early stopping would have stopped it: it runs on for the stop audit. Never ranked, compared or counted in an effect.
    #[serde(default)]
    pub spared: bool,
    /// `(path, value)` for everything that varies, in the order of the file.
    pub settings: Vec<(String, String)>,
    /// What stands in the recipe where `settings` do not spell it, by path: the steps of a named augmentation; `null` where the
    /// point has no such field.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<(String, serde_json::Value)>,
    /// Seeds planned.
    pub seeds: u32,
    /// Seeds whose losses were no numbers any more: they have no result, and the point comes after those that have none of these.
    #[serde(default)]
    pub diverged: u32,
    /// Best validation accuracy (0 to 1) over the seeds with a result.
    pub accuracy: Spread,
    /// Validation loss of the same epochs.
    pub loss: Spread,
    /// Lowest validation loss of each run, whichever epoch had it.
    #[serde(default)]
    pub lowest_loss: Spread,
    /// Accuracy on the test images (0 to 1), by the final weights, where there are any. Never ranked by.
    #[serde(default)]
    pub test: Spread,
    /// Trainable parameters of its network; absent until a trainer has said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<u64>,
    /// Where early stopping left it without a result, or would have: how far it came. Never ranked by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<Reached>,
    /// What one run takes, and what all its trials took so far, each with the shorter ones that it began with.
    #[serde(default)]
    pub cost: PointCost,
    /// Trials of this point, by seed.
    pub trials: Vec<TrialRow>,
}

/// One trial of a point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrialRow {
    /// Its id.
    #[serde(with = "simple")]
    pub trial: TrialId,
    /// Its seed.
    pub seed: u64,
    /// Where it stands.
    pub phase: String,
    /// It was stopped because a budget was used up, not because others were better: what it reached by then is its result.
    #[serde(default)]
    pub ended_by_budget: bool,
    /// Its point runs on for the stop audit alone.
    #[serde(default)]
    pub spared: bool,
    /// The epoch with the best validation accuracy.
    pub best: Option<EpochRow>,
    /// Validation accuracy of the newest epoch.
    #[serde(default)]
    pub last: Option<Num>,
    /// The lowest validation loss of all epochs.
    #[serde(default)]
    pub lowest_loss: Option<Num>,
    /// What it took, with the shorter ones that it began with.
    #[serde(default)]
    pub cost: PointCost,
    /// Epochs trained.
    pub epochs: u32,
    /// Hash of the final weights.
    pub weights: Option<String>,
    /// What they make of the test images, if there are any.
    #[serde(default)]
    pub test: Option<Score>,
    /// The trial of an earlier sweep whose result this is; absent for one that was trained here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Taken>,
    /// The epoch up to which it is a shorter trial of the same sweep, from which it went on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun: Option<u32>,
}

impl TrialRow {
    /// Whether it counts: it was trained to its end, or to that of its budget, and not for the stop audit alone.
    pub fn has_result(&self) -> bool {
        self.is_at_its_end() && !self.spared
    }

    /// Whether it was trained to its end, or to that of its budget.
    pub fn is_at_its_end(&self) -> bool {
        self.phase == "completed" || self.ended_by_budget
    }
}

/// A result that was not trained here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Taken {
    /// The trial that was trained.
    #[serde(with = "simple")]
    pub trial: TrialId,
    /// The name of its sweep.
    pub sweep: String,
}

/// The part of an epoch that does not depend on the machine's speed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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

/// The trial with the best single result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BestTrial {
    /// Which.
    #[serde(with = "simple")]
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FailedTrial {
    /// Which.
    #[serde(with = "simple")]
    pub trial: TrialId,
    /// Its point.
    pub point: u32,
    /// Its seed.
    pub seed: u64,
    /// What kind of failure.
    pub class: String,
    /// The stable word.
    pub reason: String,
    /// For people.
    pub message: String,
}

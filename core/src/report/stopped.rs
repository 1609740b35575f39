//! What is known of a point that was stopped early, or ran on for the stop audit alone: how far it came and what it had reached there.
//! That is no result: it is not ranked, compared or given an interval, because the others were trained on, or because the audit must
//! not change what comes out of a sweep.

use serde::{Deserialize, Serialize};

use super::TrialRow;
use super::words::percent;
use crate::num::Num;
use crate::stats::sample::mean;

/// How far a point without a result came.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reached {
    /// The epoch up to which all of its seeds that trained at all were trained.
    pub epoch: u32,
    /// The last epoch of the seed that came furthest.
    pub furthest: u32,
    /// Seeds that trained.
    pub seeds: u32,
    /// Mean over them of the best validation accuracy up to there, 0 to 1.
    pub best: Num,
    /// Mean over them of the validation accuracy of the last epoch.
    pub last: Num,
    /// It was not stopped: it ran on for the stop audit.
    #[serde(default)]
    pub spared: bool,
}

impl Reached {
    /// Of the seeds of a point without a result; nothing if early stopping stopped none of them, or while the stop audit trains them.
    pub(super) fn of(trials: &[TrialRow], spared: bool) -> Option<Self> {
        let is_one = |trial: &TrialRow| trial.phase == "stopped" || (spared && trial.is_at_its_end());
        if trials.iter().any(TrialRow::has_result) || !trials.iter().any(is_one) {
            return None;
        }
        let stopped = || trials.iter().filter(|trial| is_one(trial) && trial.epochs > 0);
        let of = |pick: fn(&TrialRow) -> Option<Num>| {
            let values: Vec<f64> = stopped().filter_map(pick).map(|value| value.0).collect();
            (!values.is_empty()).then(|| Num(mean(&values)))
        };
        Some(Self {
            epoch: stopped().map(|trial| trial.epochs).min()?,
            furthest: stopped().map(|trial| trial.epochs).max()?,
            seeds: stopped().count() as u32,
            best: of(|trial| trial.best.as_ref().map(|best| best.val_accuracy))?,
            last: of(|trial| trial.last)?,
            spared,
        })
    }

    /// In place of an accuracy: `62.10 (stopped at epoch 3)`.
    pub fn words(&self) -> String {
        format!("{} ({})", percent(self.best.0), self.when())
    }

    /// `stopped at epoch 3`, or `stop audit, to epoch 27`.
    pub fn when(&self) -> String {
        let how = if self.spared { "stop audit, to epoch" } else { "stopped at epoch" };
        match self.epoch == self.furthest {
            true => format!("{how} {}", self.epoch),
            false => format!("{how} {} to {}", self.epoch, self.furthest),
        }
    }
}

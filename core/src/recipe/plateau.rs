//! Reduce on plateau: the one schedule that depends on what validation says. Its state is a value that
//! the trainer keeps with the position of the trial, so that a resumed trial goes on with it.

use serde::{Deserialize, Serialize};

use super::{Bounds, NOT_NEGATIVE, Watched, not_negative};
use crate::num::Num;

/// Options of [`super::Schedule::Plateau`]: `torch.optim.lr_scheduler.ReduceLROnPlateau` with a
/// relative threshold and no cooldown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Plateau {
    /// What the rate is multiplied by.
    pub factor: f64,
    /// Epochs in a row without improvement that are put up with.
    pub patience: u32,
    /// An improvement must be larger than this share of the best value.
    pub threshold: f64,
    /// The rate goes no lower.
    pub min_lr: f64,
    /// What is watched.
    pub metric: Watched,
}

impl Default for Plateau {
    fn default() -> Self {
        Self { factor: 0.1, patience: 10, threshold: 1e-4, min_lr: 0.0, metric: Watched::ValLoss }
    }
}

/// Where a [`Plateau`] stands after some epochs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlateauState {
    /// The rate now, before warm-up.
    pub lr: Num,
    /// The best value so far.
    pub best: Num,
    /// Epochs in a row that were not better.
    pub bad_epochs: u32,
}

impl Plateau {
    /// PyTorch's `eps`: a smaller change of the rate is not made.
    const SMALLEST_CHANGE: f64 = 1e-8;

    /// What the validation of one more epoch changes; `lr` is the rate of the recipe.
    pub fn observe(&self, before: Option<PlateauState>, lr: f64, val_loss: f64, val_accuracy: f64) -> PlateauState {
        let (value, worst) = match self.metric {
            Watched::ValLoss => (val_loss, f64::INFINITY),
            Watched::ValAccuracy => (val_accuracy, f64::NEG_INFINITY),
        };
        let mut state = before.unwrap_or(PlateauState { lr: lr.into(), best: worst.into(), bad_epochs: 0 });
        let better = match self.metric {
            Watched::ValLoss => value < state.best.0 * (1.0 - self.threshold),
            Watched::ValAccuracy => value > state.best.0 * (1.0 + self.threshold),
        };
        if better {
            (state.best, state.bad_epochs) = (value.into(), 0);
        } else {
            state.bad_epochs += 1;
        }
        if state.bad_epochs > self.patience {
            let lower = (state.lr.0 * self.factor).max(self.min_lr);
            if state.lr.0 - lower > Self::SMALLEST_CHANGE {
                state.lr = lower.into();
            }
            state.bad_epochs = 0;
        }
        state
    }

    pub(super) fn check(&self, bounds: &mut Bounds) {
        let path = |field: &str| format!("schedule.plateau.{field}");
        let ok = self.factor > 0.0 && self.factor < 1.0;
        bounds.require(ok, path("factor"), self.factor, "above 0 and below 1");
        bounds.require(self.patience <= 100_000, path("patience"), self.patience, "at most 100,000 epochs");
        let ok = self.threshold >= 0.0 && self.threshold < 1.0;
        bounds.require(ok, path("threshold"), self.threshold, "at least 0 and below 1");
        bounds.require(not_negative(self.min_lr), path("min_lr"), self.min_lr, NOT_NEGATIVE);
    }
}

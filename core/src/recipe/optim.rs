//! Update rules and learning-rate schedules. The rate itself is pure arithmetic and lives here;
//! the trainer owns the tensors.

use serde::{Deserialize, Deserializer, Serialize};

use super::{Bounds, tagged};

/// An update rule, PyTorch's definitions and defaults.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Optimizer {
    /// Stochastic gradient descent with momentum (Sutskever et al. 2013, PyTorch's form).
    Sgd(Sgd),
    /// Adam (Kingma & Ba 2015, arXiv:1412.6980).
    Adam(Adam),
}

/// Options of [`Optimizer::Sgd`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sgd {
    /// Momentum factor, 0 to below 1.
    pub momentum: f64,
    /// L2 penalty added to the gradient.
    pub weight_decay: f64,
    /// Nesterov's form; needs momentum.
    pub nesterov: bool,
}

impl Default for Sgd {
    fn default() -> Self {
        Self { momentum: 0.9, weight_decay: 0.0, nesterov: false }
    }
}

/// Options of [`Optimizer::Adam`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Adam {
    /// Decay of the first moment, 0 to below 1.
    pub beta1: f64,
    /// Decay of the second moment, 0 to below 1.
    pub beta2: f64,
    /// Added to the denominator.
    pub eps: f64,
    /// L2 penalty added to the gradient.
    pub weight_decay: f64,
}

impl Default for Adam {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0 }
    }
}

/// Names of all optimizers as they are written in a sweep file.
pub const OPTIMIZER_NAMES: &[&str] = &["sgd", "adam"];

impl Default for Optimizer {
    fn default() -> Self {
        Self::Adam(Adam::default())
    }
}

impl<'de> Deserialize<'de> for Optimizer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "kebab-case")]
        enum Table {
            Sgd(Sgd),
            Adam(Adam),
        }
        Ok(match tagged::name_or_table(deserializer)? {
            Table::Sgd(options) => Self::Sgd(options),
            Table::Adam(options) => Self::Adam(options),
        })
    }
}

impl Optimizer {
    pub(super) fn check(&self, bounds: &mut Bounds) {
        match self {
            Self::Sgd(sgd) => {
                let path = |field: &str| format!("optimizer.sgd.{field}");
                bounds.require((0.0..1.0).contains(&sgd.momentum), path("momentum"), sgd.momentum, FRACTION);
                bounds.require(not_negative(sgd.weight_decay), path("weight_decay"), sgd.weight_decay, NOT_NEGATIVE);
                let ok = !sgd.nesterov || sgd.momentum > 0.0;
                bounds.require(ok, path("nesterov"), sgd.nesterov, "false when momentum is 0");
            }
            Self::Adam(adam) => {
                let path = |field: &str| format!("optimizer.adam.{field}");
                bounds.require((0.0..1.0).contains(&adam.beta1), path("beta1"), adam.beta1, FRACTION);
                bounds.require((0.0..1.0).contains(&adam.beta2), path("beta2"), adam.beta2, FRACTION);
                bounds.require(
                    adam.eps.is_finite() && adam.eps > 0.0,
                    path("eps"),
                    adam.eps,
                    "a finite number above 0",
                );
                bounds.require(not_negative(adam.weight_decay), path("weight_decay"), adam.weight_decay, NOT_NEGATIVE);
            }
        }
    }
}

const FRACTION: &str = "at least 0 and below 1";
const NOT_NEGATIVE: &str = "a finite number, at least 0";

fn not_negative(value: f64) -> bool {
    value.is_finite() && value >= 0.0
}

/// How the learning rate moves over the epochs.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// The same rate throughout.
    #[default]
    Constant,
    /// Half a cosine from `lr` to `min_lr` over all epochs, stepped once an epoch (Loshchilov &
    /// Hutter 2017, arXiv:1608.03983, without restarts; PyTorch's `CosineAnnealingLR`).
    Cosine(Cosine),
}

/// Options of [`Schedule::Cosine`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cosine {
    /// The rate that the curve ends at.
    pub min_lr: f64,
}

/// Names of all schedules as they are written in a sweep file.
pub const SCHEDULE_NAMES: &[&str] = &["constant", "cosine"];

impl<'de> Deserialize<'de> for Schedule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Nothing {}
        #[derive(Deserialize)]
        #[serde(rename_all = "kebab-case")]
        enum Table {
            Constant(Nothing),
            Cosine(Cosine),
        }
        Ok(match tagged::name_or_table(deserializer)? {
            Table::Constant(Nothing {}) => Self::Constant,
            Table::Cosine(options) => Self::Cosine(options),
        })
    }
}

impl Schedule {
    /// The learning rate of `epoch` (from 0) of `epochs`, starting at `lr`.
    pub fn lr_at(&self, lr: f64, epoch: u32, epochs: u32) -> f64 {
        match self {
            Self::Constant => lr,
            Self::Cosine(Cosine { min_lr }) => {
                let phase = std::f64::consts::PI * f64::from(epoch) / f64::from(epochs.max(1));
                min_lr + (lr - min_lr) * (1.0 + phase.cos()) / 2.0
            }
        }
    }

    pub(super) fn check(&self, _epochs: u32, bounds: &mut Bounds) {
        if let Self::Cosine(Cosine { min_lr }) = self {
            bounds.require(not_negative(*min_lr), "schedule.cosine.min_lr", min_lr, NOT_NEGATIVE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosine_follows_pytorch() {
        // torch.optim.lr_scheduler.CosineAnnealingLR(lr=0.1, T_max=10), epochs 0, 1, 5, 9.
        let schedule = Schedule::Cosine(Cosine::default());
        for (epoch, expected) in [(0, 0.1), (1, 0.097_552_825_814_757_68), (5, 0.05), (9, 0.002_447_174_185_242_324)] {
            assert!((schedule.lr_at(0.1, epoch, 10) - expected).abs() < 1e-12);
        }
    }
}

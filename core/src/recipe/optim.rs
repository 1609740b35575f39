//! Update rules. The numbers only; the trainer owns the tensors.

use serde::{Deserialize, Deserializer, Serialize};

use super::{Bounds, FRACTION, NOT_NEGATIVE, POSITIVE, not_negative, positive, tagged};

/// An update rule, PyTorch's definitions; its defaults too, except that SGD has momentum.
///
/// Every rule has `weight_decay` and `decay_norm_bias`: whether one-dimensional weights (biases, and
/// the weights of normalisations) decay too. PyTorch needs two parameter groups to leave them out.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Optimizer {
    /// Stochastic gradient descent with momentum (Sutskever et al. 2013), `torch.optim.SGD`.
    Sgd(Sgd),
    /// Adam (Kingma & Ba 2015, arXiv:1412.6980), `torch.optim.Adam`.
    Adam(Adam),
    /// Adam with decoupled weight decay (Loshchilov & Hutter 2019, arXiv:1711.05101), `torch.optim.AdamW`.
    Adamw(Adamw),
    /// Rectified Adam (Liu et al. 2020, arXiv:1908.03265), `torch.optim.RAdam`.
    Radam(Radam),
    /// RMSprop (Hinton 2012, lecture 6e; centred: Graves 2013, arXiv:1308.0850), `torch.optim.RMSprop`.
    Rmsprop(Rmsprop),
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
    /// Whether one-dimensional weights decay too.
    pub decay_norm_bias: bool,
}

impl Default for Sgd {
    fn default() -> Self {
        Self { momentum: 0.9, weight_decay: 0.0, nesterov: false, decay_norm_bias: true }
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
    /// Whether one-dimensional weights decay too.
    pub decay_norm_bias: bool,
}

impl Default for Adam {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0, decay_norm_bias: true }
    }
}

/// Options of [`Optimizer::Adamw`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Adamw {
    /// Decay of the first moment, 0 to below 1.
    pub beta1: f64,
    /// Decay of the second moment, 0 to below 1.
    pub beta2: f64,
    /// Added to the denominator.
    pub eps: f64,
    /// Times the rate: the share that a weight loses in each step, apart from the gradient.
    pub weight_decay: f64,
    /// Whether one-dimensional weights decay too.
    pub decay_norm_bias: bool,
}

impl Default for Adamw {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.01, decay_norm_bias: true }
    }
}

/// Options of [`Optimizer::Radam`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Radam {
    /// Decay of the first moment, 0 to below 1.
    pub beta1: f64,
    /// Decay of the second moment, 0 to below 1.
    pub beta2: f64,
    /// Added to the denominator, before the correction of the second moment.
    pub eps: f64,
    /// L2 penalty added to the gradient, or a share of the weight.
    pub weight_decay: f64,
    /// Whether weight decay works as in AdamW (`decoupled_weight_decay`).
    pub decoupled: bool,
    /// Whether one-dimensional weights decay too.
    pub decay_norm_bias: bool,
}

impl Default for Radam {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0, decoupled: false, decay_norm_bias: true }
    }
}

/// Options of [`Optimizer::Rmsprop`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rmsprop {
    /// Decay of the mean square, 0 to below 1.
    pub alpha: f64,
    /// Added to the denominator.
    pub eps: f64,
    /// Momentum factor, 0 to below 1.
    pub momentum: f64,
    /// Whether the square of the mean gradient is taken off the mean square.
    pub centered: bool,
    /// L2 penalty added to the gradient.
    pub weight_decay: f64,
    /// Whether one-dimensional weights decay too.
    pub decay_norm_bias: bool,
}

impl Default for Rmsprop {
    fn default() -> Self {
        Self { alpha: 0.99, eps: 1e-8, momentum: 0.0, centered: false, weight_decay: 0.0, decay_norm_bias: true }
    }
}

/// Names of all optimizers as they are written in a sweep file.
pub const OPTIMIZER_NAMES: &[&str] = &["sgd", "adam", "adamw", "radam", "rmsprop"];

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
            Adamw(Adamw),
            Radam(Radam),
            Rmsprop(Rmsprop),
        }
        Ok(match tagged::name_or_table(deserializer)? {
            Table::Sgd(options) => Self::Sgd(options),
            Table::Adam(options) => Self::Adam(options),
            Table::Adamw(options) => Self::Adamw(options),
            Table::Radam(options) => Self::Radam(options),
            Table::Rmsprop(options) => Self::Rmsprop(options),
        })
    }
}

impl Optimizer {
    /// The name used in sweep files and tables.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Sgd(_) => "sgd",
            Self::Adam(_) => "adam",
            Self::Adamw(_) => "adamw",
            Self::Radam(_) => "radam",
            Self::Rmsprop(_) => "rmsprop",
        }
    }

    /// Momentum, or the decay of the first moment: what PyTorch's one-cycle schedule moves.
    pub fn momentum(&self) -> f64 {
        match self {
            Self::Sgd(rule) => rule.momentum,
            Self::Adam(rule) => rule.beta1,
            Self::Adamw(rule) => rule.beta1,
            Self::Radam(rule) => rule.beta1,
            Self::Rmsprop(rule) => rule.momentum,
        }
    }

    pub(super) fn check(&self, bounds: &mut Bounds) {
        let name = self.name();
        let mut fraction = |field: &str, value: f64| {
            bounds.require((0.0..1.0).contains(&value), format!("optimizer.{name}.{field}"), value, FRACTION);
        };
        let (eps, weight_decay) = match self {
            Self::Sgd(rule) => {
                fraction("momentum", rule.momentum);
                (None, rule.weight_decay)
            }
            Self::Adam(Adam { beta1, beta2, eps, weight_decay, .. })
            | Self::Adamw(Adamw { beta1, beta2, eps, weight_decay, .. })
            | Self::Radam(Radam { beta1, beta2, eps, weight_decay, .. }) => {
                fraction("beta1", *beta1);
                fraction("beta2", *beta2);
                (Some(*eps), *weight_decay)
            }
            Self::Rmsprop(rule) => {
                fraction("alpha", rule.alpha);
                fraction("momentum", rule.momentum);
                (Some(rule.eps), rule.weight_decay)
            }
        };
        if let Some(eps) = eps {
            bounds.require(positive(eps), format!("optimizer.{name}.eps"), eps, POSITIVE);
        }
        let path = format!("optimizer.{name}.weight_decay");
        bounds.require(not_negative(weight_decay), path, weight_decay, NOT_NEGATIVE);
        if let Self::Sgd(rule) = self {
            let ok = !rule.nesterov || rule.momentum > 0.0;
            bounds.require(ok, "optimizer.sgd.nesterov", rule.nesterov, "false when momentum is 0");
        }
    }
}

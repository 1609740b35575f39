//! Options of the training loop that are more than a number.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Model, Recipe};

/// A moving average of weights and running statistics, taken after every step: it keeps `decay` of
/// itself. PyTorch's `AveragedModel` with `get_ema_multi_avg_fn(decay)` and `use_buffers=True`; the
/// first step copies. At 0 there is no average: it would be the weights themselves.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ema {
    /// What the average keeps of itself in a step, 0 (off) to below 1.
    pub decay: f64,
}

/// Kind of numbers inside the network, in training and validation. Weights, their gradients, the
/// optimizer's state and the loss are always 32 bits wide.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// 32 bits.
    #[default]
    Fp32,
    /// bfloat16 for images and activations, and for the weights of convolutions and linear layers
    /// where they meet them, as under PyTorch's autocast.
    Bf16,
    /// Whichever is faster, decided once for a network in a sweep. What a sweep file means unless it says
    /// something else; a recipe without the field is one from before there was a choice.
    Auto,
}

impl Precision {
    /// The name in sweep files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fp32 => "fp32",
            Self::Bf16 => "bf16",
            Self::Auto => "auto",
        }
    }
}

/// Order of the values of an image in memory. The results are those of another order of additions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// Channel by channel, PyTorch's default.
    #[default]
    Contiguous,
    /// Pixel by pixel, PyTorch's `channels_last`.
    ChannelsLast,
    /// As [`Precision::Auto`].
    Auto,
}

impl Layout {
    /// The name in sweep files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Contiguous => "contiguous",
            Self::ChannelsLast => "channels-last",
            Self::Auto => "auto",
        }
    }
}

/// What is computed with. Never `auto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Numerics {
    /// Kind of numbers.
    pub precision: Precision,
    /// Their order in memory.
    pub layout: Layout,
}

impl fmt::Display for Numerics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "precision {}, layout {}", self.precision.name(), self.layout.name())
    }
}

impl Numerics {
    /// What PyTorch does unless it is told otherwise.
    pub const PLAIN: Self = Self { precision: Precision::Fp32, layout: Layout::Contiguous };

    /// What `recipe` allows; the plainest first, and exactly one if nothing is left to choose.
    pub fn allowed(recipe: &Recipe) -> Vec<Self> {
        let precisions = match recipe.precision {
            // The layers of a TorchScript file do not cast.
            Precision::Auto if matches!(recipe.model, Model::Torchscript(_)) => vec![Precision::Fp32],
            Precision::Auto => vec![Precision::Fp32, Precision::Bf16],
            precision => vec![precision],
        };
        let layouts = match recipe.layout {
            Layout::Auto => vec![Layout::Contiguous, Layout::ChannelsLast],
            layout => vec![layout],
        };
        let pairs = |precision: Precision| layouts.iter().map(move |&layout| Self { precision, layout });
        precisions.into_iter().flat_map(pairs).collect()
    }
}

//! Options of the training loop that are more than a number.

use serde::{Deserialize, Serialize};

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
    /// Whichever is faster on the host.
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
    /// Whichever is faster on the host.
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

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

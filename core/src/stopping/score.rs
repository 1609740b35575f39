//! Values that can be sorted: higher is better, whatever the metric.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use crate::recipe::Watched;

/// A value turned so that higher is better. What is not a number is the worst there is.
pub(crate) fn score(metric: Watched, value: f64) -> f64 {
    let turned = match metric {
        Watched::ValAccuracy => value,
        Watched::ValLoss => -value,
    };
    // Without the sign of zero, so that equal values are equal keys.
    if turned.is_nan() { f64::NEG_INFINITY } else { turned + 0.0 }
}

/// A configuration with its score; the greater is the better, of equals the one that comes first in the plan.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Key {
    pub(super) score: f64,
    pub(super) point: u32,
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.total_cmp(&other.score).then(other.point.cmp(&self.point))
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Key {}

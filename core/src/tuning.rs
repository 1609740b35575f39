//! What a user may change about a sweep while it runs: its place among the sweeps of its owner, and how many of its trials run at
//! once. Who runs when is decided in `schedule`.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::command::Reject;
use crate::plan::{Limits, MAX_PRIORITY, MAX_TRIALS, PRIORITY};
use crate::shares::within;

/// All of it; what the journal holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tuning {
    /// Higher goes first among the sweeps of its owner.
    pub priority: u32,
    /// At most so many trials at once; absent: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_parallel: Option<u32>,
}

/// A wish: what is not said stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TuningPatch {
    /// Its place among the sweeps of its owner.
    pub priority: Option<u32>,
    /// Most trials at once; `Some(None)` takes the limit away.
    pub max_parallel: Option<Option<u32>>,
}

impl Tuning {
    /// As it is now.
    pub fn of(limits: &Limits) -> Self {
        Self { priority: limits.priority.unwrap_or(PRIORITY), max_parallel: limits.max_parallel }
    }

    /// What a wish comes to.
    ///
    /// # Errors
    /// When a value is outside of its bounds.
    pub fn changed(self, patch: TuningPatch) -> Result<Self, Reject> {
        let TuningPatch { priority, max_parallel } = patch;
        priority.map_or(Ok(()), |priority| within("priority", priority, 0, MAX_PRIORITY))?;
        max_parallel.flatten().map_or(Ok(()), |most| within("max_parallel", most, 1, MAX_TRIALS))?;
        let priority = priority.unwrap_or(self.priority);
        Ok(Self { priority, max_parallel: max_parallel.unwrap_or(self.max_parallel) })
    }

    /// It holds from now on.
    pub(crate) fn put(self, limits: &mut Limits) {
        (limits.priority, limits.max_parallel) = (Some(self.priority), self.max_parallel);
    }
}

impl fmt::Display for Tuning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let most = self.max_parallel.map_or_else(|| "none".to_owned(), |most| most.to_string());
        write!(f, "priority {}, max_parallel {most}", self.priority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_stays_and_bounds_are_told() {
        let usual = Tuning::of(&Limits::default());
        assert_eq!(usual.to_string(), "priority 50, max_parallel none");
        let patch = TuningPatch { max_parallel: Some(Some(4)), ..TuningPatch::default() };
        let tuned = usual.changed(patch).unwrap();
        assert_eq!(tuned.to_string(), "priority 50, max_parallel 4");
        assert_eq!(tuned.changed(TuningPatch::default()), Ok(tuned));
        assert_eq!(tuned.changed(TuningPatch { priority: Some(50), max_parallel: Some(None) }), Ok(usual));
        let mut limits = Limits::default();
        tuned.put(&mut limits);
        assert_eq!(Tuning::of(&limits), tuned);
        let wrong = |patch: TuningPatch| usual.changed(patch).unwrap_err().to_string();
        let patch = TuningPatch { priority: Some(101), ..TuningPatch::default() };
        assert_eq!(wrong(patch), "priority = 101 is not allowed: use 0 to 100");
        let patch = TuningPatch { max_parallel: Some(Some(0)), ..TuningPatch::default() };
        assert_eq!(wrong(patch), "max_parallel = 0 is not allowed: use 1 to 100000");
    }
}

//! When running trials kept their last checkpoint: what giving way goes by.

use crate::id::Lease;
use crate::time::Timestamp;

use super::{State, TrialRef};

/// Before all others.
const FIRST: TrialRef = TrialRef { sweep: 0, index: 0 };

impl State {
    /// Running trials that have kept a checkpoint since `since` in this attempt, oldest first.
    pub fn fresh(&self, since: Timestamp) -> impl Iterator<Item = TrialRef> + '_ {
        self.fresh.range((since, FIRST)..).map(|(_, at)| *at)
    }

    /// Running trials that have kept a checkpoint in this attempt, but none since `until`, oldest first.
    pub fn stale(&self, until: Timestamp) -> impl Iterator<Item = TrialRef> + '_ {
        self.fresh.range(..(until, FIRST)).map(|(_, at)| *at)
    }

    /// A checkpoint that an attempt can be resumed from: the best moment to give way.
    pub(super) fn kept(&mut self, lease: Lease, now: Timestamp) {
        let Some((at, before)) = self.leased(lease).map(|(at, leased)| (at, leased.kept)) else { return };
        if let Some(before) = before {
            self.fresh.remove(&(before, at));
        }
        self.fresh.insert((now, at));
        self.live(lease, |_, leased| leased.kept = Some(now));
    }
}

//! Since when running trials have kept no checkpoint: what giving way goes by.

use crate::id::Lease;
use crate::time::Timestamp;

use super::trial::Leased;
use super::{State, TrialRef};

impl Leased {
    /// When its last checkpoint was kept; if there is none of this attempt, when that began.
    pub fn paced(&self) -> Timestamp {
        self.kept.unwrap_or(self.since)
    }
}

impl State {
    /// Running trials, with the time since which they have kept no checkpoint, the longest first.
    pub fn paced(&self) -> impl DoubleEndedIterator<Item = (Timestamp, TrialRef)> + '_ {
        self.pace.iter().copied()
    }

    /// Those of them that have kept a checkpoint since `since` in this attempt.
    pub fn fresh(&self, since: Timestamp) -> impl Iterator<Item = TrialRef> + '_ {
        let begin = (since, TrialRef { sweep: 0, index: 0 });
        let has_kept = |at: &TrialRef| self.trial(*at).leased().is_some_and(|leased| leased.kept.is_some());
        self.pace.range(begin..).map(|(_, at)| *at).filter(has_kept)
    }

    /// A checkpoint that an attempt can be resumed from: the best moment to give way.
    pub(super) fn kept(&mut self, lease: Lease, now: Timestamp) {
        let Some((at, before)) = self.leased(lease).map(|(at, leased)| (at, leased.paced())) else { return };
        self.pace.remove(&(before, at));
        self.pace.insert((now, at));
        self.live(lease, |_, leased| leased.kept = Some(now));
    }
}

//! Planned maintenance: which trials are still worth starting before it, and which leave early because their next
//! checkpoint would come too late. What is planned is a hold with a beginning (`device`); when it begins, whatever is
//! left there has to leave.

use crate::id::{AgentId, Lease};
use crate::state::sweep::Sweep;
use crate::state::{State, TrialRef};
use crate::time::{Span, Timestamp};

/// Trials whose pace is not known are not started when less is left.
const UNKNOWN: Span = Span::seconds(600);
/// No trial is started when less is left.
const LEAST: Span = Span::seconds(10);
/// A trial leaves early only so soon after a checkpoint was kept, so that next to nothing is lost.
const FRESH: Span = Span::seconds(10);

/// How long a slot has to stay open for a trial to be worth starting: one epoch, as long as it takes on average, because
/// a checkpoint follows it.
pub(crate) fn horizon(sweep: &Sweep, index: u32) -> Span {
    sweep.epoch_length(index).unwrap_or(UNKNOWN).max(LEAST)
}

/// Trials that have just kept a checkpoint and would not come to the next one before maintenance begins, with why.
pub(crate) fn early(state: &State, now: Timestamp) -> Vec<(Lease, String)> {
    if !state.agents.values().any(|agent| agent.devices.holds.values().any(|hold| hold.from > Some(now))) {
        return Vec::new();
    }
    let leaves = |at: TrialRef| {
        let trial = state.trial(at);
        let leased = trial.leased().filter(|leased| leased.is_wanted() && leased.acked_seq > 0)?;
        let (left, hold) = state.agents.get(&leased.agent)?.planned(leased.slot, now)?;
        let pace = Span((now - leased.since).0 / i64::try_from(leased.acked_seq).ok()?);
        // One that has trained its last epoch is as good as gone.
        let epochs = state.sweep_of(at).plan.epochs(at.index);
        let ends = epochs > 0 && trial.resume_epoch() >= epochs;
        let lease = Lease { trial: state.trial_id(at), attempt: trial.attempt };
        (pace > left && !ends).then(|| (lease, format!("maintenance {}", when(left, &hold.user, &hold.reason))))
    };
    state.fresh(Timestamp(now.0.saturating_sub(FRESH.0))).filter_map(leaves).collect()
}

/// `in 12 min by root: new driver`.
pub(crate) fn when(left: Span, user: &str, reason: &str) -> String {
    let minutes = (left.0.max(0) + 59_999_999) / 60_000_000;
    let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    match minutes {
        0..120 => format!("in {minutes} min by {user}{reason}"),
        _ => format!("in {} h by {user}{reason}", minutes / 60),
    }
}

/// The agents that a wish is for: all of them if it says `all` and no host is called so.
pub(crate) fn everybody(state: &State, host: &str) -> Option<Vec<AgentId>> {
    let named = state.hosts().any(|(_, agent)| agent.facts.host == host);
    (host == "all" && !named).then(|| state.hosts().map(|(id, _)| *id).collect())
}

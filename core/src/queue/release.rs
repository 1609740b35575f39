//! When slots will be free, by what is known of the trials on them: how long completed trials of the sweep took; else the
//! epochs that it has reported; else the epochs of trials of the same shape ([`crate::packing`]), probes among them.

use std::collections::BTreeMap;

use crate::id::AgentId;
use crate::state::sweep::Sweep;
use crate::state::trial::{Leased, Progress, Trial};
use crate::state::{State, TrialRef};
use crate::time::{Span, Timestamp};

/// Trials of other sweeps that are looked at for the time of an epoch, newest sweeps first.
const MOST: usize = 20_000;

/// What an expected time is reckoned by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Basis {
    /// How long completed trials of the sweep that has the slot took.
    Completed,
    /// The time of the epochs that it has reported, and how many are left.
    Epochs,
    /// The time of epochs of trials of the same shape, of other sweeps or a probe.
    Alike,
}

impl Basis {
    /// The stable word for scripts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Epochs => "epochs",
            Self::Alike => "alike",
        }
    }
}

/// A slot that will be free.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Release {
    pub(super) at: Timestamp,
    pub(super) agent: AgentId,
    /// Where a trial runs on it.
    pub(super) slot: Option<u32>,
    /// Whose trial has it until then; nobody's where it is closed.
    pub(super) sweep: Option<u32>,
    /// Thousandths of a device.
    pub(super) share: u32,
    pub(super) by: Option<Basis>,
}

/// When slots of reachable agents will be free, soonest first, as far as that can be said.
pub(super) fn releases(
    pace: &mut Pace<'_>,
    state: &State,
    now: Timestamp,
    is_reachable: impl Fn(AgentId) -> bool,
) -> Vec<Release> {
    let mut releases = Vec::new();
    for (agent, known) in state.agents.iter().filter(|(id, _)| is_reachable(**id)) {
        for (slot, lease) in (0u32..).zip(&known.slots) {
            let Some((at, leased)) = lease.and_then(|lease| state.leased(lease)) else { continue };
            if let Some((end, by)) = pace.end(at, leased, now) {
                let (agent, slot, sweep) = (*agent, Some(slot), Some(at.sweep));
                releases.push(Release { at: end, agent, slot, sweep, share: leased.share, by });
            }
        }
    }
    releases.sort_unstable();
    releases
}

/// How long things take, worked out when it is asked for.
pub(super) struct Pace<'a> {
    state: &'a State,
    /// By sweep: how long its trials take, and else how long an epoch of those that run does.
    sweeps: BTreeMap<u32, (Option<Span>, Option<Span>)>,
    /// By shape: how long an epoch takes.
    shapes: Option<BTreeMap<u32, Span>>,
}

impl<'a> Pace<'a> {
    pub(super) fn new(state: &'a State) -> Self {
        Self { state, sweeps: BTreeMap::new(), shapes: None }
    }

    /// How long a trial takes, and else how long an epoch does.
    fn of(&mut self, number: u32) -> (Option<Span>, Option<Span>) {
        let sweep = &self.state.sweeps[number as usize];
        *self.sweeps.entry(number).or_insert_with(|| match sweep.trial_length() {
            Some(length) => (Some(length), None),
            None => (None, running(sweep)),
        })
    }

    fn alike(&mut self, number: u32, index: u32) -> Option<Span> {
        let (state, sweep) = (self.state, &self.state.sweeps[number as usize]);
        self.shapes.get_or_insert_with(|| alike(state)).get(&sweep.shape(index)?).copied()
    }

    /// How long the next trial of a sweep will take, were it to begin at the beginning.
    pub(super) fn whole(&mut self, number: u32) -> Option<(Span, Basis)> {
        let (state, sweep) = (self.state, &self.state.sweeps[number as usize]);
        let (_, index) = state.next_turn(number)?;
        let whole = |epoch: Span| Span(epoch.0.saturating_mul(sweep.plan.epochs(index).into()));
        match self.of(number) {
            (Some(length), _) => Some((length, Basis::Completed)),
            (None, Some(epoch)) => Some((whole(epoch), Basis::Epochs)),
            (None, None) => self.alike(number, index).map(|epoch| (whole(epoch), Basis::Alike)),
        }
    }

    fn end(&mut self, at: TrialRef, leased: &Leased, now: Timestamp) -> Option<(Timestamp, Option<Basis>)> {
        if !leased.is_wanted() {
            return Some((now, None));
        }
        let (sweep, trial) = (self.state.sweep_of(at), self.state.trial(at));
        let (length, epoch) = self.of(at.sweep);
        let progress = trial.progress.as_deref();
        if let Some(length) = length {
            let left = Span((length.0 - progress.map_or(0, |progress| progress.spent)).max(0));
            return Some(((leased.since + left).max(now), Some(Basis::Completed)));
        }
        let done = progress.and_then(|progress| progress.last.as_ref()).map_or(0, |last| last.epoch);
        let left = i64::from(sweep.plan.epochs(at.index).saturating_sub(done));
        let after =
            |from: Timestamp, epoch: Span| Timestamp(from.0.saturating_add(epoch.0.saturating_mul(left))).max(now);
        // An epoch of its own: the next one has just begun, as far as is known.
        if let Some(epoch) = progress.filter(|_| leased.acked_seq > 0).and_then(own) {
            return Some((after(now, epoch), Some(Basis::Epochs)));
        }
        if let Some(epoch) = epoch {
            return Some((after(leased.since, epoch), Some(Basis::Epochs)));
        }
        let epoch = self.alike(at.sweep, at.index)?;
        Some((after(leased.since, epoch), Some(Basis::Alike)))
    }
}

/// How long the newest epoch took; of a probe, how long a whole one would.
fn own(progress: &Progress) -> Option<Span> {
    let seconds = match progress.probed.as_deref() {
        Some((part, _)) => part.epoch_seconds()?,
        None => progress.last.as_ref()?.seconds.0,
    };
    (seconds > 0.0 && seconds < 1e9).then_some(Span((seconds * 1e6) as i64))
}

/// How long an epoch takes on average, of those trials of a sweep that run and have reported one.
fn running(sweep: &Sweep) -> Option<Span> {
    let live = |trial: &&Trial| trial.leased().is_some();
    mean(sweep.trials.iter().filter(live).filter_map(|trial| own(trial.progress.as_deref()?)))
}

/// How long an epoch takes on average, by shape. What was copied from another trial was not trained again.
fn alike(state: &State) -> BTreeMap<u32, Span> {
    let trials = state.sweeps.iter().rev().flat_map(|sweep| {
        (0u32..).zip(&sweep.trials).filter(|(_, trial)| trial.attempt > 0).map(move |(index, trial)| {
            let trained = trial.progress.as_deref().filter(|progress| progress.origin.is_none());
            Some((sweep.shape(index)?, own(trained?)?))
        })
    });
    let mut seen: BTreeMap<u32, Vec<Span>> = BTreeMap::new();
    trials.take(MOST).flatten().for_each(|(shape, epoch)| seen.entry(shape).or_default().push(epoch));
    seen.into_iter().filter_map(|(shape, epochs)| Some((shape, mean(epochs.into_iter())?))).collect()
}

fn mean(spans: impl Iterator<Item = Span>) -> Option<Span> {
    let (sum, number) = spans.fold((0i64, 0i64), |(sum, number), span| (sum.saturating_add(span.0), number + 1));
    (number > 0).then(|| Span(sum / number))
}

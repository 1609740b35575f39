//! The circuit breaker of a sweep: when trials fail one after the other, the cause is most likely common to all of
//! them (a bad value in the file, a broken data set, a driver), and the rest would only burn the same way. Nothing is
//! given up: trials that run go on, the others wait until somebody has looked and says `sweepctl retry`.
//!
//! Two signs count, both of [`LIMIT`] different trials within [`WINDOW`]: trials that failed for good, and attempts
//! that failed by themselves without any trial of the sweep reporting an epoch in between. Diverged trials are results,
//! and faults of hosts and devices have their own rules.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::attempt::FailureClass;
use crate::event::Event;
use crate::id::{SweepId, TrialId};
use crate::retry::is_own;
use crate::time::{Span, Timestamp};

use super::sweep::Sweep;
use super::trial::Phase;
use super::{State, TrialRef};

/// So many different trials have to fail.
pub const LIMIT: usize = 5;
/// Within this time.
pub const WINDOW: Span = Span::seconds(60);

/// What went wrong lately in a sweep, and whether that stopped it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breaker {
    recent: Vec<Fault>,
    /// The trials whose failures stopped the sweep; empty while it goes on.
    pub tripped: Vec<u32>,
}

/// A failure that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Fault {
    at: Timestamp,
    index: u32,
    /// It is not tried again.
    last: bool,
}

impl Breaker {
    /// Whether the sweep is stopped.
    pub fn is_open(&self) -> bool {
        !self.tripped.is_empty()
    }

    fn failed(&mut self, fault: Fault) {
        self.recent.retain(|known| fault.at - known.at <= WINDOW && known.index != fault.index);
        self.recent.push(fault);
    }

    /// A trial of the sweep gets on, so not everything is broken.
    fn progressed(&mut self) {
        self.recent.retain(|known| known.last);
    }

    /// The trials that say it is time to stop, if it is.
    fn due(&self) -> Option<Vec<u32>> {
        let all: BTreeSet<u32> = self.recent.iter().map(|fault| fault.index).collect();
        (!self.is_open() && all.len() >= LIMIT).then(|| all.into_iter().collect())
    }
}

impl State {
    /// A report of an epoch came in.
    pub(super) fn got_on(&mut self, trial: TrialId) {
        if let Some(at) = self.find(trial) {
            self.sweeps[at.sweep as usize].breaker.progressed();
        }
    }

    /// An attempt failed and the trial is in its next phase.
    pub(super) fn went_wrong(&mut self, at: TrialRef, class: FailureClass, now: Timestamp) {
        let sweep = &mut self.sweeps[at.sweep as usize];
        let last = match sweep.trials[at.index as usize].phase {
            Phase::Failed => true,
            Phase::Backoff { .. } => false,
            _ => return,
        };
        if is_own(class) && class != FailureClass::Diverged {
            sweep.breaker.failed(Fault { at: now, index: at.index, last });
        }
    }

    /// The sweep starts nothing more.
    pub(super) fn suspended(&mut self, id: SweepId, trials: &[TrialId]) {
        let Some(number) = self.number(id) else { return };
        let tripped = trials.iter().filter_map(|trial| self.find(*trial)).map(|at| at.index).collect();
        self.re_rank(number, |sweep| sweep.breaker.tripped = tripped);
    }

    /// Somebody looked: it goes on, with the failed trials, and the cancelled ones if that was asked for.
    pub(super) fn retried(&mut self, id: SweepId, cancelled: bool, now: Timestamp) {
        let Some(number) = self.number(id) else { return };
        self.re_rank(number, |sweep| sweep.breaker = Breaker::default());
        for index in 0..self.sweeps[number as usize].trials.len() as u32 {
            let at = TrialRef { sweep: number, index };
            if self.sweeps[number as usize].goes_again(index, cancelled) {
                let trial = self.trial_mut(at);
                (trial.own_failures, trial.failures) = (0, 0);
                self.set_phase(at, self.rest(at), now);
            }
        }
    }

    /// Changes something that decides whether a sweep may start a trial.
    fn re_rank(&mut self, number: u32, change: impl FnOnce(&mut Sweep)) {
        let sweep = &mut self.sweeps[number as usize];
        change(sweep);
        self.accounts.rank(sweep.member, sweep.rank(number), sweep.may_start());
    }

    /// The stop of a sweep that is due after what happened last in it.
    pub fn suspension(&self, number: u32) -> Option<Event> {
        let sweep = &self.sweeps[number as usize];
        let trials = sweep.breaker.due()?.into_iter().map(|index| sweep.ids[index as usize]).collect();
        (sweep.counts.ended() as usize != sweep.trials.len())
            .then_some(Event::SweepSuspended { sweep: sweep.id, trials })
    }
}

impl Sweep {
    /// Why the sweep was stopped, for people; nothing while it goes on.
    pub fn suspended_because(&self) -> Option<String> {
        let first = *self.breaker.tripped.first()?;
        let mut reasons: Vec<&str> = Vec::new();
        for index in &self.breaker.tripped {
            let failure = self.trials[*index as usize].failure.as_deref();
            reasons.extend(failure.map(|failure| failure.reason.as_str()).filter(|reason| !reasons.contains(reason)));
        }
        let message = self.trials[first as usize].failure.as_deref().map(|failure| failure.message.as_str());
        let line = message.unwrap_or_default().lines().next().unwrap_or_default();
        Some(format!(
            "{} different trials failed within {} s ({}), the first: {line}",
            self.breaker.tripped.len(),
            WINDOW.0 / Span::seconds(1).0,
            reasons.join(", "),
        ))
    }
}

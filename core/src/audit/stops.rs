//! The part of the oracle about early stopping: a configuration is stopped once and in all seeds, the baseline never; nobody trains
//! past a rung without a promotion, and nobody leaves a slot without a checkpoint to come back to. It counts for
//! itself, from events only.

use std::collections::BTreeMap;

use crate::attempt::{CheckpointKind, FailureClass};
use crate::event::Event;
use crate::id::{SweepId, TrialId};
use crate::stopping::{Cause, Fate};

use super::quotas::Excess;
use super::{Auditor, Book, End};

/// What is known about early stopping.
#[derive(Debug, Default)]
pub(super) struct Stops {
    sweeps: BTreeMap<SweepId, Sweep>,
    trials: BTreeMap<TrialId, Trial>,
}

#[derive(Debug)]
struct Sweep {
    baseline: Option<u32>,
    pauses: bool,
    /// Where a new configuration is judged first, if that is the same for all.
    first: Option<u32>,
    /// Seeds that were there from the start.
    seeds: u32,
    points: Vec<Point>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Point {
    /// Nobody of it trains on from this epoch or a later one.
    limit: Option<u32>,
    /// Nothing may be decided any more.
    settled: Option<Fate>,
    /// The epoch at which that was decided.
    epoch: u32,
}

#[derive(Clone, Copy, Debug)]
struct Trial {
    sweep: SweepId,
    point: u32,
    checkpoint: u32,
    /// The newest epoch that it has reported.
    reached: u32,
    /// Its seed joined when the others were on their way, or over.
    joined: bool,
    /// Its last failure was that.
    diverged: bool,
}

impl Trial {
    fn new(sweep: SweepId, point: u32, joined: bool) -> Self {
        Self { sweep, point, checkpoint: 0, reached: 0, joined, diverged: false }
    }
}

impl Stops {
    /// Reads the next event.
    pub(super) fn read(&mut self, event: &Event) -> Option<Excess> {
        match event {
            Event::SweepSubmitted { sweep, plan, .. } => {
                let stop = plan.stop.as_deref()?;
                let first = if stop.rule.pauses() { stop.rungs(plan.epochs(0)).first().copied() } else { None };
                // Another bracket begins at a later rung; at which one is not for the oracle to say.
                let limit = first.filter(|_| stop.bracket_count(plan.epochs(0)) == 1);
                let of =
                    |point| Point { limit: limit.filter(|_| plan.baseline != Some(point)), settled: None, epoch: 0 };
                let points = (0..plan.all_points()).map(of).collect();
                let (pauses, seeds) = (stop.rule.pauses(), plan.seeds.len() as u32);
                let known = Sweep { baseline: plan.baseline, pauses, first: limit, seeds, points };
                self.sweeps.entry(*sweep).or_insert(known);
                for (index, id) in (0u32..).zip(plan.trial_ids(*sweep)) {
                    self.trials.insert(id, Trial::new(*sweep, plan.trial(index).point, false));
                }
                None
            }
            Event::CheckpointKept { lease, checkpoint } if checkpoint.kind == CheckpointKind::Last => {
                self.trials.get_mut(&lease.trial)?.checkpoint = checkpoint.epoch;
                None
            }
            Event::EpochReported { lease, metrics } => {
                let trial = self.trials.get_mut(&lease.trial)?;
                trial.reached = trial.reached.max(metrics.epoch);
                None
            }
            Event::AttemptFailed { lease, failure, .. } => {
                self.trials.get_mut(&lease.trial)?.diverged = failure.class == FailureClass::Diverged;
                None
            }
            Event::LeaseGranted { lease, resume_epoch, .. } => {
                let trial = self.trials.get_mut(&lease.trial)?;
                // The newest may be gone from the store. Whether it is the right one is counted with the attempts.
                trial.checkpoint = *resume_epoch;
                let point = &self.sweeps.get(&trial.sweep)?.points[trial.point as usize];
                let joins = trial.joined && trial.reached < point.epoch;
                let past = point.limit.is_some_and(|limit| *resume_epoch >= limit);
                match point.settled {
                    Some(Fate::Stop) if !joins => found(trial.sweep, "granted_after_stop", lease.to_string()),
                    _ if past => found(trial.sweep, "granted_at_rung", format!("{lease} from epoch {resume_epoch}")),
                    _ => None,
                }
            }
            Event::TrialHalted { lease, epoch } => {
                let Some(trial) = self.trials.get(&lease.trial) else {
                    return found(None, "halted_without_rule", lease.to_string());
                };
                let text = || format!("{lease} leaves with epoch {epoch}, the checkpoint is {}", trial.checkpoint);
                (trial.checkpoint != *epoch || *epoch == 0).then(|| found(trial.sweep, "halted_early", text()))?
            }
            Event::PointJudged { sweep, point, judgement } => {
                let text = format!("point {point}: {}", judgement.why());
                let Some(known) = self.sweeps.get_mut(sweep) else {
                    return found(*sweep, "judged_without_rule", text);
                };
                let (baseline, pauses) = (known.baseline == Some(*point), known.pauses);
                let Some(place) = known.points.get_mut(*point as usize) else {
                    return found(*sweep, "judged_without_rule", text);
                };
                // What the audit spared comes to the end of its budget like those that were kept.
                let is_spared = place.settled == Some(Fate::Spare);
                let goes_on = is_spared && judgement.fate == Fate::Stop && judgement.cause != Cause::Rule;
                let again = place.settled.is_some() && !goes_on;
                match judgement.fate {
                    Fate::Promote if pauses => place.limit = judgement.until,
                    Fate::Promote => {}
                    Fate::Stop | Fate::Spare => {
                        *place = Point { limit: None, settled: Some(judgement.fate), epoch: judgement.epoch };
                    }
                }
                match () {
                    () if baseline && judgement.cause == Cause::Rule => found(*sweep, "baseline_judged", text),
                    () if again => found(*sweep, "judged_twice", text),
                    () => None,
                }
            }
            // What was over and runs again goes to its end.
            Event::SweepRetried { sweep, .. } => {
                self.sweeps.get_mut(sweep)?.points.iter_mut().for_each(|point| point.limit = None);
                None
            }
            _ => None,
        }
    }

    /// Another trial of a sweep, if it is one that stops early.
    pub(super) fn added(&mut self, sweep: SweepId, (point, seed): (u32, u32), trial: TrialId) {
        if let Some(known) = self.sweeps.get_mut(&sweep) {
            let fresh = Point { limit: known.first, settled: None, epoch: 0 };
            known.points.resize(known.points.len().max(point as usize + 1), fresh);
            self.trials.insert(trial, Trial::new(sweep, point, seed >= known.seeds));
        }
    }

    /// Whether what last went wrong with a trial was that it diverged.
    pub(super) fn has_diverged(&self, trial: TrialId) -> bool {
        self.trials.get(&trial).is_some_and(|trial| trial.diverged)
    }

    /// Whether the configuration of a trial was stopped, and its seed does not come as far as the others yet.
    pub(super) fn is_stopped(&self, trial: TrialId) -> bool {
        let stopped = |trial: &Trial| {
            let point = &self.sweeps.get(&trial.sweep)?.points[trial.point as usize];
            let joins = trial.joined && trial.reached < point.epoch;
            Some(point.settled == Some(Fate::Stop) && !joins)
        };
        self.trials.get(&trial).and_then(stopped) == Some(true)
    }
}

fn found(sweep: impl Into<Option<SweepId>>, rule: &'static str, text: String) -> Option<Excess> {
    Some(Excess { sweep: sweep.into(), rule, text })
}

impl Auditor {
    /// Trials without a slot are over at once, the others when they have left it.
    pub(super) fn stopped(&mut self, sweep: SweepId, point: u32) {
        let Some(book) = self.sweeps.get(&sweep) else { return };
        let of_point =
            |trial: &&TrialId| self.trials.get(trial).is_some_and(|of| book.plan.trial(of.index).point == point);
        let trials: Vec<TrialId> = book.trials.iter().filter(of_point).copied().collect();
        for trial in trials {
            let waits = |book: &&mut Book| book.live.is_none() && book.end.is_none();
            if let Some(book) = self.trials.get_mut(&trial).filter(waits) {
                book.over(Some(End::Stopped));
            }
        }
    }
}

//! Early stopping of one sweep inside the state: from its trials to the configurations of [`Race`], and back to what that means
//! for a trial.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};

use crate::attempt::{EpochMetrics, FailureClass};
use crate::event::Failure;
use crate::id::{Lease, SweepId};
use crate::plan::Plan;
use crate::stopping::{End, Judgement, Race, Tally};
use crate::time::Timestamp;

use super::sweep::Sweep;
use super::trial::{Phase, Trial};
use super::{State, TrialRef};

/// When a waiting trial gets its turn: what was promoted furthest first, then the order of the plan.
pub type Turn = (Reverse<u32>, u32);

/// The configurations of a sweep that stops early.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Racing {
    /// Where each stands.
    pub race: Race,
    tallies: Vec<Tally>,
    /// By point and seed: the index in the plan.
    places: Vec<u32>,
    seeds: u32,
    /// How many of them were there from the start: the others may have joined a configuration that had come to the end of its budget.
    first: u32,
}

impl Racing {
    /// Nothing for a sweep that stops nothing.
    pub(super) fn new(sweep: SweepId, plan: &Plan) -> Option<Box<Self>> {
        let stop = plan.stop.as_deref()?.clone();
        let epochs = (0..plan.len()).map(|index| plan.epochs(index)).max().unwrap_or_default();
        let seeds = plan.seeds.len() as u32;
        let race = Race::new(stop, sweep, plan.all_points(), epochs, plan.baseline);
        let (places, tallies) = (places(plan), vec![Tally::new(seeds); plan.all_points() as usize]);
        Some(Box::new(Self { race, tallies, places, seeds, first: seeds }))
    }

    /// The plan has grown; its new trials have at most so many epochs.
    pub(super) fn room_for(&mut self, plan: &Plan, epochs: u32) {
        let (points, seeds) = (plan.all_points(), plan.seeds.len() as u32);
        if seeds > self.seeds {
            self.seeds = seeds;
            self.places = places(plan);
            self.tallies.iter_mut().for_each(|tally| tally.room_for(seeds));
            for (point, epoch) in self.race.joined() {
                self.tallies[point as usize].back_to(epoch);
            }
        }
        self.race.room_for(points, epochs);
        self.tallies.resize(points as usize, Tally::new(seeds));
    }

    /// The next seed of a point that was added, if its place is not known yet.
    pub(super) fn added(&mut self, index: u32) {
        if self.places.len() <= index as usize {
            self.places.push(index);
        }
    }

    /// The trials of a configuration: indices in the plan.
    pub fn trials(&self, point: u32) -> &[u32] {
        &self.places[(point * self.seeds) as usize..][..self.seeds as usize]
    }

    pub(super) fn reported(&mut self, point: u32, seed: u32, metrics: &EpochMetrics) {
        let metric = self.race.stop().metric;
        if let Some(sample) = self.tallies[point as usize].report(seed, metrics, metric) {
            self.race.came(point, metrics.epoch, &sample);
        }
        self.advance(point);
    }

    /// A trial is over, or is not any more.
    pub(super) fn ended(&mut self, point: u32, seed: u32, phase: &Phase, failure: Option<&Failure>) {
        let diverged = failure.is_some_and(|failure| failure.class == FailureClass::Diverged);
        let end = match phase {
            Phase::Completed { .. } => Some(End::Finished),
            Phase::Failed if diverged => Some(End::Diverged),
            Phase::Failed | Phase::Cancelled | Phase::Stopped => Some(End::Lost),
            Phase::Waiting | Phase::Leased(_) | Phase::Backoff { .. } | Phase::Paused => None,
        };
        self.tallies[point as usize].end(seed, end);
        if *phase == (Phase::Completed { early: false }) {
            self.race.finishing(point);
        }
        if end.is_none() {
            self.race.reopened(point);
        }
        self.advance(point);
    }

    pub(super) fn judged(&mut self, point: u32, judgement: &Judgement) {
        self.race.judged(point, judgement);
        self.advance(point);
    }

    /// Epochs that all seeds have reached, one by one, but not past a rung before it is decided whether it goes on.
    fn advance(&mut self, point: u32) {
        let tally = &mut self.tallies[point as usize];
        while !self.race.is_at_rung(point)
            && let Some(sample) = tally.take()
        {
            self.race.reached(point, self.race.known(point) + 1, sample);
        }
        if let Some(finished) = tally.over() {
            self.race.over(point, finished);
        }
    }

    /// The next epoch at which the seeds of a configuration are judged together, if one of them has not come there yet.
    fn meets_at(&self, point: u32) -> Option<u32> {
        let tally = &self.tallies[point as usize];
        self.race.look(point).filter(|look| tally.behind(*look).next().is_some())
    }

    /// What becomes of a trial without a slot: one that has come to where it meets the other seeds has done its part.
    pub(super) fn rest(&self, point: u32, seed: u32, trial: &Trial) -> Phase {
        // A seed that joined later comes as far as the others did.
        let joins = |epoch: u32| seed >= self.first && self.tallies[point as usize].reached(seed) < epoch;
        match self.race.limit(point).into_iter().chain(self.meets_at(point)).min() {
            _ if let Some(judged) = self.race.stopped(point) => {
                if joins(judged.epoch) {
                    Phase::Waiting
                } else {
                    Phase::Stopped
                }
            }
            Some(limit) if trial.resume_epoch() >= limit => Phase::Paused,
            _ => Phase::Waiting,
        }
    }

    /// The epoch after which the trials of a configuration that have a slot wait, because more than that is not decided yet, or decided
    /// against. Where all seeds are on their way on slots of their own nobody waits for the slowest; as soon as one has none, be it one
    /// that has come to where they meet and left, all do. `all` are the trials of the sweep.
    pub(crate) fn waits_at(&self, point: u32, epochs: u32, all: &[Trial]) -> Option<u32> {
        let has_slot = |seed: usize| all[self.trials(point)[seed] as usize].leased().is_some();
        let waits = || !self.tallies[point as usize].open().all(has_slot);
        let until = match self.race.stopped(point) {
            Some(judgement) => Some(judgement.epoch),
            None => self.race.limit(point).into_iter().chain(self.meets_at(point).filter(|_| waits())).min(),
        };
        until.filter(|until| *until < epochs)
    }

    /// The epoch whose checkpoint a trial leaves with, if it has to leave now.
    pub(crate) fn halts(&self, point: u32, trial: &Trial, epochs: u32, all: &[Trial]) -> Option<u32> {
        let reached = trial.progress.as_ref().and_then(|progress| progress.last.as_ref()).map_or(0, |last| last.epoch);
        let kept = trial.resume_epoch();
        // One that has trained its last epoch is as good as gone.
        if !trial.leased()?.is_wanted() || kept >= epochs {
            return None;
        }
        let until = self.waits_at(point, epochs, all)?;
        (kept >= until && reached >= until).then_some(kept)
    }
}

/// By point and seed: the index in the plan.
fn places(plan: &Plan) -> Vec<u32> {
    let mut places = vec![0; plan.order.len()];
    for (index, flat) in (0u32..).zip(&plan.order) {
        places[*flat as usize] = index;
    }
    places
}

impl Sweep {
    /// Whether a trial counts: it was trained to its end, or to that of its budget, and not for the stop audit alone. Whatever ranks
    /// goes by this.
    pub fn has_result(&self, index: u32) -> bool {
        let ended = matches!(self.trials[index as usize].phase, Phase::Completed { .. });
        (ended || self.is_ended_by_budget(index)) && !self.is_spared(self.plan.trial(index).point)
    }

    /// Whether the rule was against a point that runs on for the stop audit: the sweep comes out as if it had been stopped.
    pub fn is_spared(&self, point: u32) -> bool {
        self.racing.as_deref().is_some_and(|racing| racing.race.is_spared(point))
    }

    /// Whether a trial that failed, or was cancelled, is no longer over like that when somebody has the sweep run again. One that
    /// diverged stays that where its configuration was stopped: it does not come to another end.
    pub(crate) fn goes_again(&self, index: u32, cancelled: bool) -> bool {
        let trial = &self.trials[index as usize];
        let diverged = trial.failure.as_ref().is_some_and(|failure| failure.class == FailureClass::Diverged);
        match trial.phase {
            Phase::Failed => !diverged || self.rest(index) != Phase::Stopped,
            Phase::Cancelled => cancelled,
            _ => false,
        }
    }

    /// Whether a trial was stopped because a budget was used up: what it reached by then is its result. One that was thrown back
    /// before it left does not come there again, and has none.
    pub fn is_ended_by_budget(&self, index: u32) -> bool {
        let (point, trial) = (self.plan.trial(index).point, &self.trials[index as usize]);
        let reached =
            || trial.progress.as_ref().and_then(|progress| progress.last.as_ref()).map_or(0, |last| last.epoch);
        let ended = self.racing.as_deref().and_then(|racing| racing.race.ended_by_budget(point));
        trial.phase == Phase::Stopped && ended.is_some_and(|judged| reached() >= judged.epoch)
    }
}

impl State {
    /// What becomes of a trial without a slot.
    pub(super) fn rest(&self, at: TrialRef) -> Phase {
        self.sweep_of(at).rest(at.index)
    }

    pub(super) fn raced(&mut self, lease: Lease, metrics: &EpochMetrics, now: Timestamp) {
        let Some((at, _)) = self.leased(lease) else { return };
        let sweep = &mut self.sweeps[at.sweep as usize];
        let planned = sweep.plan.trial(at.index);
        if let Some(racing) = &mut sweep.racing {
            racing.reported(planned.point, planned.seed, metrics);
            self.lift(at, now);
        }
    }

    /// Nobody waits for a trial that is over.
    pub(super) fn is_waited_for_no_more(&mut self, at: TrialRef, now: Timestamp) {
        if self.trial(at).phase.is_terminal() {
            self.lift(at, now);
            self.begins_to_look(at.sweep, now);
        }
    }

    /// When curves begin to be compared, those without a slot that are past where they are judged together wait for the others.
    fn begins_to_look(&mut self, number: u32, now: Timestamp) {
        let sweep = &self.sweeps[number as usize];
        if !sweep.racing.as_deref().is_some_and(|racing| racing.race.begins_to_look()) {
            return;
        }
        let is_past =
            |index: &u32| sweep.trials[*index as usize].phase == Phase::Waiting && sweep.rest(*index) == Phase::Paused;
        let past: Vec<u32> = (0..sweep.trials.len() as u32).filter(is_past).collect();
        for index in past {
            self.set_phase(TrialRef { sweep: number, index }, Phase::Paused, now);
        }
    }

    /// The trials of a configuration that waited for what one of them has done go on.
    fn lift(&mut self, one: TrialRef, now: Timestamp) {
        let sweep = self.sweep_of(one);
        let Some(racing) = sweep.racing.as_deref() else { return };
        let goes_on =
            |index: &u32| sweep.trials[*index as usize].phase == Phase::Paused && sweep.rest(*index) == Phase::Waiting;
        let together = racing.trials(sweep.plan.trial(one.index).point);
        let lifted: Vec<u32> = together.iter().copied().filter(goes_on).collect();
        for index in lifted {
            self.set_phase(TrialRef { index, ..one }, Phase::Waiting, now);
        }
    }

    /// All trials of a configuration share its fate; those on a slot when they have left it.
    pub(super) fn judged(&mut self, id: SweepId, point: u32, judgement: &Judgement, now: Timestamp) {
        let Some(number) = self.by_id.get(&id).copied() else { return };
        let sweep = &mut self.sweeps[number as usize];
        let Some(racing) = sweep.racing.take_if(|_| point < sweep.plan.points) else { return };
        let open = |index: &u32| matches!(sweep.trials[*index as usize].phase, Phase::Waiting | Phase::Backoff { .. });
        let waiting: Vec<u32> = racing.trials(point).iter().copied().filter(open).collect();
        let paused = |index: &u32| sweep.trials[*index as usize].phase == Phase::Paused;
        let paused: Vec<u32> = racing.trials(point).iter().copied().filter(paused).collect();
        sweep.racing = Some(racing);
        // Turns change with the fate: out of the lists before, in again after.
        waiting.iter().for_each(|index| sweep.unlist(*index));
        if let Some(racing) = &mut sweep.racing {
            racing.judged(point, judgement);
        }
        for index in waiting.into_iter().chain(paused) {
            let at = TrialRef { sweep: number, index };
            let rest = self.rest(at);
            if !matches!(self.trial(at).phase, Phase::Backoff { .. }) || rest == Phase::Stopped {
                self.set_phase(at, rest, now);
            }
        }
        self.begins_to_look(number, now);
    }
}

//! What trials took: a point with everything that was trained for it, and what one run of it takes; a sweep with everything once.

use serde::{Deserialize, Serialize};

use crate::attempt::FailureClass;
use crate::cost::Energy;
use crate::num::Num;
use crate::state::State;
use crate::state::sweep::Sweep;
use crate::state::took::Took;
use crate::state::trial::{Phase, Progress, Trial};

/// Time spent; depends on the machine and on interruptions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Seconds that slots were leased, over all attempts that have ended.
    pub slot_seconds: f64,
    /// Attempts granted.
    pub attempts: u64,
    /// What its epochs took; absent where no host of the sweep measures it.
    #[serde(default)]
    pub energy: Option<Energy>,
    /// Trials of which that is known.
    #[serde(default)]
    pub energy_trials: u32,
    /// Seconds from submission to the end, once all trials are over.
    pub wall_seconds: Option<f64>,
    /// Of the time, what left nothing: see [`PointCost::wasted_seconds`].
    #[serde(default)]
    pub wasted_seconds: f64,
    /// Of the energy, the same.
    #[serde(default)]
    pub wasted_energy: Option<Energy>,
}

/// Time, energy and memory of one point's trials, or of one trial; depends on the machine and on interruptions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PointCost {
    /// Seconds that slots were leased, over all attempts that have ended.
    pub slot_seconds: f64,
    /// What its epochs took; absent where it is not measured.
    pub energy: Option<Energy>,
    /// The most memory that one of its trainers had, bytes.
    pub peak_memory: Option<u64>,
    /// Runs with a result: what one run takes is a mean over them.
    #[serde(default)]
    pub runs: u32,
    /// Seconds of one run from its beginning to its end, without what was repeated or thrown away; absent without a result.
    #[serde(default)]
    pub run_seconds: Option<Num>,
    /// Its energy, over the runs of which it is known.
    #[serde(default)]
    pub run_energy: Option<Energy>,
    /// Seconds of those runs for each of their epochs, with what else is in them: reading data, validation, checkpoints.
    #[serde(default)]
    pub seconds_per_epoch: Option<Num>,
    /// Average power of the runs of which all energy is known: joules over the seconds of the same runs.
    #[serde(default)]
    pub watts: Option<Num>,
    /// Seconds that left nothing: those of an attempt after the checkpoint with which the next one began, what it took to leave its
    /// slot for a pause included, and all of a trial that failed for good. One that diverged has said what it had to say.
    #[serde(default)]
    pub wasted_seconds: f64,
    /// The energy of the same.
    #[serde(default)]
    pub wasted_energy: Option<Energy>,
}

/// Of the trials of a point: all attempts, and where a trial went on from a shorter one, that one's, too. Nobody gets the longer
/// one without them, and a cost without them would make it look cheap.
pub(super) fn of_point(state: &State, sweep: &Sweep, trials: &[u32]) -> PointCost {
    let mut cost = PointCost::default();
    let (mut all, mut wasted, mut runs, mut epochs) = (0, 0, 0, 0);
    let (mut drew, mut metered) = ((None, 0), 0);
    for index in trials {
        let mut run = Took::default();
        for (trial, part) in parts(state, sweep, *index) {
            let vain = in_vain(trial, part);
            (all, wasted) = (all + part.spent, wasted + vain.micros);
            cost.energy = Energy::of_both(cost.energy, part.energy);
            cost.wasted_energy = Energy::of_both(cost.wasted_energy, vain.energy);
            cost.peak_memory = cost.peak_memory.max(part.peak_memory);
            run.micros += part.run.micros;
            run.energy = Energy::of_both(run.energy, part.run.energy);
            run.unmetered |= part.run.unmetered;
        }
        if sweep.has_result(*index) {
            (cost.runs, runs) = (cost.runs + 1, runs + run.micros);
            let last = sweep.trials[*index as usize].progress.as_deref().and_then(|progress| progress.last.as_ref());
            epochs += last.map_or(0, |last| u64::from(last.epoch));
            // A part of a run is no price of it.
            let known = run.energy.filter(|_| !run.unmetered);
            drew = (Energy::of_both(drew.0, known), drew.1 + u32::from(known.is_some()));
            metered += if known.is_some() { run.micros } else { 0 };
        }
    }
    (cost.slot_seconds, cost.wasted_seconds) = (all as f64 / 1e6, wasted as f64 / 1e6);
    cost.run_seconds = (cost.runs > 0).then(|| Num(runs as f64 / 1e6 / f64::from(cost.runs)));
    cost.run_energy = drew.0.map(|energy| energy.per(drew.1));
    cost.seconds_per_epoch = (epochs > 0).then(|| Num(runs as f64 / 1e6 / epochs as f64));
    let power = |energy: Energy| Num(energy.joules() / (metered as f64 / 1e6));
    cost.watts = drew.0.filter(|_| metered > 0).map(power);
    cost
}

/// Of a sweep: each attempt of its own once. What was taken over cost its own sweep.
pub(super) fn of_sweep(sweep: &Sweep) -> Cost {
    let mut cost = Cost {
        attempts: sweep.trials.iter().map(|trial| u64::from(trial.attempt)).sum(),
        wall_seconds: sweep.ended.map(|ended| (ended - sweep.submitted).as_seconds()),
        ..Cost::default()
    };
    let (mut all, mut wasted) = (0, 0);
    for trial in &sweep.trials {
        let Some(progress) = trial.progress.as_deref().filter(|progress| progress.origin.is_none()) else { continue };
        let vain = in_vain(trial, progress);
        (all, wasted) = (all + progress.spent, wasted + vain.micros);
        cost.energy = Energy::of_both(cost.energy, progress.energy);
        cost.wasted_energy = Energy::of_both(cost.wasted_energy, vain.energy);
        cost.energy_trials += u32::from(progress.energy.is_some());
    }
    (cost.slot_seconds, cost.wasted_seconds) = (all as f64 / 1e6, wasted as f64 / 1e6);
    cost
}

/// What of a trial's own left nothing.
fn in_vain(trial: &Trial, progress: &Progress) -> Took {
    let diverged = trial.failure.as_ref().is_some_and(|failure| failure.class == FailureClass::Diverged);
    match trial.phase {
        Phase::Failed if !diverged => Took { micros: progress.spent, energy: progress.energy, ..Took::default() },
        _ => progress.wasted(),
    }
}

/// The trial itself, where it was trained, then the shorter ones that it went on from; each has fewer epochs than the one before.
fn parts<'a>(state: &'a State, sweep: &'a Sweep, index: u32) -> impl Iterator<Item = (&'a Trial, &'a Progress)> {
    let progress = |sweep: &'a Sweep, index: u32| sweep.trials.get(index as usize)?.progress.as_deref();
    let trained = move |sweep: &'a Sweep, index: u32| match progress(sweep, index)?.origin {
        Some(at) => Some((state.sweep_of(at), at.index)),
        None => Some((sweep, index)),
    };
    let before = move |(sweep, index): &(&'a Sweep, u32)| trained(sweep, progress(sweep, *index)?.begun?.0);
    let chain = std::iter::successors(trained(sweep, index), before);
    chain.filter_map(move |(sweep, index)| Some((sweep.trials.get(index as usize)?, progress(sweep, index)?)))
}

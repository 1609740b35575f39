//! What trials took: a point with everything that was trained for it, a sweep with everything once.

use serde::{Deserialize, Serialize};

use crate::cost::Energy;
use crate::state::State;
use crate::state::sweep::Sweep;
use crate::state::trial::Progress;

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
}

/// Time, energy and memory of one point's trials; depends on the machine and on interruptions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PointCost {
    /// Seconds that slots were leased, over all attempts that have ended.
    pub slot_seconds: f64,
    /// What its epochs took; absent where it is not measured.
    pub energy: Option<Energy>,
    /// The most memory that one of its trainers had, bytes.
    pub peak_memory: Option<u64>,
}

/// Of the trials of a point: all attempts, and where a trial went on from a shorter one, that one's, too. Nobody gets the longer
/// one without them, and a cost without them would make it look cheap.
pub(super) fn of_point(state: &State, sweep: &Sweep, trials: &[u32]) -> PointCost {
    sum(trials.iter().flat_map(|index| parts(state, sweep, *index)))
}

/// Of a sweep: each attempt of its own once. What was taken over cost its own sweep.
pub(super) fn of_sweep(sweep: &Sweep) -> Cost {
    let trained = |progress: &&Progress| progress.origin.is_none();
    let trials = || sweep.trials.iter().filter_map(|trial| trial.progress.as_deref()).filter(trained);
    let PointCost { slot_seconds, energy, .. } = sum(trials());
    Cost {
        slot_seconds,
        energy,
        energy_trials: trials().filter(|progress| progress.energy.is_some()).count() as u32,
        attempts: sweep.trials.iter().map(|trial| u64::from(trial.attempt)).sum(),
        wall_seconds: sweep.ended.map(|ended| (ended - sweep.submitted).as_seconds()),
    }
}

/// The trial itself, where it was trained, then the shorter ones that it went on from; each has fewer epochs than the one before.
fn parts<'a>(state: &'a State, sweep: &'a Sweep, index: u32) -> impl Iterator<Item = &'a Progress> {
    let progress = |sweep: &'a Sweep, index: u32| sweep.trials.get(index as usize)?.progress.as_deref();
    let trained = move |sweep: &'a Sweep, index: u32| match progress(sweep, index)?.origin {
        Some(at) => Some((state.sweep_of(at), at.index)),
        None => Some((sweep, index)),
    };
    let before = move |(sweep, index): &(&'a Sweep, u32)| trained(sweep, progress(sweep, *index)?.begun?.0);
    let chain = std::iter::successors(trained(sweep, index), before);
    chain.filter_map(move |(sweep, index)| progress(sweep, index))
}

fn sum<'a>(parts: impl Iterator<Item = &'a Progress>) -> PointCost {
    let mut spent = 0;
    let mut cost = PointCost::default();
    for progress in parts {
        spent += progress.spent;
        cost.energy = Energy::of_both(cost.energy, progress.energy);
        cost.peak_memory = cost.peak_memory.max(progress.peak_memory);
    }
    PointCost { slot_seconds: spent as f64 / 1e6, ..cost }
}

//! From the trials of a sweep to observations, and from those to the next point.

use std::collections::BTreeSet;

use crate::plan::mix;
use crate::recipe::Watched;
use crate::state::sweep::Sweep;
use crate::state::trial::{Phase, Trial};
use crate::stopping::score;

use super::{Axis, Observation, Search, Setting, tpe};

/// So many draws are looked at for one that is new, not left out and a recipe; from the second number on they are random ones, which
/// find what is left of a space that is nearly used up.
const TRIES: u64 = 1000;
const GUIDED: u64 = 100;

/// The next point.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    /// What it is.
    pub settings: Vec<Setting>,
    /// From the results of how many points it was chosen; 0 means that it was drawn at random.
    pub from: u32,
}

/// The next point of a sweep; nothing if no new one can be found.
pub fn propose(sweep: &Sweep, search: &Search) -> Option<Proposal> {
    let (mut seen, mut pending, mut known) = (Vec::new(), Vec::new(), BTreeSet::new());
    let seeds = sweep.plan.seeds.len();
    let mut places = vec![0; sweep.plan.order.len()];
    for (index, flat) in (0u32..).zip(&sweep.plan.order) {
        places[*flat as usize] = index;
    }
    for point in 0..sweep.plan.points {
        let value = |path: &str| sweep.plan.value(point, path);
        // What was written by hand may lie outside.
        let Some(values) = search.space.iter().map(|axis| axis.coordinate(value)).collect::<Option<Vec<f64>>>() else {
            continue;
        };
        known.insert(bits(&values));
        let trials = places[point as usize * seeds..][..seeds].iter().map(|index| &sweep.trials[*index as usize]);
        match outcome(sweep, point, &trials.collect::<Vec<_>>(), search.knobs.metric) {
            Outcome::Pending => pending.push(values),
            Outcome::Nothing => {}
            Outcome::Seen { epoch, score } => seen.push(Observation { values, epoch, score }),
        }
    }
    let dimensions: Vec<_> = search.space.iter().map(Axis::dimension).collect();
    let known_enough = tpe::knows(&search.knobs, seen.len(), pending.len());
    (0..TRIES).find_map(|attempt| {
        let number = mix(u64::from(sweep.plan.points)) ^ attempt;
        let guided = known_enough && attempt < GUIDED;
        let given: (&[Observation], &[Vec<f64>]) = if guided { (&seen, &pending) } else { (&[], &[]) };
        let values = tpe::propose(&search.knobs, &dimensions, given, search.seed, number);
        let settings: Vec<Setting> =
            search.space.iter().zip(&values).flat_map(|(axis, value)| axis.settings(*value)).collect();
        let value = |path: &str| settings.iter().find(|setting| setting.path == path).map(|setting| &setting.value);
        // As it will be read again, after rounding.
        let values: Option<Vec<f64>> = search.space.iter().map(|axis| axis.coordinate(value)).collect();
        let excluded = search
            .excludes
            .iter()
            .any(|exclude| exclude.iter().all(|setting| value(&setting.path) == Some(&setting.value)));
        let is_new = values.is_some_and(|values| !known.contains(&bits(&values)));
        let from = if guided { seen.len() as u32 } else { 0 };
        (is_new && !excluded && sweep.plan.is_recipe(&settings)).then_some(Proposal { settings, from })
    })
}

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|value| (value + 0.0).to_bits()).collect()
}

enum Outcome {
    /// It is under way.
    Pending,
    /// It is over and says nothing: cancelled, or crashed for good.
    Nothing,
    Seen {
        epoch: u32,
        score: f64,
    },
}

fn outcome(sweep: &Sweep, point: u32, trials: &[&Trial], metric: Watched) -> Outcome {
    let at_rung = || sweep.racing.as_deref().and_then(|racing| racing.race.seen(point));
    // The search goes on as if the audit had spared nobody.
    if let Some((epoch, score)) = at_rung().filter(|_| sweep.is_spared(point)) {
        return Outcome::Seen { epoch, score };
    }
    // At the end of its budget a point is at its end.
    let by_budget = sweep.racing.as_deref().is_some_and(|racing| racing.race.ended_by_budget(point).is_some());
    let open = |trial: &&Trial| !trial.phase.is_terminal() || (trial.phase == Phase::Stopped && !by_budget);
    if trials.iter().any(open) {
        return at_rung().map_or(Outcome::Pending, |(epoch, score)| Outcome::Seen { epoch, score });
    }
    let best = |trial: &&Trial| {
        let ended = matches!(trial.phase, Phase::Completed { .. } | Phase::Stopped);
        trial.progress.as_deref().filter(|_| ended)?.reached(metric)
    };
    let values: Vec<f64> = trials.iter().filter_map(best).map(|value| score(metric, value)).collect();
    match values.len() {
        _ if trials.iter().any(|trial| trial.has_diverged()) => {
            Outcome::Seen { epoch: u32::MAX, score: f64::NEG_INFINITY }
        }
        0 => Outcome::Nothing,
        count => Outcome::Seen { epoch: u32::MAX, score: values.iter().sum::<f64>() / count as f64 },
    }
}

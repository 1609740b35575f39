//! Curves: the epochs of trials as the journal has them, put together for trials that have some or all of theirs from another one.

use std::collections::BTreeMap;

use sweep_core::attempt::EpochMetrics;
use sweep_core::report::{Curve, EpochRow};
use sweep_core::state::sweep::Sweep;
use sweep_core::state::{State, TrialRef};

/// The trials that trained the epochs of one, each with the last epoch that counts of it; the newest epochs come last.
pub(super) fn trained(state: &State, at: TrialRef) -> Vec<(TrialRef, u32)> {
    let progress = |at: TrialRef| state.trial(at).progress.as_deref();
    let (mut at, mut until) = (progress(at).and_then(|progress| progress.origin).unwrap_or(at), u32::MAX);
    let mut found = vec![(at, until)];
    while let Some((index, epoch)) = progress(at).and_then(|progress| progress.begun) {
        (at, until) = (TrialRef { index, ..at }, until.min(epoch));
        found.push((at, until));
    }
    found.reverse();
    found
}

/// Trials of a sweep that began where a shorter one ended: their places, its place, its last epoch.
pub(super) fn begun(sweep: &Sweep) -> Vec<(u32, u32, u32)> {
    let trials = (0u32..).zip(&sweep.trials);
    let begun = trials.filter_map(|(index, trial)| Some((index, trial.progress.as_deref()?.begun?)));
    begun.map(|(index, (from, epoch))| (index, from, epoch)).collect()
}

/// The rows of a sweep by trial, attempt and sequence, with those of shorter trials where others go on from them.
pub(super) fn whole(rows: Vec<(u32, EpochMetrics)>, begun: &[(u32, u32, u32)]) -> Vec<(u32, EpochMetrics)> {
    if begun.is_empty() {
        return rows;
    }
    let mut curves: BTreeMap<u32, BTreeMap<u32, EpochMetrics>> = BTreeMap::new();
    for (index, metrics) in rows {
        curves.entry(index).or_default().insert(metrics.epoch, metrics);
    }
    // A longer trial comes behind the shorter one, whose curve is whole by then.
    for (index, from, epoch) in begun {
        let Some(mut curve) = curves.get(from).cloned() else { continue };
        curve.retain(|of, _| of <= epoch);
        curve.append(&mut curves.remove(index).unwrap_or_default());
        curves.insert(*index, curve);
    }
    let rows = |(index, curve): (u32, BTreeMap<u32, EpochMetrics>)| curve.into_values().map(move |row| (index, row));
    curves.into_iter().flat_map(rows).collect()
}

/// For each epoch the report of the highest attempt.
pub(super) fn visible(reports: Vec<(u32, EpochMetrics)>) -> Vec<EpochMetrics> {
    let by_epoch: BTreeMap<u32, EpochMetrics> =
        reports.into_iter().map(|(_, metrics)| (metrics.epoch, metrics)).collect();
    by_epoch.into_values().collect()
}

/// The curves of a sweep from its rows by trial, attempt and sequence; `trials` has the point, the seed and the newest
/// epoch of each.
pub(super) fn by_trial(rows: Vec<(u32, EpochMetrics)>, trials: &[(u32, u64, u32)]) -> Vec<Curve> {
    let mut curves: BTreeMap<u32, BTreeMap<u32, EpochRow>> = BTreeMap::new();
    for (index, metrics) in rows {
        curves.entry(index).or_default().insert(metrics.epoch, EpochRow::from(&metrics));
    }
    let curve = |(index, mut epochs): (u32, BTreeMap<u32, EpochRow>)| {
        let (point, seed, newest) = *trials.get(index as usize)?;
        // A new attempt has not come so far again.
        epochs.retain(|epoch, _| *epoch <= newest);
        Some(Curve { point, seed, epochs: epochs.into_values().collect() })
    };
    curves.into_iter().filter_map(curve).collect()
}

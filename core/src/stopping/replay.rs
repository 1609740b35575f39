//! What a rule would have done with curves that are known to their end: how it is compared with other programs, and
//! with no rule at all.

use std::collections::BTreeSet;

use crate::id::SweepId;

use super::race::Race;
use super::settings::Stop;
use super::tally::Sample;
use super::{Fate, Judgement};

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Replay {
    /// Epochs that each configuration got.
    pub epochs: Vec<u32>,
    /// The decisions, in their order.
    pub judgements: Vec<(u32, Judgement)>,
}

impl Replay {
    /// Share of all epochs that was trained.
    pub fn share(&self, curves: &[Vec<f64>]) -> f64 {
        let all: usize = curves.iter().map(Vec::len).sum();
        self.epochs.iter().map(|epochs| f64::from(*epochs)).sum::<f64>() / all as f64
    }

    /// The best value that was seen.
    pub fn best(&self, curves: &[Vec<f64>]) -> f64 {
        let seen = curves.iter().zip(&self.epochs).flat_map(|(curve, epochs)| &curve[..*epochs as usize]);
        seen.copied().fold(f64::NEG_INFINITY, f64::max)
    }
}

/// Goes through curves (accuracies, all of the same length) with so many workers: every tick each of them, in turn, trains
/// one epoch. A worker that is free takes what was promoted, the furthest first, or the next configuration.
/// `brackets` are drawn by the rule unless they are given.
pub fn replay(stop: &Stop, curves: &[Vec<f64>], workers: usize, brackets: Option<&[u32]>) -> Replay {
    replay_beside(stop, curves, workers, brackets, None)
}

/// As [`replay()`], with a baseline, which is never stopped.
pub fn replay_beside(
    stop: &Stop,
    curves: &[Vec<f64>],
    workers: usize,
    brackets: Option<&[u32]>,
    baseline: Option<u32>,
) -> Replay {
    let (points, last) = (curves.len() as u32, curves.first().map_or(0, Vec::len) as u32);
    let sweep = SweepId::derive("replay", "");
    let mut race = match brackets {
        Some(brackets) => Race::in_brackets(stop.clone(), sweep, brackets, last, baseline),
        None => Race::new(stop.clone(), sweep, points, last, baseline),
    };
    let mut epochs = vec![0u32; curves.len()];
    let mut judgements = Vec::new();
    let (mut fresh, mut promoted) = (0..points, BTreeSet::new());
    let mut next = move |promoted: &mut BTreeSet<(std::cmp::Reverse<u32>, u32)>| {
        promoted.pop_first().map(|(_, point)| point).or_else(|| fresh.next())
    };
    let mut running = vec![None; workers];
    loop {
        for worker in 0..workers {
            running[worker] = running[worker].or_else(|| next(&mut promoted));
            let Some(point) = running[worker] else { continue };
            epochs[point as usize] += 1;
            let epoch = epochs[point as usize];
            let value = curves[point as usize][epoch as usize - 1];
            race.reached(point, epoch, Sample { value, seconds: f64::from(epoch), joules: 0.0, steps: 0.0 });
            if epoch == last {
                race.over(point, true);
            }
            while let Some((of, judgement)) = race.due() {
                race.judged(of, &judgement);
                let goes_on = judgement.fate != Fate::Stop && race.stop().rule.pauses();
                if goes_on && !running.contains(&Some(of)) {
                    promoted.insert((std::cmp::Reverse(race.promotions(of)), of));
                }
                judgements.push((of, judgement));
            }
            if epoch == last || race.stopped(point).is_some() || race.limit(point) == Some(epoch) {
                running[worker] = next(&mut promoted);
            }
        }
        if running.iter().all(Option::is_none) && promoted.is_empty() {
            return Replay { epochs, judgements };
        }
    }
}

//! From trials to configurations: what the seeds of a point reported, epoch by epoch, until all of them have.

use serde::{Deserialize, Serialize};

use crate::attempt::EpochMetrics;
use crate::recipe::Watched;

/// One epoch of a configuration: means over its seeds.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Sample {
    /// The metric.
    pub value: f64,
    /// Time trained so far, seconds.
    pub seconds: f64,
    /// Energy taken so far, joules.
    pub joules: f64,
    /// Steps of the optimizer so far; 0 where the trainer does not say.
    pub steps: f64,
}

/// Equality of bits: what is not a number equals itself.
impl PartialEq for Sample {
    fn eq(&self, other: &Self) -> bool {
        let bits = |of: &Self| [of.value, of.seconds, of.joules, of.steps].map(f64::to_bits);
        bits(self) == bits(other)
    }
}

/// The trials of one configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    seeds: Vec<Seed>,
    /// Epochs that the whole configuration has reached.
    taken: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Seed {
    /// Epochs reported.
    epoch: u32,
    /// Those after the last that the whole configuration has reached.
    ahead: Vec<Sample>,
    /// The last one that it has.
    last: Option<Sample>,
    end: Option<End>,
}

/// How a trial ended, for the mean of its configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// Its last value stands, and so does that of a patient trial that ended early.
    Finished,
    /// Its loss was no longer finite: the worst there is.
    Diverged,
    /// It says nothing about the configuration: crashed for good, or cancelled.
    Lost,
}

impl Tally {
    /// A configuration with so many seeds.
    pub fn new(seeds: u32) -> Self {
        Self { seeds: vec![Seed::default(); seeds as usize], taken: 0 }
    }

    /// There are so many seeds now.
    pub fn room_for(&mut self, seeds: u32) {
        self.seeds.resize(seeds as usize, Seed::default());
    }

    /// What came after an epoch is taken again, once seeds that joined have come there. Of a seed that was past it its last value is known.
    pub fn back_to(&mut self, epoch: u32) {
        self.taken = self.taken.min(epoch);
        for seed in &mut self.seeds {
            let again = (seed.epoch.saturating_sub(self.taken) as usize).saturating_sub(seed.ahead.len());
            let known = seed.last.into_iter().flat_map(|last| std::iter::repeat_n(last, again));
            seed.ahead.splice(0..0, known);
        }
    }

    /// Epochs that a seed has reported.
    pub fn reached(&self, seed: u32) -> u32 {
        self.seeds[seed as usize].epoch
    }

    /// A seed reported an epoch: what it is at now. The first report of an epoch counts; repetitions after a fault do not.
    pub fn report(&mut self, seed: u32, metrics: &EpochMetrics, watched: Watched) -> Option<Sample> {
        let seed = &mut self.seeds[seed as usize];
        if metrics.epoch != seed.epoch + 1 {
            return None;
        }
        let before = seed.ahead.last().copied().or(seed.last).unwrap_or_default();
        let joules = metrics.cost.as_deref().and_then(|cost| cost.energy).map_or(0.0, |energy| energy.joules());
        let value = match watched {
            Watched::ValAccuracy => metrics.val_accuracy.0,
            Watched::ValLoss => metrics.val_loss.0,
        };
        let steps = metrics.cost.as_deref().and_then(|cost| cost.steps).map_or(before.steps, |steps| steps as f64);
        let (seconds, joules) = (before.seconds + metrics.seconds.0, before.joules + joules);
        seed.epoch = metrics.epoch;
        let sample = Sample { value, seconds, joules, steps };
        // One that is run again after the others went on without it catches up with them: those epochs are decided.
        match seed.epoch > self.taken {
            true => seed.ahead.push(sample),
            false => seed.last = Some(sample),
        }
        Some(sample)
    }

    /// A seed is over, or (`None`) it is run again.
    pub fn end(&mut self, seed: u32, end: Option<End>) {
        self.seeds[seed as usize].end = end;
    }

    /// The seeds that have not come to an epoch and still may.
    pub fn behind(&self, epoch: u32) -> impl Iterator<Item = usize> + '_ {
        let seeds = self.seeds.iter().enumerate();
        seeds.filter(move |(_, seed)| seed.end.is_none() && seed.epoch < epoch).map(|(seed, _)| seed)
    }

    /// The seeds that are not over.
    pub fn open(&self) -> impl Iterator<Item = usize> + '_ {
        let seeds = self.seeds.iter().enumerate();
        seeds.filter(|(_, seed)| seed.end.is_none()).map(|(seed, _)| seed)
    }

    /// All seeds are over; says whether one of them finished.
    pub fn over(&self) -> Option<bool> {
        let over = self.seeds.iter().all(|seed| seed.end.is_some());
        over.then(|| self.seeds.iter().any(|seed| seed.end == Some(End::Finished)))
    }

    /// Takes the next epoch that every seed has reached; nothing while one is behind, or when no seed has a value.
    pub fn take(&mut self) -> Option<Sample> {
        let behind = |seed: &Seed| seed.ahead.is_empty() && seed.end.is_none();
        if self.seeds.iter().any(behind) || self.seeds.iter().all(|seed| seed.ahead.is_empty()) {
            return None;
        }
        self.taken += 1;
        let (mut sum, mut count) = (Sample::default(), 0.0);
        for seed in &mut self.seeds {
            if !seed.ahead.is_empty() {
                seed.last = Some(seed.ahead.remove(0));
            } else if seed.end == Some(End::Lost) {
                continue;
            }
            let last = seed.last.unwrap_or_default();
            let gone = seed.ahead.is_empty() && seed.end == Some(End::Diverged);
            sum.value += if gone { f64::NAN } else { last.value };
            sum.seconds += last.seconds;
            sum.joules += last.joules;
            sum.steps += last.steps;
            count += 1.0;
        }
        (count > 0.0).then(|| Sample {
            value: sum.value / count,
            seconds: sum.seconds / count,
            joules: sum.joules / count,
            steps: sum.steps / count,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::num::Num;

    fn epoch(epoch: u32, value: f64) -> EpochMetrics {
        let (zero, value) = (Num(0.0), Num(value));
        EpochMetrics {
            seq: 1,
            epoch,
            train_loss: zero,
            train_accuracy: zero,
            val_loss: zero,
            val_accuracy: value,
            lr: zero,
            images_per_s: zero,
            seconds: Num(10.0),
            top5: None,
            cost: None,
        }
    }

    fn values(tally: &mut Tally) -> Vec<f64> {
        std::iter::from_fn(|| tally.take().map(|sample| sample.value)).collect()
    }

    #[test]
    fn a_configuration_is_where_its_slowest_seed_is() {
        let mut tally = Tally::new(2);
        for at in 1..=3 {
            tally.report(0, &epoch(at, 0.5), Watched::ValAccuracy);
        }
        assert_eq!(tally.take(), None);
        tally.report(1, &epoch(1, 0.75), Watched::ValAccuracy);
        // Again, after a fault, with another value: the first one counts.
        tally.report(1, &epoch(1, 0.0), Watched::ValAccuracy);
        assert_eq!(tally.take(), Some(Sample { value: 0.625, seconds: 10.0, joules: 0.0, steps: 0.0 }));
        assert_eq!(tally.take(), None);
        // Out of patience: its last value stands for the epochs it does not train.
        tally.end(1, Some(End::Finished));
        assert_eq!(values(&mut tally), [0.625, 0.625]);
        assert_eq!((tally.take(), tally.over()), (None, None));
        tally.end(0, Some(End::Lost));
        assert_eq!(tally.over(), Some(true));
    }

    #[test]
    fn a_lost_seed_is_left_out_and_a_diverged_one_is_the_worst() {
        let mut tally = Tally::new(2);
        tally.report(0, &epoch(1, 0.5), Watched::ValAccuracy);
        tally.report(0, &epoch(2, 0.75), Watched::ValAccuracy);
        tally.end(1, Some(End::Lost));
        assert_eq!(values(&mut tally), [0.5, 0.75]);
        let mut tally = Tally::new(2);
        tally.report(0, &epoch(1, 0.5), Watched::ValAccuracy);
        tally.end(1, Some(End::Diverged));
        assert!(tally.take().is_some_and(|sample| sample.value.is_nan()));
    }
}

//! What trials of a shape took: medians over trials, and what was measured in the last epoch of each.

use serde::{Deserialize, Serialize};

use crate::num::Num;
use crate::state::trial::{Phase, Trial};

/// What an epoch of a shape took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// Trials looked at.
    pub trials: u32,
    /// Time under lease for an epoch, seconds: median, least and most.
    pub seconds: Num,
    /// The quickest.
    pub least: Num,
    /// The slowest.
    pub most: Num,
    /// Median time that a trial took besides its epochs, seconds. Known of probes and of trials with one epoch, and used where no trial was
    /// longer: of longer ones it is in the time of an epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub startup: Option<Num>,
    /// Median energy of an epoch, joules.
    pub joules: Option<Num>,
    /// The most memory a trainer had, bytes.
    pub peak_memory: Option<u64>,
    /// The most memory that a trial had on its accelerator, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_memory: Option<u64>,
    /// Median time from one batch to the next, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_ms: Option<Num>,
    /// Median training throughput.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images_per_s: Option<Num>,
}

/// What is known of a shape.
#[derive(Debug, Default)]
pub(super) struct Samples {
    seconds: Vec<f64>,
    /// Of probes and of trials with one epoch: an epoch, and the rest.
    single: Vec<(f64, f64)>,
    joules: Vec<f64>,
    step_ms: Vec<f64>,
    images_per_s: Vec<f64>,
    peak_memory: Option<u64>,
    device_memory: Option<u64>,
    /// How the newest trial failed.
    pub(super) failed: Option<String>,
}

impl Samples {
    /// Another trial, newest sweeps first; `probe` if only a part of its epochs was done.
    pub(super) fn add(&mut self, trial: &Trial, probe: bool) {
        if trial.phase == Phase::Failed && self.failed.is_none() {
            let words =
                trial.failure.as_ref().map(|it| format!("{}, {}: {}", it.class.as_str(), it.reason, it.message));
            self.failed = words;
        }
        let Some(progress) = trial.progress.as_deref().filter(|progress| progress.origin.is_none()) else { return };
        let Some(last) = progress.last.as_ref() else { return };
        // What it did itself: it may have begun where a shorter one ended.
        let own = last.epoch - progress.begun.map_or(0, |(_, epoch)| epoch.min(last.epoch));
        // A live attempt's time is not booked yet.
        if own == 0 || progress.spent == 0 || trial.leased().is_some() {
            return;
        }
        let (spent, epochs, took) = (progress.spent as f64 / 1e6, f64::from(own), last.seconds.0);
        let probed = progress.probed.as_deref().filter(|_| probe);
        let whole = probed.map_or(Some(took), |(part, _)| part.epoch_seconds()).unwrap_or_default();
        match took > 0.0 && took <= spent && whole > 0.0 {
            true if probe || own == 1 => self.single.push((whole, spent - took)),
            _ if probed.is_some() => return,
            _ => self.seconds.push(spent / epochs),
        }
        // Of a probe the last epoch alone: before it there was the start.
        let joules = match probed {
            Some((_, energy)) => energy.map(|energy| energy.joules() * whole / took),
            None => progress.energy.map(|energy| energy.joules() / epochs),
        };
        self.joules.extend(joules);
        let measured = |value: Num| (value.0.is_finite() && value.0 > 0.0).then_some(value.0);
        self.step_ms.extend(progress.step_ms.and_then(measured));
        self.images_per_s.extend(measured(last.images_per_s));
        self.peak_memory = self.peak_memory.max(progress.peak_memory);
        self.device_memory = self.device_memory.max(progress.device_memory);
    }

    pub(super) fn seen(&self) -> Option<Seen> {
        let (single, rest): (Vec<f64>, Vec<f64>) = self.single.iter().copied().unzip();
        let (known, startup) = match self.seconds.as_slice() {
            [] => (&single, median(&rest).map(Num)),
            _ => (&self.seconds, None),
        };
        let least = known.iter().copied().fold(f64::INFINITY, f64::min);
        let most = known.iter().copied().fold(0.0, f64::max);
        Some(Seen {
            trials: known.len() as u32,
            seconds: Num(median(known)?),
            least: Num(least),
            most: Num(most),
            startup,
            joules: median(&self.joules).map(Num),
            peak_memory: self.peak_memory,
            device_memory: self.device_memory,
            step_ms: median(&self.step_ms).map(Num),
            images_per_s: median(&self.images_per_s).map(Num),
        })
    }
}

fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (low, high) = (sorted.get((sorted.len().max(1) - 1) / 2)?, sorted.get(sorted.len() / 2)?);
    Some((low + high) / 2.0)
}

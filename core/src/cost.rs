//! What training took: time of the machine, memory, energy. For people and bills; what is decided from it says so.

use serde::{Deserialize, Serialize};

use crate::num::Num;

/// What an epoch took. Of the machine and the moment: never compared.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpochCost {
    /// Median time from the end of one training step to the end of the next, milliseconds.
    pub step_ms: Num,
    /// Share of the training time in which there was no batch to train on, 0 to 1.
    pub data_wait: Num,
    /// Steps of the optimizer since the trial began, those of earlier attempts included; absent from an older trainer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// What of the epoch was done, if not all of it: in a probe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<Part>,
    /// The most memory the trainer's process has had up to here, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_memory: Option<u64>,
    /// The most of it up to here that is in no file, bytes: what the process shares with no other. Decided from: how many trials share a
    /// host. Absent from an older trainer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_memory: Option<u64>,
    /// The most memory that the trial has had on its accelerator up to here, bytes. Measured by the agent. Decided
    /// from, too: how many trials share a device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_memory: Option<u64>,
    /// The precision and layout that the trial computes with, for people; absent from an older trainer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub numerics: Option<String>,
    /// What was drawn for the trial since the epoch before, or since the attempt began. Measured by the agent; absent
    /// where the host does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub energy: Option<Energy>,
}

/// The beginning of an epoch: so many of its steps, then so many of the validation images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Steps of the optimizer that were done.
    pub steps: u64,
    /// Steps of the whole epoch.
    pub of_steps: u64,
    /// What they took, seconds.
    pub seconds: Num,
    /// Validation images that were looked at.
    pub val_images: u64,
    /// All of them.
    pub of_val_images: u64,
    /// What they took, seconds.
    pub val_seconds: Num,
}

impl Part {
    /// What the whole epoch would take at this pace, seconds; nothing if no step was done.
    pub fn epoch_seconds(&self) -> Option<f64> {
        let whole = |seconds: Num, done: u64, of: u64| match (done, of) {
            (_, 0) => Some(0.0),
            (0, _) => None,
            _ => Some(seconds.0 / done as f64 * of as f64),
        };
        let training = whole(self.seconds, self.steps, self.of_steps)?;
        let all = training + whole(self.val_seconds, self.val_images, self.of_val_images)?;
        (all.is_finite() && all > 0.0).then_some(all)
    }
}

/// Energy, joules: the trial's share of what the devices drew, which trials on the same device divide evenly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Energy {
    /// Of the processors and their memory (RAPL).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Num>,
    /// Of the GPU (NVML).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu: Option<Num>,
    /// The part that the devices would have drawn without any trial; absent while that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle: Option<Num>,
}

impl Energy {
    /// Of all parts that were measured.
    pub fn joules(&self) -> f64 {
        [self.cpu, self.gpu].into_iter().flatten().map(|part| part.0).sum()
    }

    /// What was measured of two things together.
    pub fn of_both(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        match (one, other) {
            (Some(one), Some(other)) => Some(one.and(other)),
            (one, other) => one.or(other),
        }
    }

    /// What is left without a part of it.
    pub fn without(self, part: Self) -> Self {
        let less = |all: Option<Num>, part: Option<Num>| {
            all.map(|all| Num((all.0 - part.map_or(0.0, |part| part.0)).max(0.0)))
        };
        let idle = self.idle.zip(part.idle).map(|(all, part)| Num((all.0 - part.0).max(0.0)));
        Self { cpu: less(self.cpu, part.cpu), gpu: less(self.gpu, part.gpu), idle }
    }

    /// The mean, if this is the sum over so many.
    pub fn per(self, count: u32) -> Self {
        let mean = |sum: Option<Num>| sum.map(|sum| Num(sum.0 / f64::from(count)));
        Self { cpu: mean(self.cpu), gpu: mean(self.gpu), idle: mean(self.idle) }
    }

    /// A sum knows its idle part only if both do.
    fn and(self, more: Self) -> Self {
        let sum = |a: Option<Num>, b: Option<Num>| match (a, b) {
            (Some(a), Some(b)) => Some(Num(a.0 + b.0)),
            (one, other) => one.or(other),
        };
        let idle = self.idle.zip(more.idle).map(|(a, b)| Num(a.0 + b.0));
        Self { cpu: sum(self.cpu, more.cpu), gpu: sum(self.gpu, more.gpu), idle }
    }
}

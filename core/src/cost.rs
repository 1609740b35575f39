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
    /// The most memory the trainer's process has had up to here, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_memory: Option<u64>,
    /// The most memory that the trial has had on its accelerator up to here, bytes. Measured by the agent. The one
    /// figure of these that is decided from: how many trials share a device.
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

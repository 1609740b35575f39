//! What the coordinator answers, as `sweepctl` prints it: plain values, ids as text. Where they come
//! from is `client`'s, how they look is `command`'s.

pub(crate) mod access;
pub(crate) mod machines;
pub(crate) mod report;
pub(crate) mod sharing;
pub(crate) mod webhooks;

use std::collections::BTreeSet;

use serde::Serialize;
use sweep_core::cost::Energy;
use sweep_core::evaluation::Score;
use sweep_core::num::Num;

use crate::output;

use machines::{DeviceView, HoldView, OfferView};

/// The coordinator itself.
#[derive(Debug, Serialize)]
pub(crate) struct InfoView {
    /// Its release.
    pub(crate) build: String,
    /// Version of the protocol it speaks.
    pub(crate) protocol: u32,
    /// Where its journal is.
    pub(crate) data_dir: String,
    /// Sweeps in the journal.
    pub(crate) sweeps: u64,
    /// Agents it knows.
    pub(crate) agents: u64,
    /// Its clock, microseconds since 1970; 0 where it does not know us.
    #[serde(skip)]
    pub(crate) now: i64,
    /// Why nothing is decided; empty if it is.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) safe_mode: String,
}

/// A sweep in one line.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct SweepView {
    pub(crate) sweep: String,
    pub(crate) name: String,
    pub(crate) user: String,
    pub(crate) project: String,
    pub(crate) priority: u32,
    pub(crate) max_parallel: Option<u32>,
    pub(crate) status: String,
    #[serde(serialize_with = "time")]
    pub(crate) submitted: i64,
    #[serde(serialize_with = "time")]
    pub(crate) ended: i64,
    pub(crate) trials: u64,
    pub(crate) waiting: u64,
    pub(crate) running: u64,
    pub(crate) backoff: u64,
    pub(crate) completed: u64,
    pub(crate) failed: u64,
    pub(crate) cancelled: u64,
    pub(crate) paused: u64,
    pub(crate) stopped: u64,
    /// Completed trials whose results are those of earlier sweeps.
    pub(crate) reused: u64,
    /// Of a probe: the most steps that its trials do of an epoch.
    pub(crate) probe_steps: Option<u32>,
    pub(crate) best_accuracy: Option<Num>,
    pub(crate) best_trial: Option<String>,
    pub(crate) eta_seconds: Option<f64>,
}

impl SweepView {
    /// The best accuracy, for people; that of a probe means nothing.
    pub(crate) fn result(&self) -> Option<Num> {
        self.best_accuracy.filter(|_| self.probe_steps.is_none())
    }

    /// Nothing more will happen by itself.
    pub(crate) fn is_stuck(&self) -> bool {
        self.status == "suspended" && self.running == 0
    }

    /// Whether every trial has ended.
    pub(crate) fn is_over(&self) -> bool {
        self.done() == self.trials
    }

    /// Trials that are over.
    pub(crate) fn done(&self) -> u64 {
        self.completed + self.failed + self.cancelled + self.stopped
    }

    /// Trials that are neither over nor running.
    pub(crate) fn queued(&self) -> u64 {
        self.waiting + self.backoff + self.paused
    }
}

/// The numbers of one epoch.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct EpochView {
    pub(crate) epoch: u32,
    pub(crate) train_loss: Num,
    pub(crate) train_accuracy: Num,
    pub(crate) val_loss: Num,
    pub(crate) val_accuracy: Num,
    pub(crate) lr: Num,
    pub(crate) images_per_s: Num,
    pub(crate) seconds: Num,
    pub(crate) train_top5: Option<Num>,
    pub(crate) val_top5: Option<Num>,
    pub(crate) step_ms: Option<Num>,
    pub(crate) data_wait: Option<Num>,
    pub(crate) peak_memory: Option<u64>,
    pub(crate) energy: Option<Energy>,
    pub(crate) numerics: Option<String>,
}

/// A checkpoint in the blob store.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct CheckpointView {
    pub(crate) epoch: u32,
    pub(crate) sha256: String,
    pub(crate) bytes: u64,
}

/// Why a trial failed.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct FailureView {
    pub(crate) class: String,
    pub(crate) reason: String,
    pub(crate) message: String,
}

/// A trial.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct TrialView {
    pub(crate) trial: String,
    pub(crate) index: u64,
    /// One per path of the sweep.
    pub(crate) labels: Vec<String>,
    pub(crate) seed: u64,
    pub(crate) phase: String,
    pub(crate) attempt: u32,
    pub(crate) epoch: u32,
    pub(crate) epochs: u32,
    pub(crate) last: Option<EpochView>,
    pub(crate) best: Option<EpochView>,
    pub(crate) host: Option<String>,
    pub(crate) slot: Option<u32>,
    pub(crate) failure: Option<FailureView>,
    pub(crate) best_checkpoint: Option<CheckpointView>,
    pub(crate) last_checkpoint: Option<CheckpointView>,
    pub(crate) weights: Option<String>,
    pub(crate) seconds: f64,
    pub(crate) early: bool,
    /// What early stopping says about it.
    pub(crate) why: Option<String>,
    pub(crate) test: Option<Score>,
    /// There is a test result, which was not asked for.
    pub(crate) test_kept_back: bool,
    /// The trial of an earlier sweep whose result it has.
    pub(crate) origin: Option<OriginView>,
}

/// A sweep with a page of its trials.
#[derive(Debug, Serialize)]
pub(crate) struct PageView {
    pub(crate) summary: SweepView,
    pub(crate) paths: Vec<String>,
    pub(crate) notes: Vec<String>,
    pub(crate) datasets: Vec<BoundView>,
    /// Why agents get none of the waiting trials now.
    pub(crate) waits: Vec<String>,
    pub(crate) matching: u64,
    pub(crate) trials: Vec<TrialView>,
}

/// The copy of a data set that a sweep trains on.
#[derive(Debug, Serialize)]
pub(crate) struct BoundView {
    pub(crate) name: String,
    /// Nothing until the first trial has started.
    pub(crate) fingerprint: Option<String>,
}

/// A data set of an agent.
#[derive(Debug, Serialize)]
pub(crate) struct DatasetView {
    pub(crate) name: String,
    pub(crate) path: Option<String>,
    pub(crate) layout: Option<String>,
    pub(crate) classes: u32,
    pub(crate) train_images: u64,
    pub(crate) val_images: u64,
    pub(crate) fingerprint: Option<String>,
    pub(crate) problem: Option<String>,
}

/// A trial with its curve.
#[derive(Debug, Serialize)]
pub(crate) struct TrialPageView {
    pub(crate) sweep: String,
    pub(crate) sweep_name: String,
    pub(crate) paths: Vec<String>,
    pub(crate) recipe: serde_json::Value,
    pub(crate) dataset: Option<BoundView>,
    pub(crate) trial: TrialView,
    pub(crate) curve: Vec<EpochView>,
}

/// A trial that was trained in place of another one.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct OriginView {
    pub(crate) trial: String,
    /// The name of its sweep.
    pub(crate) sweep: String,
}

/// Identical trials of an earlier sweep.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ReusableView {
    pub(crate) sweep: String,
    pub(crate) trials: u64,
}

/// What became of a submission.
#[derive(Debug, Serialize)]
pub(crate) struct SubmittedView {
    pub(crate) sweep: String,
    pub(crate) name: String,
    pub(crate) existing: bool,
    pub(crate) trials: u64,
    /// Results that were taken, and those that could have been.
    pub(crate) reused: u64,
    pub(crate) reusable: Vec<ReusableView>,
}

/// What became of a cancellation or a retry.
#[derive(Debug, Serialize)]
pub(crate) struct ChangedView {
    pub(crate) name: String,
    pub(crate) trials: u64,
}

/// What an extension adds.
#[derive(Debug, Serialize)]
pub(crate) struct ExtendedView {
    pub(crate) name: String,
    pub(crate) trials: u64,
    pub(crate) points: u32,
    pub(crate) seeds: u32,
    pub(crate) dry_run: bool,
    /// New trials that go on from the last checkpoint of one with fewer epochs.
    pub(crate) goes_on: u64,
    /// Those that begin at the beginning because their rate follows the number of epochs.
    pub(crate) follows_length: u64,
    /// Because the shorter one did not come to its last epoch, or its checkpoint is gone.
    pub(crate) unfinished: u64,
    /// Because there is none that is like it but for its epochs.
    pub(crate) no_shorter: u64,
    /// Results that were taken, and those that could have been.
    pub(crate) reused: u64,
    pub(crate) reusable: Vec<ReusableView>,
}

/// An agent.
#[derive(Debug, Serialize)]
pub(crate) struct AgentView {
    pub(crate) agent: String,
    pub(crate) host: String,
    pub(crate) status: String,
    #[serde(serialize_with = "time")]
    pub(crate) last_seen: i64,
    pub(crate) slots: Vec<SlotView>,
    pub(crate) datasets: Vec<String>,
    /// The same with everything that is known of them.
    pub(crate) data: Vec<DatasetView>,
    /// Why it gets no trials of some sweeps.
    pub(crate) notes: Vec<String>,
    pub(crate) offer: OfferView,
    pub(crate) devices: Vec<DeviceView>,
    /// What keeps trials from it, now or later.
    pub(crate) holds: Vec<HoldView>,
}

/// A slot of an agent.
#[derive(Debug, Serialize)]
pub(crate) struct SlotView {
    pub(crate) what: String,
    pub(crate) trial: Option<String>,
    pub(crate) attempt: Option<u32>,
    pub(crate) sweep: Option<String>,
    #[serde(serialize_with = "time")]
    pub(crate) since: i64,
    /// The stable word for why it gets no trials, if it gets none.
    pub(crate) closed: Option<String>,
    /// The same for people.
    pub(crate) why: Option<String>,
    /// When that ends by itself, where it can be said.
    #[serde(serialize_with = "moment")]
    pub(crate) until: Option<i64>,
    /// Thousandths of the device that its trial was given.
    pub(crate) share: Option<u32>,
}

impl SlotView {
    /// What is on it: the trial, or why there is none. Whose trial it is may not be ours to know.
    pub(crate) fn words(&self) -> &str {
        match self.trial.as_deref() {
            Some(id) if id.bytes().all(|digit| matches!(digit, b'0' | b'-')) => "busy",
            Some(id) => short(id),
            None => self.why.as_deref().unwrap_or("free"),
        }
    }
}

/// What people see of an id: its first eight digits.
pub(crate) fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

/// The same of ids that are shown beside each other: more digits where eight do not tell all of them apart.
pub(crate) fn shorts(ids: &[&str]) -> Vec<String> {
    let apart = |digits: &usize| {
        let shown: BTreeSet<_> = ids.iter().map(|id| id.get(..*digits)).collect();
        shown.len() == ids.len()
    };
    let digits = (8..36).find(apart).unwrap_or(36);
    ids.iter().map(|id| id.get(..digits).unwrap_or(id).to_owned()).collect()
}

fn moment<S: serde::Serializer>(time: &Option<i64>, serializer: S) -> Result<S::Ok, S::Error> {
    time.and_then(output::stamp).serialize(serializer)
}

/// Microseconds since 1970 as RFC 3339; 0 as null.
fn time<S: serde::Serializer>(time: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    output::stamp(*time).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first digits of an id are the time it was made, and hosts are set up together.
    #[test]
    fn ids_beside_each_other_are_told_apart() {
        let (one, two, other) = ("019a5c0d7e01", "019a5c0d7f44", "119a5c0d0000");
        assert_eq!(shorts(&[one, other]), ["019a5c0d", "119a5c0d"]);
        assert_eq!(shorts(&[one, two, other]), ["019a5c0d7e", "019a5c0d7f", "119a5c0d00"]);
        assert_eq!(shorts(&[]), [""; 0]);
    }
}

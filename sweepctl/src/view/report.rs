//! `sweep-core`'s report and audit as they come over the wire: JSON read back into values. Unknown
//! fields are passed over, so that a newer coordinator can say more.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use sweep_core::cost::Energy;
use sweep_core::num::Num;

/// What came out of a sweep.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct ReportView {
    #[serde(deserialize_with = "id")]
    pub(crate) sweep: String,
    pub(crate) name: String,
    pub(crate) status: String,
    pub(crate) metric: String,
    pub(crate) points: Vec<PointView>,
    pub(crate) best: Option<BestView>,
    pub(crate) trials: u64,
    pub(crate) completed: u64,
    pub(crate) failures: Vec<FailedView>,
    #[serde(default)]
    pub(crate) numerics: BTreeMap<String, u32>,
    #[serde(default)]
    pub(crate) stopping: Option<super::stopping::StopView>,
    pub(crate) cost: CostView,
}

/// One point over its seeds.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct PointView {
    pub(crate) rank: Option<u32>,
    pub(crate) point: u32,
    pub(crate) baseline: bool,
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) seeds: u32,
    pub(crate) accuracy: SpreadView,
    pub(crate) loss: SpreadView,
    #[serde(default)]
    pub(crate) test: SpreadView,
    #[serde(default)]
    pub(crate) cost: PointCostView,
    pub(crate) trials: Vec<PointTrialView>,
}

/// Mean and spread.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(crate) struct SpreadView {
    pub(crate) n: u32,
    pub(crate) mean: Option<Num>,
    pub(crate) std: Option<Num>,
    pub(crate) min: Option<Num>,
    pub(crate) max: Option<Num>,
}

/// One trial of a point.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct PointTrialView {
    #[serde(deserialize_with = "id")]
    pub(crate) trial: String,
    pub(crate) seed: u64,
    pub(crate) phase: String,
    pub(crate) best: Option<ResultView>,
    pub(crate) epochs: u32,
    pub(crate) weights: Option<String>,
    #[serde(default)]
    pub(crate) test: Option<serde_json::Value>,
}

/// The epoch that counts.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct ResultView {
    pub(crate) epoch: u32,
    pub(crate) val_accuracy: Num,
    pub(crate) val_loss: Num,
    pub(crate) train_accuracy: Num,
    pub(crate) train_loss: Num,
}

/// The best trial.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct BestView {
    #[serde(deserialize_with = "id")]
    pub(crate) trial: String,
    pub(crate) point: u32,
    pub(crate) seed: u64,
    pub(crate) epoch: ResultView,
    pub(crate) checkpoint: Option<StoredView>,
}

/// A checkpoint in the blob store.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct StoredView {
    pub(crate) epoch: u32,
    pub(crate) sha256: String,
    pub(crate) bytes: u64,
}

/// A trial without a result.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct FailedView {
    #[serde(deserialize_with = "id")]
    pub(crate) trial: String,
    pub(crate) point: u32,
    pub(crate) seed: u64,
    pub(crate) class: String,
    pub(crate) reason: String,
    pub(crate) message: String,
}

/// Time spent.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct CostView {
    pub(crate) slot_seconds: f64,
    pub(crate) attempts: u64,
    #[serde(default)]
    pub(crate) energy: Option<Energy>,
    #[serde(default)]
    pub(crate) energy_trials: u32,
    pub(crate) wall_seconds: Option<f64>,
}

/// What one point took.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(crate) struct PointCostView {
    pub(crate) slot_seconds: f64,
    pub(crate) energy: Option<Energy>,
    pub(crate) peak_memory: Option<u64>,
}

/// The verdict of the journal's audit.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct AuditView {
    pub(crate) events: u64,
    pub(crate) planned: u64,
    pub(crate) completed: u64,
    pub(crate) failed: u64,
    pub(crate) cancelled: u64,
    #[serde(default)]
    pub(crate) stopped: u64,
    #[serde(default)]
    pub(crate) stopped_by: Vec<String>,
    pub(crate) open: u64,
    pub(crate) attempts: u64,
    pub(crate) epochs: u64,
    pub(crate) checkpoints: u64,
    pub(crate) violations: Vec<ViolationView>,
}

/// A broken rule.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct ViolationView {
    pub(crate) event: u64,
    pub(crate) rule: String,
    pub(crate) what: String,
}

/// Ids are written without hyphens everywhere, so that one answer can be compared with another.
fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(uuid::Uuid::deserialize(deserializer)?.simple().to_string())
}

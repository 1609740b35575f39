//! `sweep-core`'s audit as it comes over the wire: JSON read back into values. Unknown fields are passed over, so
//! that a newer coordinator can say more. The report is read into core's own types.

use serde::{Deserialize, Serialize};

/// The verdict of the journal's audit.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct AuditView {
    pub(crate) events: u64,
    pub(crate) planned: u64,
    pub(crate) completed: u64,
    pub(crate) failed: u64,
    pub(crate) cancelled: u64,
    #[serde(default)]
    pub(crate) reused: u64,
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

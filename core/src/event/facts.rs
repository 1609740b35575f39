//! What an agent says about itself and its data when it calls.

use serde::{Deserialize, Serialize};

use crate::device::Offer;
use crate::id::AgentId;

/// What an agent says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentFacts {
    /// Its lasting id.
    pub agent: AgentId,
    /// Host name.
    pub host: String,
    /// Changes with every start of the agent process.
    pub incarnation: u64,
    /// One entry per slot: what it is, e.g. `cpu (1 thread)` or `NVIDIA H200`.
    pub slots: Vec<String>,
    /// Data sets found under its roots.
    #[serde(default)]
    pub datasets: Vec<DatasetFacts>,
    /// Its data roots; a data set given as a path must lie in one of them.
    #[serde(default)]
    pub data_roots: Vec<String>,
    /// Runs any recipe without data: a pretend agent of a benchmark or a simulation.
    #[serde(default)]
    pub any_dataset: bool,
    /// What the host offers beside its slots.
    #[serde(default, skip_serializing_if = "Offer::is_empty")]
    pub offer: Offer,
}

/// One data set of an agent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetFacts {
    /// The folder's name: what a sweep file calls it.
    pub name: String,
    /// Number of classes.
    pub classes: u32,
    /// Images to train on (before a validation split, if there is no validation folder).
    pub train_images: u64,
    /// Images to validate on; 0 when they are split off.
    pub val_images: u64,
    /// Why it cannot be used, e.g. `dataset_empty: train/cat has no images`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// How it lies on disk, e.g. `folder`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layout: Option<String>,
    /// Its folder on the agent's host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Tells this copy from others: equal for equal files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
}

//! Hosts and their devices.

use std::collections::BTreeMap;

use serde::Serialize;

/// What a host offers beside its slots.
#[derive(Debug, Default, Serialize)]
pub(crate) struct OfferView {
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) cores: Option<u32>,
    /// Bytes.
    pub(crate) memory: Option<u64>,
}

/// An accelerator, as it was seen last. What it does not tell is absent.
#[derive(Debug, Serialize)]
pub(crate) struct DeviceView {
    pub(crate) id: String,
    pub(crate) model: String,
    pub(crate) slots: Vec<u32>,
    /// Its slots are given out by what trials need of it.
    pub(crate) packed: bool,
    /// Thousandths that trials were given.
    pub(crate) given: u32,
    /// Bytes.
    pub(crate) memory: Option<u64>,
    /// Bytes.
    pub(crate) used: Option<u64>,
    /// Per cent.
    pub(crate) utilisation: Option<u32>,
    pub(crate) watts: Option<f64>,
    pub(crate) celsius: Option<i32>,
    pub(crate) ecc_errors: Option<u64>,
    pub(crate) mig: Option<bool>,
    pub(crate) fault: Option<String>,
    pub(crate) processes: Vec<ProcessView>,
}

/// What keeps trials from a host or a slot, now or later.
#[derive(Debug, Serialize)]
pub(crate) struct HoldView {
    /// Absent: all slots.
    pub(crate) slot: Option<u32>,
    pub(crate) kind: String,
    pub(crate) user: String,
    pub(crate) reason: String,
    #[serde(serialize_with = "super::moment")]
    pub(crate) from: Option<i64>,
    #[serde(serialize_with = "super::moment")]
    pub(crate) until: Option<i64>,
}

/// A process on an accelerator.
#[derive(Debug, Serialize)]
pub(crate) struct ProcessView {
    pub(crate) pid: u32,
    pub(crate) user: String,
    pub(crate) command: String,
    /// Bytes.
    pub(crate) memory: u64,
    /// A trainer of a sweep.
    pub(crate) ours: bool,
}

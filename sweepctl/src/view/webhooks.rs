//! Who is told of what, and whether it arrives.

use serde::{Serialize, Serializer};

use crate::output;

/// A receiver, without its address.
#[derive(Debug, Serialize)]
pub(crate) struct ReceiverView {
    /// Which `[[notify]]` of the file, from 1.
    pub(crate) number: u32,
    /// As in the coordinator's log.
    pub(crate) hash: String,
    pub(crate) domain: String,
}

/// How a receiver stands.
#[derive(Debug, Serialize)]
pub(crate) struct WebhookView {
    #[serde(flatten)]
    pub(crate) webhook: ReceiverView,
    pub(crate) on: Vec<String>,
    pub(crate) waiting: u64,
    #[serde(serialize_with = "time")]
    pub(crate) oldest: Option<i64>,
    #[serde(serialize_with = "time")]
    pub(crate) taken: Option<i64>,
    #[serde(serialize_with = "time")]
    pub(crate) failed: Option<i64>,
    pub(crate) error: Option<String>,
    /// How often in a row.
    pub(crate) failures: u32,
}

/// What a receiver made of a test.
#[derive(Debug, Serialize)]
pub(crate) struct WebhookTestView {
    #[serde(flatten)]
    pub(crate) webhook: ReceiverView,
    /// Absent: it was taken.
    pub(crate) error: Option<String>,
    pub(crate) ms: u64,
}

/// Microseconds since 1970 as RFC 3339.
fn time<S: Serializer>(time: &Option<i64>, serializer: S) -> Result<S::Ok, S::Error> {
    time.and_then(output::stamp).serialize(serializer)
}

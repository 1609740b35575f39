//! What waits, and who gets how much.

use serde::{Serialize, Serializer};

use crate::output;

/// What waits.
#[derive(Debug, Serialize)]
pub(crate) struct QueueView {
    /// Those that could start come first, in their order.
    pub(crate) waiting: Vec<WaitingView>,
    /// Slots without a trial, of agents that answer.
    pub(crate) free_slots: u64,
    /// Sweeps that wait, of projects that the caller does not see.
    pub(crate) hidden_sweeps: u64,
    /// Their waiting trials.
    pub(crate) hidden_trials: u64,
}

/// A sweep that waits.
#[derive(Debug, Serialize)]
pub(crate) struct WaitingView {
    pub(crate) sweep: String,
    pub(crate) name: String,
    pub(crate) user: String,
    pub(crate) project: String,
    pub(crate) priority: u32,
    pub(crate) waiting: u64,
    pub(crate) backoff: u64,
    pub(crate) running: u64,
    pub(crate) reason: String,
    pub(crate) why: String,
    #[serde(serialize_with = "time")]
    pub(crate) starts: Option<i64>,
    /// What that is reckoned by, in a stable word; empty where nothing has to be reckoned.
    pub(crate) starts_by: String,
    /// Sweeps whose next trial is started first, everybody's.
    pub(crate) before_sweeps: u32,
    /// Their waiting trials.
    pub(crate) before_trials: u64,
}

/// What decides how much a sweep gets, as it is now.
#[derive(Debug, Serialize)]
pub(crate) struct SweepSetView {
    pub(crate) name: String,
    pub(crate) priority: u32,
    pub(crate) max_parallel: Option<u32>,
    /// It was something else before.
    pub(crate) changed: bool,
    pub(crate) running: u64,
}

/// Whose share a sweep counts on, as it is now.
#[derive(Debug, Serialize)]
pub(crate) struct SweepMovedView {
    pub(crate) name: String,
    pub(crate) project: String,
    /// It was in another one before.
    pub(crate) moved: bool,
    pub(crate) running: u64,
}

/// Who gets how much.
#[derive(Debug, Serialize)]
pub(crate) struct SharesView {
    pub(crate) projects: Vec<ShareView>,
    pub(crate) users: Vec<ShareView>,
    pub(crate) hosts: Vec<HostView>,
    pub(crate) lab: LabView,
    pub(crate) reservations: Vec<ReservationView>,
}

/// Slots promised to a project for a time.
#[derive(Debug, Serialize)]
pub(crate) struct ReservationView {
    pub(crate) name: String,
    pub(crate) project: String,
    pub(crate) slots: u32,
    #[serde(serialize_with = "time")]
    pub(crate) from: Option<i64>,
    #[serde(serialize_with = "time")]
    pub(crate) until: Option<i64>,
    pub(crate) reason: String,
}

/// A project or a user.
#[derive(Debug, Serialize)]
pub(crate) struct ShareView {
    pub(crate) name: String,
    #[serde(flatten)]
    pub(crate) entitlement: EntitlementView,
    pub(crate) running: u64,
    pub(crate) device_hours_used: f64,
    /// Bytes of checkpoints; of projects.
    pub(crate) stored: u64,
    /// Trials that are not over; of users.
    pub(crate) open_trials: u64,
    /// How many there may be; of users.
    pub(crate) most_open_trials: u64,
}

/// What somebody may have.
#[derive(Debug, Serialize)]
pub(crate) struct EntitlementView {
    /// In thousandths; written as people do.
    #[serde(serialize_with = "share")]
    pub(crate) share: u32,
    pub(crate) slots: Option<u32>,
    pub(crate) device_hours: Option<u32>,
    /// Bytes.
    pub(crate) storage: Option<u64>,
    /// Trials that are not over, where that was set; of users.
    pub(crate) open_trials_set: Option<u32>,
}

/// A host with slots that nobody has to give up.
#[derive(Debug, Serialize)]
pub(crate) struct HostView {
    pub(crate) host: String,
    pub(crate) protected: u32,
}

/// What holds for all.
#[derive(Debug, Serialize)]
pub(crate) struct LabView {
    pub(crate) half_life_seconds: f64,
    /// Nothing: nobody ever has to give way.
    pub(crate) preempt_after_seconds: Option<f64>,
}

/// A setting as it is now.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SettingView {
    /// Of a project.
    Project {
        name: String,
        #[serde(flatten)]
        entitlement: EntitlementView,
    },
    /// Of a user.
    User {
        name: String,
        #[serde(flatten)]
        entitlement: EntitlementView,
    },
    /// Of a host.
    Host(HostView),
    /// Of all.
    Lab(LabView),
    /// A promise.
    Reserved(ReservationView),
    /// A promise that is no more.
    Released { name: String },
}

fn time<S: Serializer>(time: &Option<i64>, serializer: S) -> Result<S::Ok, S::Error> {
    time.and_then(output::stamp).serialize(serializer)
}

fn share<S: Serializer>(share: &u32, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(f64::from(*share) / 1e3)
}

//! Devices that a project is promised for a time, e.g. for the week before a deadline. While it lasts and the project has
//! work, it comes before all others until it has what it was promised, whatever it used before; others give way
//! to it, and it need not give way below it. What it does not use, others may.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::command::Reject;
use crate::shares::{DEVICE, MAX_QUOTA, check_project, within};
use crate::time::{Span, Timestamp};

/// Longest reservation.
const MAX_LENGTH: Span = Span::hours(365 * 24);
/// Longest reason, bytes.
const MAX_REASON: usize = 512;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reservation {
    /// Whose.
    pub project: String,
    /// How many slots at once.
    pub slots: u32,
    /// From this moment on.
    pub from: Timestamp,
    /// Until before this one.
    pub until: Timestamp,
    /// What for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

impl Reservation {
    /// Whether it holds now.
    pub fn is_on(&self, now: Timestamp) -> bool {
        self.from <= now && now < self.until
    }

    /// Refuses one that cannot be.
    ///
    /// # Errors
    /// With what is wrong, and what would be right.
    pub(crate) fn check(&self) -> Result<(), Reject> {
        check_project(&self.project)?;
        within("slots", self.slots, 1, MAX_QUOTA)?;
        let length = self.until - self.from;
        let wrong = |what, value: String, fix: &str| Err(Reject::SettingInvalid { what, value, fix: fix.to_owned() });
        if length <= Span(0) || length > MAX_LENGTH {
            let value = format!("{} s", length.0 / 1_000_000);
            return wrong("length of a reservation", value, "use more than nothing and at most 365 days");
        }
        if self.reason.len() > MAX_REASON || self.reason.chars().any(char::is_control) {
            let value = format!("{} bytes", self.reason.len());
            return wrong("reason", value, "use at most 512 bytes without control characters");
        }
        Ok(())
    }
}

/// What a project is promised now, thousandths of devices.
pub(crate) fn promised(all: &BTreeMap<String, Reservation>, project: &str, now: Timestamp) -> u64 {
    let own = all.values().filter(|reservation| reservation.project == project && reservation.is_on(now));
    own.map(|reservation| u64::from(reservation.slots) * DEVICE).sum()
}

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

/// Most slots that other reservations promise at once while a new one of this name holds.
pub fn others(all: &BTreeMap<String, Reservation>, name: &str, new: &Reservation) -> u64 {
    let beside = all.iter().filter(|(other, of)| *other != name && of.from < new.until && new.from < of.until);
    let beside: Vec<&Reservation> = beside.map(|(_, of)| of).collect();
    // There is most of it where one begins.
    let moments = beside.iter().map(|of| of.from.max(new.from));
    let at = |moment| beside.iter().filter(|of| of.is_on(moment)).map(|of| u64::from(of.slots)).sum();
    moments.map(at).max().unwrap_or(0)
}

/// What a project is promised now, thousandths of devices.
pub(crate) fn promised(all: &BTreeMap<String, Reservation>, project: &str, now: Timestamp) -> u64 {
    let own = all.values().filter(|reservation| reservation.project == project && reservation.is_on(now));
    own.map(|reservation| u64::from(reservation.slots) * DEVICE).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_count_as_many_as_hold_at_once() {
        let of = |slots, from, until| {
            let (project, reason) = ("p".to_owned(), String::new());
            Reservation { project, slots, from: Timestamp(from), until: Timestamp(until), reason }
        };
        let all = [("a", of(2, 0, 10)), ("b", of(3, 10, 20)), ("c", of(1, 15, 30)), ("d", of(9, 40, 50))];
        let all = all.into_iter().map(|(name, of)| (name.to_owned(), of)).collect();
        assert_eq!(others(&all, "new", &of(1, 0, 40)), 4, "b and c, after a");
        assert_eq!(others(&all, "new", &of(1, 5, 12)), 3);
        assert_eq!(others(&all, "new", &of(1, 30, 40)), 0, "an end is no part of it");
        assert_eq!(others(&all, "d", &of(1, 40, 50)), 0, "it takes the place of the one of its name");
    }
}

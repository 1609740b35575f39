//! What a host offers, what is seen on its devices, and why a slot of it is closed: the types. What is
//! kept of them is in `state::devices`, what follows in `decide::devices`.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::program;
use crate::time::{Span, Timestamp};

/// A device that others have used is free again after so long without them, unless its agent says otherwise.
pub const FREE_AFTER: Span = Span::seconds(60);
/// Device faults in a row, without a checkpoint or a result between them, until a slot is quarantined.
pub const FAULTS: u8 = 3;
/// Failures in a row for which a host cannot run anything ([`is_of_the_host`](crate::retry::is_of_the_host)), until it is left alone
/// for [`HOST_PAUSE`].
pub const HOST_FAULTS: u8 = 3;
/// A host that cannot run anything is tried again after so long: a disk that is full has room again some day.
pub const HOST_PAUSE: Span = Span::seconds(30);
/// Who sets a quarantine when nobody does.
pub const SYSTEM: &str = "system";
/// Longest reason of a hold, bytes.
pub const MAX_REASON: usize = 512;
/// Longest time that a slot can be given back for.
pub const MAX_YIELD: Span = Span::hours(30 * 24);

/// What a host offers beside its slots; part of what its agent says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    /// What people call it by, and what it is: `gpu`, `site`, ...
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Cores of its processors; 0 if it does not say.
    #[serde(default)]
    pub cores: u32,
    /// Memory of the host, bytes; 0 if it does not say.
    #[serde(default)]
    pub memory: u64,
    /// Its accelerators. A slot on none of them is on the processors.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<DeviceFacts>,
    /// The release of the trainer that it starts, with what computes in it; absent if it does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trainer: Option<String>,
}

impl Offer {
    /// Says nothing: an agent of an earlier release, or a pretend one.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The accelerator that a slot is on.
    pub fn device_of(&self, slot: u32) -> Option<&DeviceFacts> {
        self.devices.iter().find(|device| device.slots.contains(&slot))
    }
}

/// An accelerator of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceFacts {
    /// Its lasting id.
    pub id: String,
    /// What it is, e.g. `NVIDIA H200`.
    pub model: String,
    /// Its memory, bytes; 0 if it is not known.
    #[serde(default)]
    pub memory: u64,
    /// The slots on it.
    pub slots: Vec<u32>,
    /// Its slots are given out by what trials need of it ([`crate::packing`]); else each of them is a place for any.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub packed: bool,
}

/// What an agent saw. Only what follows from it is written down.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sighting {
    /// Its devices, in the order of [`Offer::devices`].
    pub devices: Vec<DeviceSeen>,
    /// Outside of the guest hours of the host; absent without guest hours or inside of them.
    pub closed: Option<Closed>,
    /// A device that others have used is free again after so long without them.
    pub free_after: Option<Span>,
}

/// A host outside of its guest hours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Closed {
    /// When it is open again, if it ever is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// An accelerator at some moment. What cannot be told is absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeviceSeen {
    /// Its lasting id.
    pub id: String,
    /// Memory in use, bytes.
    pub used: u64,
    /// How busy it was lately, per cent.
    pub utilisation: Option<u32>,
    /// Milliwatts.
    pub power: Option<u32>,
    /// Degrees Celsius.
    pub temperature: Option<i32>,
    /// Memory errors that could not be corrected, since the driver was loaded.
    pub ecc_errors: Option<u64>,
    /// It is divided into instances.
    pub mig: Option<bool>,
    /// Processes on it, ours first.
    pub processes: Vec<Process>,
    /// Why it must not be used, e.g. memory that nobody gives back.
    pub fault: Option<String>,
}

/// A process on a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Who it is.
    pub who: Occupant,
    /// One of the agent's trainers.
    pub ours: bool,
}

/// A process, as people know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Occupant {
    /// Its id on the host.
    pub pid: u32,
    /// Whose it is.
    pub user: String,
    /// Its program and its script, as [`crate::program`] has it; the shortened command line in journals of earlier releases.
    pub command: String,
    /// Its memory on the device, bytes.
    pub memory: u64,
}

impl Occupant {
    /// The same process with about the same memory: not worth a word. Memory grows as a program starts, so
    /// twice as much and half a gigabyte more is.
    pub(crate) fn is_still(&self, before: &Self) -> bool {
        let same = (self.pid, &self.user, &self.command) == (before.pid, &before.user, &before.command);
        same && self.memory < before.memory.saturating_mul(2).max(before.memory.saturating_add(500_000_000))
    }
}

impl fmt::Display for Occupant {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}, {}, {}", self.user, program::of_line(&self.command), gigabytes(self.memory))
    }
}

/// `9.2 GB`.
pub fn gigabytes(bytes: u64) -> String {
    // Tenths, rounded.
    let tenths = (bytes.saturating_add(50_000_000)) / 100_000_000;
    format!("{}.{} GB", tenths / 10, tenths % 10)
}

/// `40 GB`, `512 MB` or `1.5 TB` in bytes; a GB is 10^9 bytes, a GiB 2^30.
pub fn memory(text: &str) -> Option<u64> {
    let text = text.trim();
    let split = text.find(|letter: char| letter.is_ascii_alphabetic())?;
    let (number, unit) = (text[..split].trim(), &text[split..]);
    let unit: u64 = match unit.to_ascii_lowercase().as_str() {
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        _ => return None,
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || whole.len() > 7 || part.len() > 3 || !digits(whole) || !digits(part) {
        return None;
    }
    let thousandths: u64 = format!("{whole}{part:0<3}").parse().ok()?;
    thousandths.checked_mul(unit).map(|bytes| bytes / 1000)
}

/// What keeps trials from a slot, or a whole host, because somebody said so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// How.
    pub kind: HoldKind,
    /// Who.
    pub user: String,
    /// Why.
    pub reason: String,
    /// From then on, if not from the moment it was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// Until then, if not until it is lifted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

impl Hold {
    /// It has begun and is not over.
    pub fn is_on(&self, now: Timestamp) -> bool {
        self.from.is_none_or(|from| from <= now) && !self.is_over(now)
    }

    /// It ended by itself.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

/// How trials are kept from a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldKind {
    /// Nothing new; what runs there runs to its end.
    Cordon,
    /// Nothing new, and what runs there leaves.
    Drain,
    /// It is not trusted: nothing new.
    Quarantine,
    /// Given back to whoever the machine is for: as drained, for a time.
    Yield,
    /// Planned maintenance: as drained, for a time that was said before.
    Maintenance,
    /// The certificate of its agent was revoked; only of whole hosts, until the agent has joined again.
    Revoked,
}

impl HoldKind {
    /// The stable word for scripts.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Cordon => "cordoned",
            Self::Drain => "drained",
            Self::Quarantine => "quarantined",
            Self::Yield => "yielded",
            Self::Maintenance => "maintenance",
            Self::Revoked => "revoked",
        }
    }

    /// What runs there has to leave.
    pub fn evicts(self) -> bool {
        matches!(self, Self::Drain | Self::Yield | Self::Maintenance)
    }
}

/// Why a slot without a trial gets none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block<'a> {
    /// Somebody holds it.
    Held(&'a Hold),
    /// Its host is outside of its guest hours.
    Closed(Closed),
    /// Processes that are not ours are on its device.
    Busy(&'a [Occupant]),
}

impl Block<'_> {
    /// The stable word for scripts.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Held(hold) => hold.kind.reason(),
            Self::Closed(_) => "closed",
            Self::Busy(_) => "busy",
        }
    }

    /// What runs there has to leave.
    pub fn evicts(&self) -> bool {
        match self {
            Self::Held(hold) => hold.kind.evicts(),
            Self::Closed(_) => true,
            Self::Busy(_) => false,
        }
    }

    /// When it ends by itself, where that is known.
    pub fn until(&self) -> Option<Timestamp> {
        match self {
            Self::Held(hold) => hold.until,
            Self::Closed(closed) => closed.until,
            Self::Busy(_) => None,
        }
    }
}

impl fmt::Display for Block<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held(Hold { kind, user, reason, .. }) => {
                write!(out, "{} by {user}", kind.reason())?;
                if reason.is_empty() { Ok(()) } else { write!(out, ": {reason}") }
            }
            Self::Closed(_) => write!(out, "closed: outside of its guest hours"),
            Self::Busy([one]) => write!(out, "busy ({one})"),
            Self::Busy([first, more @ ..]) => write!(out, "busy ({first}, and {} more)", more.len()),
            Self::Busy([]) => write!(out, "busy"),
        }
    }
}

/// A wish about a slot or a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HoldChange {
    /// Keep trials from it.
    Set {
        /// How.
        kind: HoldKind,
        /// Why.
        reason: String,
        /// For so long; without it until it is lifted.
        span: Option<Span>,
        /// From then on; without it from now on. Only of maintenance.
        from: Option<Timestamp>,
    },
    /// Lift everything that is held there.
    Lift,
    /// Maintenance that was planned is off, or over.
    CallOff {
        /// Only what begins then; without it all of it.
        from: Option<Timestamp>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_says_who_and_why() {
        let alice = Occupant { pid: 7, user: "alice".into(), command: "python train.py".into(), memory: 9_180_000_000 };
        let one = [alice.clone()];
        assert_eq!(Block::Busy(&one).to_string(), "busy (alice, python train.py, 9.2 GB)");
        let line = Occupant { command: "/usr/bin/python train.py --key hunter2".into(), ..alice.clone() };
        assert_eq!(line.to_string(), alice.to_string(), "a journal of an earlier release has the whole line");
        let two = [alice.clone(), alice.clone()];
        assert_eq!(Block::Busy(&two).to_string(), "busy (alice, python train.py, 9.2 GB, and 1 more)");
        let hold = |reason: &str| Hold {
            kind: HoldKind::Drain,
            user: "ann".into(),
            reason: reason.into(),
            from: None,
            until: None,
        };
        assert_eq!(Block::Held(&hold("new driver")).to_string(), "drained by ann: new driver");
        assert_eq!(Block::Held(&hold("")).to_string(), "drained by ann");
        assert!(Block::Closed(Closed::default()).evicts() && !Block::Busy(&one).evicts());
        assert!(Occupant { memory: 9_300_000_000, ..alice.clone() }.is_still(&alice));
        assert!(!Occupant { memory: 19_000_000_000, ..alice.clone() }.is_still(&alice));
        let read = ["40 GB", "9.2GB", "512 MiB", "1.5 TB"].map(|text| memory(text).unwrap());
        assert_eq!(read, [40_000_000_000, 9_200_000_000, 512 << 20, 1_500_000_000_000]);
        assert!(["40", "x GB", "4 G", "-1 GB", "1.2345 GB", ".5 GB", ""].iter().all(|text| memory(text).is_none()));
        assert!(!Occupant { pid: 8, ..alice.clone() }.is_still(&alice));
    }
}

//! Why a sweep waits, in stable words for scripts and in plain ones for people.

use std::fmt;

use crate::device::gigabytes;
use crate::schedule::Closed;
use crate::shares::DEVICE;

/// So many closed slots are named.
const SHOWN: usize = 3;

/// What comes before a sweep, everybody's, whoever asks: numbers name nobody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Before {
    /// Sweeps whose next trial is started first.
    pub sweeps: u32,
    /// Their trials that could start. Not all of them have to be first: use is counted as they start.
    pub trials: u64,
}

/// Why a sweep waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// Every slot that could run it is taken.
    NoFreeSlot {
        /// What comes before it.
        before: Before,
        /// Slots that could run it, but are closed, and why.
        closed: Vec<String>,
        /// Slots are free, but too little memory or too few cores of their hosts.
        short: bool,
        /// Where trials share GPUs: thousandths of one that its next trial needs.
        part: Option<u32>,
    },
    /// Slots are free, but its trials start on this host only until the first of them has chosen what all of them compute with.
    Choosing(String),
    /// Every slot that could run it is closed; why.
    Closed(Vec<String>),
    /// As many of its trials run as it allows.
    MaxParallel(u32),
    /// A quota of slots is reached.
    Slots {
        /// `user ann` or `project vision`.
        of: String,
        /// Thousandths of slots in use.
        used: u64,
        /// Slots there may be.
        most: u32,
    },
    /// A quota of device-hours is used up.
    Hours {
        /// `user ann` or `project vision`.
        of: String,
        /// Device-hours in any seven days.
        most: u32,
    },
    /// Its trials failed one after the other; what was seen.
    Suspended(String),
    /// A quota of checkpoints in the store is reached.
    Storage {
        /// `project vision`.
        of: String,
        /// Bytes in the store.
        used: u64,
        /// Megabytes there may be.
        most: u32,
    },
    /// Its trials have failed and wait for the next try.
    Backoff,
    /// So many of its trials wait at a rung, until it is known which are worth going on with.
    AtRung(u32),
    /// No host ever called, or none that was not revoked.
    NoHost,
    /// No host has the data set.
    NoData(String),
    /// Hosts have the data set, but another copy than the one that the sweep trains on.
    OtherCopy(String),
    /// The hosts that have the data set have nothing of what the sweep asks for.
    NoPlace(String),
    /// The hosts that have the data set do not answer.
    Unreachable(String),
}

impl Why {
    /// The stable word for scripts.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NoFreeSlot { .. } => "no_free_slot",
            Self::Choosing(_) => "choosing",
            Self::Closed(_) => "closed",
            Self::MaxParallel(_) => "max_parallel",
            Self::Slots { .. } => "quota_slots",
            Self::Hours { .. } => "quota_hours",
            Self::Suspended(_) => "suspended",
            Self::Storage { .. } => "quota_storage",
            Self::Backoff => "backoff",
            Self::AtRung(_) => "at_rung",
            Self::NoHost => "no_host",
            Self::NoData(_) => "no_data",
            Self::OtherCopy(_) => "other_copy",
            Self::NoPlace(_) => "no_place",
            Self::Unreachable(_) => "unreachable",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFreeSlot { before, closed, short, part } => {
                match (before.sweeps, before.trials) {
                    (0, _) => write!(out, "no free slot; it is next")?,
                    (1, 1) => write!(out, "no free slot; 1 sweep with 1 waiting trial comes before")?,
                    (1, trials) => write!(out, "no free slot; 1 sweep with {trials} waiting trials comes before")?,
                    (sweeps, trials) => {
                        write!(out, "no free slot; {sweeps} sweeps with {trials} waiting trials come before")?;
                    }
                }
                if *short {
                    write!(
                        out,
                        "; hosts with free slots have too little memory or too few cores left beside what runs there"
                    )?;
                }
                match part {
                    Some(part) if u64::from(*part) < DEVICE => write!(out, "; needs 0.{part:03} of a GPU")?,
                    Some(_) => write!(out, "; needs a whole GPU")?,
                    None => {}
                }
                if closed.is_empty() { Ok(()) } else { write!(out, "; {}", some(closed)) }
            }
            Self::Choosing(host) => write!(
                out,
                "free slots wait until its first trial, on {host}, has chosen the precision and layout for all of them"
            ),
            Self::Closed(closed) => write!(out, "every slot that could run it is closed: {}", some(closed)),
            Self::MaxParallel(most) => write!(out, "max_parallel {most} reached"),
            Self::Slots { of, used, most } => {
                // As few digits as say it.
                let used = *used as f64 / DEVICE as f64;
                write!(out, "quota of {of} reached: {used} of {most} slots")
            }
            Self::Storage { of, used, most } => {
                let (used, most) = (gigabytes(*used), gigabytes(u64::from(*most) * Closed::MEGABYTE));
                write!(out, "quota of {of} reached: {used} of {most} of checkpoints")
            }
            Self::Hours { of, most } => write!(out, "quota of {of} used up: {most} device-hours in 7 days"),
            Self::Suspended(what) => write!(out, "suspended: {what}; mend it, then `sweepctl retry`"),
            Self::Backoff => write!(out, "waits for another try after a failure"),
            Self::AtRung(1) => write!(out, "1 trial waits at a rung until those that run have come as far"),
            Self::AtRung(many) => write!(out, "{many} trials wait at a rung until those that run have come as far"),
            Self::NoHost => write!(out, "no host has called yet"),
            Self::NoData(dataset) => write!(out, "no host has the data set {dataset}"),
            Self::OtherCopy(dataset) => {
                write!(out, "no host has the copy of the data set {dataset} that the sweep trains on")
            }
            Self::NoPlace(what) => write!(out, "{what}"),
            Self::Unreachable(dataset) => write!(out, "the hosts with the data set {dataset} do not answer"),
        }
    }
}

/// The first few.
fn some(closed: &[String]) -> String {
    let shown = closed[..closed.len().min(SHOWN)].join("; ");
    match closed.len() - closed.len().min(SHOWN) {
        0 => shown,
        more => format!("{shown}; and {more} more"),
    }
}

//! Typed identifiers: what is what on the wire, in the journal and in file names.
//! Ids are derived (uuid v5) or handed in; this file never makes randomness.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Name space of every id this system derives (a fixed random uuid).
const NAMESPACE: Uuid = Uuid::from_u128(0x6f1d_94a2_5d0e_4c7b_9a3e_71c0_28b5_e4d7);

/// A uuid that knows what it names, so that a trial's id is never taken for a sweep's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Id<Kind>(pub Uuid, #[serde(skip)] PhantomData<Kind>);

/// Marks ids of sweeps.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SweepKind {}
/// Marks ids of trials.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TrialKind {}
/// Marks ids of agents.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AgentKind {}

/// One submitted sweep. Derived from the spec and its run label, so the same file gives the same id.
pub type SweepId = Id<SweepKind>;
/// One point with one seed. Derived from the sweep and the point's canonical text.
pub type TrialId = Id<TrialKind>;
/// One agent installation on one host; kept by the agent in its state folder.
pub type AgentId = Id<AgentKind>;

impl<Kind> From<Uuid> for Id<Kind> {
    fn from(uuid: Uuid) -> Self {
        Self(uuid, PhantomData)
    }
}

impl<Kind> fmt::Display for Id<Kind> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.simple())
    }
}

impl<Kind> fmt::Debug for Id<Kind> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.simple())
    }
}

impl<Kind> FromStr for Id<Kind> {
    type Err = uuid::Error;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::parse_str(text).map(Self::from)
    }
}

impl<Kind> Id<Kind> {
    /// The first eight hex digits: what people see and type.
    pub fn short(&self) -> String {
        let mut text = self.to_string();
        text.truncate(8);
        text
    }
}

impl SweepId {
    /// The id of a spec: `canonical` is the spec in canonical form, `run` tells deliberate
    /// repetitions of the same spec apart (empty for the first).
    pub fn derive(canonical: &str, run: &str) -> Self {
        let scope = Uuid::new_v5(&NAMESPACE, b"sweep");
        Self::from(Uuid::new_v5(&scope, format!("{run}\n{canonical}").as_bytes()))
    }
}

impl TrialId {
    /// The id of one point x seed of a sweep; `point` is its canonical text, see [`crate::plan::Plan::point_text`].
    pub fn derive(sweep: SweepId, point: &str) -> Self {
        Self::from(Uuid::new_v5(&sweep.0, point.as_bytes()))
    }
}

/// How often a trial has been granted, counted from 1. Carried by everything about a running
/// trial, so that whatever comes late from an earlier attempt is recognised and refused.
pub type Attempt = u32;

/// The right to run one attempt of one trial.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lease {
    /// The trial.
    pub trial: TrialId,
    /// Which grant of it.
    pub attempt: Attempt,
}

impl fmt::Display for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.trial, self.attempt)
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is not `<trial>-<attempt>`.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a lease (expected <trial id>-<attempt>)")]
pub struct LeaseParseError(String);

impl FromStr for Lease {
    type Err = LeaseParseError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fail = || LeaseParseError(text.to_owned());
        let (trial, attempt) = text.rsplit_once('-').ok_or_else(fail)?;
        Ok(Self { trial: trial.parse().map_err(|_| fail())?, attempt: attempt.parse().map_err(|_| fail())? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_survives_being_a_folder_name() {
        let sweep = SweepId::derive("x", "");
        let lease = Lease { trial: TrialId::derive(sweep, "lr=0.1"), attempt: 3 };
        assert_eq!(lease.to_string().parse::<Lease>().unwrap(), lease);
        assert!("nonsense".parse::<Lease>().is_err());
    }

    #[test]
    fn ids_are_stable_between_releases() {
        assert_eq!(SweepId::derive("x", "").to_string(), "015ac00b20745b3399e3685928a3a014");
    }
}

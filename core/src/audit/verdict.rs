//! What an audit says.

use std::collections::BTreeSet;

use serde::Serialize;

/// The verdict on one sweep, or on a whole journal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Audit {
    /// Events read.
    pub events: u64,
    /// Trials planned: points x seeds.
    pub planned: u64,
    /// Trials that ran to a result exactly once.
    pub completed: u64,
    /// Trials that were not trained because an earlier sweep had the result of an identical one.
    pub reused: u64,
    /// Trials that failed for good.
    pub failed: u64,
    /// Trials ended by a user.
    pub cancelled: u64,
    /// Trials stopped early: their configurations were not worth going on with.
    pub stopped: u64,
    /// By which rules.
    pub stopped_by: BTreeSet<&'static str>,
    /// Trials that are not over yet.
    pub open: u64,
    /// Attempts granted.
    pub attempts: u64,
    /// Epoch reports accepted.
    pub epochs: u64,
    /// Checkpoints kept.
    pub checkpoints: u64,
    /// Everything that must never happen; empty for a legal history.
    pub violations: Vec<Violation>,
}

impl Audit {
    /// No rule was broken.
    pub fn is_legal(&self) -> bool {
        self.violations.is_empty()
    }

    /// Legal, over, and every trial ran to a result exactly once, here or in the sweep that its result was taken from, or was stopped early by
    /// the rule of its sweep.
    pub fn is_exactly_once(&self) -> bool {
        self.is_legal() && self.completed + self.reused + self.stopped == self.planned
    }
}

/// A broken rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Number of the event in the journal, from 1.
    pub event: u64,
    /// The rule, e.g. `lease_overlap`.
    pub rule: &'static str,
    /// What was seen.
    pub what: String,
}

//! Calls that were on their way for long: what an agent no longer means is heard late, or twice. With each call an agent says how far
//! it has seen the journal, and every answer tells it more. So whoever does not name an attempt has forgotten it only if it has seen
//! the journal up to its first epoch: it told that itself, and knew the attempt before. An agent of an earlier release does not say
//! what it has seen; its word is taken as it comes.

use std::collections::BTreeMap;

use crate::id::Lease;
use crate::lineage::{Lineage, Position};

/// A place in the history: the generation, and events up to there.
type Place = (u32, u64);

/// What an agent must have seen to be believed. Not durable.
#[derive(Clone, Debug, Default)]
pub(super) struct Knows {
    /// It says how far it has seen the journal.
    says: bool,
    /// The start of it that was asked to say hello once more, without having said how far it has seen.
    asked: Option<u64>,
    /// Since then it has called without saying that, as no agent of this release does once a hello of it was answered.
    silent: bool,
    /// Where the history was when its last hello was answered, or when this coordinator began.
    told: Place,
    /// Where it was when this coordinator began.
    began: Place,
    /// Where the first epoch of each of its attempts is that came since then.
    firsts: BTreeMap<Lease, Place>,
}

impl Knows {
    /// Nobody has called yet.
    pub(super) fn begin(lineage: &Lineage) -> Self {
        let began = here(lineage);
        Self { says: false, asked: None, silent: false, told: began, began, firsts: BTreeMap::new() }
    }

    /// Its hello was answered.
    pub(super) fn greeted(&mut self, lineage: &Lineage, seen: Option<Position>) {
        (self.says, self.asked, self.silent, self.told) = (seen.is_some(), None, false, here(lineage));
    }

    /// Whether the hello of an agent that is known is from before the last one: the first that it ever said tells nothing about what
    /// it has seen. Whoever waits for its answer learns from it how far the journal is. `is_news`: it says something else than
    /// what is known of the agent.
    pub(super) fn is_late(&self, lineage: &Lineage, incarnation: u64, is_news: bool, seen: Option<Position>) -> bool {
        match seen {
            Some(seen) => is_news && lineage.place(seen) < self.told,
            None => (is_news || self.says) && (!self.silent || self.asked != Some(incarnation)),
        }
    }

    /// Believes the next hello of this start of the agent, if until then it never says what it has seen.
    pub(super) fn ask_again(&mut self, incarnation: u64) {
        if self.asked.replace(incarnation) != Some(incarnation) {
            self.silent = false;
        }
    }

    /// Whether a heartbeat says how far it has seen the journal.
    pub(super) fn says(&mut self, seen: Option<Position>) {
        self.says |= seen.is_some();
        self.silent = seen.is_none();
    }

    /// The first epoch of an attempt is in the journal. `is_live` knows which leases are.
    pub(super) fn first(&mut self, lineage: &Lineage, lease: Lease, is_live: impl Fn(Lease) -> bool) {
        self.firsts.retain(|lease, _| is_live(*lease));
        self.firsts.insert(lease, here(lineage));
    }

    /// Whether a call that does not name an attempt with epochs was made when its agent knew of them.
    pub(super) fn is_after(&self, lineage: &Lineage, lease: Lease, seen: Option<Position>) -> bool {
        let first = self.firsts.get(&lease).unwrap_or(&self.began);
        seen.map_or(!self.says, |seen| lineage.place(seen) >= *first)
    }
}

fn here(lineage: &Lineage) -> Place {
    lineage.position().map(|position| position.place()).unwrap_or_default()
}

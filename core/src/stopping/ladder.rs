//! The rungs of one bracket and who has reached which. What follows is left to the rules.

use std::collections::BTreeSet;
use std::ops::Bound;

use serde::{Deserialize, Serialize};

use super::score::Key;

/// What a rule says is due: at which rung, who, and whether it goes on.
pub(super) type Due = (usize, Key, bool);

/// An epoch at which configurations are compared.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Rung {
    pub(super) epoch: u32,
    /// Arrived, and neither promoted nor stopped.
    pub(super) waiting: BTreeSet<Key>,
    /// Arrived and gone on.
    pub(super) passed: BTreeSet<Key>,
    /// Arrived and out: stopped, spared, or over. They only count for the places of others.
    pub(super) out: BTreeSet<Key>,
    /// On the way here.
    pub(super) heading: u32,
}

impl Rung {
    /// How many have arrived.
    pub(super) fn arrived(&self) -> usize {
        self.waiting.len() + self.passed.len() + self.out.len()
    }

    /// The best that waits.
    pub(super) fn best(&self) -> Option<Key> {
        self.waiting.last().copied()
    }

    /// The place, from 1, of the best that waits, or of one as good.
    pub(super) fn place_of_best(&self, key: Key) -> usize {
        1 + self.ahead(key)
    }

    /// The place of one that waits, among all that have arrived.
    pub(super) fn place(&self, key: Key) -> usize {
        self.waiting.len() - self.waiting.range(..key).count() + self.ahead(key)
    }

    /// Those that do not wait and are better. Few of those that went on are worse, and few that are out are
    /// better: those are counted.
    fn ahead(&self, key: Key) -> usize {
        let out = self.out.range((Bound::Excluded(key), Bound::Unbounded)).count();
        self.passed.len() - self.passed.range(..=key).count() + out
    }
}

/// The rungs of one bracket, the lowest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Ladder {
    pub(super) rungs: Vec<Rung>,
}

impl Ladder {
    pub(super) fn new(epochs: Vec<u32>) -> Self {
        Self { rungs: epochs.into_iter().map(|epoch| Rung { epoch, ..Rung::default() }).collect() }
    }

    /// Nobody can come to the first `n` rungs any more.
    pub(super) fn closed(&self) -> usize {
        // Whoever waits at a closed rung may still go on to the next.
        let open = |(at, rung): (usize, &Rung)| rung.heading > 0 || at > 0 && !self.rungs[at - 1].waiting.is_empty();
        self.rungs.iter().enumerate().position(|(at, rung)| open((at, rung))).unwrap_or(self.rungs.len())
    }
}

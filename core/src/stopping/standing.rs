//! Where a configuration stands, in a form for people.

use super::Judgement;

/// Where a configuration stands, for people.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing<'a> {
    /// It trains, to its end or to the epoch of a rung.
    Racing {
        /// The epoch at which it is compared next.
        until: Option<u32>,
    },
    /// It waits at a rung.
    Paused {
        /// The epoch of the rung.
        epoch: u32,
        /// Its place there as things are.
        rank: u32,
        /// How many have come there.
        of: u32,
    },
    /// It was stopped.
    Stopped(&'a Judgement),
    /// It would have been stopped and runs to its end for the audit.
    Spared(&'a Judgement),
}

//! Which sweep goes next.

use crate::state::State;

/// Simple fair share: the sweep with the fewest running trials first, the oldest of equals. One sweep
/// alone gets everything; two get half each; a new one starts as soon as a slot is free.
pub(super) fn fair(state: &State) -> impl Iterator<Item = u32> + '_ {
    state.ready().map(|(_, sweep)| sweep)
}

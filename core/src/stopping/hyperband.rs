//! Hyperband: L. Li, K. Jamieson, G. DeSalvo, A. Rostamizadeh, A. Talwalkar, "Hyperband: A Novel Bandit-Based Approach to
//! Hyperparameter Optimization", JMLR 18 (2018), Algorithm 1. Several successive halvings side by side, of which each begins one rung
//! later than the one before, because one does not know how long it takes to tell good from bad. The last one stops
//! nobody. Each bracket is a halving of its own; how configurations are divided among them is in `rungs`.

use super::halving;
use super::ladder::Ladder;
use super::score::Key;

/// What is due: bracket, rung, who, and whether it goes on.
pub(super) fn due(ladders: &[Ladder], factor: u32) -> Option<(usize, usize, Key, bool)> {
    let each = ladders.iter().enumerate();
    each.filter_map(|(bracket, ladder)| {
        let (rung, key, goes_on) = halving::due(ladder, factor)?;
        Some((bracket, rung, key, goes_on))
    })
    .next()
}

//! Asynchronous successive halving without promotion, for trainers whose checkpoints are too large to come back to: whoever is not
//! among the best ⌊n / η⌋ (at least one) of those that have come to a rung, itself counted, is stopped there. This is what
//! Optuna's `SuccessiveHalvingPruner` does (T. Akiba et al., "Optuna", KDD 2019) and, up to how the limit between good and bad is
//! interpolated, Ray Tune's `AsyncHyperBandScheduler`. Who comes early is let through too easily, and who was stopped early
//! is not taken back: see `asha` for the algorithm of the paper.

use super::ladder::{Due, Ladder};
use super::score::Key;

/// What is due: the rung, who, and whether it goes on.
pub(super) fn due(ladder: &Ladder, factor: u32) -> Option<Due> {
    ladder.rungs.iter().enumerate().find_map(|(at, rung)| {
        let key = rung.best()?;
        let places = (rung.arrived() / factor as usize).max(1);
        // Equal to one that goes on is good enough, as in Optuna.
        let as_good = Key { point: 0, ..key };
        Some((at, key, rung.place_of_best(as_good) <= places))
    })
}

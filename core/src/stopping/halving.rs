//! Successive halving: K. Jamieson, A. Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter
//! Optimization", AISTATS 2016. When all that can come to a rung have come, the best ⌊n / η⌋ (at least one) go on
//! and the others are stopped. Whoever came early waits, its slot free.

use super::ladder::{Due, Ladder};

/// What is due: the rung, who, and whether it goes on.
pub(super) fn due(ladder: &Ladder, factor: u32) -> Option<Due> {
    ladder.rungs[..ladder.closed()].iter().enumerate().find_map(|(at, rung)| {
        let best = rung.best()?;
        let places = (rung.arrived() / factor as usize).max(1);
        match (rung.place_of_best(best) <= places, rung.waiting.first()) {
            (true, _) => Some((at, best, true)),
            (false, worst) => worst.map(|worst| (at, *worst, false)),
        }
    })
}

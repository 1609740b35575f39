//! Asynchronous successive halving, with promotion: L. Li, K. Jamieson, A. Rostamizadeh, E. Gonina, J. Ben-tzur, M. Hardt,
//! B. Recht, A. Talwalkar, "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020 (arXiv 1810.05934, 2018),
//! Algorithm 2. Of n configurations that have reached a rung the best ⌊n / η⌋ go on, each as soon as it is among
//! them; the others wait there and may still be promoted. Rungs are looked at from the highest down.
//!
//! Each arrival makes room for one promotion at most, and frees the slot that takes it: deciding when it arrives is then deciding when
//! a worker asks, as in the paper. The paper draws new configurations for ever; a plan has an end. When nobody can come
//! to a rung any more, who waits there is stopped; if nobody was promoted from it, the best is.

use super::ladder::{Due, Ladder};

/// What is due: the rung, who, and whether it goes on.
pub(super) fn due(ladder: &Ladder, factor: u32) -> Option<Due> {
    let factor = factor as usize;
    let top_down = ladder.rungs.iter().enumerate().rev();
    let promoted = top_down.filter_map(|(at, rung)| {
        let best = rung.best()?;
        (rung.place_of_best(best) <= rung.arrived() / factor).then_some((at, best, true))
    });
    promoted.into_iter().next().or_else(|| at_closed(ladder))
}

/// Those that nothing can help any more, the worst first; the best goes on where nobody else did.
pub(super) fn at_closed(ladder: &Ladder) -> Option<Due> {
    ladder.rungs[..ladder.closed()].iter().enumerate().find_map(|(at, rung)| {
        let goes_on = rung.passed.is_empty();
        match (goes_on, rung.best(), rung.waiting.first()) {
            (true, Some(best), _) => Some((at, best, true)),
            (_, _, Some(worst)) => Some((at, *worst, false)),
            _ => None,
        }
    })
}

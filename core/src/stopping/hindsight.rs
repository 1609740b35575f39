//! The stop audit: of the configurations that would have been stopped some run to their end all the same. How often
//! would stopping them have been wrong, and by how much? Numbers only; showing them is the caller's.

use serde::{Deserialize, Serialize};

use crate::num::Num;

/// One configuration that was spared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spared {
    /// Which.
    pub point: u32,
    /// The epoch at which it would have been stopped.
    pub epoch: u32,
    /// Its score (higher is better) there.
    pub then: f64,
    /// Its best score at its end; nothing while it runs.
    pub end: Option<f64>,
}

/// What the audit shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StopAudit {
    /// Configurations that were spared.
    pub spared: u32,
    /// Those of them that are at their end.
    pub finished: u32,
    /// Those of them that ended better than the best configuration that was not to be stopped: had they been
    /// stopped, the sweep would have missed its best.
    pub wrong: u32,
    /// By how much the best of them was better; absent while none is.
    pub worst_miss: Option<Num>,
    /// Those that ended better than the middle of the configurations that were never to be stopped.
    pub above_median: u32,
    /// Mean of what they gained between the epoch at which they would have been stopped and their best.
    pub mean_gain: Option<Num>,
}

/// Compares the spared with `kept`: the best scores of configurations that ran to their end unjudged.
pub fn audit(spared: &[Spared], kept: &[f64]) -> StopAudit {
    let ends: Vec<(f64, f64)> = spared.iter().filter_map(|one| Some((one.then, one.end?))).collect();
    let best = kept.iter().copied().reduce(f64::max);
    let mut sorted = kept.to_vec();
    sorted.sort_by(f64::total_cmp);
    let median = (!sorted.is_empty()).then(|| super::percentile::quantile(&sorted, 50.0));
    let above =
        |limit: Option<f64>| ends.iter().filter(|(_, end)| limit.is_some_and(|limit| *end > limit)).count() as u32;
    let top = ends.iter().map(|(_, end)| *end).reduce(f64::max);
    let miss = top.zip(best).map(|(top, best)| top - best).filter(|miss| *miss > 0.0);
    let gain = ends.iter().map(|(then, end)| end - then).sum::<f64>() / ends.len() as f64;
    StopAudit {
        spared: spared.len() as u32,
        finished: ends.len() as u32,
        wrong: above(best),
        worst_miss: miss.map(Num),
        above_median: above(median),
        mean_gain: (!ends.is_empty()).then_some(Num(gain)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_is_better_than_the_best_that_was_kept() {
        let spared = |point, then, end| Spared { point, epoch: 3, then, end };
        let all = [spared(1, 0.25, Some(0.5)), spared(2, 0.25, Some(0.875)), spared(3, 0.5, None)];
        let found = audit(&all, &[0.625, 0.75, 0.25]);
        assert_eq!((found.spared, found.finished, found.wrong, found.above_median), (3, 2, 1, 1));
        assert_eq!((found.worst_miss, found.mean_gain), (Some(Num(0.125)), Some(Num(0.4375))));
        let none = audit(&all[..1], &[0.625]);
        assert_eq!((none.wrong, none.worst_miss), (0, None));
        assert_eq!(audit(&[], &[]).mean_gain, None);
    }
}

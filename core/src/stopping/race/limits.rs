//! How far the trials of a configuration may train before something is decided about it.

use super::{Curves, Race, Rule, Stage};

impl Race {
    /// The epoch up to which the trials of a configuration may train now; nothing means to their end. Where a budget is measured that is
    /// the next one: nobody trains an epoch that does not count.
    pub fn limit(&self, point: u32) -> Option<u32> {
        let entrant = &self.entrants[point as usize];
        let measured = self.stop.max_steps.is_some() || self.stop.max_seconds.is_some() || self.stop.max_kwh.is_some();
        let is_open =
            matches!(entrant.stage, Stage::To(_) | Stage::At(..) | Stage::Spared) && !entrant.exempt && measured;
        let next = entrant.spent.map_or(entrant.ahead + 1, |(epoch, _)| epoch);
        self.compared_at(point).into_iter().chain(is_open.then_some(next)).min()
    }

    /// So many configurations are at their end before curves are compared.
    fn least(&self) -> u32 {
        self.stop.min_configurations.max(1)
    }

    /// Just as many configurations are at their end as it takes to compare others with them: before that nobody was looked at.
    pub fn begins_to_look(&self) -> bool {
        self.curves.as_ref().is_some_and(|curves| curves.finished == self.least())
    }

    /// The next epoch at which a configuration is looked at, as soon as all of its seeds have come there, where the rule makes nobody
    /// wait for other configurations: a rung of `asha-stop`, the next comparison of median and percentile once there is somebody to
    /// compare with. Nothing where none lies ahead that could stop it.
    pub fn look(&self, point: u32) -> Option<u32> {
        let entrant = &self.entrants[point as usize];
        let (Stage::To(at) | Stage::At(at, _)) = entrant.stage else { return None };
        if entrant.exempt || entrant.baseline {
            return None;
        }
        let look = match self.stop.rule {
            Rule::AshaStop => self.ladders[entrant.bracket as usize].rungs.get(at as usize)?.epoch,
            Rule::Median | Rule::Percentile => {
                let compares = |curves: &&Curves| curves.finished >= self.least();
                self.curves.as_ref().filter(compares)?;
                let (first, interval) = (self.stop.warmup_epochs, self.stop.interval.max(1));
                let past = (entrant.epoch + 1).saturating_sub(first);
                first.saturating_add(past.div_ceil(interval).saturating_mul(interval))
            }
            Rule::Asha | Rule::Halving | Rule::Hyperband | Rule::Budget => return None,
        };
        Some(look).filter(|look| *look < self.epochs)
    }

    /// The epoch up to which it is known that they may.
    pub(super) fn compared_at(&self, point: u32) -> Option<u32> {
        let entrant = &self.entrants[point as usize];
        let at = match entrant.stage {
            Stage::To(at) | Stage::At(at, _) => Some(at),
            // What is compared with the others later may train as long as they may.
            Stage::Spared => None,
            Stage::Again | Stage::Stopped | Stage::Over => return None,
        };
        let rungs = at.and_then(|at| self.ladders[entrant.bracket as usize].rungs.get(at as usize));
        let rungs = rungs.filter(|_| self.stop.rule.pauses() && !entrant.baseline);
        // A seed that is there before the others waits for them, and is stopped with them.
        let budget = self.stop.max_epochs.filter(|_| !entrant.exempt);
        rungs.map(|rung| rung.epoch).into_iter().chain(budget).min()
    }
}

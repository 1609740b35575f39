//! What a sweep that stops early or searches may still get: points that are compared with those that came before, and more that
//! are proposed. Whatever would have changed a decision or a proposal is refused with the way out.

use super::Plan;
use super::extend::{ExtendError, Growth, Wish, missing, text};
use crate::search::Knobs;
use crate::stopping::Rule;

impl Plan {
    /// Whether early stopping and search stay right if the plan grows like that.
    pub fn takes(&self, growth: &Growth) -> bool {
        let plain = growth.seeds.is_empty() && growth.goes_on.is_empty() && growth.baseline.is_none();
        let stops = match self.stop.as_deref() {
            // Nobody is compared with anybody: a new seed comes as far as those that there were.
            Some(stop) if stop.rule == Rule::Budget => growth.goes_on.is_empty(),
            Some(stop) => plain && stop.rule.takes_late_comers(),
            None => true,
        };
        let searches = match &self.search {
            Some(_) => plain && growth.points.is_empty(),
            None => growth.samples == 0,
        };
        stops && searches || *growth == Growth::default()
    }

    /// Refuses what early stopping cannot take.
    pub(super) fn suits_stop(&self, wish: &Wish, growth: &Growth) -> Result<(), ExtendError> {
        if wish.plan.as_ref().is_some_and(|file| file.stop != self.stop) {
            return Err(ExtendError::OtherStop);
        }
        let Some(rule) = self.stop.as_deref().map(|stop| stop.rule).filter(|rule| *rule != Rule::Budget) else {
            return Ok(());
        };
        match () {
            () if !growth.seeds.is_empty() => Err(ExtendError::StopsSeeds(rule.name())),
            () if wish.epochs.is_some() => Err(ExtendError::StopsEpochs(rule.name())),
            () if !rule.takes_late_comers() && (growth.samples > 0 || !growth.points.is_empty()) => {
                Err(ExtendError::StopsAll(rule.name()))
            }
            () => Ok(()),
        }
    }

    /// The same search with more points to be proposed: the sequence goes on, from the results of all that there are.
    pub(super) fn more_samples(&self, wish: &Wish) -> Result<Growth, ExtendError> {
        let Some(file) = wish.plan.as_ref().filter(|_| wish.seeds.is_empty() && wish.epochs.is_none()) else {
            return Err(ExtendError::Searches);
        };
        let (Some(search), Some(more)) = (self.search.as_deref(), file.search.as_deref()) else {
            return Err(ExtendError::OtherSearch("`search`"));
        };
        // How many may be under way follows from `samples`, unless it is said.
        let knobs = Knobs { outstanding: search.knobs.outstanding, ..more.knobs };
        let point = |point: u32| text(self.point_value(point)) == text(file.point_value(point));
        let same = [
            ("what all points share", text(self.base.clone()) == text(file.base.clone())),
            ("`seeds`", self.seeds == file.seeds),
            ("`search`", knobs == search.knobs),
            ("`sample_seed`", more.seed == search.seed),
            ("`grid`", more.space == search.space),
            ("`exclude`", more.excludes == search.excludes),
            ("a `point`", (0..self.points.min(file.points)).all(point)),
        ];
        if let Some((what, _)) = same.into_iter().find(|(_, same)| !same) {
            return Err(ExtendError::OtherSearch(what));
        }
        // The file itself is within the limit of a plan.
        let Some(samples) = more.points.checked_sub(search.points) else {
            let fewer = search.points - more.points;
            return Err(missing(fewer as usize, "point", format!("`samples` is {fewer} less")));
        };
        let growth = Growth { samples, ..Growth::default() };
        self.suits_stop(wish, &growth)?;
        Ok(growth)
    }
}

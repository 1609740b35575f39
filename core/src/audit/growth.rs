//! The part of the oracle about trials that appear over time. What a user adds is new, and never to a sweep whose early stopping or search it
//! would make wrong. What it goes on from was trained to its end with a recipe that is equal in all but the number of epochs. What a search proposes is the next, inside of what is searched, new, and no
//! more than there may be; none comes after the end of the search.

use std::ops::Range;
use std::sync::Arc;

use crate::id::SweepId;
use crate::plan::{GoesOn, Growth, Plan};
use crate::search::Setting;

use super::{Audit, Auditor, Book, End, SweepBook};

impl SweepBook {
    /// Trials of points that will be proposed.
    pub(super) fn to_come(&self) -> u64 {
        if self.closed { 0 } else { u64::from(self.plan.all_trials() - self.plan.len()) }
    }
}

impl Audit {
    /// What is planned, and not known yet, is open.
    pub(super) fn expect(&mut self, trials: u64) {
        self.planned += trials;
        self.open += trials;
    }
}

impl Auditor {
    pub(super) fn proposed(&mut self, sweep: SweepId, point: u32, settings: &[Setting]) {
        let text = format!("point {point}");
        let Some(book) = self.sweeps.get_mut(&sweep) else {
            return self.violation(None, "proposed_without_search", text);
        };
        let Some(search) = book.plan.search.clone().filter(|_| !book.closed) else {
            return self.violation(Some(sweep), "proposed_without_search", text);
        };
        let value = |path: &str| settings.iter().find(|setting| setting.path == path).map(|setting| &setting.value);
        let inside = search.space.iter().all(|axis| axis.coordinate(value).is_some());
        if !inside {
            self.violation(Some(sweep), "proposed_outside", text.clone());
        }
        let Some(book) = self.sweeps.get(&sweep) else { return };
        if point != book.plan.points || point >= search.points {
            let what = format!("{text}, after {} of {}", book.plan.points, search.points);
            return self.violation(Some(sweep), "proposed_out_of_turn", what);
        }
        self.grow(sweep, |plan| plan.add_point(settings));
    }

    pub(super) fn extended(&mut self, sweep: SweepId, growth: &Growth) {
        match self.sweeps.get(&sweep) {
            Some(book) if book.plan.takes(growth) && !(growth.samples > 0 && book.closed) => {
                self.grow(sweep, |plan| plan.grow(growth));
                growth.goes_on.iter().for_each(|one| self.goes_on(sweep, *one));
            }
            _ => self.violation(Some(sweep), "extended_wrongly", sweep.to_string()),
        }
    }

    /// The shorter one was trained to its last epoch with a recipe that is equal in all else, and keeps its checkpoint of then; the
    /// longer one was never started.
    fn goes_on(&mut self, sweep: SweepId, one: GoesOn) {
        let Some(book) = self.sweeps.get(&sweep) else { return };
        let trial = |place: u32| book.trials.get(place as usize).copied();
        let (Some(new), Some(old)) = (trial(one.trial), trial(one.from)) else {
            return self.violation(Some(sweep), "goes_on_from_nothing", format!("trial {} of the plan", one.trial));
        };
        let text = |what: &str| format!("{new} goes on from {old} at epoch {}: {what}", one.epoch);
        let mut wrong = Vec::new();
        match (book.plan.recipe(one.trial), book.plan.recipe(one.from)) {
            (Ok(long), Ok(short)) if long.goes_on_from(&short) && short.epochs == one.epoch => {}
            _ => wrong.push(text("the recipes differ in more than the number of epochs, or follow it")),
        }
        let trained = |known: &&Book| known.end == Some(End::Completed) && known.last_checkpoint == one.epoch;
        if self.trials.get(&old).filter(trained).is_none() {
            wrong.push(text("that did not come to its last epoch"));
        }
        match self.trials.get_mut(&new) {
            Some(known) if known.attempts == 0 && known.end.is_none() && known.last_checkpoint == 0 => {
                known.last_checkpoint = one.epoch;
            }
            _ => wrong.push(text("it was started, or is over")),
        }
        wrong.into_iter().for_each(|what| self.violation(Some(sweep), "goes_on_wrongly", what));
    }

    fn grow(&mut self, sweep: SweepId, change: impl FnOnce(&mut Plan) -> Range<u32>) {
        let Some(book) = self.sweeps.get_mut(&sweep) else { return };
        let plan = Arc::make_mut(&mut book.plan);
        let added: Vec<_> = change(plan).map(|index| (index, plan.trial(index), plan.trial_id(sweep, index))).collect();
        for (index, planned, trial) in added {
            if !self.planned(sweep, index, trial) {
                self.violation(Some(sweep), "planned_twice", format!("trial {index} of the plan"));
                continue;
            }
            self.quotas.added(sweep, trial);
            self.packing.added(sweep, trial);
            self.stops.added(sweep, (planned.point, planned.seed), trial);
            if let Some(book) = self.sweeps.get_mut(&sweep) {
                book.trials.push(trial);
            }
        }
    }

    pub(super) fn closed(&mut self, sweep: SweepId) {
        if let Some(book) = self.sweeps.get_mut(&sweep) {
            book.closed = true;
        }
    }
}

//! The part of the oracle about trials that appear over time. What a user adds is new, and never to a sweep whose points were
//! compared. What a search proposes is the next, inside of what is searched, new, and no
//! more than there may be; none comes after the end of the search.

use std::ops::Range;
use std::sync::Arc;

use crate::id::{SweepId, TrialId};
use crate::plan::{Growth, Plan};
use crate::search::Setting;

use super::{Audit, Auditor, SweepBook};

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
            Some(book) if book.plan.stop.is_none() && book.plan.search.is_none() => {
                self.grow(sweep, |plan| plan.grow(growth));
            }
            _ => self.violation(Some(sweep), "extended_wrongly", sweep.to_string()),
        }
    }

    fn grow(&mut self, sweep: SweepId, change: impl FnOnce(&mut Plan) -> Range<u32>) {
        let Some(book) = self.sweeps.get_mut(&sweep) else { return };
        let plan = Arc::make_mut(&mut book.plan);
        let added: Vec<(u32, u32, TrialId)> =
            change(plan).map(|index| (index, plan.trial(index).point, plan.trial_id(sweep, index))).collect();
        for (index, point, trial) in added {
            if !self.planned(sweep, index, trial) {
                self.violation(Some(sweep), "planned_twice", format!("trial {index} of the plan"));
                continue;
            }
            self.quotas.added(sweep, trial);
            self.packing.added(sweep, trial);
            self.stops.added(sweep, point, trial);
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

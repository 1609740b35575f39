//! The part of the oracle about points that appear while a sweep runs: each is the next, inside of what is searched, new, and no
//! more than there may be; none comes after the end of the search.

use std::sync::Arc;

use crate::id::{SweepId, TrialId};
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
        let Some(book) = self.sweeps.get_mut(&sweep) else { return };
        if point != book.plan.points || point >= search.points {
            let what = format!("{text}, after {} of {}", book.plan.points, search.points);
            return self.violation(Some(sweep), "proposed_out_of_turn", what);
        }
        let plan = Arc::make_mut(&mut book.plan);
        let added: Vec<(u32, TrialId)> =
            plan.add_point(settings).map(|index| (index, plan.trial_id(sweep, index))).collect();
        for (index, trial) in added {
            if !self.planned(sweep, index, trial) {
                self.violation(Some(sweep), "planned_twice", format!("trial {index} of the plan"));
                continue;
            }
            self.quotas.added(sweep, trial);
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

//! The part of the oracle about results of earlier sweeps: the trial that has one was never started, and where it comes from was really trained, to
//! its end, with the same recipe, by the release and on the copy of the data that are named. Counted from events only.

use std::collections::{BTreeMap, BTreeSet};

use crate::alike;
use crate::event::Event;
use crate::id::{AgentId, Lease, SweepId, TrialId};
use crate::origin::Origin;
use crate::recipe::Numerics;

use super::{Auditor, End};

/// What is known of trainers and copies.
#[derive(Debug, Default)]
pub(super) struct Reuses {
    /// Who trained the trials of a sweep.
    programs: BTreeMap<SweepId, BTreeSet<String>>,
    /// The copy of the data that a trial was granted for last.
    copies: BTreeMap<TrialId, String>,
    /// What hosts would train with.
    trainers: BTreeMap<AgentId, Option<String>>,
}

impl Reuses {
    /// A trial was granted for a copy of the data.
    pub(super) fn granted(&mut self, lease: Lease, fingerprint: &str) {
        self.copies.insert(lease.trial, fingerprint.to_owned());
    }

    /// An agent said what its trainer is.
    pub(super) fn joined(&mut self, agent: AgentId, trainer: Option<&String>) {
        self.trainers.insert(agent, trainer.cloned());
    }
}

impl Auditor {
    /// A trainer said what it is.
    pub(super) fn said(&mut self, lease: Lease, origin: &Origin) {
        let Some(book) = self.trials.get(&lease.trial) else { return };
        self.reuses.programs.entry(book.sweep).or_default().insert(origin.program());
    }

    /// `event` is an [`Event::TrialReused`].
    pub(super) fn reused(&mut self, event: &Event) {
        let Event::TrialReused { trial, origin, of, program, fingerprint, numerics } = event else { return };
        let text = |what: &str| format!("{trial} has the result of {origin}: {what}");
        let Some(book) = self.trials.get(trial) else {
            return self.violation(None, "trial_unknown", trial.to_string());
        };
        let (sweep, index) = (book.sweep, book.index);
        let mut wrong = Vec::new();
        if book.live.is_some() || book.end.is_some() || book.attempts > 0 {
            wrong.push(("reused_after_start", text("it was started, or is over")));
        }
        let known = self.trials.get(origin).filter(|known| known.end == Some(End::Completed) && known.sweep == *of);
        match (known, self.sweeps.get(&sweep), self.sweeps.get(of)) {
            (Some(known), Some(here), Some(there)) => {
                let (own, other) = (here.plan.recipe(index), there.plan.recipe(known.index));
                if !matches!((own, other), (Ok(own), Ok(other)) if own == other) {
                    wrong.push(("reused_other_recipe", text("the recipes differ")));
                }
                if here.plan.stop.is_some() || here.plan.search.is_some() {
                    wrong.push(("reused_in_race", text("the sweep compares results as they come")));
                }
            }
            _ => wrong.push(("reused_unfinished", text("that was not trained to its end"))),
        }
        let programs = self.reuses.programs.get(of).into_iter().flatten();
        let now = self.reuses.trainers.values().flatten().any(|trainer| trainer == program);
        if !now || programs.collect::<Vec<_>>() != [program] {
            wrong.push((
                "reused_other_code",
                text(&format!("that it was trained by {program}, as it would be now, is not said")),
            ));
        }
        if self.reuses.copies.get(origin) != Some(fingerprint) {
            wrong.push(("reused_other_data", text(&format!("that was not trained on the copy {fingerprint}"))));
        }
        let there = self.sweeps.get(of).zip(self.trials.get(origin));
        let said = there.and_then(|(book, known)| book.chosen.get(&alike::key(&book.plan, known.index)?).copied());
        if said != *numerics {
            wrong.push(("choice", text("it computed with something else")));
        }
        wrong.into_iter().for_each(|(rule, what)| self.violation(Some(sweep), rule, what));
        self.bound(sweep, index, fingerprint, *numerics, trial);
        if let Some(book) = self.trials.get_mut(trial) {
            book.end = Some(End::Reused);
        }
    }

    /// One copy and one choice for the whole sweep, as if it had been trained here.
    fn bound(&mut self, sweep: SweepId, index: u32, copy: &str, numerics: Option<Numerics>, trial: &TrialId) {
        let Some(book) = self.sweeps.get_mut(&sweep) else { return };
        let dataset = book.plan.value(book.plan.trial(index).point, "dataset").and_then(|value| value.as_str());
        let first = book.copies.entry(dataset.unwrap_or_default().to_owned()).or_insert_with(|| copy.to_owned());
        let other = (first != copy).then(|| format!("{trial} was trained on the copy {copy}, the sweep on {first}"));
        let key = alike::key(&book.plan, index).zip(numerics);
        let before = key.map(|(key, numerics)| (*book.chosen.entry(key).or_insert(numerics), numerics));
        let mixed = before.filter(|(before, numerics)| before != numerics);
        let mixed =
            mixed.map(|(before, numerics)| format!("{trial} computed with {numerics}, the sweep with {before}"));
        for (rule, what) in other.map(|what| ("other_data", what)).into_iter().chain(mixed.map(|what| ("choice", what)))
        {
            self.violation(Some(sweep), rule, what);
        }
    }
}

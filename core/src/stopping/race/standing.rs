//! Where a configuration stands, in a form for people.

use super::{Cause, Fate, Judgement, Race, Stage};

/// Where a configuration stands, for people.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing<'a> {
    /// It trains, to its end or to the epoch of a rung.
    Racing {
        /// The epoch at which it is compared next.
        until: Option<u32>,
    },
    /// It waits at a rung.
    Paused {
        /// The epoch of the rung.
        epoch: u32,
        /// Its place there as things are.
        rank: u32,
        /// How many have come there.
        of: u32,
    },
    /// It was stopped.
    Stopped(&'a Judgement),
    /// It would have been stopped and runs on for the audit, to its end or to that of its budget.
    Spared(&'a Judgement),
}

impl Race {
    /// How many rungs a configuration was promoted past: the higher, the sooner it gets a slot. Changes with decisions only.
    pub fn promotions(&self, point: u32) -> u32 {
        let entrant = &self.entrants[point as usize];
        match entrant.stage {
            Stage::To(at) | Stage::At(at, _) if self.stop.rule.pauses() && !entrant.baseline => at,
            _ => 0,
        }
    }

    /// The decision that stopped a configuration.
    pub fn stopped(&self, point: u32) -> Option<&Judgement> {
        let entrant = &self.entrants[point as usize];
        entrant.judged.as_deref().filter(|_| entrant.stage == Stage::Stopped)
    }

    /// The decision that stopped a configuration because a budget was used up: nobody was better, and what it reached is its result.
    pub fn ended_by_budget(&self, point: u32) -> Option<&Judgement> {
        self.stopped(point).filter(|judged| judged.cause != Cause::Rule)
    }

    /// Whether the rule was against a configuration that runs, or ran, on for the audit.
    pub fn is_spared(&self, point: u32) -> bool {
        self.entrants[point as usize].spared.is_some()
    }

    /// Where a configuration stands.
    pub fn standing(&self, point: u32) -> Standing<'_> {
        let entrant = &self.entrants[point as usize];
        if let Some(judged) = &entrant.spared {
            return Standing::Spared(judged);
        }
        let judged = |fate| entrant.judged.as_deref().filter(|judged| judged.fate == fate);
        match entrant.stage {
            Stage::At(at, key) => {
                let rung = &self.ladders[entrant.bracket as usize].rungs[at as usize];
                let (rank, of) = (rung.place(key) as u32, rung.arrived() as u32);
                Standing::Paused { epoch: rung.epoch, rank, of }
            }
            _ => match judged(Fate::Stop) {
                Some(judged) => Standing::Stopped(judged),
                None => Standing::Racing { until: self.compared_at(point) },
            },
        }
    }
}

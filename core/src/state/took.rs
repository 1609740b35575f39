//! What the curve of a trial took: without what attempts did after the checkpoint that the next one began with.

use serde::{Deserialize, Serialize};

use crate::cost::Energy;
use crate::time::Span;

use super::trial::Progress;

/// Time under lease and energy, along a curve.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Took {
    /// Microseconds.
    pub micros: i64,
    /// Of the epochs of which it was measured; absent where that is none.
    pub energy: Option<Energy>,
    /// There is an epoch of which it was not, so that the energy is only a part.
    #[serde(default)]
    pub unmetered: bool,
}

impl Progress {
    /// An attempt is over, and had its slot for so long.
    pub(super) fn spend(&mut self, held: Span) {
        self.spent += held.0;
        self.run.micros += held.0;
    }

    /// An epoch took this.
    pub(super) fn draw(&mut self, energy: Option<Energy>) {
        self.energy = Energy::of_both(self.energy, energy);
        self.run.energy = Energy::of_both(self.run.energy, energy);
        self.run.unmetered |= energy.is_none();
    }

    /// What the curve took up to a checkpoint that has arrived just now, in the middle of an attempt that has had its slot for so
    /// long: without the epochs that were reported while it was on its way.
    pub(super) fn took(&self, held: Span) -> Took {
        let seconds: f64 = self.ahead.iter().map(|metrics| metrics.seconds.0).sum();
        let held = held.0.saturating_sub((seconds * 1e6) as i64).max(0);
        let energy = self.ahead.iter().filter_map(|metrics| metrics.cost.as_deref()?.energy);
        let energy = energy.fold(self.run.energy, |all, part| all.map(|all| all.without(part)));
        Took { micros: self.run.micros + held, energy, ..self.run }
    }

    /// What was done in vain: repeated by a later attempt, or thrown away with its attempt.
    pub fn wasted(&self) -> Took {
        let energy = self.energy.map(|all| self.run.energy.map_or(all, |part| all.without(part)));
        Took { micros: (self.spent - self.run.micros).max(0), energy, ..Took::default() }
    }

    /// A next attempt begins with the newest checkpoint: what came after it will be done again.
    pub(super) fn take_back(&mut self) {
        self.run = self.last_checkpoint.as_deref().map(|kept| kept.took).unwrap_or_default();
    }
}

//! Results that a trial has from an earlier sweep: its numbers, its curve and its checkpoints are those of the trial that was trained.

use crate::id::TrialId;
use crate::recipe::Numerics;
use crate::time::Timestamp;

use super::State;
use super::trial::{Phase, Progress};

impl State {
    /// The trial is over with the result of `origin`; the sweep is bound to what that was trained on and with.
    pub(super) fn reused(&mut self, trial: TrialId, origin: TrialId, same: (&str, Option<Numerics>), now: Timestamp) {
        let (Some(at), Some(from)) = (self.find(trial), self.find(origin)) else { return };
        let (target, source) = (self.trial(at), self.trial(from));
        let (Phase::Completed { early }, Phase::Waiting, 0) = (&source.phase, &target.phase, target.attempt) else {
            return;
        };
        let Some(progress) = source.progress.clone() else { return };
        let (early, there) = (*early, self.sweep_of(from));
        let point = there.plan.trial(from.index).point;
        let (origins, parameters) = (there.origins.clone(), there.origins.parameters.get(&point).copied());
        let sweep = &mut self.sweeps[at.sweep as usize];
        sweep.bind(at.index, same.0);
        sweep.choose(at.index, same.1);
        sweep.origins.take_over(&origins, sweep.plan.trial(at.index).point, parameters);
        sweep.reused += 1;
        let trial = &mut sweep.trials[at.index as usize];
        let (ran_on, started) = (Vec::new(), None);
        trial.progress = Some(Box::new(Progress { origin: Some(from), begun: None, ran_on, started, ..*progress }));
        self.set_phase(at, Phase::Completed { early }, now);
    }
}

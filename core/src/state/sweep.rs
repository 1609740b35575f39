//! One sweep: its plan, its trials, which of them wait.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::alike::{self, Choices};
use crate::event::shared_plan;
use crate::id::{AgentId, SweepId, TrialId};
use crate::origin::{Origin, Origins};
use crate::packing::NONE;
use crate::plan::{BASE, PRIORITY, Plan, at};
use crate::recipe::Numerics;
use crate::state::accounts::Rank;
use crate::state::agent::Agent;
use crate::state::breaker::Breaker;
use crate::state::racing::{Racing, Turn};
use crate::state::trial::{Phase, Trial};
use crate::time::{Span, Timestamp};

/// A submitted sweep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sweep {
    /// Its id.
    pub id: SweepId,
    /// Its unique name.
    pub name: String,
    /// Who submitted it.
    pub user: String,
    /// What it was submitted for.
    pub project: String,
    /// Whose account its trials are counted on: index into [`super::accounts::Accounts::members`].
    pub member: u32,
    /// When.
    pub submitted: Timestamp,
    /// When the last trial ended, while all are ended.
    pub ended: Option<Timestamp>,
    /// What to run.
    #[serde(with = "shared_plan")]
    pub plan: Arc<Plan>,
    /// Ids in plan order.
    pub ids: Vec<TrialId>,
    /// States in plan order.
    pub trials: Vec<Trial>,
    /// Time under lease of completed trials, microseconds.
    pub spent: i64,
    /// How many trials are in each phase.
    pub counts: Counts,
    /// Completed trials whose results are those of earlier sweeps.
    pub reused: u32,
    /// Waiting trials in the order of their turns, one set per data set, so that the next one is found without a scan.
    pub waiting: Vec<BTreeSet<Turn>>,
    /// Those of them that have a checkpoint in the store to go on from.
    pub begun: Vec<BTreeSet<Turn>>,
    /// The data set of each set in `waiting`.
    pub datasets: Vec<String>,
    /// Where its configurations stand, if it stops early.
    pub racing: Option<Box<Racing>>,
    /// No more points will be proposed, although the plan has not got all of its own.
    pub closed: bool,
    /// Fingerprint of the copy of each data set that this sweep trains on, once a trial has started on one.
    pub fingerprints: Vec<Option<String>>,
    /// What its trials compute with, where the file leaves that open.
    pub choices: Choices,
    /// Failures one after the other, and whether they stopped it.
    pub breaker: Breaker,
    /// What its trials need of a device, by point: index into [`State::shapes`](super::State::shapes); one entry stands for all.
    pub shapes: Vec<u32>,
    /// Hosts and devices, with the attempts that were granted there.
    pub devices: Vec<(String, String, u64)>,
    /// What it was extended by, in words.
    pub extensions: Vec<String>,
    /// What its trainers said of themselves, the images and the networks.
    pub origins: Origins,
}

/// Number of trials per phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Ready to run.
    pub waiting: u32,
    /// Granted to a slot.
    pub running: u32,
    /// Waiting for a retry.
    pub backoff: u32,
    /// Finished with a result.
    pub completed: u32,
    /// Failed for good.
    pub failed: u32,
    /// Ended by a user.
    pub cancelled: u32,
    /// Waiting at a rung.
    pub paused: u32,
    /// Not worth going on with.
    pub stopped: u32,
}

impl Counts {
    fn of(&mut self, phase: &Phase) -> &mut u32 {
        match phase {
            Phase::Waiting => &mut self.waiting,
            Phase::Leased(_) => &mut self.running,
            Phase::Backoff { .. } => &mut self.backoff,
            Phase::Completed { .. } => &mut self.completed,
            Phase::Failed => &mut self.failed,
            Phase::Cancelled => &mut self.cancelled,
            Phase::Paused => &mut self.paused,
            Phase::Stopped => &mut self.stopped,
        }
    }

    /// Trials that are over.
    pub fn ended(&self) -> u32 {
        self.completed + self.failed + self.cancelled + self.stopped
    }
}

impl Sweep {
    /// `owner` is the project and the user.
    pub(super) fn new(id: SweepId, name: String, owner: (&str, &str), plan: Arc<Plan>, now: Timestamp) -> Self {
        let count = plan.len();
        let ids = plan.trial_ids(id);
        let mut sweep = Self {
            id,
            name,
            user: owner.1.to_owned(),
            project: owner.0.to_owned(),
            member: 0,
            submitted: now,
            ended: None,
            ids,
            trials: vec![Trial::new(); count as usize],
            spent: 0,
            reused: 0,
            counts: Counts { waiting: count, ..Counts::default() },
            waiting: Vec::new(),
            begun: Vec::new(),
            datasets: datasets(&plan),
            racing: Racing::new(id, &plan),
            closed: false,
            fingerprints: Vec::new(),
            choices: Choices::default(),
            breaker: Breaker::default(),
            shapes: Vec::new(),
            devices: Vec::new(),
            extensions: Vec::new(),
            origins: Origins::default(),
            plan,
        };
        sweep.fingerprints = vec![None; sweep.datasets.len()];
        [sweep.waiting, sweep.begun] = sweep.count_waiting();
        sweep
    }

    /// Lists for the data sets that the plan has got; what a copy of the same name is bound to holds for them.
    pub(super) fn name_datasets(&mut self) {
        for name in datasets(&self.plan).split_off(self.datasets.len()) {
            let known = self.datasets.iter().position(|known| *known == name);
            self.fingerprints.push(known.and_then(|at| self.fingerprints[at].clone()));
            self.datasets.push(name);
            self.waiting.push(BTreeSet::new());
            self.begun.push(BTreeSet::new());
        }
    }

    /// What becomes of a trial that has no slot and is not over.
    pub(super) fn rest(&self, index: u32) -> Phase {
        let racing = self.racing.as_deref();
        let planned = self.plan.trial(index);
        racing.map_or(Phase::Waiting, |racing| racing.rest(planned.point, planned.seed, &self.trials[index as usize]))
    }

    /// The epoch after which a trial waits for what early stopping decides.
    pub(crate) fn waits_at(&self, index: u32) -> Option<u32> {
        self.racing.as_deref()?.waits_at(self.plan.trial(index).point, self.plan.epochs(index), &self.trials)
    }

    /// The trials that early stopping judges together with others of a point; none where nothing is stopped early.
    pub fn judged_together(&self, point: u32) -> impl Iterator<Item = TrialId> {
        let trials = self.racing.as_deref().map_or(&[][..], |racing| racing.trials(point));
        trials.iter().map(|index| self.ids[*index as usize])
    }

    /// Whether an agent has a data set, in a copy, and what the sweep asks for.
    pub fn can_run_on(&self, agent: &Agent, dataset: &str, bound: Option<&str>) -> bool {
        agent.can_use(dataset, bound) && self.plan.limits.placement.fits_on(agent)
    }

    /// Which entry of `waiting` a trial belongs to.
    pub(super) fn group(&self, index: u32) -> usize {
        let Some(column) = self.plan.columns.iter().position(|column| column.path == "dataset") else { return 0 };
        match self.plan.row(self.plan.trial(index).point)[column] {
            BASE => 0,
            cell => cell as usize + 1,
        }
    }

    /// The data set a trial needs.
    pub fn dataset(&self, index: u32) -> &str {
        &self.datasets[self.group(index)]
    }

    /// The fingerprint of the copy of its data set that a trial must be trained on, if that is decided.
    pub fn fingerprint(&self, index: u32) -> Option<&str> {
        self.fingerprints[self.group(index)].as_deref()
    }

    /// A trial starts on this copy of its data set: the first one decides for the sweep.
    pub(super) fn bind(&mut self, index: u32, fingerprint: &str) {
        let group = self.group(index);
        // The base's data set may be named in the column again.
        for (name, bound) in self.datasets.iter().zip(&mut self.fingerprints) {
            if *name == self.datasets[group] {
                bound.get_or_insert_with(|| fingerprint.to_owned());
            }
        }
    }

    /// The shape of a trial, if it is told apart.
    pub fn shape(&self, index: u32) -> Option<u32> {
        let shape = match self.shapes.as_slice() {
            [one] => Some(*one),
            many => many.get(self.plan.trial(index).point as usize).copied(),
        };
        shape.filter(|shape| *shape != NONE)
    }

    /// What a trial has to agree on with others, while none of them has said what it computes with.
    pub fn undecided(&self, index: u32) -> Option<String> {
        alike::key(&self.plan, index).filter(|key| self.choices.is_open(key))
    }

    /// Whether a trial may start on an agent: where precision or layout is open, the agents on which the first
    /// such trials run come before others.
    pub fn may_start_on(&self, index: u32, agent: AgentId) -> bool {
        let Some(key) = self.undecided(index) else { return true };
        let mut choosing = self.choices.choosing(&key).peekable();
        choosing.peek().is_none() || choosing.any(|first| first == agent)
    }

    /// A trial has said what it computes with, or got on without saying.
    pub(super) fn choose(&mut self, index: u32, numerics: Option<Numerics>) {
        if let Some(key) = self.undecided(index) {
            self.choices.say(key, numerics);
        }
    }

    /// A trainer of a trial said this of itself.
    pub(super) fn trained_by(&mut self, index: u32, origin: &Origin) {
        self.origins.note(self.plan.trial(index).point, origin);
    }

    /// An attempt was granted there.
    pub(super) fn used(&mut self, host: &str, device: &str) {
        match self.devices.iter_mut().find(|(on, with, _)| on == host && with == device) {
            Some((_, _, attempts)) => *attempts += 1,
            None => self.devices.push((host.to_owned(), device.to_owned(), 1)),
        }
    }

    /// Moves a trial to another phase and keeps counts and waiting sets right.
    /// Returns what the trial refers to in the store, bytes, before and after, if that changes.
    pub(super) fn set_phase(&mut self, index: u32, phase: Phase, now: Timestamp) -> (u64, u64) {
        let leases = [&self.trials[index as usize].phase, &phase].map(|phase| match phase {
            Phase::Leased(leased) => Some(leased.agent),
            _ => None,
        });
        if leases != [None; 2]
            && let Some(key) = self.undecided(index)
        {
            leases[0].inspect(|agent| self.choices.ended(&key, *agent));
            leases[1].inspect(|agent| self.choices.started(key.clone(), *agent));
        }
        self.unlist(index);
        if phase == Phase::Waiting {
            self.list(index);
        }
        let trial = &mut self.trials[index as usize];
        *self.counts.of(&trial.phase) -= 1;
        *self.counts.of(&phase) += 1;
        if phase.is_terminal() {
            let progress = trial.progress_mut();
            (progress.ended, progress.ahead) = (Some(now), Vec::new());
        } else if let Some(progress) = &mut trial.progress {
            progress.ended = None;
        }
        let was_over = trial.phase.is_terminal();
        let has_earlier = trial.progress.as_ref().is_some_and(|progress| progress.earlier_checkpoint.is_some());
        let changes = has_earlier && was_over != phase.is_terminal();
        let before = if changes { trial.stored() } else { 0 };
        trial.phase = phase;
        if let Some(progress) = trial.progress.as_mut().filter(|_| trial.phase.is_terminal()) {
            progress.earlier_checkpoint = None;
        }
        let after = if changes { trial.stored() } else { 0 };
        if let Some(racing) = &mut self.racing
            && (was_over || trial.phase.is_terminal())
        {
            let planned = self.plan.trial(index);
            racing.ended(planned.point, planned.seed, &trial.phase, trial.failure.as_deref());
        }
        self.ended = self.is_over().then_some(self.ended.unwrap_or(now));
        (before, after)
    }

    /// Whether another trial may start now.
    pub fn may_start(&self) -> bool {
        self.counts.waiting > 0
            && !self.breaker.is_open()
            && self.plan.limits.max_parallel.is_none_or(|most| self.counts.running < most)
    }

    /// Its place among its owner's sweeps; `number` is its own.
    pub(crate) fn rank(&self, number: u32) -> Rank {
        (Reverse(self.priority()), self.counts.running, number)
    }

    /// Higher goes first among the sweeps of its owner.
    pub fn priority(&self) -> u32 {
        self.plan.limits.priority.unwrap_or(PRIORITY)
    }

    /// How long its trials took on average, once one is completed.
    pub fn trial_length(&self) -> Option<Span> {
        let trained = self.counts.completed - self.reused;
        (trained > 0).then(|| Span(self.spent / i64::from(trained)))
    }

    /// How long one of its trials takes for an epoch, on average, once one is completed.
    pub fn epoch_length(&self, index: u32) -> Option<Span> {
        Some(Span(self.trial_length()?.0 / i64::from(self.plan.epochs(index).max(1))))
    }

    /// How often a trial may fail by itself in a row.
    pub fn max_retries(&self) -> u32 {
        self.plan.limits.max_retries.unwrap_or(3)
    }

    /// The word for the sweep as a whole.
    pub fn status(&self) -> &'static str {
        let counts = &self.counts;
        match () {
            () if self.is_over() && counts.failed > 0 => "failed",
            () if self.is_over() && counts.cancelled > 0 => "cancelled",
            () if self.is_over() => "completed",
            () if self.breaker.is_open() => "suspended",
            () if counts.running > 0 => "running",
            () => "waiting",
        }
    }
}

/// The base recipe's data set, then those of a `dataset` column in the column's order.
fn datasets(plan: &Plan) -> Vec<String> {
    let base = at(&plan.base, "dataset").and_then(|value| value.as_str()).unwrap_or_default();
    let column = plan.columns.iter().find(|column| column.path == "dataset");
    let varied = column.map(|column| column.values.as_slice()).unwrap_or_default();
    let varied = varied.iter().map(|value| value.as_str().unwrap_or_default().to_owned());
    std::iter::once(base.to_owned()).chain(varied).collect()
}

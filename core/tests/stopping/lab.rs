//! A sweep that stops early, run by one host whose trainers read recorded curves: every command is kept, so that any part of
//! the history can be played again.

use std::sync::Arc;

use serde_json::json;
use sweep_core::attempt::{CheckpointKind, EpochMetrics, FailureClass};
use sweep_core::audit::{Audit, Auditor};
use sweep_core::command::{Command, Effect, EffectKind, Ending, Reply, Submit};
use sweep_core::cost::EpochCost;
use sweep_core::decide::Core;
use sweep_core::event::{AgentFacts, Checkpoint, Event, Failure};
use sweep_core::id::{AgentId, Lease, SweepId};
use sweep_core::num::Num;
use sweep_core::orders::orders;
use sweep_core::plan::{Column, Limits, Plan};
use sweep_core::state::State;
use sweep_core::state::sweep::Sweep;
use sweep_core::stopping::{Fate, Judgement, Stop};
use sweep_core::time::{Span, Timestamp};

use crate::tube::transact;

pub(crate) struct Lab {
    pub(crate) core: Core,
    pub(crate) now: Timestamp,
    /// Each command, with the number of events that were in the journal before it.
    pub(crate) commands: Vec<(usize, Timestamp, Command)>,
    pub(crate) journal: Vec<(Timestamp, Event)>,
    pub(crate) sweep: SweepId,
    slots: u32,
    /// By point and seed, then by epoch.
    curves: Vec<Vec<f64>>,
    seeds: usize,
    /// A checkpoint is kept so many epochs after it was taken.
    lag: u32,
    /// Trainers wait where they are told to; those of an earlier release train on.
    waits: bool,
    /// The loss is lowest after the first epoch, and then the higher the better the accuracy is.
    overfits: bool,
}

fn agent() -> AgentId {
    AgentId::from(uuid::Uuid::from_u128(1))
}

fn facts(slots: u32) -> AgentFacts {
    AgentFacts::pretend(agent(), "host", slots as usize)
}

/// A plan for these curves: the seeds of a point follow each other.
pub(crate) fn plan(stop: &Stop, curves: &[Vec<f64>], seeds: usize, baseline: Option<u32>) -> Arc<Plan> {
    let points = (curves.len() / seeds) as u32;
    let values: Vec<_> = (0..points).map(|value| json!(f64::from(value + 1))).collect();
    Arc::new(Plan {
        name: "race".into(),
        base: json!({ "dataset": "d", "epochs": curves[0].len() }),
        columns: vec![Column { path: "lr".into(), labels: values.iter().map(ToString::to_string).collect(), values }],
        cells: (0..points).collect(),
        points,
        seeds: (0..seeds as u64).collect(),
        order: (0..points * seeds as u32).collect(),
        baseline,
        limits: Limits { max_retries: Some(1), ..Limits::default() },
        stop: Some(Box::new(stop.clone())),
        search: None,
        source: None,
    })
}

/// What a recipe reaches at an epoch; seeds differ a little.
fn followed(plan: &Plan, index: u32, epoch: u32) -> f64 {
    let recipe = plan.recipe(index).unwrap();
    let (rate, dropout) = (recipe.lr.log10() + 2.0, recipe.dropout.unwrap() - 0.3);
    let top = 0.9 - 0.05 * rate.powi(2) - dropout.powi(2) + 0.001 * recipe.seed as f64;
    top * (1.0 - 0.5f64.powi(epoch as i32))
}

impl Lab {
    pub(crate) fn new(stop: &Stop, curves: Vec<Vec<f64>>, seeds: usize, slots: u32, baseline: Option<u32>) -> Self {
        let plan = plan(stop, &curves, seeds, baseline);
        Self::start(plan, curves, seeds, slots)
    }

    /// A sweep file whose accuracies follow from the learning rate, the dropout and the epoch: the best is at 0.01 and 0.3.
    pub(crate) fn of_file(text: &str, slots: u32) -> Self {
        let (plan, spec) = sweep_core::plan::plan_text(text.as_bytes()).unwrap();
        Self::start(Arc::new(plan), Vec::new(), spec.seeds.len(), slots)
    }

    /// A sweep file whose points, in the order in which they are proposed, have these curves.
    pub(crate) fn of_table(text: &str, curves: Vec<Vec<f64>>, slots: u32) -> Self {
        let (plan, spec) = sweep_core::plan::plan_text(text.as_bytes()).unwrap();
        Self::start(Arc::new(plan), curves, spec.seeds.len(), slots)
    }

    fn start(plan: Arc<Plan>, curves: Vec<Vec<f64>>, seeds: usize, slots: u32) -> Self {
        let now = Timestamp(1_000_000);
        let (core, sweep) = (Core::new(State::default(), now), SweepId::derive("race", ""));
        let (commands, journal) = (Vec::new(), Vec::new());
        let mut lab =
            Self { core, now, commands, journal, sweep, slots, curves, seeds, lag: 0, waits: false, overfits: false };
        lab.ask(Command::Hello { facts: facts(slots), held: vec![] });
        let (user, project) = ("ann".to_owned(), "p".to_owned());
        lab.ask(Command::Submit(Submit { sweep, user, project, plan, queue_anyway: true, reuse: Vec::new() }));
        lab
    }

    pub(crate) fn lagging(mut self, lag: u32) -> Self {
        self.lag = lag;
        self
    }

    pub(crate) fn waiting(mut self) -> Self {
        self.waits = true;
        self
    }

    pub(crate) fn overfitting(mut self) -> Self {
        self.overfits = true;
        self
    }

    pub(crate) fn sweep(&self) -> &Sweep {
        self.core.state().sweep(self.sweep).unwrap()
    }

    pub(crate) fn ask(&mut self, command: Command) -> Reply {
        self.commands.push((self.journal.len(), self.now, command.clone()));
        let now = self.now;
        transact(&mut self.core, now, &mut self.journal, |core, events| core.handle(command, now, events))
    }

    pub(crate) fn effect(&mut self, lease: Lease, what: EffectKind) {
        let reply = self.ask(Command::Report { agent: agent(), effects: vec![Effect { lease, what }] });
        assert!(matches!(reply, Reply::Effects(_)), "{reply:?}");
    }

    /// Every slot, in turn: train an epoch, or leave.
    pub(crate) fn tick(&mut self) {
        self.tick_of(|_| true);
    }

    /// The same of some slots; the others are slow.
    pub(crate) fn tick_of(&mut self, goes: impl Fn(u32) -> bool) {
        self.now = self.now + Span::seconds(1);
        // Time goes by also where nobody has anything to say.
        if self.core.state().agents[&agent()].slots.iter().all(Option::is_none) {
            self.ask(Command::Hello { facts: facts(self.slots), held: vec![] });
        }
        (0..self.slots).filter(|slot| goes(*slot)).for_each(|slot| self.step(slot));
    }

    /// One slot: trains an epoch, or is left.
    pub(crate) fn step(&mut self, slot: u32) {
        let held = self.core.state().agents[&agent()].slots[slot as usize];
        let Some(lease) = held else { return };
        let wanted = orders(self.core.state(), agent()).into_iter().find(|wanted| wanted.lease == lease);
        let (at, leased) = self.core.state().leased(lease).unwrap();
        let seq = leased.acked_seq;
        let Some(wanted) = wanted else {
            self.effect(lease, EffectKind::Ended { final_seq: seq, how: Ending::Stopped });
            return;
        };
        let last = self.core.state().trial(at).progress.as_ref().and_then(|progress| progress.last.as_ref());
        let epoch = last.map_or(0, |last| last.epoch) + 1;
        if self.waits && wanted.until.is_some_and(|until| epoch > until) {
            // Its checkpoint comes while it waits, and then nothing more.
            if self.core.state().trial(at).resume_epoch() < epoch - 1 {
                self.keep(lease, epoch - 1, seq);
            }
            return;
        }
        let planned = self.sweep().plan.trial(at.index);
        let (value, epochs) = match self.curves.get(planned.point as usize * self.seeds + planned.seed as usize) {
            Some(curve) => (Num(curve[epoch as usize - 1]), curve.len() as u32),
            None => (Num(followed(&self.sweep().plan, at.index, epoch)), self.sweep().plan.epochs(at.index)),
        };
        let overfitted = self.overfits && epoch > 1;
        let val_loss = Num(if overfitted { 2.0 + value.0 } else { 1.0 - value.0 });
        // Ten steps an epoch.
        let steps = EpochCost { steps: Some(u64::from(epoch) * 10), ..EpochCost::default() };
        let cost = self.sweep().plan.stop.as_ref().and_then(|stop| stop.max_steps).map(|_| Box::new(steps));
        let metrics = EpochMetrics { val_loss, cost, ..EpochMetrics::uniform(seq + 1, epoch, value) };
        self.effect(lease, EffectKind::Metrics(vec![metrics]));
        // A checkpoint that comes late is of an epoch before.
        let kept = epoch.saturating_sub(self.lag).max(u32::from(epoch == epochs) * epoch);
        if kept > 0 && u64::from(epoch - kept) <= seq {
            self.keep(lease, kept, seq + 1 - u64::from(epoch - kept));
        }
        if epoch == epochs {
            let how = Ending::Done { early: false, weights: "w".into(), test: None };
            self.effect(lease, EffectKind::Ended { final_seq: seq + 1, how });
        }
    }

    /// The trainer of a slot crashes.
    pub(crate) fn crash(&mut self, slot: u32) {
        if let Some(lease) = self.core.state().agents[&agent()].slots[slot as usize] {
            let final_seq = self.core.state().leased(lease).unwrap().1.acked_seq;
            let (class, reason, message) = (FailureClass::Crash, "test".into(), "test".into());
            let how = Ending::Failed(Failure { class, reason, message });
            self.effect(lease, EffectKind::Ended { final_seq, how });
        }
    }

    fn keep(&mut self, lease: Lease, epoch: u32, seq: u64) {
        let (kind, sha256) = (CheckpointKind::Last, format!("{}-{epoch}", lease.trial));
        self.effect(lease, EffectKind::Checkpoint(Checkpoint { kind, epoch, seq, sha256, bytes: 1 }));
    }

    /// Until nothing is left to do.
    pub(crate) fn run(mut self) -> Self {
        for _ in 0..100_000 {
            if self.sweep().ended.is_some() {
                return self;
            }
            self.tick();
        }
        panic!("trials are left: {:?}", self.sweep().counts);
    }

    pub(crate) fn judgements(&self) -> Vec<(u32, Judgement)> {
        let judged = |event: &Event| match event {
            Event::PointJudged { point, judgement, .. } => Some((*point, judgement.clone())),
            _ => None,
        };
        self.journal.iter().filter_map(|(_, event)| judged(event)).collect()
    }

    /// Configurations by what was last decided about them.
    pub(crate) fn stopped(&self) -> Vec<u32> {
        let judgements = self.judgements();
        judgements.iter().filter(|(_, judged)| judged.fate == Fate::Stop).map(|(point, _)| *point).collect()
    }

    pub(crate) fn audit(&self) -> Audit {
        let mut auditor = Auditor::new();
        self.journal.iter().for_each(|(_, event)| auditor.read(event));
        auditor.all()
    }

    /// The coordinator dies when so many events are in the journal, and comes back; agents repeat what was not answered and go
    /// on. Returns the journal of the whole.
    pub(crate) fn with_a_crash_at(&self, cut: usize) -> Vec<(Timestamp, Event)> {
        let mut journal = self.journal[..cut].to_vec();
        let state = fold(&journal);
        let from = self.commands.partition_point(|(before, _, _)| *before <= cut).saturating_sub(1);
        let held = state.agents.get(&agent()).map(|agent| agent.slots.iter().flatten().copied().collect());
        let at = self.commands[from].1;
        let mut core = Core::new(state, at);
        let mut play = |command: Command, now: Timestamp| {
            transact(&mut core, now, &mut journal, |core, events| core.handle(command, now, events));
        };
        play(Command::Hello { facts: facts(self.slots), held: held.unwrap_or_default() }, at);
        for (_, now, command) in &self.commands[from..] {
            play(command.clone(), *now);
        }
        journal
    }
}

pub(crate) fn fold(journal: &[(Timestamp, Event)]) -> State {
    let mut state = State::default();
    for (at, event) in journal {
        let text = serde_json::to_string(event).unwrap();
        state.apply(&serde_json::from_str(&text).unwrap(), *at);
    }
    state
}

//! A coordinator in a test tube, and the words to tell stories with.

use std::sync::Arc;

use serde_json::json;
use sweep_core::attempt::{CheckpointKind, EpochMetrics, FailureClass};
use sweep_core::command::{Command, Effect, EffectKind, EffectResult, Ending, Reply, Submit, Verdict};
use sweep_core::decide::Core;
use sweep_core::event::{AgentFacts, Checkpoint, DatasetFacts, Event, Failure, LossCause};
use sweep_core::id::{AgentId, Lease, SweepId};
use sweep_core::lineage::Position;
use sweep_core::num::Num;
use sweep_core::orders::orders;
use sweep_core::plan::{Column, Limits, Plan};
use sweep_core::state::State;
use sweep_core::state::trial::Phase;
use sweep_core::time::{Span, Timestamp};

use crate::tube::transact;

/// A coordinator in a test tube.
pub(crate) struct Lab {
    pub(crate) core: Core,
    pub(crate) now: Timestamp,
    pub(crate) journal: Vec<(Timestamp, Event)>,
}

pub(crate) fn plan(name: &str, trials: u32, limits: Limits) -> Arc<Plan> {
    let values: Vec<_> = (0..trials).map(|value| json!(f64::from(value + 1))).collect();
    Arc::new(Plan {
        name: name.into(),
        base: json!({ "dataset": "d", "batch_size": 32 }),
        columns: vec![Column { path: "lr".into(), labels: values.iter().map(ToString::to_string).collect(), values }],
        cells: (0..trials).collect(),
        points: trials,
        seeds: vec![0],
        order: (0..trials).rev().collect(),
        baseline: None,
        limits,
        stop: None,
        search: None,
        source: None,
    })
}

pub(crate) fn agent(number: u128) -> AgentId {
    AgentId::from(uuid::Uuid::from_u128(number))
}

pub(crate) fn dataset(name: &str) -> DatasetFacts {
    DatasetFacts { name: name.into(), train_images: 100, path: Some(format!("/data/{name}")), ..Default::default() }
}

pub(crate) fn facts(number: u128, slots: usize, incarnation: u64) -> AgentFacts {
    AgentFacts {
        agent: agent(number),
        host: format!("host{number}"),
        incarnation,
        slots: vec!["cpu".into(); slots],
        datasets: vec![dataset("d")],
        data_roots: vec!["/data".into()],
        any_dataset: false,
        offer: Default::default(),
    }
}

impl Lab {
    /// One host of one slot, and one trial that runs on it.
    pub(crate) fn training() -> (Self, Lease) {
        let mut lab = Self::new();
        lab.hello(facts(1, 1, 1), &[]);
        lab.submit(plan("a", 1, Limits::default()));
        let lease = lab.leases(1)[0];
        (lab, lease)
    }

    pub(crate) fn new() -> Self {
        let now = Timestamp(0);
        Self { core: Core::new(State::default(), now), now, journal: vec![] }
    }

    pub(crate) fn ask(&mut self, command: Command) -> Reply {
        let now = self.now;
        transact(&mut self.core, now, &mut self.journal, |core, events| core.handle(command, now, events))
    }

    pub(crate) fn submit(&mut self, plan: Arc<Plan>) -> Reply {
        let (sweep, user, project) = (SweepId::derive(&plan.name, ""), "ann".to_owned(), "p".to_owned());
        self.ask(Command::Submit(Submit { sweep, user, project, plan, queue_anyway: false, reuse: Vec::new() }))
    }

    pub(crate) fn hello(&mut self, facts: AgentFacts, held: &[Lease]) -> Vec<Verdict> {
        match self.ask(Command::Hello { facts, held: held.to_vec() }) {
            Reply::Welcome(verdicts) => verdicts,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn position(&self) -> Position {
        self.core.state().lineage.position().unwrap()
    }

    pub(crate) fn seen(&mut self, position: Position, command: Command) -> Reply {
        self.ask(Command::Seen { position, command: Box::new(command) })
    }

    pub(crate) fn hello_seen(&mut self, facts: AgentFacts, held: &[Lease], position: Position) -> Vec<Verdict> {
        match self.seen(position, Command::Hello { facts, held: held.to_vec() }) {
            Reply::Welcome(verdicts) => verdicts,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn leases(&self, number: u128) -> Vec<Lease> {
        orders(self.core.state(), agent(number)).into_iter().map(|wanted| wanted.lease).collect()
    }

    pub(crate) fn effect(&mut self, number: u128, lease: Lease, what: EffectKind) -> EffectResult {
        match self.ask(Command::Report { agent: agent(number), effects: vec![Effect { lease, what }] }) {
            Reply::Effects(results) => results[0],
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn epoch(&mut self, number: u128, lease: Lease, seq: u64, epoch: u32, accuracy: f64) -> EffectResult {
        let value = Num(accuracy);
        let metrics = EpochMetrics::uniform(seq, epoch, value);
        self.effect(number, lease, EffectKind::Metrics(vec![metrics]))
    }

    pub(crate) fn checkpoint(
        &mut self,
        number: u128,
        lease: Lease,
        kind: CheckpointKind,
        epoch: u32,
        seq: u64,
    ) -> EffectResult {
        let checkpoint = Checkpoint { kind, epoch, seq, sha256: format!("{kind:?}{epoch}"), bytes: 1 };
        self.effect(number, lease, EffectKind::Checkpoint(checkpoint))
    }

    pub(crate) fn done(&mut self, number: u128, lease: Lease, final_seq: u64) -> EffectResult {
        let how = Ending::Done { early: false, weights: "w".into(), test: None };
        self.effect(number, lease, EffectKind::Ended { final_seq, how })
    }

    pub(crate) fn fail(&mut self, number: u128, lease: Lease, class: FailureClass, final_seq: u64) -> EffectResult {
        let failure = Failure { class, reason: "r".into(), message: "m".into() };
        self.effect(number, lease, EffectKind::Ended { final_seq, how: Ending::Failed(failure) })
    }

    /// The host says that an attempt could not begin, and what was missing.
    pub(crate) fn cannot_begin(&mut self, number: u128, lease: Lease, missing: &str) {
        let failure = Failure { class: FailureClass::Host, reason: missing.into(), message: String::new() };
        self.effect(number, lease, EffectKind::Ended { final_seq: 0, how: Ending::Failed(failure) });
    }

    pub(crate) fn pass(&mut self, span: Span) {
        self.now = self.now + span;
        transact(&mut self.core, self.now, &mut self.journal, |_, _| ());
    }

    pub(crate) fn beat(&mut self, number: u128) -> Reply {
        let known = self.leases(number);
        self.ask(Command::Heartbeat { agent: agent(number), known })
    }

    pub(crate) fn restart(&mut self) {
        let mut state = State::default();
        self.journal.iter().for_each(|(at, event)| state.apply(event, *at));
        self.core = Core::new(state, self.now);
    }

    pub(crate) fn phase(&self, lease: Lease) -> &Phase {
        let state = self.core.state();
        &state.trial(state.find(lease.trial).unwrap()).phase
    }

    pub(crate) fn losses(&self) -> Vec<LossCause> {
        let cause = |(_, event): &(Timestamp, Event)| match event {
            Event::LeaseLost { cause, .. } => Some(*cause),
            _ => None,
        };
        self.journal.iter().filter_map(cause).collect()
    }
}

//! A lab in a test tube: pretend agents, users who submit, time that passes when it is told to.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;
use sweep_core::attempt::{CheckpointKind, EpochMetrics};
use sweep_core::audit::Auditor;
use sweep_core::command::{Command, Effect, EffectKind, EffectResult, Ending, Reply, Submit};
use sweep_core::decide::Core;
use sweep_core::device::{DeviceFacts, Offer};
use sweep_core::event::{AgentFacts, Checkpoint, DatasetFacts, Event};
use sweep_core::id::{AgentId, Lease, SweepId};
use sweep_core::num::Num;
use sweep_core::orders::orders;
use sweep_core::plan::{Column, Limits, Plan};
use sweep_core::shares::{Change, DEVICE, Patch, SHARE};
use sweep_core::state::State;
use sweep_core::time::{Span, Timestamp};

use crate::tube::transact;

/// Epochs of every trial: more than any test trains.
pub(crate) const EPOCHS: u32 = 1000;

pub(crate) struct Lab {
    pub(crate) core: Core,
    pub(crate) now: Timestamp,
    pub(crate) journal: Vec<(Timestamp, Event)>,
    pub(crate) agents: u128,
    sweeps: u32,
}

pub(crate) fn agent_id(number: u128) -> AgentId {
    AgentId::from(uuid::Uuid::from_u128(number))
}

fn plan(name: &str, dataset: &str, trials: u32, limits: Limits) -> Arc<Plan> {
    let values: Vec<_> = (0..trials).map(|value| json!(f64::from(value + 1))).collect();
    Arc::new(Plan {
        name: name.into(),
        base: json!({ "dataset": dataset, "epochs": EPOCHS }),
        columns: vec![Column { path: "lr".into(), labels: values.iter().map(ToString::to_string).collect(), values }],
        cells: (0..trials).collect(),
        points: trials,
        seeds: vec![0],
        order: (0..trials).collect(),
        baseline: None,
        limits,
        stop: None,
        search: None,
        source: None,
    })
}

impl Lab {
    /// Agents with so many slots each.
    pub(crate) fn new(slots: &[usize]) -> Self {
        let now = Timestamp(1_000_000);
        let core = Core::new(State::default(), now);
        let mut lab = Self { core, now, journal: vec![], agents: 0, sweeps: 0 };
        slots.iter().for_each(|slots| lab.agent(*slots, None));
        lab
    }

    /// An agent; with a name, it has that data set only, else any.
    pub(crate) fn agent(&mut self, slots: usize, dataset: Option<&str>) {
        self.agents += 1;
        let set = |name: &str| DatasetFacts { name: name.into(), train_images: 9, ..DatasetFacts::default() };
        let facts = AgentFacts {
            agent: agent_id(self.agents),
            host: format!("host{}", self.agents),
            incarnation: 1,
            slots: vec!["cpu".into(); slots],
            datasets: dataset.map(set).into_iter().collect(),
            data_roots: vec![],
            any_dataset: dataset.is_none(),
            offer: Default::default(),
        };
        self.ask(Command::Hello { facts, held: vec![] });
    }

    /// An agent on `hostN` with so many slots, that offers this.
    pub(crate) fn offering(&mut self, slots: u32, offer: Offer) {
        self.agents += 1;
        let facts = AgentFacts {
            offer,
            ..AgentFacts::pretend(agent_id(self.agents), format!("host{}", self.agents), slots as usize)
        };
        self.ask(Command::Hello { facts, held: vec![] });
    }

    /// One trial, by ann for p.
    pub(crate) fn try_submit(&mut self, name: &str, limits: Limits, queue_anyway: bool) -> Reply {
        let (sweep, plan) = (SweepId::derive(name, ""), plan(name, "d", 1, limits));
        let (project, user) = ("p".to_owned(), "ann".to_owned());
        self.ask(Command::Submit(Submit { sweep, user, project, plan, queue_anyway, reuse: Vec::new() }))
    }

    /// So many trials, by a user for a project.
    pub(crate) fn try_submit_for(&mut self, owner: (&str, &str), trials: u32) -> Reply {
        self.sweeps += 1;
        let name = format!("sweep-{}", self.sweeps);
        let (sweep, plan) = (SweepId::derive(&name, ""), plan(&name, "d", trials, Limits::default()));
        let (project, user) = (owner.0.to_owned(), owner.1.to_owned());
        self.ask(Command::Submit(Submit { sweep, user, project, plan, queue_anyway: true, reuse: Vec::new() }))
    }

    /// An agent on `hostN` with so many GPUs, `gpuN-0` and on, of 40 GB and with so many slots each.
    pub(crate) fn gpus(&mut self, gpus: u32, each: u32) {
        let number = self.agents + 1;
        let id = |gpu: u32| format!("gpu{number}-{gpu}");
        let slots = |gpu: u32| (gpu * each..(gpu + 1) * each).collect();
        let device = |gpu| DeviceFacts {
            id: id(gpu),
            model: "A100".into(),
            memory: 40_000_000_000,
            slots: slots(gpu),
            packed: false,
        };
        self.offering(gpus * each, Offer { devices: (0..gpus).map(device).collect(), ..Offer::default() });
    }

    pub(crate) fn ask(&mut self, command: Command) -> Reply {
        let now = self.now;
        transact(&mut self.core, now, &mut self.journal, |core, events| core.handle(command, now, events))
    }

    pub(crate) fn submit(&mut self, owner: (&str, &str), trials: u32, limits: Limits) -> SweepId {
        self.submit_on(owner, "d", trials, limits)
    }

    /// `owner` is the project and the user.
    pub(crate) fn submit_on(&mut self, owner: (&str, &str), dataset: &str, trials: u32, limits: Limits) -> SweepId {
        self.sweeps += 1;
        let name = format!("sweep-{}", self.sweeps);
        let (sweep, plan) = (SweepId::derive(&name, ""), plan(&name, dataset, trials, limits));
        let (project, user) = (owner.0.to_owned(), owner.1.to_owned());
        let reply =
            self.ask(Command::Submit(Submit { sweep, user, project, plan, queue_anyway: true, reuse: Vec::new() }));
        assert!(matches!(reply, Reply::Submitted { existing: false, .. }), "{reply:?}");
        sweep
    }

    /// So many trials of each of these sizes of batches, one size after the other.
    pub(crate) fn submit_batches(&mut self, owner: (&str, &str), sizes: &[u32], each: u32) -> SweepId {
        self.submit_batches_within(owner, sizes, each, Limits::default())
    }

    /// The same, within these limits.
    pub(crate) fn submit_batches_within(
        &mut self,
        owner: (&str, &str),
        sizes: &[u32],
        each: u32,
        limits: Limits,
    ) -> SweepId {
        self.sweeps += 1;
        let name = format!("sweep-{}", self.sweeps);
        let points = sizes.len() as u32;
        let mut plan = Plan::clone(&plan(&name, "d", points, limits));
        let values: Vec<_> = sizes.iter().map(|size| json!(size)).collect();
        let labels = values.iter().map(ToString::to_string).collect();
        plan.columns = vec![Column { path: "batch_size".into(), labels, values }];
        (plan.seeds, plan.order) = ((0..each.into()).collect(), (0..points * each).collect());
        let (sweep, project, user) = (SweepId::derive(&name, ""), owner.0.to_owned(), owner.1.to_owned());
        let submit = Submit { sweep, user, project, plan: Arc::new(plan), queue_anyway: true, reuse: Vec::new() };
        let reply = self.ask(Command::Submit(submit));
        assert!(matches!(reply, Reply::Submitted { existing: false, .. }), "{reply:?}");
        sweep
    }

    pub(crate) fn set(&mut self, change: Change) {
        let reply = self.ask(Command::SetShares { user: "root".into(), change });
        assert!(matches!(reply, Reply::Set(_)), "{reply:?}");
    }

    pub(crate) fn share(&mut self, user: &str, share: u32) {
        self.set(Change::User(user.into(), Patch { share: Some(share * SHARE), ..Patch::default() }));
    }

    pub(crate) fn preempt_after(&mut self, after: Option<Span>) {
        self.set(Change::Lab { half_life: None, preempt_after: Some(after) });
    }

    /// Time goes on, and every agent calls.
    pub(crate) fn pass(&mut self, span: Span) {
        self.now = self.now + span;
        let (now, held) = (self.now, self.held());
        let calls = (1..=self.agents).map(|number| {
            let known = held.iter().filter(|(agent, _)| *agent == number).map(|(_, lease)| *lease).collect();
            Command::Heartbeat { agent: agent_id(number), known }
        });
        transact(&mut self.core, now, &mut self.journal, |core, events| {
            calls.for_each(|call| drop(core.handle(call, now, events)));
        });
    }

    /// What an agent should be running.
    pub(crate) fn leases(&self, number: u128) -> Vec<Lease> {
        orders(self.core.state(), agent_id(number)).into_iter().map(|wanted| wanted.lease).collect()
    }

    /// What holds a slot, wanted or not, with the agent.
    pub(crate) fn held(&self) -> Vec<(u128, Lease)> {
        let slots = |number: u128| self.core.state().agents[&agent_id(number)].slots.iter().flatten().copied();
        (1..=self.agents).flat_map(|number| slots(number).map(move |lease| (number, lease))).collect()
    }

    pub(crate) fn effect(&mut self, agent: u128, lease: Lease, what: EffectKind) -> EffectResult {
        match self.ask(Command::Report { agent: agent_id(agent), effects: vec![Effect { lease, what }] }) {
            Reply::Effects(results) => results[0],
            other => panic!("{other:?}"),
        }
    }

    /// An attempt trains its next epoch and keeps a checkpoint of it. How fast it was is not told, so that nothing is learned from it.
    pub(crate) fn checkpoint(&mut self, agent: u128, lease: Lease) {
        let Some((seq, epoch)) = self.train(agent, lease) else { return };
        let kind = CheckpointKind::Last;
        let checkpoint = Checkpoint { kind, epoch, seq, sha256: format!("{lease}-{epoch}"), bytes: 1 };
        self.effect(agent, lease, EffectKind::Checkpoint(checkpoint));
    }

    /// It keeps a checkpoint of the middle of its first epoch.
    pub(crate) fn first_checkpoint(&mut self, agent: u128, lease: Lease) {
        let (kind, sha256) = (CheckpointKind::Last, format!("{lease}-0"));
        let checkpoint = Checkpoint { kind, epoch: 0, seq: 0, sha256, bytes: 1 };
        let result = self.effect(agent, lease, EffectKind::Checkpoint(checkpoint));
        assert!(matches!(result, EffectResult::Accepted { .. }), "{result:?}");
    }

    /// It trains its next epoch, and keeps no checkpoint of it yet.
    pub(crate) fn train(&mut self, agent: u128, lease: Lease) -> Option<(u64, u32)> {
        let (at, leased) = self.core.state().leased(lease)?;
        let (seq, epoch) = (leased.acked_seq + 1, self.core.state().trial(at).progress.as_ref());
        let epoch = epoch.and_then(|progress| progress.last.as_ref()).map_or(1, |last| last.epoch + 1);
        let value = Num(0.5);
        let metrics = EpochMetrics { images_per_s: Num(0.0), ..EpochMetrics::uniform(seq, epoch, value) };
        self.effect(agent, lease, EffectKind::Metrics(vec![metrics]));
        Some((seq, epoch))
    }

    pub(crate) fn end(&mut self, agent: u128, lease: Lease, how: Ending) {
        let seq = self.core.state().leased(lease).map_or(0, |(_, leased)| leased.acked_seq);
        let result = self.effect(agent, lease, EffectKind::Ended { final_seq: seq, how });
        assert!(matches!(result, EffectResult::Accepted { .. }), "{result:?}");
    }

    pub(crate) fn done(&mut self, agent: u128, lease: Lease) {
        self.end(agent, lease, Ending::Done { early: false, weights: "w".into(), test: None });
    }

    /// Trials that should leave have left; returns how many.
    pub(crate) fn leave(&mut self) -> usize {
        let gone: Vec<_> =
            self.held().into_iter().filter(|(number, lease)| !self.leases(*number).contains(lease)).collect();
        gone.iter().for_each(|(number, lease)| self.end(*number, *lease, Ending::Stopped));
        gone.len()
    }

    /// Slots by user, over all projects.
    pub(crate) fn slots(&self, user: &str) -> u32 {
        let user = self.core.state().accounts.user(user);
        user.map_or(0, |user| (user.week.running / DEVICE) as u32)
    }

    pub(crate) fn preemptions(&self) -> usize {
        self.journal.iter().filter(|(_, event)| matches!(event, Event::TrialPreempted { .. })).count()
    }

    /// The history is legal, the indexes are right, a restart gives the same state, and the state says that
    /// nothing more can start.
    pub(crate) fn check(&self) {
        let mut auditor = Auditor::new();
        let mut state = State::default();
        for (at, event) in &self.journal {
            auditor.read(event);
            let text = serde_json::to_string(event).unwrap();
            state.apply(&serde_json::from_str(&text).unwrap(), *at);
        }
        assert_eq!(auditor.all().violations, []);
        assert_eq!(&state, self.core.state());
        assert_eq!(state.check(), Ok(()));
        let reachable = |agent| self.core.is_reachable(agent, self.now);
        assert_eq!(sweep_core::schedule::grants(&state, self.now, reachable), []);
        let given = sweep_core::schedule::preemptions(&state, self.now, reachable);
        assert_eq!(given, sweep_core::schedule::preemptions(self.core.state(), self.now, reachable));
    }

    /// Slots by project and user, for those who have any.
    pub(crate) fn by_member(&self) -> BTreeMap<(String, String), u32> {
        let accounts = &self.core.state().accounts;
        let names = |member: &sweep_core::state::accounts::Member| {
            let project = accounts.projects[member.project as usize].name.clone();
            (project, accounts.users[member.user as usize].name.clone())
        };
        accounts.members.iter().map(|member| (names(member), (member.meter.running / DEVICE) as u32)).collect()
    }
}

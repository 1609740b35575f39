//! Random histories: whatever users, agents, time and crashes do, the journal stays legal for the
//! independent oracle, the indexes stay right, and a restart at any event changes nothing.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod tube;

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;
use sweep_core::attempt::{CheckpointKind, EpochMetrics, FailureClass};
use sweep_core::audit::Auditor;
use sweep_core::command::{Command, Effect, EffectKind, EffectResult, Ending, Reply, Submit};
use sweep_core::decide::Core;
use sweep_core::event::{AgentFacts, Checkpoint, Event, Failure};
use sweep_core::id::{AgentId, Lease, SweepId};
use sweep_core::num::Num;
use sweep_core::orders::orders;
use sweep_core::plan::{Column, Limits, Plan};
use sweep_core::recipe::{Numerics, Precision};
use sweep_core::shares::{Change, Patch};
use sweep_core::state::State;
use sweep_core::stopping::{Rule, Stop};
use sweep_core::time::{Span, Timestamp};
use tube::{reread, transact};

const EPOCHS: u32 = 3;

/// One sweep stops nothing, one at rungs, one by comparing curves.
fn stop(number: u8) -> Option<Box<Stop>> {
    let rule = [None, Some(Rule::Asha), Some(Rule::Median)][usize::from(number)]?;
    let stop = Stop { reduction_factor: 2, min_configurations: 1, audit_fraction: 0.3, ..Stop::new(rule) };
    Some(Box::new(stop))
}

fn plan(number: u8) -> Arc<Plan> {
    let values: Vec<_> = (0..3).map(|value| json!(0.1 * f64::from(value + 1))).collect();
    let labels = values.iter().map(ToString::to_string).collect();
    Arc::new(Plan {
        name: format!("sweep-{}", number % 2),
        base: match number {
            1 => json!({ "dataset": "d", "epochs": EPOCHS, "precision": "auto", "layout": "auto" }),
            _ => json!({ "dataset": "d", "epochs": EPOCHS }),
        },
        columns: vec![Column { path: "lr".into(), values, labels }],
        cells: vec![0, 1, 2],
        points: 3,
        seeds: vec![0, 7],
        order: vec![0, 2, 4, 1, 3, 5],
        baseline: Some(0),
        limits: Limits { max_parallel: (number == 2).then_some(1), max_retries: Some(2), ..Limits::default() },
        stop: stop(number),
        search: None,
        source: None,
    })
}

fn epoch(seq: u64, epoch: u32) -> EpochMetrics {
    let value = Num(1.0 - 1.0 / f64::from(epoch + 1));
    EpochMetrics { train_loss: Num(f64::NAN), ..EpochMetrics::uniform(seq, epoch, value) }
}

/// What an agent knows about an attempt it runs.
#[derive(Clone, Debug)]
struct Running {
    resume: u32,
    written: u64,
}

#[derive(Clone, Debug)]
enum Op {
    Submit(u8),
    CancelSweep(u8),
    CancelTrial(u8, u8),
    Retry(u8, bool),
    Shares(u8),
    AgentStarts { agent: u8, forgets: bool, slots: u8 },
    AgentSyncs(u8),
    Trains { agent: u8, pick: u8, checkpoint: bool, twice: bool },
    Chooses { agent: u8, pick: u8, bf16: bool },
    Ends { agent: u8, pick: u8, how: u8 },
    LateEffect { agent: u8, pick: u8 },
    Time(u8),
    CoordinatorRestarts,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let agent = 0u8..3;
    let op = prop_oneof![
        2 => (0u8..3).prop_map(Op::Submit),
        1 => (0u8..3).prop_map(Op::CancelSweep),
        1 => (0u8..3, 0u8..6).prop_map(|(sweep, trial)| Op::CancelTrial(sweep, trial)),
        1 => (0u8..3, any::<bool>()).prop_map(|(sweep, cancelled)| Op::Retry(sweep, cancelled)),
        2 => (0u8..7).prop_map(Op::Shares),
        3 => (agent.clone(), any::<bool>(), 0u8..4).prop_map(|(agent, forgets, slots)| Op::AgentStarts { agent, forgets, slots }),
        6 => agent.clone().prop_map(Op::AgentSyncs),
        12 => (agent.clone(), 0u8..4, any::<bool>(), any::<bool>())
            .prop_map(|(agent, pick, checkpoint, twice)| Op::Trains { agent, pick, checkpoint, twice }),
        3 => (agent.clone(), 0u8..4, any::<bool>()).prop_map(|(agent, pick, bf16)| Op::Chooses { agent, pick, bf16 }),
        6 => (agent.clone(), 0u8..4, 0u8..7).prop_map(|(agent, pick, how)| Op::Ends { agent, pick, how }),
        2 => (agent, 0u8..4).prop_map(|(agent, pick)| Op::LateEffect { agent, pick }),
        4 => (0u8..6).prop_map(Op::Time),
        2 => Just(Op::CoordinatorRestarts),
    ];
    prop::collection::vec(op, 1..120)
}

struct World {
    core: Core,
    now: Timestamp,
    journal: Vec<(Timestamp, Event)>,
    agents: BTreeMap<AgentId, BTreeMap<Lease, Running>>,
    incarnation: u64,
    old: Vec<(AgentId, Lease)>,
}

fn agent_id(number: u8) -> AgentId {
    AgentId::from(uuid::Uuid::from_u128(u128::from(number) + 1))
}

fn sweep_id(number: u8) -> SweepId {
    SweepId::derive("spec", &number.to_string())
}

impl World {
    fn new() -> Self {
        let now = Timestamp(1_000_000);
        let core = Core::new(State::default(), now);
        Self { core, now, journal: Vec::new(), agents: BTreeMap::new(), incarnation: 0, old: Vec::new() }
    }

    fn ask(&mut self, command: Command) -> Reply {
        let now = self.now;
        transact(&mut self.core, now, &mut self.journal, |core, events| core.handle(command, now, events))
    }

    fn hello(&mut self, number: u8, slots: u8) {
        let agent = agent_id(number);
        let held: Vec<Lease> = self.agents.entry(agent).or_default().keys().copied().collect();
        let facts = AgentFacts {
            incarnation: self.incarnation,
            ..AgentFacts::pretend(agent, format!("host-{number}"), usize::from(slots))
        };
        let Reply::Welcome(verdicts) = self.ask(Command::Hello { facts, held: held.clone() }) else { panic!() };
        for (lease, verdict) in held.into_iter().zip(verdicts) {
            if !matches!(verdict, sweep_core::command::Verdict::Continue { .. }) {
                self.drop_attempt(agent, lease);
            }
        }
    }

    fn drop_attempt(&mut self, agent: AgentId, lease: Lease) {
        self.agents.entry(agent).or_default().remove(&lease);
        self.old.push((agent, lease));
    }

    /// The agent asks for its orders and follows them.
    fn sync(&mut self, number: u8) {
        let agent = agent_id(number);
        let known = self.agents.entry(agent).or_default().keys().copied().collect();
        if self.ask(Command::Heartbeat { agent, known }) != Reply::Noted {
            return;
        }
        let wanted = orders(self.core.state(), agent);
        for wish in &wanted {
            let resume = self.core.state().trial(wish.at).resume_epoch();
            self.agents.entry(agent).or_default().entry(wish.lease).or_insert(Running { resume, written: 0 });
        }
        let running: Vec<Lease> = self.agents.entry(agent).or_default().keys().copied().collect();
        for lease in running {
            if !wanted.iter().any(|wish| wish.lease == lease) {
                let final_seq = self.agents[&agent][&lease].written;
                self.effect(agent, lease, EffectKind::Ended { final_seq, how: Ending::Stopped });
                self.drop_attempt(agent, lease);
            }
        }
    }

    fn effect(&mut self, agent: AgentId, lease: Lease, what: EffectKind) -> Option<EffectResult> {
        let effects = vec![Effect { lease, what }];
        match self.ask(Command::Report { agent, effects }) {
            Reply::Effects(results) => Some(results[0]),
            _ => None,
        }
    }

    fn pick(&self, agent: AgentId, pick: u8) -> Option<(Lease, Running)> {
        let running = self.agents.get(&agent)?;
        let (lease, running) = running.iter().nth(usize::from(pick) % running.len().max(1))?;
        Some((*lease, running.clone()))
    }

    fn train(&mut self, agent: AgentId, lease: Lease, running: &Running, checkpoint: bool, twice: bool) {
        let at = running.resume + running.written as u32 + 1;
        if at > EPOCHS {
            return;
        }
        let (seq, kind) = (running.written + 1, CheckpointKind::Last);
        self.agents.get_mut(&agent).unwrap().get_mut(&lease).unwrap().written = seq;
        // Everything so far is sent again, as after a lost answer.
        let first = if twice { 1 } else { seq };
        let records: Vec<_> = (first..=seq).map(|seq| epoch(seq, running.resume + seq as u32)).collect();
        self.effect(agent, lease, EffectKind::Metrics(records));
        if checkpoint {
            let checkpoint = Checkpoint { kind, epoch: at, seq, sha256: format!("{lease}-{at}"), bytes: 1 };
            for _ in 0..=u8::from(twice) {
                self.effect(agent, lease, EffectKind::Checkpoint(checkpoint.clone()));
            }
        }
    }

    fn step(&mut self, op: Op) {
        match op {
            Op::Submit(number) => {
                let user = ["ann", "bob", "ann"][usize::from(number)].to_owned();
                let (sweep, project, plan) = (sweep_id(number), format!("p{}", number / 2), plan(number));
                let (queue_anyway, reuse) = (false, Vec::new());
                self.ask(Command::Submit(Submit { sweep, user, project, plan, queue_anyway, reuse }));
            }
            Op::CancelSweep(number) => {
                self.ask(Command::CancelSweep { sweep: sweep_id(number), user: "ann".into() });
            }
            Op::CancelTrial(number, index) => {
                let trial = plan(number).trial_id(sweep_id(number), u32::from(index));
                self.ask(Command::CancelTrial { trial, user: "ann".into() });
            }
            Op::Retry(number, cancelled) => {
                self.ask(Command::RetrySweep { sweep: sweep_id(number), user: "ann".into(), cancelled });
            }
            Op::Shares(what) => {
                let slots = |slots| Patch { slots: Some(slots), ..Patch::default() };
                let preempt = |after| Change::Lab { half_life: None, preempt_after: Some(after) };
                let change = match what {
                    0 | 1 => preempt(Some(Span(0))),
                    2 => preempt(None),
                    3 => Change::User("ann".into(), slots(Some(1))),
                    4 => Change::User("ann".into(), slots(None)),
                    5 => Change::Project("p0".into(), slots(Some(2))),
                    _ => Change::Project("p0".into(), Patch { share: Some(3000), ..Patch::default() }),
                };
                self.ask(Command::SetShares { user: "root".into(), change });
            }
            Op::AgentStarts { agent, forgets, slots } => {
                self.incarnation += 1;
                if forgets {
                    self.agents.insert(agent_id(agent), BTreeMap::new());
                }
                self.hello(agent, slots);
            }
            Op::AgentSyncs(agent) => self.sync(agent),
            Op::Trains { agent, pick, checkpoint, twice } => {
                let agent = agent_id(agent);
                if let Some((lease, running)) = self.pick(agent, pick) {
                    self.train(agent, lease, &running, checkpoint, twice);
                }
            }
            Op::Chooses { agent, pick, bf16 } => {
                let agent = agent_id(agent);
                let Some((lease, _)) = self.pick(agent, pick) else { return };
                let precision = if bf16 { Precision::Bf16 } else { Precision::Fp32 };
                self.effect(agent, lease, EffectKind::Chosen(Numerics { precision, ..Numerics::PLAIN }));
            }
            Op::Ends { agent, pick, how } => {
                let agent = agent_id(agent);
                let Some((lease, running)) = self.pick(agent, pick) else { return };
                let class = match how {
                    0 => FailureClass::Crash,
                    1 => FailureClass::Host,
                    2 => FailureClass::Diverged,
                    _ => FailureClass::OutOfMemory,
                };
                let failure = Failure { class, reason: "test".into(), message: "test".into() };
                let how = match how {
                    0..=3 => Ending::Failed(failure),
                    4 => Ending::Stopped,
                    _ => Ending::Done { early: false, weights: "w".into(), test: None },
                };
                let what = EffectKind::Ended { final_seq: running.written, how };
                self.effect(agent, lease, what.clone());
                // The answer may be lost: the same end is sent again.
                self.effect(agent, lease, what);
                self.drop_attempt(agent, lease);
            }
            Op::LateEffect { agent, pick } => {
                let Some((_, lease)) = self.old.get(usize::from(pick)).copied() else { return };
                let what = EffectKind::Ended {
                    final_seq: 0,
                    how: Ending::Done { early: false, weights: "x".into(), test: None },
                };
                let live = self.core.state().leased(lease).is_some();
                let result = self.effect(agent_id(agent), lease, what);
                assert!(live || matches!(result, None | Some(EffectResult::Fenced)), "a late end was accepted");
            }
            Op::Time(amount) => {
                let spans =
                    [Span::millis(1), Span::seconds(1), Span::seconds(14), Span::seconds(30), Span::seconds(61)];
                self.now = self.now + spans[usize::from(amount) % spans.len()];
                let mut events = Vec::new();
                self.core.settle(self.now, &mut events);
                self.journal.extend(events.into_iter().map(|event| (self.now, event)));
            }
            Op::CoordinatorRestarts => {
                self.core = Core::new(reread(&replay(&self.journal)), self.now);
            }
        }
    }

    /// With healthy agents everything comes to an end.
    fn drain(&mut self) {
        self.incarnation += 1;
        (0..3).for_each(|number| self.hello(number, 2));
        for _ in 0..200 {
            for number in 0..3 {
                if self.core.last_seen(agent_id(number)).is_none() {
                    self.hello(number, 2);
                }
                self.sync(number);
                let agent = agent_id(number);
                for pick in 0..2 {
                    while let Some((lease, running)) = self.pick(agent, pick) {
                        if running.resume + running.written as u32 == EPOCHS {
                            let how = Ending::Done { early: false, weights: "w".into(), test: None };
                            let what = EffectKind::Ended { final_seq: running.written, how };
                            let result = self.effect(agent, lease, what);
                            if let Some(EffectResult::Gap { acked_seq }) = result {
                                self.agents.get_mut(&agent).unwrap().get_mut(&lease).unwrap().written = acked_seq;
                                continue;
                            }
                            self.drop_attempt(agent, lease);
                            break;
                        }
                        self.train(agent, lease, &running, true, false);
                        if !orders(self.core.state(), agent).iter().any(|wanted| wanted.lease == lease) {
                            break;
                        }
                    }
                }
            }
            self.step(Op::Time(1));
            if self.core.state().sweeps.iter().all(|sweep| sweep.counts.ended() as usize == sweep.trials.len()) {
                return;
            }
        }
        panic!("trials are left: {:?}", self.core.state().sweeps.iter().map(|sweep| sweep.counts).collect::<Vec<_>>());
    }
}

fn replay(journal: &[(Timestamp, Event)]) -> State {
    let mut state = State::default();
    for (at, event) in journal {
        let text = serde_json::to_string(event).unwrap();
        let read: Event = serde_json::from_str(&text).unwrap();
        state.apply(&read, *at);
    }
    state
}

fn audit(journal: &[(Timestamp, Event)]) -> sweep_core::audit::Audit {
    let mut auditor = Auditor::new();
    journal.iter().for_each(|(_, event)| auditor.read(event));
    auditor.all()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_history_is_legal_and_comes_to_an_end(ops in ops()) {
        let mut world = World::new();
        for op in ops {
            world.step(op);
            prop_assert_eq!(world.core.state().check(), Ok(()));
        }
        world.drain();
        let audit = audit(&world.journal);
        prop_assert!(audit.is_legal(), "{:#?}", audit.violations);
        prop_assert_eq!(audit.open, 0);
        prop_assert_eq!(audit.completed + audit.failed + audit.cancelled + audit.stopped, audit.planned);
    }

    #[test]
    fn the_state_is_the_fold_of_the_journal_at_every_event(ops in ops()) {
        let mut world = World::new();
        ops.into_iter().for_each(|op| world.step(op));
        prop_assert_eq!(&replay(&world.journal), world.core.state());
        let mut state = State::default();
        for (at, event) in &world.journal {
            state.apply(event, *at);
            prop_assert_eq!(state.check(), Ok(()));
            let after = |state: State| {
                let (mut core, mut events) = (Core::new(state, *at), Vec::new());
                core.settle(*at + Span::seconds(61), &mut events);
                events
            };
            prop_assert_eq!(after(reread(&state)), after(state.clone()), "a snapshot decides as the fold");
        }
    }
}

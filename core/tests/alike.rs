//! Sweeps that leave precision and layout open: the first trial of a network decides for all hosts, and until it has,
//! such trials start on its host only.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;

use sweep_core::attempt::{EpochMetrics, FailureClass};
use sweep_core::audit::Auditor;
use sweep_core::command::{Command, Effect, EffectKind, EffectResult, Ending, Reply, Submit};
use sweep_core::decide::{Core, LEASE_TIME};
use sweep_core::event::{AgentFacts, Event, Failure};
use sweep_core::id::{AgentId, Lease, SweepId};
use sweep_core::num::Num;
use sweep_core::orders::{order, orders};
use sweep_core::plan::plan_text;
use sweep_core::queue::waiting;
use sweep_core::recipe::{Layout, Numerics, Precision};
use sweep_core::state::State;
use sweep_core::time::{Span, Timestamp};

const HALF: Numerics = Numerics { precision: Precision::Bf16, layout: Layout::ChannelsLast };

fn id(number: u128) -> AgentId {
    AgentId::from(uuid::Uuid::from_u128(number))
}

struct Lab {
    core: Core,
    now: Timestamp,
    journal: Vec<Event>,
}

impl Lab {
    /// Two agents with two slots each, and this sweep.
    fn new(file: &str) -> Self {
        let mut lab = Self { core: Core::new(State::default(), Timestamp(0)), now: Timestamp(0), journal: vec![] };
        for number in [1, 2] {
            lab.hello(number);
        }
        let (plan, _) = plan_text(format!("name = \"a\"\ndataset = \"d\"\nepochs = 2\n{file}").as_bytes()).unwrap();
        let (user, project) = ("ann".to_owned(), "default".to_owned());
        let sweep = SweepId::derive("a", "");
        lab.ask(Command::Submit(Submit {
            sweep,
            user,
            project,
            plan: Arc::new(plan),
            queue_anyway: true,
            reuse: Vec::new(),
        }));
        lab
    }

    fn hello(&mut self, number: u128) {
        let facts = AgentFacts::pretend(id(number), format!("host{number}"), 2);
        let held = self.leases(number);
        self.ask(Command::Hello { facts, held });
    }

    fn ask(&mut self, command: Command) -> Reply {
        let reply = self.core.handle(command, self.now, &mut self.journal);
        self.core.settle(self.now, &mut self.journal);
        reply
    }

    fn leases(&self, number: u128) -> Vec<Lease> {
        orders(self.core.state(), id(number)).into_iter().map(|wanted| wanted.lease).collect()
    }

    /// How many trials each agent runs.
    fn running(&self) -> [usize; 2] {
        [1, 2].map(|number| self.leases(number).len())
    }

    /// What the orders of an agent say about it.
    fn decided(&self, number: u128) -> Vec<Option<Numerics>> {
        let state = self.core.state();
        orders(state, id(number)).into_iter().map(|wanted| order(state, wanted.at).unwrap().numerics).collect()
    }

    fn says(&mut self, number: u128, lease: Lease, what: EffectKind) -> EffectResult {
        match self.ask(Command::Report { agent: id(number), effects: vec![Effect { lease, what }] }) {
            Reply::Effects(results) => results[0],
            other => panic!("{other:?}"),
        }
    }

    fn fail(&mut self, number: u128, lease: Lease) {
        let failure = Failure { class: FailureClass::Recipe, reason: "x".into(), message: String::new() };
        self.says(number, lease, EffectKind::Ended { final_seq: 0, how: Ending::Failed(failure) });
    }

    fn choices(&self) -> usize {
        self.journal.iter().filter(|event| matches!(event, Event::NumericsChosen { .. })).count()
    }

    /// The history is legal, and a restart makes the same state of it.
    fn check(&self) {
        let mut auditor = Auditor::new();
        self.journal.iter().for_each(|event| auditor.read(event));
        assert_eq!(auditor.all().violations, []);
        let mut state = State::default();
        for event in &self.journal {
            let text = serde_json::to_string(event).unwrap();
            state.apply(&serde_json::from_str(&text).unwrap(), self.now);
        }
        assert_eq!(state.sweeps[0].choices, self.core.state().sweeps[0].choices);
        assert_eq!(self.core.state().check(), Ok(()));
    }
}

#[test]
fn people_are_told_why_free_slots_wait_for_the_first_word() {
    let mut lab = Lab::new("[grid]\nbatch_size = [8, 16, 32]\nlr = [0.1, 0.2]\n");
    assert_eq!(lab.running(), [2, 0]);
    let why = |lab: &Lab| {
        let told = waiting(lab.core.state(), lab.now, |agent| lab.core.is_reachable(agent, lab.now));
        told.into_iter().map(|one| (one.why.reason(), one.why.to_string())).collect::<Vec<_>>()
    };
    let text = "free slots wait until its first trial, on host1, has chosen the precision and layout for all of them";
    assert_eq!(why(&lab), [("choosing", text.to_owned())]);
    let first = lab.leases(1)[0];
    lab.says(1, first, EffectKind::Chosen(HALF));
    assert_eq!((lab.running(), why(&lab)[0].0), ([2, 2], "no_free_slot"));
    lab.check();
}

#[test]
fn the_first_word_binds_all_hosts_and_other_hosts_wait_for_it() {
    let mut lab = Lab::new("[grid]\nbatch_size = [8, 16, 32]\nlr = [0.1, 0.2]\n");
    assert_eq!(lab.running(), [2, 0]);
    assert_eq!(lab.decided(1), [None; 2]);
    let [first, second] = lab.leases(1)[..] else { panic!() };
    let alike: Vec<_> =
        orders(lab.core.state(), id(1)).iter().map(|w| order(lab.core.state(), w.at).unwrap().alike).collect();
    assert!(alike[0].is_some() && alike[0] == alike[1], "{alike:?}");
    assert_eq!(lab.says(1, second, EffectKind::Chosen(HALF)), EffectResult::Accepted { acked_seq: 0 });
    assert_eq!((lab.running(), lab.decided(2)), ([2, 2], vec![Some(HALF); 2]));
    // Said again, or something else by whoever found it in the same moment: heard once.
    for (lease, word) in [(second, HALF), (first, Numerics::PLAIN)] {
        assert_eq!(lab.says(1, lease, EffectKind::Chosen(word)), EffectResult::Accepted { acked_seq: 0 });
    }
    assert_eq!((lab.choices(), lab.decided(1)), (1, vec![Some(HALF); 2]));
    lab.check();
}

#[test]
fn who_cannot_say_anything_any_more_holds_nobody_up() {
    let mut lab = Lab::new("[grid]\nlr = [0.1, 0.2, 0.3]\n");
    let [first, second] = lab.leases(1)[..] else { panic!() };
    lab.fail(1, first);
    assert_eq!(lab.running(), [2, 0], "the second may still say");
    lab.fail(1, second);
    assert_eq!(lab.running(), [1, 0], "the last one of three");
    lab.check();
    // A silent host: its trials move, and the choice with them.
    let mut lab = Lab::new("[grid]\nlr = [0.1, 0.2, 0.3]\n");
    lab.now = lab.now + LEASE_TIME + Span::seconds(1);
    lab.hello(2);
    let [taken, ..] = lab.leases(2)[..] else { panic!("{:?}", lab.running()) };
    lab.says(2, taken, EffectKind::Chosen(HALF));
    lab.check();
    assert!(lab.decided(2).iter().all(|decided| *decided == Some(HALF)));
}

#[test]
fn a_trainer_that_gets_on_without_a_word_frees_the_others() {
    let mut lab = Lab::new("[grid]\nlr = [0.1, 0.2, 0.3, 0.4]\n");
    let first = lab.leases(1)[0];
    lab.says(1, first, EffectKind::Metrics(vec![EpochMetrics::uniform(1, 1, Num(0.5))]));
    assert_eq!((lab.running(), lab.decided(2)), ([2, 2], vec![None; 2]));
    lab.says(1, first, EffectKind::Chosen(HALF));
    assert_eq!((lab.choices(), lab.decided(2)), (0, vec![None; 2]));
    lab.check();
}

#[test]
fn networks_choose_for_themselves() {
    let mut lab = Lab::new("[grid]\nmodel = [\"m1\", \"resnet18\"]\nlr = [0.1, 0.2]\nbatch_size = [8, 16]\n");
    let all: Vec<_> = [1, 2].into_iter().flat_map(|n| lab.leases(n).into_iter().map(move |lease| (n, lease))).collect();
    for (number, lease) in all {
        lab.says(number, lease, EffectKind::Chosen(HALF));
    }
    assert!((1..=2).contains(&lab.choices()));
    lab.check();
}

#[test]
fn what_is_decided_by_the_file_is_waited_for_by_nobody() {
    let mut lab = Lab::new("precision = \"bf16\"\nlayout = \"contiguous\"\n[grid]\nlr = [0.1, 0.2, 0.3, 0.4]\n");
    assert_eq!(lab.running(), [2, 2]);
    let first = lab.leases(1)[0];
    lab.says(1, first, EffectKind::Chosen(HALF));
    assert_eq!(lab.choices(), 0);
    lab.check();
    // And what is not left open cannot be chosen.
    let mut lab = Lab::new("precision = \"fp32\"\n[grid]\nlr = [0.1, 0.2, 0.3, 0.4]\n");
    let first = lab.leases(1)[0];
    lab.says(1, first, EffectKind::Chosen(HALF));
    assert_eq!((lab.choices(), lab.running()), (0, [2, 0]));
    lab.check();
}

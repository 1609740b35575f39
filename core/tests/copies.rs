//! Agents with different copies of a data set: the first trial decides which copy a sweep trains on, the
//! others are told why they get nothing, and a journal of before stays readable.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;

use serde_json::json;
use sweep_core::attempt::FailureClass;
use sweep_core::audit::Auditor;
use sweep_core::command::{Command, Effect, EffectKind, Ending, Reply, Submit};
use sweep_core::copies;
use sweep_core::decide::{Core, LEASE_TIME};
use sweep_core::event::{AgentFacts, DatasetFacts, Event, Failure};
use sweep_core::id::{AgentId, Lease, SweepId};
use sweep_core::orders::{order, orders};
use sweep_core::plan::{Column, Limits, Plan};
use sweep_core::state::State;
use sweep_core::time::{Span, Timestamp};

fn id(number: u128) -> AgentId {
    AgentId::from(uuid::Uuid::from_u128(number))
}

/// An agent with one slot and these data sets: name and fingerprint.
fn agent(number: u128, sets: &[(&str, Option<&str>)]) -> AgentFacts {
    let set = |(name, fingerprint): &(&str, Option<&str>)| DatasetFacts {
        name: (*name).into(),
        classes: 2,
        train_images: 100,
        path: Some(format!("/data/{name}")),
        fingerprint: fingerprint.map(str::to_owned),
        ..DatasetFacts::default()
    };
    AgentFacts {
        agent: id(number),
        host: format!("host{number}"),
        incarnation: 1,
        slots: vec!["cpu".into()],
        datasets: sets.iter().map(set).collect(),
        data_roots: vec!["/data".into()],
        any_dataset: false,
        offer: Default::default(),
    }
}

/// Two trials for each data set.
fn plan(datasets: &[&str]) -> Arc<Plan> {
    let count = datasets.len() as u32;
    let values = datasets.iter().map(|name| json!(name)).collect();
    let column = Column { path: "dataset".into(), values, labels: datasets.iter().map(ToString::to_string).collect() };
    Arc::new(Plan {
        name: "a".into(),
        base: json!({ "dataset": datasets[0] }),
        columns: vec![column],
        cells: (0..count).collect(),
        points: count,
        seeds: vec![0, 1],
        order: (0..2 * count).collect(),
        baseline: None,
        limits: Limits::default(),
        stop: None,
        search: None,
        source: None,
    })
}

struct Lab {
    core: Core,
    now: Timestamp,
    journal: Vec<Event>,
}

impl Lab {
    fn new(datasets: &[&str]) -> Self {
        let mut lab = Self { core: Core::new(State::default(), Timestamp(0)), now: Timestamp(0), journal: vec![] };
        let (sweep, plan) = (SweepId::derive("a", ""), plan(datasets));
        let (user, project) = ("ann".to_owned(), "default".to_owned());
        lab.ask(Command::Submit(Submit { sweep, user, project, plan, queue_anyway: true, reuse: Vec::new() }));
        lab
    }

    fn ask(&mut self, command: Command) -> Reply {
        let reply = self.core.handle(command, self.now, &mut self.journal);
        self.core.settle(self.now, &mut self.journal);
        reply
    }

    fn hello(&mut self, facts: AgentFacts) {
        let (agent, held) = (facts.agent, self.leases(facts.agent));
        self.ask(Command::Hello { facts: facts.clone(), held: held.clone() });
        if self.core.state().agents[&agent].facts != facts {
            // It does not say what it has seen, and is asked once more.
            self.ask(Command::Heartbeat { agent, known: held.clone() });
            self.ask(Command::Hello { facts, held });
        }
    }

    fn leases(&self, agent: AgentId) -> Vec<Lease> {
        orders(self.core.state(), agent).into_iter().map(|wanted| wanted.lease).collect()
    }

    fn end(&mut self, number: u128, how: Ending) {
        let lease = self.leases(id(number))[0];
        let what = EffectKind::Ended { final_seq: 0, how };
        self.ask(Command::Report { agent: id(number), effects: vec![Effect { lease, what }] });
    }

    /// Why this agent gets nothing.
    fn told(&self, number: u128) -> Vec<String> {
        copies::of_agent(self.core.state(), id(number)).map(|other| other.to_string()).collect()
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
        let bound = |state: &State| state.sweeps[0].fingerprints.clone();
        assert_eq!(bound(&state), bound(self.core.state()));
        assert_eq!(self.core.state().check(), Ok(()));
    }
}

const DONE: fn() -> Ending = || Ending::Done { early: false, weights: "w".into(), test: None };

#[test]
fn the_first_trial_decides_and_an_agent_with_another_copy_gets_none() {
    let mut lab = Lab::new(&["d"]);
    assert_eq!(lab.core.state().sweeps[0].fingerprints, [None, None]);
    lab.hello(agent(1, &[("d", Some("f1-aa"))]));
    lab.hello(agent(2, &[("d", Some("f1-bb"))]));
    assert_eq!((lab.leases(id(1)).len(), lab.leases(id(2)).len()), (1, 0));
    assert_eq!(lab.core.state().sweeps[0].fingerprints, [Some("f1-aa".to_owned()), Some("f1-aa".to_owned())]);
    let said =
        "host2 gets no trials of a: its copy of the data set d has the fingerprint f1-bb, the sweep trains on f1-aa";
    assert_eq!(lab.told(2), [said]);
    assert_eq!(lab.told(1), [""; 0]);
    let state = lab.core.state();
    assert_eq!(copies::of_sweep(state, &state.sweeps[0]).map(|other| other.to_string()).collect::<Vec<_>>(), [said]);
    // It travels with the trial.
    let at = orders(state, id(1))[0].at;
    assert_eq!(order(state, at).unwrap().fingerprint.as_deref(), Some("f1-aa"));
    lab.check();
    // The copy was brought up to date.
    lab.hello(agent(2, &[("d", Some("f1-aa"))]));
    assert_eq!((lab.leases(id(2)).len(), lab.told(2).len()), (1, 0));
    lab.end(1, DONE());
    lab.end(2, DONE());
    assert_eq!(lab.core.state().sweeps[0].status(), "completed");
    lab.check();
}

#[test]
fn a_copy_that_changes_gets_no_further_trial() {
    let mut lab = Lab::new(&["d"]);
    lab.hello(agent(1, &[("d", Some("f1-aa"))]));
    lab.hello(agent(1, &[("d", Some("f1-cc"))]));
    assert_eq!(lab.leases(id(1)).len(), 1, "what runs has its data");
    lab.end(1, Ending::Failed(Failure { class: FailureClass::Host, reason: "r".into(), message: "m".into() }));
    lab.now = lab.now + Span::seconds(5);
    lab.ask(Command::Heartbeat { agent: id(1), known: vec![] });
    assert_eq!(lab.leases(id(1)).len(), 0);
    assert!(lab.told(1)[0].contains("f1-cc"), "{:?}", lab.told(1));
    lab.check();
}

#[test]
fn an_agent_that_cannot_say_its_fingerprint_gets_none_once_it_is_decided() {
    let mut lab = Lab::new(&["d"]);
    lab.hello(agent(2, &[("d", None)]));
    assert_eq!(lab.leases(id(2)).len(), 1, "nothing is decided yet, and nothing by this");
    assert_eq!(lab.core.state().sweeps[0].fingerprints, [None, None]);
    lab.hello(agent(1, &[("d", Some("f1-aa"))]));
    lab.end(2, Ending::Stopped);
    assert_eq!((lab.leases(id(1)).len(), lab.leases(id(2)).len()), (1, 0));
    assert!(lab.told(2)[0].contains("cannot say the fingerprint"), "{:?}", lab.told(2));
    // A pretend agent has no copy.
    let pretend = AgentFacts { any_dataset: true, ..agent(3, &[]) };
    lab.hello(pretend);
    assert_eq!((lab.leases(id(3)).len(), lab.told(3).len()), (1, 0));
    lab.check();
}

#[test]
fn every_data_set_of_a_sweep_is_decided_by_itself() {
    let mut lab = Lab::new(&["d", "e"]);
    lab.hello(agent(1, &[("d", Some("f1-d1")), ("e", Some("f1-e1"))]));
    lab.hello(agent(2, &[("d", Some("f1-d2")), ("e", Some("f1-e2"))]));
    let fingerprints = |lab: &Lab| lab.core.state().sweeps[0].fingerprints.clone();
    let bound = |name: &str| Some(name.to_owned());
    assert_eq!(fingerprints(&lab), [bound("f1-d1"), bound("f1-d1"), bound("f1-e2")]);
    for _ in 0..2 {
        lab.end(1, DONE());
        lab.end(2, DONE());
    }
    assert_eq!(lab.core.state().sweeps[0].status(), "completed");
    lab.check();
}

#[test]
fn a_silent_agent_keeps_its_trial_when_the_others_have_another_copy() {
    let mut lab = Lab::new(&["d"]);
    lab.hello(agent(1, &[("d", Some("f1-aa"))]));
    lab.now = lab.now + Span(LEASE_TIME.0 * 2);
    lab.hello(agent(2, &[("d", Some("f1-bb"))]));
    assert!(!lab.journal.iter().any(|event| matches!(event, Event::LeaseLost { .. })));
    lab.hello(agent(3, &[("d", Some("f1-aa"))]));
    assert!(lab.journal.iter().any(|event| matches!(event, Event::LeaseLost { .. })));
    assert_eq!(lab.leases(id(3)).len(), 1);
    lab.check();
}

#[test]
fn events_of_before_stay_readable() {
    let agent = "00000000-0000-0000-0000-000000000001";
    let joined = format!(
        r#"{{"agent_joined":{{"agent":"{agent}","host":"h","incarnation":1,"slots":["cpu"],"datasets":[
        {{"name":"d","classes":2,"train_images":9,"val_images":1}}],"data_roots":["/data"],"any_dataset":false}}}}"#
    );
    let Event::AgentJoined(facts) = serde_json::from_str(&joined).unwrap() else { panic!("another event") };
    assert_eq!((facts.datasets[0].fingerprint.as_deref(), facts.datasets[0].path.as_deref()), (None, None));
    let lease = Lease { trial: plan(&["d"]).trial_id(SweepId::derive("a", ""), 0), attempt: 1 };
    let granted = Event::LeaseGranted { lease, agent: id(1), slot: 0, resume_epoch: 0, fingerprint: None, share: 1000 };
    let text = serde_json::to_string(&granted).unwrap();
    assert!(!text.contains("fingerprint"), "{text}");
    assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), granted);
}

//! Results of earlier sweeps: found where recipe, code and data are the same, taken only when asked for, told in the report, counted
//! once, and refused by the oracle where anything differs.

use std::sync::Arc;

use sweep_core::attempt::{CheckpointKind, EpochMetrics};
use sweep_core::audit::{Audit, Auditor};
use sweep_core::command::{Command, Effect, EffectKind, Ending, Reply, Submit};
use sweep_core::decide::Core;
use sweep_core::estimate::estimate;
use sweep_core::event::{AgentFacts, Checkpoint, DatasetFacts, Event};
use sweep_core::id::{AgentId, SweepId, TrialId};
use sweep_core::num::Num;
use sweep_core::orders::orders;
use sweep_core::origin::Origin;
use sweep_core::plan::{Growth, Plan, Wish, plan_text};
use sweep_core::recipe::{Layout, Numerics, Precision};
use sweep_core::report::summarise;
use sweep_core::reuse::{Found, Wanted, find};
use sweep_core::state::State;
use sweep_core::state::sweep::Sweep;
use sweep_core::time::{Span, Timestamp};

const BASE: &str = "name = \"base\"\ndataset = \"d\"\nmodel = \"m1\"\nepochs = 2\nseeds = 2\n[grid]\nlr = [0.1, 0.2]\n";
const MORE: &str = "name = \"more\"\nmodel = \"m1\"\ndataset = \"d\"\nepochs = 2\nseeds = 3\n[grid]\ndropout = [0.0]\nlr = [0.2, 0.3, 0.1]\n";
const PROGRAM: &str = "trainer 1, libtorch 2";

struct Lab {
    core: Core,
    now: Timestamp,
    journal: Vec<(Timestamp, Event)>,
    numerics: Numerics,
}

fn agent() -> AgentId {
    AgentId::from(uuid::Uuid::from_u128(1))
}

impl Lab {
    fn new() -> Self {
        let core = Core::new(State::default(), Timestamp(0));
        let numerics = Numerics { precision: Precision::Bf16, layout: Layout::Contiguous };
        let mut lab = Self { core, now: Timestamp(0), journal: Vec::new(), numerics };
        lab.hello("f1", Some(PROGRAM));
        lab
    }

    /// A lab in which [`BASE`] was trained.
    fn trained() -> Self {
        let mut lab = Self::new();
        lab.submit(BASE, &[]);
        lab.run();
        lab
    }

    fn ask(&mut self, command: Command) -> Reply {
        self.now = self.now + Span::seconds(1);
        let mut out = Vec::new();
        let reply = self.core.handle(command, self.now, &mut out);
        self.core.settle(self.now, &mut out);
        self.journal.extend(out.into_iter().map(|event| (self.now, event)));
        reply
    }

    fn hello(&mut self, fingerprint: &str, trainer: Option<&str>) {
        let (name, fingerprint) = ("d".to_owned(), Some(fingerprint.to_owned()));
        let mut facts = AgentFacts {
            agent: agent(),
            host: "h".into(),
            incarnation: 1,
            slots: vec!["cpu".into(); 3],
            datasets: vec![DatasetFacts { name, fingerprint, train_images: 900, ..DatasetFacts::default() }],
            data_roots: Vec::new(),
            any_dataset: false,
            offer: Default::default(),
        };
        facts.offer.trainer = trainer.map(str::to_owned);
        self.ask(Command::Hello { facts: facts.clone(), held: Vec::new() });
        if self.core.state().agents[&agent()].facts != facts {
            // It does not say what it has seen, and is asked once more.
            self.ask(Command::Heartbeat { agent: agent(), known: Vec::new() });
            self.ask(Command::Hello { facts, held: Vec::new() });
        }
    }

    fn submit(&mut self, text: &str, reuse: &[Found]) -> SweepId {
        let (plan, spec) = plan_text(text.as_bytes()).expect("a plan");
        let sweep = SweepId::derive(&spec.canonical(), "");
        let (user, project, plan) = ("ann".to_owned(), "p".to_owned(), Arc::new(plan));
        let reuse = reuse.iter().map(|found| (found.index, found.origin)).collect();
        self.ask(Command::Submit(Submit { sweep, user, project, plan, queue_anyway: false, reuse }));
        sweep
    }

    /// Trains whatever there is to train, to its end.
    fn run(&mut self) {
        let epoch = |seq: u32| EpochMetrics::uniform(u64::from(seq), seq, Num(f64::from(seq) / 10.0));
        while let Some(lease) = orders(self.core.state(), agent()).first().map(|wanted| wanted.lease) {
            let origin = Origin { build: "trainer 1".into(), engine: Some("libtorch 2".into()), ..Origin::default() };
            let origin = Origin { parameters: 7, classes: 3, hardware: Some("cpu x".into()), ..origin };
            let (kind, sha256) = (CheckpointKind::Best, lease.trial.to_string());
            for what in [
                EffectKind::Started(Box::new(origin)),
                EffectKind::Chosen(self.numerics),
                EffectKind::Metrics(vec![epoch(1), epoch(2)]),
                EffectKind::Checkpoint(Checkpoint { kind, epoch: 2, seq: 2, sha256, bytes: 5 }),
                EffectKind::Ended {
                    final_seq: 2,
                    how: Ending::Done { early: false, weights: lease.trial.to_string(), test: None },
                },
            ] {
                self.ask(Command::Report { agent: agent(), effects: vec![Effect { lease, what }] });
            }
        }
    }

    fn find(&self, text: &str) -> Vec<Found> {
        let (plan, _) = plan_text(text.as_bytes()).expect("a plan");
        find(self.core.state(), &plan, &Wanted::of(&plan, 0), None, |_| true)
    }

    fn sweep(&self, id: SweepId) -> &Sweep {
        self.core.state().sweep(id).expect("it was submitted")
    }

    fn audit(&self) -> Audit {
        audit(self.journal.iter().map(|(_, event)| event))
    }

    fn healthy(&self) -> Audit {
        let audit = self.audit();
        assert!(audit.is_exactly_once(), "{audit:?}");
        assert_eq!(self.core.state().check(), Ok(()));
        let mut state = State::default();
        for (at, event) in &self.journal {
            let line = serde_json::to_string(event).expect("events are JSON");
            state.apply(&serde_json::from_str(&line).expect("what was written is read"), *at);
        }
        assert_eq!(&state, self.core.state(), "the state is the fold of the journal");
        audit
    }
}

fn audit<'a>(events: impl Iterator<Item = &'a Event>) -> Audit {
    let mut auditor = Auditor::new();
    events.for_each(|event| auditor.read(event));
    auditor.all()
}

#[test]
fn what_was_trained_before_is_found_and_taken_only_when_asked_for() {
    let mut lab = Lab::trained();
    // Another order of axes, another name, a value that is the default: the same recipes.
    let found = lab.find(MORE);
    assert_eq!(found.len(), 4, "two rates with two seeds: {found:?}");
    assert!(found.iter().all(|found| found.sweep == "base"));

    let plain = lab.submit(&MORE.replace("more", "plain"), &[]);
    assert_eq!(lab.sweep(plain).reused, 0, "never silently");
    let asked = lab.submit(MORE, &found);
    assert_eq!((lab.sweep(asked).reused, lab.sweep(asked).counts.completed), (4, 4));
    lab.run();
    let all = lab.healthy();
    assert_eq!((all.planned, all.completed, all.reused, all.attempts), (4 + 9 + 9, 18, 4, 18));

    // Numbers, checkpoints and weights are those of the trial that was trained; what they cost is counted there.
    let report = summarise(lab.core.state(), asked).expect("a report");
    assert_eq!(report.reused, [("base".to_owned(), 4)].into());
    let cost = |id| summarise(lab.core.state(), id).expect("a report").cost;
    assert_eq!((report.completed, report.cost.attempts, cost(plain).attempts), (9, 5, 9));
    assert!(report.cost.slot_seconds < cost(plain).slot_seconds);
    let rows = report.points.iter().flat_map(|row| &row.trials);
    for row in rows.filter(|row| row.origin.is_some()) {
        let origin = row.origin.as_ref().expect("filtered").trial;
        assert_eq!((row.weights.clone(), row.epochs), (Some(origin.to_string()), 2));
    }
    assert_eq!(report.points.iter().map(|row| row.parameters).collect::<Vec<_>>(), [Some(7); 3]);
    assert_eq!(report.provenance.programs, [PROGRAM]);
    // A result that was taken is not trained: it is no origin, and no sample of what an epoch takes.
    let (plan, _) = plan_text(MORE.replace("more", "next").as_bytes()).expect("a plan");
    let next = find(lab.core.state(), &plan, &Wanted::of(&plan, 0), None, |sweep| sweep.id == asked);
    assert_eq!(next.len(), 5);
    let seen = estimate(lab.core.state(), &plan, |sweep| sweep.id == asked).expect("a plan").shapes[0].seen;
    assert_eq!(seen.map(|seen| seen.trials), Some(5));
}

#[test]
fn whoever_may_not_see_a_sweep_is_offered_none_of_its_results() {
    let lab = Lab::trained();
    let (plan, _) = plan_text(MORE.as_bytes()).expect("a plan");
    assert_eq!(find(lab.core.state(), &plan, &Wanted::of(&plan, 0), None, |_| false), []);
}

#[test]
fn other_recipes_code_data_and_open_questions_are_not_the_same() {
    let lab = Lab::trained();
    for other in [
        MORE.replace("epochs = 2", "epochs = 3"),
        MORE.replace("seeds = 3", "seeds = [7, 8]"),
        MORE.replace("[0.0]", "[0.1]"),
        MORE.replace("\"m1\"", "\"m4\""),
        MORE.replace("\"d\"", "\"d\"\nprecision = \"fp32\""),
        MORE.replace("\"d\"", "\"d\"\ninit.weights = \"w.safetensors\""),
        // Results are compared while they come: none is taken.
        MORE.replace("\"d\"", "\"d\"\nstop = \"asha\"").replace("epochs = 2", "epochs = 9"),
    ] {
        assert_eq!(lab.find(&other), [], "{other}");
    }
    for (fingerprint, trainer) in [("f2", Some(PROGRAM)), ("f1", Some("trainer 2, libtorch 2")), ("f1", None)] {
        let mut lab = Lab::trained();
        lab.hello(fingerprint, trainer);
        assert_eq!(lab.find(MORE), [], "{fingerprint} {trainer:?}");
        lab.hello("f1", Some(PROGRAM));
        assert_eq!(lab.find(MORE).len(), 4);
    }
    // A sweep is not offered what it has itself, and unfinished trials are no results.
    let mut lab = Lab::new();
    lab.submit(BASE, &[]);
    assert_eq!(lab.find(MORE), []);
    // What was found is looked at again by who takes it.
    let mut lab = Lab::trained();
    let found = lab.find(MORE);
    lab.hello("f1", Some("trainer 2, libtorch 2"));
    let late = lab.submit(MORE, &found);
    assert_eq!(lab.sweep(late).reused, 0);
    let lie = Found { index: 0, ..found[3].clone() };
    lab.hello("f1", Some(PROGRAM));
    let wrong = lab.submit(&MORE.replace("more", "wrong"), &[lie, Found { index: 99, ..found[0].clone() }]);
    assert_eq!(lab.sweep(wrong).reused, 0);
}

#[test]
fn what_was_chosen_elsewhere_binds_the_sweep() {
    let mut lab = Lab::trained();
    let found = lab.find(MORE);
    let id = lab.submit(MORE, &found);
    assert_eq!(lab.sweep(id).choices.all().collect::<Vec<_>>(), [("m1/auto/auto", lab.numerics)]);
    // A sweep that has chosen something else takes none of these results.
    let mut lab = Lab::new();
    lab.submit(BASE, &[]);
    lab.run();
    lab.numerics.precision = Precision::Fp32;
    let grown = "name = \"grown\"\nmodel = \"m1\"\ndataset = \"d\"\nepochs = 2\n[grid]\nlr = [0.9]\n";
    let id = lab.submit(grown, &[]);
    lab.run();
    let plan = plan_text(grown.replace("[0.9]", "[0.9, 0.1]").as_bytes()).expect("a plan").0;
    assert_eq!(offers(&lab, id, &plan).1, []);
}

fn offers(lab: &Lab, id: SweepId, file: &Plan) -> (Growth, Vec<Found>) {
    let sweep = lab.sweep(id);
    let growth = sweep.plan.growth(&Wish { plan: Some(file.clone()), ..Wish::default() }).expect("more of it");
    let mut grown = Plan::clone(&sweep.plan);
    grown.grow(&growth);
    let found = find(lab.core.state(), &grown, &Wanted::of(&grown, sweep.plan.len()), Some(sweep), |_| true);
    (growth, found)
}

#[test]
fn an_extension_takes_results_too() {
    let mut lab = Lab::trained();
    let start = "name = \"grown\"\nmodel = \"m1\"\ndataset = \"d\"\nepochs = 2\nseeds = 2\n[grid]\nlr = [0.9]\n";
    let sweep = lab.submit(start, &[]);
    lab.run();
    let file = plan_text(start.replace("[0.9]", "[0.9, 0.1]").as_bytes()).expect("a plan").0;
    let (growth, found) = offers(&lab, sweep, &file);
    assert_eq!(found.len(), 2);
    let reuse = found.iter().map(|found| (found.index, found.origin)).collect();
    let reply =
        lab.ask(Command::Extend { sweep, user: "ann".into(), growth, points: 1, seeds: 2, queue_anyway: false, reuse });
    assert_eq!((reply, lab.sweep(sweep).status(), lab.sweep(sweep).reused), (Reply::Changed(2), "completed", 2));
    lab.healthy();
}

#[test]
fn the_oracle_refuses_results_that_are_not_the_same() {
    let mut lab = Lab::trained();
    let found = lab.find(MORE);
    lab.submit(MORE, &found);
    lab.run();
    assert!(lab.audit().is_legal());
    let other = TrialId::derive(lab.journal_sweep(), "nobody");
    let place = lab.journal.iter().position(|(_, event)| matches!(event, Event::TrialReused { .. })).expect("taken");
    type Change = fn(&mut Event, TrialId);
    let changes: [(&str, Change); 5] = [
        ("reused_unfinished", |event, other| set(event, |_, origin, _, _| *origin = other)),
        ("reused_other_code", |event, _| set(event, |_, _, program, _| program.push('x'))),
        ("reused_other_data", |event, _| set(event, |_, _, _, copy| copy.push('x'))),
        ("trial_unknown", |event, other| set(event, |trial, _, _, _| *trial = other)),
        ("choice", |event, _| {
            let Event::TrialReused { numerics, .. } = event else { return };
            *numerics = None;
        }),
    ];
    for (rule, change) in changes {
        let mut events: Vec<Event> = lab.journal.iter().map(|(_, event)| event.clone()).collect();
        change(&mut events[place], other);
        let found = audit(events.iter()).violations;
        assert!(found.iter().any(|found| found.rule == rule), "{rule}: {found:?}");
    }
    // Another seed's result, a result of what was started, and one that is taken twice.
    let Some((_, Event::TrialReused { trial, .. })) = lab.journal.get(place) else { panic!("taken") };
    let mut events: Vec<Event> = lab.journal.iter().map(|(_, event)| event.clone()).collect();
    let Event::TrialReused { origin: next, .. } = events[place + 1].clone() else { panic!("four are taken") };
    set(&mut events[place], |_, origin, _, _| *origin = next);
    assert!(audit(events.iter()).violations.iter().any(|found| found.rule == "reused_other_recipe"));
    let mut events: Vec<Event> = lab.journal.iter().map(|(_, event)| event.clone()).collect();
    events.push(events[place].clone());
    assert!(audit(events.iter()).violations.iter().any(|found| found.rule == "reused_after_start"), "{trial}");
}

fn set(event: &mut Event, change: impl FnOnce(&mut TrialId, &mut TrialId, &mut String, &mut String)) {
    if let Event::TrialReused { trial, origin, program, fingerprint, .. } = event {
        change(trial, origin, program, fingerprint);
    }
}

impl Lab {
    fn journal_sweep(&self) -> SweepId {
        self.core.state().sweeps[0].id
    }
}

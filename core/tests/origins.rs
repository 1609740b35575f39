//! What trainers say when they start: written down once for each thing that is new, and found again in the report.

use std::sync::Arc;

use sweep_core::audit::Auditor;
use sweep_core::command::{Command, Effect, EffectKind, EffectResult, Reply, Submit};
use sweep_core::decide::Core;
use sweep_core::event::{AgentFacts, DatasetFacts, Event};
use sweep_core::id::{AgentId, Lease, SweepId};
use sweep_core::orders::orders;
use sweep_core::origin::Origin;
use sweep_core::plan::plan_text;
use sweep_core::report::analysis::{Options, analyse};
use sweep_core::report::document::document;
use sweep_core::report::document::markdown::markdown;
use sweep_core::report::summarise;
use sweep_core::state::State;
use sweep_core::time::Timestamp;

const FILE: &str = "name = \"a\"\ndataset = \"d\"\nprecision = \"fp32\"\nlayout = \"contiguous\"\nseeds = 2\n\n[grid]\nlr = [0.1, 0.2] # two\n";
const NOW: Timestamp = Timestamp(0);

fn agent() -> AgentId {
    AgentId::from(uuid::Uuid::from_u128(1))
}

fn starts(core: &mut Core, journal: &mut Vec<Event>, lease: Lease, origin: &Origin) -> EffectResult {
    let effects = vec![Effect { lease, what: EffectKind::Started(Box::new(origin.clone())) }];
    let Reply::Effects(results) = core.handle(Command::Report { agent: agent(), effects }, NOW, journal) else {
        panic!("the agent is known");
    };
    results[0]
}

#[test]
fn what_trains_is_written_down_where_it_is_news() {
    let (mut plan, spec) = plan_text(FILE.as_bytes()).expect("a good file");
    plan.source = Some(FILE.to_owned());
    let sweep = SweepId::derive(&spec.canonical(), "");
    let (mut core, mut journal) = (Core::new(State::default(), NOW), Vec::new());
    let dataset = DatasetFacts { name: "d".into(), train_images: 9, ..DatasetFacts::default() };
    let facts = AgentFacts { datasets: vec![dataset], ..AgentFacts::pretend(agent(), "h", 4) };
    core.handle(Command::Hello { facts, held: Vec::new() }, NOW, &mut journal);
    let (user, project) = ("ann".to_owned(), "p".to_owned());
    core.handle(
        Command::Submit(Submit { sweep, user, project, plan: Arc::new(plan), queue_anyway: false, reuse: Vec::new() }),
        NOW,
        &mut journal,
    );
    core.settle(NOW, &mut journal);
    let leases: Vec<Lease> = orders(core.state(), agent()).into_iter().map(|wanted| wanted.lease).collect();
    assert_eq!(leases.len(), 4);

    let origin = Origin {
        build: "sweep-trainer 1".into(),
        engine: Some("libtorch 2".into()),
        hardware: Some("NVIDIA driver 570.86.15".into()),
        parameters: 11,
        train_images: 7,
        val_images: 2,
        classes: 3,
        data: "ab".into(),
    };
    let before = journal.len();
    for lease in &leases {
        for _ in 0..2 {
            let result = starts(&mut core, &mut journal, *lease, &origin);
            assert_eq!(result, EffectResult::Accepted { acked_seq: 0 });
        }
    }
    assert_eq!(journal.len() - before, 2, "one for each point: seeds have the same network");
    let late = Lease { attempt: 9, ..leases[0] };
    assert_eq!(starts(&mut core, &mut journal, late, &origin), EffectResult::Fenced);
    let other = Origin { engine: Some("libtorch 3".into()), ..origin };
    starts(&mut core, &mut journal, leases[3], &other);
    assert_eq!(journal.len() - before, 3);

    let mut auditor = Auditor::new();
    let mut state = State::default();
    for event in &journal {
        let line = serde_json::to_string(event).expect("events are JSON");
        let event: Event = serde_json::from_str(&line).expect("what was written is read");
        auditor.read(&event);
        state.apply(&event, NOW);
    }
    assert_eq!(auditor.all().violations, []);
    assert_eq!(&state, core.state());
    let report = summarise(&state, sweep).expect("a sweep");
    let from = &report.provenance;
    assert_eq!(from.programs, ["sweep-trainer 1, libtorch 2", "sweep-trainer 1, libtorch 3"]);
    assert_eq!(from.hardware, ["NVIDIA driver 570.86.15"]);
    let images = "7 images to train on, 2 to validate on, 3 classes";
    assert_eq!(from.images, [(images.to_owned(), "ab".to_owned())]);
    assert_eq!(from.source.as_deref(), Some(FILE));
    assert!(report.points.iter().all(|row| row.parameters == Some(11)));
    // What varies is not shown with a value of the base, with which nothing was trained.
    let text = markdown(&document(&analyse(report, &Options::default()).expect("a study"), &[]));
    assert!(
        text.contains("| recipe: lr | varies: 0.1, 0.2 |") && text.contains("| recipe: seed | varies: 0, 1 |"),
        "{text}"
    );
    auditor.read(&Event::TrainerStarted { lease: late, origin: Box::new(other) });
    assert_eq!(auditor.all().violations[0].rule, "late_effect");
}

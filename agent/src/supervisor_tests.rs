//! Orders in every order, and what is never started twice.

use super::*;
use crate::energy::Counter;
use crate::energy::meters::Part;
use crate::launcher::Trainer;
use crate::launcher::noop::NoopLauncher;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::json;
use sweep_core::attempt::{Body, EpochMetrics, Line};
use sweep_core::id::{SweepId, TrialId};
use sweep_core::num::Num;
use sweep_core::orders::Order;

fn lease(number: u32) -> Lease {
    let trial = TrialId::derive(SweepId::derive("supervisor", ""), &number.to_string());
    Lease { trial, attempt: 1 }
}

/// Orders for the leases with these numbers, on slots of the same number, all with bodies.
fn orders(revision: u64, numbers: &[u32]) -> Orders {
    let recipe = serde_json::from_value::<sweep_core::recipe::Recipe>(json!({ "dataset": "d" })).unwrap();
    let body = |number: &u32| PlacedOrder {
        lease: lease(*number),
        slot: *number,
        order: Order {
            recipe: recipe.clone(),
            resume: None,
            best: None,
            fingerprint: None,
            numerics: None,
            alike: None,
            probe_steps: None,
        },
    };
    Orders {
        revision,
        leases: numbers.iter().copied().map(lease).collect(),
        bodies: numbers.iter().map(body).collect(),
        notes: Vec::new(),
        waits: BTreeMap::new(),
    }
}

struct Case {
    supervisor: Supervisor,
    told: mpsc::Receiver<(Lease, Told)>,
}

impl Case {
    fn new(slots: u32) -> Self {
        let (tell, told) = mpsc::channel(64);
        let supervisor = Supervisor::new(Arc::new(NoopLauncher), slots, Duration::from_secs(1), tell);
        Self { supervisor, told }
    }

    /// Takes what the units tell until so many are over.
    async fn over(&mut self, count: usize) {
        for _ in 0..count {
            let (lease, told) = self.told.recv().await.unwrap();
            self.supervisor.told(lease, told);
        }
    }

    /// Reports everything and has it accepted.
    fn accept(&mut self) -> usize {
        let Some(report) = self.supervisor.report() else { return 0 };
        let results = vec![EffectResult::Accepted { acked_seq: 1 }; report.sent.len()];
        assert!(!self.supervisor.reported(&report.sent, &results));
        report.sent.len()
    }
}

#[tokio::test]
async fn an_attempt_is_started_once_whatever_orders_come() {
    let mut case = Case::new(4);
    case.supervisor.greeted(&[]);
    assert!(case.supervisor.orders(orders(5, &[0, 1])));
    assert!(!case.supervisor.orders(orders(5, &[0, 1])), "again is nothing new");
    assert!(!case.supervisor.orders(orders(4, &[2])), "out of date");
    case.over(2).await;
    assert_eq!(case.accept(), 4, "an epoch and an end of each in one report");
    assert_eq!(case.supervisor.held(), []);
    assert!(!case.supervisor.orders(orders(5, &[0, 1])), "late, but not older: they are settled");
    assert!(!case.supervisor.orders(orders(6, &[0])));
    assert_eq!(case.supervisor.revision(), 6);
}

#[tokio::test]
async fn a_coordinator_that_was_started_again_counts_from_anew() {
    let mut case = Case::new(4);
    case.supervisor.greeted(&[]);
    case.supervisor.orders(orders(50, &[0]));
    case.over(1).await;
    case.supervisor.greeted(&[(lease(0), Verdict::Continue { acked_seq: 0 })]);
    assert_eq!(case.supervisor.revision(), 0);
    assert!(case.supervisor.orders(orders(2, &[0, 1])));
    case.over(1).await;
    assert_eq!(case.accept(), 4);
}

#[tokio::test]
async fn what_cannot_start_is_reported_and_verdicts_are_obeyed() {
    let mut case = Case::new(2);
    case.supervisor.greeted(&[]);
    case.supervisor.orders(orders(1, &[0, 7]));
    case.over(1).await;
    let report = case.supervisor.report().unwrap();
    let failed = report.effects.iter().find(|effect| effect.lease == lease(7)).unwrap();
    let sweep_core::command::EffectKind::Ended { how: Ending::Failed(failure), .. } = &failed.what else {
        panic!("{failed:?}")
    };
    assert_eq!(failure.reason, "slot_unknown");
    case.supervisor.greeted(&[(lease(0), Verdict::Fenced), (lease(7), Verdict::Unknown)]);
    assert_eq!(case.supervisor.held(), []);
    assert!(case.supervisor.report().is_none());
}

/// Its trainers never say a word, on devices that drew so many joules. It notes after which epochs they are to wait.
struct Metered(Arc<std::sync::Mutex<f64>>, std::sync::Mutex<Vec<Option<u32>>>);

struct Drawn(Arc<std::sync::Mutex<f64>>);

impl Counter for Drawn {
    fn joules(&mut self) -> Option<f64> {
        Some(*self.0.lock().unwrap())
    }
}

impl Launcher for Metered {
    fn found(&self) -> Vec<Found> {
        Vec::new()
    }

    fn start(&self, _: PlacedOrder) -> BoxFuture<'static, Result<Box<dyn Trainer>, Failure>> {
        std::future::pending().boxed()
    }

    fn attach(&self, _: Lease) -> BoxFuture<'static, Result<Box<dyn Trainer>, Failure>> {
        std::future::pending().boxed()
    }

    fn checkpoint(&self, _: Lease, _: &str) -> Option<Source> {
        None
    }

    fn dispose(&self, _: Lease, _: Disposal) {}

    fn wait_at(&self, _: Lease, epoch: Option<u32>) -> bool {
        self.1.lock().unwrap().push(epoch);
        true
    }

    fn meters(&self) -> Meters {
        let mut meters = Meters::default();
        meters.add(Part::Processors, None, Box::new(Drawn(Arc::clone(&self.0))));
        meters
    }
}

#[tokio::test]
async fn epochs_are_reported_with_what_they_drew() {
    let drawn = Arc::new(std::sync::Mutex::new(100.0));
    let (tell, _told) = mpsc::channel(64);
    let launcher = Arc::new(Metered(Arc::clone(&drawn), std::sync::Mutex::default()));
    let mut supervisor = Supervisor::new(launcher, 2, Duration::from_secs(1), tell);
    supervisor.greeted(&[]);
    supervisor.orders(orders(1, &[0, 1]));
    *drawn.lock().unwrap() += 30.0;
    let epoch = EpochMetrics { cost: Some(Box::default()), ..EpochMetrics::uniform(1, 1, Num(0.0)) };
    supervisor.told(lease(0), Told::Lines(vec![Line { work: 0, body: Body::Epoch(epoch) }]));
    let report = supervisor.report().unwrap();
    let sweep_core::command::EffectKind::Metrics(epochs) = &report.effects[0].what else {
        panic!("{:?}", report.effects)
    };
    let energy = epochs[0].cost.as_ref().unwrap().energy.unwrap();
    assert_eq!(
        (energy.cpu, energy.gpu, energy.idle),
        (Some(Num(15.0)), None, None),
        "half of 30: two share the device"
    );
}

#[tokio::test]
async fn a_trainer_is_told_how_far_it_may_go_and_leaves_if_it_cannot_be_decided() {
    let (tell, _told) = mpsc::channel(64);
    let launcher = Arc::new(Metered(Arc::default(), std::sync::Mutex::default()));
    let mut supervisor = Supervisor::new(launcher.clone(), 2, Duration::from_secs(1), tell);
    supervisor.greeted(&[]);
    let until = |revision, epoch: Option<u32>| Orders {
        waits: epoch.map(|epoch| (lease(0), epoch)).into_iter().collect(),
        ..orders(revision, &[0, 1])
    };
    for (revision, epoch) in [(1, Some(1)), (2, Some(1)), (1, None), (3, Some(3)), (4, None), (5, Some(2))] {
        supervisor.orders(until(revision, epoch));
    }
    assert_eq!(*launcher.1.lock().unwrap(), [Some(1), Some(3), None, Some(2)], "in order, and only what is new");
    let told = |body| Told::Lines(vec![Line { work: 0, body }]);
    let line = CheckpointLine {
        kind: sweep_core::attempt::CheckpointKind::Last,
        epoch: 2,
        seq: 2,
        file: "last-2.safetensors".into(),
        bytes: 1,
        sha256: "0".repeat(64),
    };
    for epoch in 1..=2 {
        supervisor.told(lease(0), told(Body::Epoch(EpochMetrics::uniform(epoch.into(), epoch, Num(0.0)))));
    }
    supervisor.told(lease(0), told(Body::Checkpoint(line.clone())));
    assert_eq!(supervisor.uploads(Instant::now()).len(), 1);
    assert!(supervisor.attempts[&lease(0)].stop.is_some());
    supervisor.uploaded(lease(0), &line, Uploaded::Lost, Instant::now());
    assert!(supervisor.attempts[&lease(0)].stop.is_none(), "it was asked to leave");
}

#[tokio::test]
async fn nothing_is_touched_before_the_first_orders() {
    let mut case = Case::new(2);
    case.supervisor.greeted(&[]);
    case.supervisor.orders(orders(9, &[0]));
    case.supervisor.greeted(&[(lease(0), Verdict::Continue { acked_seq: 0 })]);
    case.over(1).await;
    assert_eq!(case.supervisor.held(), [lease(0)]);
    assert!(case.supervisor.attempts[&lease(0)].stop.is_none());
    assert!(matches!(case.supervisor.attempts[&lease(0)].outbox.ending(), Some(Ending::Done { .. })));
}

//! What a plan will take, by what was seen.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;

use sweep_core::attempt::EpochMetrics;
use sweep_core::device::Offer;
use sweep_core::estimate::{Estimate, estimate};
use sweep_core::event::{AgentFacts, Event};
use sweep_core::id::{AgentId, Lease, SweepId};
use sweep_core::num::Num;
use sweep_core::plan::{Plan, plan_text};
use sweep_core::state::State;
use sweep_core::time::{Span, Timestamp};

fn plan(body: &str) -> Plan {
    plan_text(format!("name = \"x\"\ndataset = \"d\"\nmodel = \"cifar-cnn\"\n{body}").as_bytes()).unwrap().0
}

/// A state in which each trial of a plan has trained 2 epochs in `seconds` of its index.
fn trained(plan: Plan, seconds: impl Fn(u32) -> i64) -> State {
    let (mut state, start) = (State::default(), Timestamp(1_000_000));
    let agent = AgentId::from(uuid::Uuid::from_u128(1));
    let slots = vec!["gpu".into(); 4];
    let (datasets, data_roots) = (vec![], vec![]);
    let facts = AgentFacts {
        agent,
        host: "h".into(),
        incarnation: 1,
        slots,
        datasets,
        data_roots,
        any_dataset: true,
        offer: Offer::default(),
    };
    state.apply(&Event::AgentJoined(facts), start);
    let sweep = SweepId::derive("past", "");
    let (count, name) = (plan.len(), "past".to_owned());
    let plan = Arc::new(plan);
    let (user, project) = ("ann".to_owned(), "p".to_owned());
    state.apply(&Event::SweepSubmitted { sweep, name, user, project, plan: plan.clone() }, start);
    for index in 0..count {
        let lease = Lease { trial: plan.trial_id(sweep, index), attempt: 1 };
        state.apply(
            &Event::LeaseGranted { lease, agent, slot: 0, resume_epoch: 0, fingerprint: None, share: 1000 },
            start,
        );
        for epoch in 1..=2 {
            let metrics = EpochMetrics::uniform(epoch, epoch as u32, Num(0.5));
            state.apply(&Event::EpochReported { lease, metrics }, start);
        }
        let done = Event::TrialCompleted { lease, final_seq: 2, early: false, weights: "w".into(), test: None };
        state.apply(&done, start + Span::seconds(seconds(index)));
    }
    state
}

fn of(state: &State, plan: &Plan) -> Estimate {
    estimate(state, plan, |_| true).unwrap()
}

#[test]
fn an_epoch_takes_what_it_took() {
    // Three trials of one shape: 4, 6 and 20 seconds an epoch.
    let state = trained(plan("epochs = 2\ngrid.lr = [0.1, 0.2, 0.3]"), |index| [8, 12, 40][index as usize]);
    let new = plan("epochs = 10\nseeds = 3\ngrid.dropout = [0.0, 0.1]");
    let found = of(&state, &new);
    let seen = found.shapes[0].seen.unwrap();
    assert_eq!((seen.trials, seen.seconds, seen.least, seen.most), (3, Num(6.0), Num(4.0), Num(20.0)));
    assert_eq!((found.shapes.len(), found.shapes[0].trials, found.shapes[0].epochs, found.slots), (1, 6, 60, 4));
    // 60 epochs of 6 seconds on 4 slots; nothing is known about energy.
    let full = found.full.unwrap();
    assert!((full.slot_hours.0 - 0.1).abs() < 1e-12, "{full:?}");
    assert!((full.eta_hours.unwrap().0 - 0.025).abs() < 1e-12, "{full:?}");
    assert_eq!((full.kwh, found.stopped), (None, None));
    // Sweeps that the caller may not see say nothing.
    assert_eq!(estimate(&state, &new, |_| false).unwrap().full, None);
}

#[test]
fn a_shape_that_was_never_trained_is_not_guessed() {
    let state = trained(plan("epochs = 2"), |_| 8);
    let found = of(&state, &plan("epochs = 2\ngrid.batch_size = [32, 64]"));
    let seen: Vec<bool> = found.shapes.iter().map(|shape| shape.seen.is_some()).collect();
    assert_eq!(seen, [true, false]);
    assert_eq!(found.shapes[1].shape["batch_size"], "64");
    assert_eq!(found.full, None);
}

#[test]
fn early_stopping_has_its_own_figure() {
    let state = trained(plan("epochs = 2"), |_| 8);
    let values: Vec<String> = (1..=9).map(|value| format!("0.{value}")).collect();
    let found = of(&state, &plan(&format!("epochs = 9\nstop = \"asha\"\ngrid.lr = [{}]", values.join(", "))));
    // 9 epochs of the first rung, 3 x 2 more to the second, 1 x 6 to the end: 21 of 81.
    let (full, stopped) = (found.full.unwrap(), found.stopped.unwrap());
    assert!((stopped.slot_hours.0 / full.slot_hours.0 - 21.0 / 81.0).abs() < 1e-12);
}

//! What a plan will take, by what was seen.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;

use sweep_core::attempt::{EpochMetrics, FailureClass};
use sweep_core::cost::{Energy, EpochCost, Part};
use sweep_core::device::{DeviceFacts, Offer};
use sweep_core::estimate::{Estimate, Fit, ShapeEstimate, estimate, in_the_way};
use sweep_core::event::{AgentFacts, Event, Failure};
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
    state(plan, &[1, 2].map(|epoch| EpochMetrics::uniform(epoch, epoch as u32, Num(0.5))), seconds)
}

/// A state in which each trial of a plan has reported these epochs, on a GPU of 80 GiB with four slots.
fn state(plan: Plan, epochs: &[EpochMetrics], seconds: impl Fn(u32) -> i64) -> State {
    let (mut state, start) = (State::default(), Timestamp(1_000_000));
    let agent = AgentId::from(uuid::Uuid::from_u128(1));
    let slots = vec!["gpu".into(); 4];
    let device =
        DeviceFacts { id: "g".into(), model: "G".into(), memory: 80 << 30, slots: vec![0, 1, 2, 3], packed: false };
    let offer = Offer { devices: vec![device], ..Offer::default() };
    let facts = AgentFacts { slots, offer, ..AgentFacts::pretend(agent, "h", 4) };
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
        for metrics in epochs {
            state.apply(&Event::EpochReported { lease, metrics: metrics.clone() }, start);
        }
        let done = Event::TrialCompleted {
            lease,
            final_seq: epochs.len() as u64,
            early: false,
            weights: "w".into(),
            test: None,
        };
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
    // Eight come to the first rung, 2 x 2 epochs more to the second, 1 x 6 to the end, and 9 of the baseline: 27 of 81.
    let (full, stopped) = (found.full.unwrap(), found.stopped.unwrap());
    assert!((stopped.slot_hours.0 / full.slot_hours.0 - 27.0 / 81.0).abs() < 1e-12);
    // A budget ends the baseline, too.
    let budget = "epochs = 100\nstop = { rule = \"budget\", max_epochs = 5 }\ngrid.lr = [0.1, 0.2]";
    let found = of(&state, &plan(budget));
    let (full, stopped) = (found.full.unwrap(), found.stopped.unwrap());
    assert!((stopped.slot_hours.0 / full.slot_hours.0 - 10.0 / 200.0).abs() < 1e-12, "{stopped:?} {full:?}");
}

/// As a probe reports it: 20 of 200 steps in 4 s, 100 of 1000 validation images in a second, on a GPU.
fn probed(epoch: u64) -> EpochMetrics {
    let (seconds, val_seconds) = (Num(4.0), Num(1.0));
    let part = Part { steps: 20, of_steps: 200, seconds, val_images: 100, of_val_images: 1000, val_seconds };
    let energy = Energy { gpu: Some(Num(500.0)), ..Energy::default() };
    let cost =
        EpochCost { part: Some(part), energy: Some(energy), device_memory: Some(30 << 30), ..EpochCost::default() };
    let cost = Some(Box::new(EpochCost { step_ms: Num(200.0), peak_memory: Some(9 << 30), ..cost }));
    EpochMetrics {
        seconds: Num(5.0),
        images_per_s: Num(160.0),
        cost,
        ..EpochMetrics::uniform(epoch, epoch as u32, Num(0.5))
    }
}

#[test]
fn a_few_steps_say_what_an_epoch_takes_and_what_a_start_does() {
    let new = plan("epochs = 10\nseeds = 3\ngrid.batch_size = [32, 64]\ngrid.lr = [0.1, 0.2]");
    let found = of(&State::default(), &new);
    let batch = |shape: &ShapeEstimate| new.value(shape.point, "batch_size").cloned().unwrap();
    assert_eq!(found.shapes.iter().map(batch).collect::<Vec<_>>(), [32, 64], "a point of each");
    let probe = new.probe(&found.shapes.iter().map(|shape| shape.point).collect());
    assert_eq!((probe.len(), probe.epochs(0), probe.limits.priority), (2, 2, Some(0)));
    // 8 s from the grant to the end, 5 of them those of the part that counts.
    let state = state(probe.clone(), &[probed(1), probed(2)], |_| 8);
    let found = of(&state, &new);
    let seen = found.shapes[1].seen.unwrap();
    assert_eq!((seen.trials, seen.seconds, seen.startup), (1, Num(50.0), Some(Num(3.0))));
    assert_eq!((seen.joules, seen.step_ms, seen.images_per_s), (Some(Num(5000.0)), Some(Num(200.0)), Some(Num(160.0))));
    // 60 epochs and 6 starts of each shape; two of them fit into the 80 GiB of the four slots.
    assert_eq!(found.shapes[1].fit, Some(Fit { trials: 2, slots: 4 }));
    let cost = found.shapes[1].cost.unwrap();
    let near = |found: Num, wanted: f64| assert!((found.0 - wanted).abs() < 1e-9, "{} {wanted}", found.0);
    near(cost.slot_hours, (60.0 * 50.0 + 6.0 * 3.0) / 3600.0);
    near(cost.eta_hours.unwrap(), cost.slot_hours.0 / 2.0);
    near(cost.kwh.unwrap(), 60.0 * 5000.0 / 3.6e6);
    near(found.full.unwrap().slot_hours, 2.0 * cost.slot_hours.0);
    near(found.full.unwrap().eta_hours.unwrap(), 2.0 * cost.eta_hours.unwrap().0);
    // Nothing of it stands for what was trained, nor does half a step for an epoch.
    let none = Part { steps: 0, ..probed(2).cost.unwrap().part.unwrap() };
    assert_eq!(none.epoch_seconds(), None);
    // Trials that were longer know better.
    let longer = trained(plan("epochs = 2"), |_| 8);
    assert_eq!(of(&longer, &plan("epochs = 9")).shapes[0].seen.unwrap().startup, None);
}

#[test]
fn memory_fits_as_trials_are_put_there() {
    let probe = plan("epochs = 10\nseeds = 3").probe(&[0].into());
    let fit = |peak: u64, file: &str| {
        let mut last = probed(2);
        last.cost.as_mut().unwrap().device_memory = Some(peak);
        let state = state(probe.clone(), &[probed(1), last], |_| 8);
        of(&state, &plan(&format!("epochs = 10\nseeds = 3\n{file}"))).shapes[0].fit.unwrap().trials
    };
    // Two of 40 of 80 GiB leave nothing to spare, of 36 they do; one that takes nearly all of it is alone.
    assert_eq!([fit(40 << 30, ""), fit(36 << 30, ""), fit(79 << 30, "")], [1, 2, 1]);
    // What the file says comes before what was measured.
    assert_eq!(fit(40 << 30, "placement.memory = \"40 GiB\""), 2);
    assert_eq!(fit(40 << 30, "placement.memory = \"20 GiB\""), 4);
}

#[test]
fn what_does_not_fit_is_said() {
    let new = plan("epochs = 10\nseeds = 3");
    let probe = new.probe(&[0].into());
    let mut large = probed(2);
    large.cost.as_mut().unwrap().device_memory = Some(81 << 30);
    let found = of(&state(probe.clone(), &[probed(1), large], |_| 8), &new);
    assert_eq!(found.shapes[0].fit, Some(Fit { trials: 0, slots: 4 }));
    assert_eq!(found.full.unwrap().eta_hours, None, "it would never end");
    // One that ran out of memory never came to an epoch.
    let (mut state, start) = (state(probe.clone(), &[], |_| 8), Timestamp(1_000_000));
    let sweep = SweepId::derive("other", "");
    let (user, project, plan) = ("ann".to_owned(), "p".to_owned(), Arc::new(probe));
    state.apply(&Event::SweepSubmitted { sweep, name: "other".into(), user, project, plan: plan.clone() }, start);
    let (lease, agent) =
        (Lease { trial: plan.trial_id(sweep, 0), attempt: 1 }, AgentId::from(uuid::Uuid::from_u128(1)));
    state.apply(&Event::LeaseGranted { lease, agent, slot: 0, resume_epoch: 0, fingerprint: None, share: 1000 }, start);
    let failure = Failure { class: FailureClass::OutOfMemory, reason: "oom".into(), message: "90 GB of 80".into() };
    state.apply(&Event::AttemptFailed { lease, failure, retry_at: None }, start + Span::seconds(3));
    let shape = of(&state, &new).shapes.remove(0);
    assert_eq!((shape.seen, shape.failed.as_deref()), (None, Some("out_of_memory, oom: 90 GB of 80")));
}

#[test]
fn a_probe_stands_behind_those_who_wait() {
    let mut state = State::default();
    assert_eq!(in_the_way(&state, |_| true), None);
    let (sweep, name, plan) = (SweepId::derive("s", ""), "late".to_owned(), Arc::new(plan("seeds = 3")));
    let (user, project) = ("ann".to_owned(), "p".to_owned());
    state.apply(&Event::SweepSubmitted { sweep, name, user, project, plan }, Timestamp(1));
    assert_eq!(in_the_way(&state, |_| true).as_deref(), Some("trials wait for slots: 3 of late (ann)"));
    assert_eq!(in_the_way(&state, |_| false).as_deref(), Some("trials wait for slots: 3 of others"));
}

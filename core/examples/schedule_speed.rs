//! How long one scheduling decision takes in a large lab, printed step by step:
//! `cargo run --release -p sweep-core --example schedule_speed`.
#![expect(
    clippy::print_stdout,
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a measurement reads the clock and prints"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use sweep_core::attempt::{CheckpointKind, EpochMetrics};
use sweep_core::cost::EpochCost;
use sweep_core::device::{DeviceFacts, Offer};
use sweep_core::event::{AgentFacts, Checkpoint, Event};
use sweep_core::id::{AgentId, SweepId};
use sweep_core::num::Num;
use sweep_core::plan::{Column, Limits, Plan};
use sweep_core::queue::waiting;
use sweep_core::schedule::{grants, preemptions};
use sweep_core::shares::{Entitlement, Setting};
use sweep_core::state::State;
use sweep_core::time::{Span, Timestamp};

const SWEEPS: u32 = 200;
const TRIALS: u32 = 500;
const USERS: u32 = 50;
const PROJECTS: u32 = 10;

fn plan(number: u32) -> Arc<Plan> {
    let values: Vec<_> = (0..TRIALS).map(|value| json!(f64::from(value + 1))).collect();
    Arc::new(Plan {
        name: format!("sweep-{number}"),
        base: json!({ "dataset": format!("d{}", number % 20) }),
        columns: vec![Column { path: "lr".into(), labels: values.iter().map(ToString::to_string).collect(), values }],
        cells: (0..TRIALS).collect(),
        points: TRIALS,
        seeds: vec![0],
        order: (0..TRIALS).collect(),
        baseline: None,
        limits: Limits { priority: Some(number % 3), ..Limits::default() },
        stop: None,
        search: None,
        source: None,
    })
}

/// So many slots on each device, given out by what trials need of it; 1: the device is not shared.
fn offer(devices: u32, each: u32) -> Offer {
    let device = |gpu: u32| DeviceFacts {
        id: format!("gpu-{gpu}"),
        model: "gpu".into(),
        memory: 80_000_000_000,
        slots: (0..each).map(|slot| gpu + slot * devices).collect(),
        packed: true,
    };
    match each {
        1 => Offer::default(),
        _ => Offer { devices: (0..devices).map(device).collect(), ..Offer::default() },
    }
}

/// So many hosts with so many devices each, and everything submitted.
fn lab(hosts: u32, devices: u32, each: u32, now: Timestamp) -> State {
    let mut state = State::default();
    for number in 0..hosts {
        let facts = AgentFacts {
            offer: offer(devices, each),
            slots: vec!["gpu".into(); (devices * each) as usize],
            ..AgentFacts::pretend(
                AgentId::from(uuid::Uuid::from_u128(u128::from(number) + 1)),
                format!("host-{number}"),
                (devices * each) as usize,
            )
        };
        state.apply(&Event::AgentJoined(facts), now);
    }
    for number in 0..SWEEPS {
        let (plan, name) = (plan(number), format!("sweep-{number}"));
        let (user, project) = (format!("u{}", number % USERS), format!("p{}", number % PROJECTS));
        let sweep = SweepId::derive(&name, "");
        state.apply(&Event::SweepSubmitted { sweep, name, user, project, plan }, now);
    }
    state
}

fn time<T>(what: &str, rounds: u32, mut work: impl FnMut() -> T) -> T {
    let mut times: Vec<Duration> = Vec::new();
    let mut last = None;
    for _ in 0..rounds {
        let start = Instant::now();
        last = Some(work());
        times.push(start.elapsed());
    }
    times.sort();
    println!("  {what:<58} median {:>9.1?}   worst {:>9.1?}", times[times.len() / 2], times[times.len() - 1]);
    last.expect("there is a round")
}

/// Every trial that runs tells what it needs and how fast it is, and others come beside it, until all slots are taken.
fn fill(state: &mut State, now: &mut Timestamp) {
    for round in 0..12 {
        *now = *now + Span::seconds(1);
        let held: Vec<_> = state.agents.values().flat_map(|agent| agent.slots.iter().flatten().copied()).collect();
        for lease in held {
            let seq = state.leased(lease).map_or(0, |(_, leased)| leased.acked_seq) + 1;
            let cost = EpochCost { device_memory: Some(10_000_000_000), ..EpochCost::default() };
            let metrics = EpochMetrics::uniform(seq, seq as u32, Num(1000.0));
            let metrics = EpochMetrics { seconds: Num(1.0), cost: Some(Box::new(cost)), ..metrics };
            state.apply(&Event::EpochReported { lease, metrics }, *now);
            if round == 4 {
                let done =
                    Event::TrialCompleted { lease, final_seq: seq, early: false, weights: "w".into(), test: None };
                state.apply(&done, *now);
            }
        }
        let next = grants(state, *now, |_| true);
        next.iter().for_each(|grant| state.apply(grant, *now));
    }
}

/// Another project comes whose trials need whole devices, one sweep and many.
fn whole(state: &State, now: Timestamp) {
    for sweeps in [1, 100] {
        let mut state = state.clone();
        for number in 0..sweeps {
            let mut plan = Plan::clone(&plan(number));
            plan.base = json!({ "dataset": "d0", "batch_size": 1000 + number });
            let (user, project) = (format!("w{number}"), format!("whole{}", number % PROJECTS));
            let (name, plan) = (format!("whole-{number}"), Arc::new(plan));
            let sweep = SweepId::derive(&name, "");
            state.apply(&Event::SweepSubmitted { sweep, name, user, project, plan }, now);
        }
        let given =
            time(&format!("{sweeps} sweeps that need whole devices"), 21, || preemptions(&state, now, |_| true));
        println!("  {} trials give way", given.len());
    }
}

fn measure(hosts: u32, devices: u32, each: u32) {
    let mut now = Timestamp(0);
    let mut state = lab(hosts, devices, each, now);
    println!(
        "{hosts} hosts x {devices} devices x {each} slots, {SWEEPS} sweeps of {TRIALS} trials, {USERS} users, {PROJECTS} projects:"
    );
    let all = time("all slots free: the whole plan", 21, || grants(&state, now, |_| true));
    println!("  {} grants", all.len());
    let mut running = Vec::new();
    for grant in all {
        if let Event::LeaseGranted { lease, .. } = &grant {
            running.push(*lease);
        }
        state.apply(&grant, now);
    }
    time("no slot free", 101, || grants(&state, now, |_| true));
    if each > 1 {
        fill(&mut state, &mut now);
        running = state.agents.values().flat_map(|agent| agent.slots.iter().flatten().copied()).collect();
        println!("  {} trials share the devices", running.len());
        time("all devices are shared and full", 101, || grants(&state, now, |_| true));
    }
    let mut lease = running.into_iter();
    let mut each = Vec::new();
    for _ in 0..500 {
        now = now + Span::seconds(1);
        let lease = lease.next().expect("there are enough");
        let done = Event::TrialCompleted { lease, final_seq: 0, early: false, weights: "w".into(), test: None };
        let start = Instant::now();
        state.apply(&done, now);
        let next = grants(&state, now, |_| true);
        let given = preemptions(&state, now, |_| true);
        assert_eq!((next.len(), given.len()), (1, 0));
        next.iter().for_each(|grant| state.apply(grant, now));
        each.push(start.elapsed());
    }
    each.sort();
    println!("  {:<58} median {:>9.1?}   worst {:>9.1?}", "one trial ends, the next starts", each[250], each[499]);
    now = now + Span::seconds(700);
    let held: Vec<_> = state.agents.values().flat_map(|agent| agent.slots.iter().flatten().copied()).collect();
    for lease in held {
        let kind = CheckpointKind::Last;
        let checkpoint = Checkpoint { kind, epoch: 1, seq: 0, sha256: "x".into(), bytes: 1 };
        state.apply(&Event::CheckpointKept { lease, checkpoint }, now);
    }
    time("all checkpoints are fresh, nobody has to give way", 21, || preemptions(&state, now, |_| true));
    let (user, project) = ("new".to_owned(), "new".to_owned());
    let sweep = SweepId::derive("new", "");
    state.apply(&Event::SweepSubmitted { sweep, name: "new".into(), user, project, plan: plan(0) }, now);
    let given = time("a new project comes", 21, || preemptions(&state, now, |_| true));
    println!("  {} trials give way", given.len());
    let late = now + Span::seconds(700);
    let given = time("the same, no checkpoint is fresh, all are old", 21, || preemptions(&state, late, |_| true));
    println!("  {} trials give way", given.len());
    whole(&state, now);
    let told = time("what `sweepctl queue` shows", 21, || waiting(&state, now, |_| true));
    println!("  {} sweeps wait", told.len());
    // As before, and everybody may have as much as they have.
    let capped: Vec<_> = state.accounts.users.iter().map(|user| user.name.clone()).collect();
    for name in capped {
        let entitlement = Entitlement { slots: Some(1), ..Entitlement::default() };
        let setting = Setting::User { name, entitlement };
        state.apply(&Event::SharesSet { user: "admin".into(), setting }, now);
    }
    time("the same, all owners at their quota", 21, || waiting(&state, now, |_| true));
}

fn main() {
    measure(125, 8, 1);
    measure(1000, 1, 1);
    measure(125, 8, 4);
}

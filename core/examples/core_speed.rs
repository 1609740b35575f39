//! What the core costs a trial, from one report to the next grant, with one sweep and short trials:
//! `cargo run --release -p sweep-core --example core_speed`.
#![expect(
    clippy::print_stdout,
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a measurement reads the clock and prints"
)]

use std::sync::Arc;
use std::time::Instant;

use serde_json::json;
use sweep_core::command::{Command, Effect, EffectKind, Ending, Submit};
use sweep_core::decide::Core;
use sweep_core::event::{AgentFacts, Event};
use sweep_core::id::{AgentId, SweepId};
use sweep_core::plan::{Column, Limits, Plan};
use sweep_core::state::State;
use sweep_core::time::{Span, Timestamp};

const TRIALS: u32 = 30_000;
const AGENTS: u128 = 16;
const SLOTS: usize = 8;

fn main() {
    for round in 1..=5 {
        let mut now = Timestamp(0);
        let mut core = Core::new(State::default(), now);
        let mut events = Vec::new();
        for number in 1..=AGENTS {
            let facts =
                AgentFacts::pretend(AgentId::from(uuid::Uuid::from_u128(number)), format!("host-{number}"), SLOTS);
            core.handle(Command::Hello { facts, held: vec![] }, now, &mut events);
        }
        let values: Vec<_> = (0..TRIALS).map(|value| json!(f64::from(value + 1))).collect();
        let plan = Plan {
            name: "x".into(),
            base: json!({ "dataset": "d" }),
            columns: vec![Column { path: "lr".into(), labels: vec![], values }],
            cells: (0..TRIALS).collect(),
            points: TRIALS,
            seeds: vec![0],
            order: (0..TRIALS).collect(),
            baseline: None,
            limits: Limits::default(),
            stop: None,
            search: None,
            source: None,
        };
        let (user, project) = ("ann".to_owned(), "default".to_owned());
        let sweep = SweepId::derive("x", "");
        let submit = Submit { sweep, user, project, plan: Arc::new(plan), queue_anyway: true, reuse: Vec::new() };
        core.handle(Command::Submit(submit), now, &mut events);
        let start = Instant::now();
        core.settle(now, &mut events);
        let (mut done, mut next) = (0, 0);
        while done < TRIALS {
            let Some(Event::LeaseGranted { lease, agent, .. }) = events.get(next) else {
                next += 1;
                continue;
            };
            let (lease, agent) = (*lease, *agent);
            next += 1;
            now = now + Span::millis(1);
            let how = Ending::Done { early: false, weights: String::new(), test: None };
            let effects = vec![Effect { lease, what: EffectKind::Ended { final_seq: 0, how } }];
            core.handle(Command::Report { agent, effects }, now, &mut events);
            if done % 50 == 0 {
                for number in 1..=AGENTS {
                    let agent = AgentId::from(uuid::Uuid::from_u128(number));
                    core.handle(Command::Heartbeat { agent, known: vec![] }, now, &mut events);
                }
            }
            core.settle(now, &mut events);
            done += 1;
        }
        let each = start.elapsed().as_secs_f64() / f64::from(TRIALS) * 1e6;
        println!("round {round}: {TRIALS} trials on {AGENTS} x {SLOTS} slots, {each:.2} microseconds a trial");
    }
}

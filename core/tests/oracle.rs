//! The oracle itself: each illegal history is found and named. An oracle that cannot fail proves nothing.

use std::sync::Arc;

use serde_json::json;
use sweep_core::attempt::{CheckpointKind, EpochMetrics};
use sweep_core::audit::Auditor;
use sweep_core::device::{Closed, DeviceFacts, Hold, HoldKind, Occupant, Offer};
use sweep_core::event::{AgentFacts, Checkpoint, Event, LossCause};
use sweep_core::id::{AgentId, Lease, SweepId};
use sweep_core::num::Num;
use sweep_core::plan::{Column, Limits, Plan};
use sweep_core::shares::{Entitlement, Setting};
use sweep_core::tuning::Tuning;

fn plan() -> Plan {
    Plan {
        name: "a".into(),
        base: json!({ "dataset": "d" }),
        columns: vec![Column { path: "lr".into(), values: vec![json!(0.1), json!(0.2)], labels: vec![] }],
        cells: vec![0, 1],
        points: 2,
        seeds: vec![0],
        order: vec![0, 1],
        baseline: None,
        limits: Limits::default(),
        stop: None,
        search: None,
        source: None,
    }
}

fn sweep() -> SweepId {
    SweepId::derive("a", "")
}

fn lease(trial: u32, attempt: u32) -> Lease {
    Lease { trial: plan().trial_id(sweep(), trial), attempt }
}

fn submitted() -> Event {
    let (name, user, project) = ("a".into(), "ann".into(), "p".into());
    Event::SweepSubmitted { sweep: sweep(), name, user, project, plan: Arc::new(plan()) }
}

fn granted(lease: Lease, slot: u32, resume_epoch: u32) -> Event {
    Event::LeaseGranted {
        lease,
        agent: AgentId::from(uuid::Uuid::nil()),
        slot,
        resume_epoch,
        fingerprint: None,
        share: 1000,
    }
}

fn granted_on(lease: Lease, slot: u32, fingerprint: &str) -> Event {
    let (agent, fingerprint) = (AgentId::from(uuid::Uuid::nil()), Some(fingerprint.to_owned()));
    Event::LeaseGranted { lease, agent, slot, resume_epoch: 0, fingerprint, share: 1000 }
}

fn epoch(lease: Lease, seq: u64, epoch: u32) -> Event {
    let value = Num(0.5);
    let metrics = EpochMetrics::uniform(seq, epoch, value);
    Event::EpochReported { lease, metrics }
}

fn kept(lease: Lease, epoch: u32, seq: u64) -> Event {
    let checkpoint = Checkpoint { kind: CheckpointKind::Last, epoch, seq, sha256: "x".into(), bytes: 1 };
    Event::CheckpointKept { lease, checkpoint }
}

fn completed(lease: Lease, final_seq: u64) -> Event {
    Event::TrialCompleted { lease, final_seq, early: false, weights: "w".into(), test: None }
}

fn lost(lease: Lease) -> Event {
    Event::LeaseLost { lease, cause: LossCause::Expired }
}

fn preempted(lease: Lease) -> Event {
    Event::TrialPreempted { lease, sweep: sweep() }
}

fn evicted(lease: Lease) -> Event {
    Event::TrialEvicted { lease, why: "drained".into() }
}

fn held(slot: Option<u32>) -> Event {
    let hold = Hold { kind: HoldKind::Drain, user: "root".into(), reason: String::new(), from: None, until: None };
    Event::SlotHeld { agent: nobody(), slot, hold }
}

fn lifted() -> Event {
    Event::HoldsLifted { agent: nobody(), slot: None, user: "root".into(), kind: None, from: None }
}

fn hours(closed: bool) -> Event {
    Event::GuestHours { agent: nobody(), closed: closed.then(Closed::default) }
}

fn joined() -> Event {
    let device = DeviceFacts { id: "GPU-0".into(), model: "A100".into(), memory: 0, slots: vec![0], packed: false };
    Event::AgentJoined(AgentFacts {
        offer: Offer { devices: vec![device], ..Offer::default() },
        slots: vec!["A100".into(); 2],
        ..AgentFacts::pretend(nobody(), "h", 2)
    })
}

fn busy(there: bool) -> Event {
    let alice = Occupant { pid: 1, user: "alice".into(), command: "python".into(), memory: 1 };
    let by = there.then_some(alice).into_iter().collect();
    Event::DeviceBusy { agent: nobody(), device: "GPU-0".into(), by }
}

fn nobody() -> AgentId {
    AgentId::from(uuid::Uuid::nil())
}

fn quota(of: &str, slots: u32) -> Event {
    let entitlement = Entitlement { slots: Some(slots), ..Entitlement::default() };
    let setting = match of {
        "project" => Setting::Project { name: "p".into(), entitlement },
        "user" => Setting::User { name: "ann".into(), entitlement },
        other => Setting::User { name: other.into(), entitlement },
    };
    Event::SharesSet { user: "root".into(), setting }
}

fn limit(max_parallel: Option<u32>) -> Event {
    Event::SweepSet { sweep: sweep(), user: "ann".into(), tuning: Tuning { priority: 50, max_parallel } }
}

fn moved(project: &str) -> Event {
    Event::SweepMoved { sweep: sweep(), user: "ann".into(), project: project.into() }
}

fn check(events: &[Event], expected: &[&str]) {
    let mut auditor = Auditor::new();
    auditor.read(&submitted());
    events.iter().for_each(|event| auditor.read(event));
    let audit = auditor.all();
    let found: Vec<_> = audit.violations.iter().map(|violation| violation.rule).collect();
    assert_eq!(found, expected, "{:#?}", audit.violations);
}

#[test]
fn a_legal_history_has_no_violation_and_is_exactly_once() {
    let (a, b) = (lease(0, 1), lease(1, 1));
    let again = lease(1, 2);
    let events = [
        submitted(),
        granted(a, 0, 0),
        granted(b, 1, 0),
        epoch(a, 1, 1),
        epoch(b, 1, 1),
        kept(b, 1, 1),
        epoch(b, 2, 2),
        completed(a, 1),
        lost(b),
        granted(again, 0, 1),
        epoch(again, 1, 2),
        completed(again, 1),
    ];
    let mut auditor = Auditor::new();
    events.iter().for_each(|event| auditor.read(event));
    let audit = auditor.sweep(sweep()).unwrap();
    assert!(audit.is_exactly_once(), "{audit:#?}");
    assert_eq!((audit.planned, audit.attempts, audit.epochs, audit.checkpoints), (2, 3, 4, 1));
}

#[test]
fn every_broken_rule_is_named() {
    let (a, b) = (lease(0, 1), lease(1, 1));
    check(&[granted(a, 0, 0), granted(lease(0, 2), 1, 0)], &["lease_overlap"]);
    check(&[granted(a, 0, 0), granted(b, 0, 0)], &["slot_shared"]);
    check(&[granted(lease(0, 2), 0, 0)], &["attempt_number"]);
    check(&[granted(a, 0, 3)], &["resume_point"]);
    check(&[granted(a, 0, 0), epoch(a, 2, 2)], &["epoch_gap"]);
    check(&[granted(a, 0, 0), epoch(a, 1, 1), epoch(a, 1, 1)], &["epoch_gap"]);
    check(&[granted(a, 0, 0), kept(a, 1, 1)], &["checkpoint_early"]);
    let back = [granted(a, 0, 0), epoch(a, 1, 1), kept(a, 1, 1), epoch(a, 2, 2), kept(a, 2, 2), kept(a, 1, 1)];
    check(&back, &["checkpoint_back"]);
    check(&back[..4].iter().chain(&back[2..3]).cloned().collect::<Vec<_>>(), &["checkpoint_back"]);
    check(&[granted(a, 0, 0), epoch(a, 1, 1), completed(a, 2)], &["reports_missing"]);
    check(&[granted(a, 0, 0), lost(a), epoch(a, 1, 1)], &["late_effect"]);
    check(&[granted(a, 0, 0), completed(a, 0), completed(a, 0)], &["late_effect"]);
    check(&[granted(a, 0, 0), completed(a, 0), granted(lease(0, 2), 0, 0)], &["granted_after_end"]);
    check(&[epoch(a, 1, 1)], &["late_effect"]);
    check(&[granted_on(a, 0, "f1-aa"), granted_on(b, 1, "f1-aa")], &[]);
    check(&[granted_on(a, 0, "f1-aa"), granted_on(b, 1, "f1-bb")], &["other_data"]);
    check(&[submitted()], &["submitted_twice"]);
    check(&[granted(a, 0, 0), preempted(a), lost(a), preempted(a)], &["late_effect"]);
    check(&[evicted(a)], &["late_effect"]);
    check(&[held(None), granted(a, 0, 0)], &["slot_closed"]);
    check(&[held(Some(1)), granted(a, 0, 0), granted(b, 1, 0)], &["slot_closed"]);
    check(&[held(Some(1)), lifted(), granted(b, 1, 0)], &[]);
    check(&[hours(true), granted(a, 0, 0), hours(false), granted(b, 1, 0)], &["slot_closed"]);
    check(&[joined(), busy(true), granted(a, 0, 0), granted(b, 1, 0)], &["slot_closed"]);
    check(&[joined(), busy(true), busy(false), granted(a, 0, 0)], &[]);
    check(&[quota("user", 1), granted(a, 0, 0), granted(b, 1, 0)], &["quota_exceeded"]);
    check(&[quota("project", 1), granted(a, 0, 0), lost(a), granted(b, 0, 0)], &[]);
    check(&[granted(a, 0, 0), quota("project", 0), granted(b, 1, 0)], &["quota_exceeded"]);
    check(&[quota("other", 0), granted(a, 0, 0)], &[]);
    check(&[limit(Some(1)), granted(a, 0, 0), granted(b, 1, 0)], &["max_parallel_exceeded"]);
    check(&[granted(a, 0, 0), granted(b, 1, 0), limit(Some(1))], &[]);
    let lowered = [granted(a, 0, 0), granted(b, 1, 0), limit(Some(1)), lost(a), granted(lease(0, 2), 0, 0)];
    check(&lowered, &["max_parallel_exceeded"]);
    check(&[limit(Some(1)), granted(a, 0, 0), limit(Some(2)), granted(b, 1, 0)], &[]);
    check(&[limit(Some(1)), granted(a, 0, 0), limit(None), granted(b, 1, 0)], &[]);
    // What runs goes with its sweep: it may be more than the new project's quota, but nothing new is granted.
    check(&[quota("project", 1), moved("q"), granted(a, 0, 0), granted(b, 1, 0)], &[]);
    let back = [moved("q"), granted(a, 0, 0), quota("project", 1), moved("p"), granted(b, 1, 0)];
    check(&back, &["quota_exceeded"]);
    check(&[quota("project", 0), granted(a, 0, 0)], &["quota_exceeded"]);
    check(&[quota("project", 1), granted(a, 0, 0), moved("q"), granted(b, 1, 0), lost(a), moved("p")], &[]);
}

#[test]
fn a_plan_with_a_repeated_or_missing_trial_is_found() {
    let verdict = |change: fn(&mut Plan)| {
        let mut plan = plan();
        change(&mut plan);
        let mut auditor = Auditor::new();
        auditor.read(&Event::SweepSubmitted {
            sweep: sweep(),
            name: "a".into(),
            user: "ann".into(),
            project: "p".into(),
            plan: Arc::new(plan),
        });
        auditor.all().violations.iter().map(|violation| violation.rule).collect::<Vec<_>>()
    };
    assert_eq!(verdict(|plan| plan.order = vec![0, 0]), ["planned_twice", "plan_incomplete"]);
    assert_eq!(verdict(|plan| plan.order = vec![1]), ["plan_incomplete"]);
    assert_eq!(verdict(|plan| plan.cells = vec![1, 1]), ["planned_twice", "plan_incomplete"]);
}

//! Intended behaviour, one story each: what random histories cannot tell from a legal accident.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod breaker;
mod budgets;
mod gone;
mod lab;
mod late;
mod ranking;
mod rollback;
mod story;
#[path = "../tube/mod.rs"]
mod tube;

use std::sync::Arc;

use serde_json::json;
use sweep_core::attempt::{CheckpointKind, FailureClass};
use sweep_core::audit::Auditor;
use sweep_core::command::{Command, EffectKind, EffectResult, Ending, Reject, Reply, Submit, Verdict};
use sweep_core::decide::LEASE_TIME;
use sweep_core::event::{DatasetFacts, LossCause};
use sweep_core::id::{Lease, SweepId};
use sweep_core::orders::order;
use sweep_core::plan::{Limits, Plan};
use sweep_core::retain::keep;
use sweep_core::retry;
use sweep_core::state::trial::Phase;
use sweep_core::time::Span;

use lab::*;

#[test]
fn trials_start_in_plan_order_as_far_as_slots_go() {
    let mut lab = Lab::new();
    lab.hello(facts(1, 2, 1), &[]);
    let plan = plan("a", 4, Limits::default());
    lab.submit(plan.clone());
    let sweep = SweepId::derive("a", "");
    let first: Vec<_> = (0..2).map(|index| Lease { trial: plan.trial_id(sweep, index), attempt: 1 }).collect();
    assert_eq!(lab.leases(1), first);
    // The freed slot gets the next trial in the same step.
    lab.epoch(1, first[0], 1, 1, 0.5);
    assert_eq!(lab.done(1, first[0], 1), EffectResult::Accepted { acked_seq: 1 });
    assert_eq!(lab.leases(1)[0].trial, plan.trial_id(sweep, 2));
}

#[test]
fn the_same_spec_again_changes_nothing_and_a_taken_name_gets_a_number() {
    let mut lab = Lab::new();
    let first = lab.submit(plan("a", 2, Limits::default()));
    let events = lab.journal.len();
    let again = lab.submit(plan("a", 2, Limits::default()));
    assert!(matches!(&first, Reply::Submitted { existing: false, name, .. } if name == "a"));
    assert!(matches!(&again, Reply::Submitted { existing: true, name, .. } if name == "a"));
    assert_eq!(lab.journal.len(), events);
    let (sweep, user, project) = (SweepId::derive("other", ""), "ann".to_owned(), "p".to_owned());
    let plan = plan("a", 3, Limits::default());
    let other = lab.ask(Command::Submit(Submit { sweep, user, project, plan, queue_anyway: false, reuse: Vec::new() }));
    assert!(matches!(&other, Reply::Submitted { existing: false, name, .. } if name == "a-2"), "{other:?}");
}

#[test]
fn two_sweeps_share_slots_and_a_limit_holds() {
    let mut lab = Lab::new();
    lab.submit(plan("a", 8, Limits::default()));
    lab.submit(plan("b", 8, Limits::default()));
    lab.submit(plan("c", 8, Limits { max_parallel: Some(1), ..Limits::default() }));
    lab.hello(facts(1, 7, 1), &[]);
    let running: Vec<_> = lab.core.state().sweeps.iter().map(|sweep| sweep.counts.running).collect();
    assert_eq!(running, [3, 3, 1]);
}

#[test]
fn a_restart_shorter_than_a_lease_loses_no_lease() {
    let mut lab = Lab::new();
    lab.hello(facts(1, 1, 1), &[]);
    lab.hello(facts(2, 1, 1), &[]);
    lab.submit(plan("a", 2, Limits::default()));
    let held = lab.leases(1);
    // The coordinator dies and comes back; both agents take their time to call in.
    lab.now = lab.now + Span::seconds(300);
    lab.restart();
    lab.pass(Span::seconds(50));
    assert_eq!(lab.beat(2), Reply::Rejected(Reject::AgentUnknown(agent(2))));
    lab.hello(facts(2, 1, 1), &lab.leases(2));
    assert_eq!(lab.hello(facts(1, 1, 1), &held), [Verdict::Continue { acked_seq: 0 }]);
    assert_eq!(lab.leases(1), held);
    assert_eq!(lab.losses(), []);
}

#[test]
fn a_silent_agent_loses_its_trial_only_to_an_agent_that_can_take_over() {
    let (mut lab, lease) = Lab::training();
    lab.pass(Span(LEASE_TIME.0 * 10));
    assert_eq!(lab.losses(), [], "nobody could take over");
    let mut other = facts(2, 1, 1);
    other.datasets = vec![dataset("elsewhere")];
    lab.hello(other, &[]);
    lab.pass(Span::millis(1));
    assert_eq!(lab.losses(), [], "the other host has not got the data");
    lab.hello(facts(3, 1, 1), &[]);
    assert_eq!(lab.losses(), [LossCause::Expired]);
    let next = lab.leases(3)[0];
    assert_eq!(next, Lease { attempt: 2, ..lease });
    // Whatever the old attempt still says is refused.
    lab.hello(facts(1, 1, 1), &[]);
    assert_eq!(lab.epoch(1, lease, 1, 1, 0.9), EffectResult::Fenced);
    assert_eq!(lab.done(1, lease, 0), EffectResult::Fenced);
    assert_eq!(lab.hello(facts(1, 1, 1), &[lease]), [Verdict::Fenced]);
}

#[test]
fn a_new_attempt_goes_on_from_the_last_checkpoint_and_rewinds_the_curve() {
    let (mut lab, lease) = Lab::training();
    // Inside the first epoch.
    assert_eq!(lab.checkpoint(1, lease, CheckpointKind::Last, 0, 0), EffectResult::Accepted { acked_seq: 0 });
    lab.fail(1, lease, FailureClass::Crash, 0);
    lab.pass(Span::seconds(2));
    let lease = lab.leases(1)[0];
    let (at, _) = lab.core.state().leased(lease).unwrap();
    assert_eq!(order(lab.core.state(), at).unwrap().resume.unwrap().sha256, "Last0");
    lab.epoch(1, lease, 1, 1, 0.5);
    assert_eq!(lab.checkpoint(1, lease, CheckpointKind::Last, 2, 2), EffectResult::Gap { acked_seq: 1 });
    lab.checkpoint(1, lease, CheckpointKind::Best, 1, 1);
    lab.checkpoint(1, lease, CheckpointKind::Last, 1, 1);
    lab.epoch(1, lease, 2, 2, 0.8);
    lab.checkpoint(1, lease, CheckpointKind::Best, 2, 2);
    assert_eq!(lab.fail(1, lease, FailureClass::Crash, 2), EffectResult::Accepted { acked_seq: 2 });
    lab.pass(Span::seconds(2));
    lab.beat(1);
    let again = lab.leases(1)[0];
    assert_eq!(again.attempt, 3);
    let (at, _) = lab.core.state().leased(again).unwrap();
    let order = order(lab.core.state(), at).unwrap();
    assert_eq!(order.resume.unwrap().epoch, 1);
    let progress = lab.core.state().trial(at).progress.clone().unwrap();
    assert_eq!(progress.best.unwrap().epoch, 1, "epoch 2 comes again");
    assert_eq!(progress.best_checkpoint.unwrap().epoch, 1, "the best of epoch 2 is no longer part of the curve");
    assert_eq!(lab.epoch(1, again, 1, 2, 0.8), EffectResult::Accepted { acked_seq: 1 });
}

#[test]
fn a_trial_whose_checkpoint_is_gone_begins_again_and_is_not_charged() {
    let (mut lab, lease) = Lab::training();
    lab.epoch(1, lease, 1, 1, 0.5);
    lab.checkpoint(1, lease, CheckpointKind::Last, 1, 1);
    lab.fail(1, lease, FailureClass::Crash, 1);
    lab.pass(Span::seconds(2));
    let again = lab.leases(1)[0];
    lab.cannot_begin(1, again, retry::CHECKPOINT_MISSING);
    lab.pass(Span::seconds(4));
    let third = lab.leases(1)[0];
    let (at, _) = lab.core.state().leased(third).unwrap();
    assert_eq!(order(lab.core.state(), at).unwrap().resume, None);
    assert_eq!(lab.core.state().trial(at).own_failures, 1, "the crash alone");
    assert_eq!(lab.epoch(1, third, 1, 1, 0.5), EffectResult::Accepted { acked_seq: 1 });
}

/// Without the newest checkpoint it goes on from the one before, without that one from the beginning; its curve goes back with it, and
/// what it has in the store is counted right.
#[test]
fn a_trial_goes_back_one_checkpoint_at_a_time() {
    let (mut lab, mut lease) = Lab::training();
    for (epoch, accuracy) in [(1, 0.5), (2, 0.7), (3, 0.6)] {
        lab.epoch(1, lease, u64::from(epoch), epoch, accuracy);
        if epoch < 3 {
            lab.checkpoint(1, lease, CheckpointKind::Best, epoch, u64::from(epoch));
        }
        lab.checkpoint(1, lease, CheckpointKind::Last, epoch, u64::from(epoch));
    }
    lab.fail(1, lease, FailureClass::Host, 3);
    let (mut epochs, mut bests, mut kept) = (vec![], vec![], vec![]);
    for _ in 0..3 {
        lab.pass(Span::seconds(600));
        lab.hello(facts(1, 1, 1), &[]);
        lab.pass(Span::seconds(1));
        lease = lab.leases(1)[0];
        let state = lab.core.state();
        let (at, _) = state.leased(lease).unwrap();
        let order = order(state, at).unwrap();
        epochs.push(order.resume.map_or(0, |checkpoint| checkpoint.epoch));
        bests.push(state.trial(at).progress.as_ref().unwrap().best.as_ref().map_or(0, |best| best.epoch));
        kept.push(keep(state).len());
        state.check().unwrap();
        lab.cannot_begin(1, lease, retry::CHECKPOINT_MISSING);
        lab.core.state().check().unwrap();
    }
    assert_eq!((epochs, bests), (vec![3, 2, 0], vec![2, 2, 0]));
    assert_eq!(kept, [3, 2, 0], "the newest, the one before, and the best, which is another file");
    let mut auditor = Auditor::new();
    lab.journal.iter().for_each(|(_, event)| auditor.read(event));
    assert_eq!(auditor.all().violations, []);
}

/// Only a trial that is not over may have to go back.
#[test]
fn the_checkpoint_before_the_newest_is_let_go_at_the_end() {
    let (mut lab, lease) = Lab::training();
    for epoch in 1..=3 {
        lab.epoch(1, lease, u64::from(epoch), epoch, 0.5);
        lab.checkpoint(1, lease, CheckpointKind::Last, epoch, u64::from(epoch));
    }
    assert_eq!(keep(lab.core.state()).len(), 2);
    let (sweep, user) = (lab.core.state().sweeps[0].id, "ann".to_owned());
    lab.ask(Command::CancelSweep { sweep, user: user.clone() });
    lab.effect(1, lease, EffectKind::Ended { final_seq: 3, how: Ending::Stopped });
    assert_eq!(keep(lab.core.state()).len(), 1);
    lab.core.state().check().unwrap();
    // It may be cleaned away by now: a retry does not refer to it again.
    lab.ask(Command::RetrySweep { sweep, user, cancelled: true });
    lab.pass(Span::seconds(1));
    assert_eq!(keep(lab.core.state()).len(), 1);
    let again = lab.leases(1)[0];
    lab.cannot_begin(1, again, retry::CHECKPOINT_MISSING);
    lab.pass(Span::seconds(5));
    let (at, _) = lab.core.state().leased(lab.leases(1)[0]).unwrap();
    assert_eq!(lab.core.state().trial(at).resume_epoch(), 0);
    lab.core.state().check().unwrap();
    let mut auditor = Auditor::new();
    lab.journal.iter().for_each(|(_, event)| auditor.read(event));
    assert_eq!(auditor.all().violations, []);
}

/// Found with a planted bug: a report that was heard again, minutes later, brought the trial back to its older checkpoint.
#[test]
fn an_older_checkpoint_that_is_heard_again_takes_nothing_back() {
    let (mut lab, lease) = Lab::training();
    for epoch in 1..=2 {
        lab.epoch(1, lease, u64::from(epoch), epoch, 0.5 + f64::from(epoch) / 10.0);
        lab.checkpoint(1, lease, CheckpointKind::Best, epoch, u64::from(epoch));
        lab.checkpoint(1, lease, CheckpointKind::Last, epoch, u64::from(epoch));
    }
    for kind in [CheckpointKind::Best, CheckpointKind::Last] {
        assert_eq!(lab.checkpoint(1, lease, kind, 1, 1), EffectResult::Accepted { acked_seq: 2 });
    }
    let (at, _) = lab.core.state().leased(lease).unwrap();
    let progress = lab.core.state().trial(at).progress.clone().unwrap();
    assert_eq!(progress.last_checkpoint.unwrap().checkpoint.epoch, 2);
    assert_eq!(progress.best_checkpoint.unwrap().epoch, 2);
}

#[test]
fn an_attempt_whose_epochs_make_no_sense_is_over_and_its_trial_goes_on() {
    for wrong in [0, 1, 3, u32::MAX] {
        let (mut lab, lease) = Lab::training();
        lab.epoch(1, lease, 1, 1, 0.5);
        assert_eq!(lab.epoch(1, lease, 2, wrong, 0.5), EffectResult::Fenced, "epoch {wrong} after epoch 1");
        lab.pass(Span::seconds(5));
        lab.beat(1);
        assert_eq!(lab.leases(1)[0].attempt, 2, "a host's fault is not charged");
    }
    let (mut lab, lease) = Lab::training();
    lab.epoch(1, lease, 1, 1, 0.5);
    assert_eq!(lab.checkpoint(1, lease, CheckpointKind::Best, 2, 1), EffectResult::Fenced);
}

#[test]
fn a_checkpoint_brings_the_numbers_of_its_own_epoch_not_of_a_later_one() {
    let (mut lab, lease) = Lab::training();
    // Reports run ahead of uploads.
    lab.epoch(1, lease, 1, 1, 0.5);
    lab.epoch(1, lease, 2, 2, 0.9);
    lab.checkpoint(1, lease, CheckpointKind::Last, 1, 1);
    lab.fail(1, lease, FailureClass::Host, 2);
    lab.pass(Span::seconds(5));
    lab.beat(1);
    let again = lab.leases(1)[0];
    let (at, _) = lab.core.state().leased(again).unwrap();
    let progress = lab.core.state().trial(at).progress.clone().unwrap();
    assert_eq!((progress.last.unwrap().epoch, progress.best.unwrap().epoch), (1, 1), "epoch 2 comes again");
}

#[test]
fn a_best_that_came_after_the_last_checkpoint_does_not_replace_the_one_before() {
    let (mut lab, lease) = Lab::training();
    for (epoch, accuracy) in [(1, 0.5), (2, 0.4), (3, 0.6)] {
        lab.epoch(1, lease, u64::from(epoch), epoch, accuracy);
    }
    lab.checkpoint(1, lease, CheckpointKind::Best, 1, 1);
    lab.checkpoint(1, lease, CheckpointKind::Last, 1, 1);
    lab.checkpoint(1, lease, CheckpointKind::Last, 2, 2);
    lab.checkpoint(1, lease, CheckpointKind::Best, 3, 3);
    lab.fail(1, lease, FailureClass::Host, 3);
    lab.pass(Span::seconds(5));
    lab.beat(1);
    let (at, _) = lab.core.state().leased(lab.leases(1)[0]).unwrap();
    let order = order(lab.core.state(), at).unwrap();
    assert_eq!((order.resume.unwrap().epoch, order.best.unwrap().epoch), (2, 1));
}

#[test]
fn a_crash_loop_is_given_up_and_progress_starts_the_count_again() {
    let mut lab = Lab::new();
    lab.hello(facts(1, 1, 1), &[]);
    lab.submit(plan("a", 1, Limits { max_retries: Some(2), ..Limits::default() }));
    let mut epoch = 0;
    for (round, progress) in [false, false, true, false].into_iter().enumerate() {
        let lease = lab.leases(1)[0];
        let mut seq = 0;
        if progress {
            (epoch, seq) = (epoch + 1, 1);
            lab.epoch(1, lease, seq, epoch, 0.5);
            lab.checkpoint(1, lease, CheckpointKind::Last, epoch, seq);
        }
        lab.fail(1, lease, FailureClass::Crash, seq);
        assert!(matches!(lab.phase(lease), Phase::Backoff { .. }), "round {round}");
        lab.pass(Span::seconds(10));
        lab.beat(1);
        lab.pass(Span::millis(1));
    }
    let lease = lab.leases(1)[0];
    lab.fail(1, lease, FailureClass::Crash, 0);
    assert_eq!(*lab.phase(lease), Phase::Failed);
    // A host's fault is never charged.
    lab.ask(Command::RetrySweep { sweep: SweepId::derive("a", ""), user: "ann".into(), cancelled: false });
    for _ in 0..6 {
        let lease = lab.leases(1)[0];
        lab.fail(1, lease, FailureClass::Host, 0);
        assert!(matches!(lab.phase(lease), Phase::Backoff { .. }));
        lab.pass(Span::seconds(400));
        lab.beat(1);
        lab.pass(Span::millis(1));
    }
}

#[test]
fn a_finish_that_meets_a_cancel_counts_and_a_cancelled_order_is_withdrawn() {
    let mut lab = Lab::new();
    lab.hello(facts(1, 2, 1), &[]);
    lab.submit(plan("a", 3, Limits::default()));
    let leases = lab.leases(1);
    let sweep = SweepId::derive("a", "");
    assert_eq!(lab.ask(Command::CancelSweep { sweep, user: "ann".into() }), Reply::Changed(3));
    assert_eq!(lab.ask(Command::CancelSweep { sweep, user: "ann".into() }), Reply::Changed(0));
    assert_eq!(lab.leases(1), [], "the agent stops what it does not find");
    assert_eq!(lab.done(1, leases[0], 0), EffectResult::Accepted { acked_seq: 0 });
    assert_eq!(*lab.phase(leases[0]), Phase::Completed { early: false });
    lab.effect(1, leases[1], EffectKind::Ended { final_seq: 0, how: Ending::Stopped });
    assert_eq!(*lab.phase(leases[1]), Phase::Cancelled);
    assert_eq!(lab.core.state().sweep(sweep).unwrap().status(), "cancelled");
}

#[test]
fn what_no_agent_could_run_is_refused_before_a_device_is_used() {
    let mut lab = Lab::new();
    let mut broken = facts(1, 1, 1);
    broken.datasets = vec![
        dataset("imagenette"),
        DatasetFacts { problem: Some("dataset_empty: train/cat has no images".into()), ..dataset("cats") },
    ];
    lab.hello(broken, &[]);
    let mut ask = |dataset: &str, batch: u64| {
        let mut plan = Plan::clone(&plan(dataset, 1, Limits::default()));
        plan.base = json!({ "dataset": dataset, "batch_size": batch });
        match lab.submit(Arc::new(plan)) {
            Reply::Rejected(reject) => format!("{}: {reject}", reject.reason()),
            other => format!("{other:?}"),
        }
    };
    let unknown = ask("imagenett", 32);
    assert!(unknown.starts_with("dataset_unknown") && unknown.ends_with("did you mean `imagenette`?"), "{unknown}");
    let unusable = ask("cats", 32);
    assert!(unusable.contains("train/cat has no images"), "{unusable}");
    let large = ask("imagenette", 101);
    assert!(large.starts_with("value_out_of_range") && large.contains("at most 100"), "{large}");
    assert!(ask("/data/anything", 32).starts_with("dataset_unknown"), "the agent has looked at this folder's root");
    assert!(ask("/data/imagenette", 101).starts_with("value_out_of_range"), "a path is as good as a name");
    assert!(ask("/data/deeper/down", 32).starts_with("Submitted"), "not looked at, but inside a data root");
    assert!(ask("/etc/passwd", 32).starts_with("dataset_unknown"), "a path outside of every data root");
}

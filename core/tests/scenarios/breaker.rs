//! Trials that fail one after the other stop their sweep before everything is burnt.

use sweep_core::attempt::FailureClass;
use sweep_core::audit::Auditor;
use sweep_core::command::{Command, EffectKind, Ending};
use sweep_core::device::{HOST_FAULTS, HOST_PAUSE};
use sweep_core::event::{Event, Failure};
use sweep_core::id::SweepId;
use sweep_core::plan::Limits;
use sweep_core::queue::{Why, waiting};
use sweep_core::time::Span;

use crate::lab::{Lab, facts, plan};

fn lab(trials: u32, slots: usize) -> Lab {
    let mut lab = Lab::new();
    lab.hello(facts(1, slots, 1), &[]);
    lab.submit(plan("a", trials, Limits::default()));
    lab
}

fn fail_next(lab: &mut Lab, class: FailureClass) -> bool {
    let Some(lease) = lab.leases(1).first().copied() else { return false };
    lab.fail(1, lease, class, 0);
    true
}

fn status(lab: &Lab) -> &'static str {
    lab.core.state().sweeps[0].status()
}

fn granted(lab: &Lab) -> usize {
    lab.journal.iter().filter(|(_, event)| matches!(event, Event::LeaseGranted { .. })).count()
}

fn retry(lab: &mut Lab) {
    lab.ask(Command::RetrySweep { sweep: SweepId::derive("a", ""), user: "ann".into(), cancelled: false });
}

fn assert_legal(lab: &Lab) {
    let mut auditor = Auditor::new();
    lab.journal.iter().for_each(|(_, event)| auditor.read(event));
    assert_eq!(auditor.all().violations, []);
    assert_eq!(lab.core.state().check(), Ok(()));
}

#[test]
fn five_failures_in_a_row_stop_a_sweep_of_five_hundred_until_somebody_looks() {
    let mut lab = lab(500, 2);
    let mut failed = 0;
    while fail_next(&mut lab, FailureClass::Data) {
        failed += 1;
        assert!(failed < 20, "it goes on burning");
        lab.beat(1);
        lab.pass(Span::seconds(2));
    }
    // The fifth stops it; the one beside it was running.
    assert_eq!((status(&lab), failed), ("suspended", 6));
    let why = waiting(lab.core.state(), lab.now, |_| true).remove(0).why;
    assert!(matches!(why, Why::Suspended(_)), "{why:?}");
    let told = "suspended: 5 different trials failed within 60 s (r), the first: m; mend it, then `sweepctl retry`";
    assert_eq!(why.to_string(), told);
    // It outlives a restart, and time alone does not end it.
    let before = granted(&lab);
    lab.restart();
    lab.hello(facts(1, 2, 1), &[]);
    lab.pass(Span::seconds(3600));
    lab.beat(1);
    lab.pass(Span::millis(1));
    assert_eq!((granted(&lab), status(&lab)), (before, "suspended"));
    retry(&mut lab);
    assert_eq!((granted(&lab), status(&lab)), (before + 2, "running"));
    assert_legal(&lab);
}

#[test]
fn crashes_count_while_nothing_gets_on_and_are_forgotten_when_something_does() {
    // All crash at the start: every failure would be tried again, four times each.
    let mut burning = lab(500, 8);
    for _ in 0..5 {
        assert!(fail_next(&mut burning, FailureClass::Crash));
    }
    assert_eq!(status(&burning), "suspended");
    assert_legal(&burning);

    // One trial in between reports an epoch: the others are its own affair.
    let mut mixed = lab(500, 8);
    for _ in 0..10 {
        for _ in 0..3 {
            assert!(fail_next(&mut mixed, FailureClass::Crash));
        }
        let lease = *mixed.leases(1).last().unwrap();
        mixed.epoch(1, lease, 1, 1, 0.5);
        mixed.done(1, lease, 1);
        assert_eq!(status(&mixed), "running");
    }
    assert_legal(&mixed);
}

#[test]
fn rare_failures_faults_of_hosts_and_divergence_stop_nothing() {
    for (class, pause) in [
        (FailureClass::Recipe, Span::seconds(16)),
        (FailureClass::Host, Span::seconds(0)),
        (FailureClass::Diverged, Span::seconds(0)),
    ] {
        let mut lab = lab(12, 4);
        for _ in 0..8 {
            assert!(fail_next(&mut lab, class), "{class:?}");
            lab.pass(pause);
            lab.beat(1);
            lab.pass(Span::millis(1));
        }
        assert_eq!(status(&lab), "running", "{class:?}");
    }
}

/// A full disk: nothing can run there.
fn unfit(lab: &mut Lab) {
    let lease = *lab.leases(1).first().expect("a trial to fail");
    let failure = Failure { class: FailureClass::Host, reason: "disk_full".into(), message: "m".into() };
    lab.effect(1, lease, EffectKind::Ended { final_seq: 0, how: Ending::Failed(failure) });
}

#[test]
fn a_host_on_which_nothing_can_run_does_not_get_every_trial() {
    let mut lab = lab(500, 1);
    lab.hello(facts(2, 1, 1), &[]);
    for round in 0..3 {
        // Whatever failed there before, it is tried with one more trial.
        for _ in 0..if round == 0 { HOST_FAULTS } else { 1 } {
            unfit(&mut lab);
        }
        assert_eq!(lab.leases(1), [], "round {round}");
        let block = lab.core.state().agents[&crate::lab::agent(1)].devices.holds.values().next().unwrap().clone();
        assert_eq!(
            (block.reason.as_str(), block.until),
            ("nothing can run there (disk_full)", Some(lab.now + HOST_PAUSE))
        );
        lab.pass(Span(HOST_PAUSE.0 - 1000));
        lab.beat(1);
        lab.beat(2);
        lab.pass(Span::millis(0));
        assert_eq!((lab.leases(1).len(), lab.leases(2).len()), (0, 1), "the other host goes on");
        lab.pass(Span::millis(1));
        assert_eq!(lab.leases(1).len(), 1, "it is tried again by itself");
    }
    // There is room again.
    let lease = lab.leases(1)[0];
    lab.epoch(1, lease, 1, 1, 0.5);
    lab.done(1, lease, 1);
    for _ in 1..HOST_FAULTS {
        unfit(&mut lab);
    }
    assert_eq!((lab.leases(1).len(), status(&lab)), (1, "running"));
    assert_legal(&lab);
}

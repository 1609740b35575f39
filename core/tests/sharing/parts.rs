//! Where trials share devices, quotas, order and giving way go by the parts that they take.

use sweep_core::command::Command;
use sweep_core::queue::waiting;
use sweep_core::reservation::Reservation;
use sweep_core::shares::{Change, DEVICE, Patch};
use sweep_core::time::Span;

use crate::lab::Lab;
use crate::packing::{GB, measured, out_of_memory, shared, shares, train};

/// Trials of this size of batches are known to take a quarter of a device, those of the other size not.
pub(crate) const QUARTER: u32 = 32;
pub(crate) const UNKNOWN: u32 = 128;

/// A host with so many GPUs that has found that out.
pub(crate) fn quarters(gpus: u32) -> Lab {
    let mut lab = Lab::new(&[]);
    shared(&mut lab, gpus, 40, 4);
    let sweep = lab.submit_batches(("warm", "wim"), &[QUARTER], 200);
    measured(&mut lab, GB, 1000.0);
    train(&mut lab, 40, GB, |trials| 9000.0 / (4 * gpus as usize + 1 - trials).max(1) as f64);
    assert_eq!(shares(&lab), vec![250; 4 * gpus as usize]);
    lab.ask(Command::CancelSweep { sweep, user: "wim".into() });
    lab.leave();
    lab
}

fn told(lab: &Lab) -> Vec<String> {
    let told = waiting(lab.core.state(), lab.now, |agent| lab.core.is_reachable(agent, lab.now));
    told.into_iter().map(|waiting| waiting.why.to_string()).collect()
}

fn slots(slots: u32) -> Patch {
    Patch { slots: Some(Some(slots)), ..Patch::default() }
}

pub(crate) fn has(lab: &Lab, user: &str) -> u64 {
    lab.core.state().accounts.user(user).map_or(0, |user| user.week.running)
}

#[test]
fn a_quota_of_slots_is_filled_by_parts() {
    let mut lab = quarters(3);
    lab.set(Change::User("ann".into(), slots(1)));
    lab.set(Change::Project("q".into(), slots(2)));
    lab.submit_batches(("p", "ann"), &[QUARTER], 16);
    assert_eq!(shares(&lab), [250; 4], "four quarters are one");
    assert_eq!(told(&lab), ["quota of user ann reached: 1 of 1 slots"]);
    lab.submit_batches(("q", "bob"), &[QUARTER], 16);
    assert_eq!((has(&lab, "ann"), has(&lab, "bob")), (DEVICE, 2 * DEVICE));
    lab.check();
    // One that is not measured needs a whole one, and nobody is kept from anything by it.
    let mut lab = quarters(2);
    lab.set(Change::User("ann".into(), slots(1)));
    lab.submit_batches(("p", "ann"), &[QUARTER], 1);
    lab.submit_batches(("p", "ann"), &[UNKNOWN], 2);
    assert_eq!(told(&lab), ["quota of user ann reached: 0.25 of 1 slots"]);
    lab.submit_batches(("p", "bob"), &[QUARTER], 16);
    assert_eq!((has(&lab, "ann"), has(&lab, "bob")), (DEVICE / 4, 2 * DEVICE - DEVICE / 4));
    lab.check();
}

#[test]
fn what_stands_behind_one_that_has_no_place_is_started() {
    let mut lab = quarters(3);
    lab.submit_batches(("p", "ann"), &[QUARTER], 3);
    assert_eq!(shares(&lab), [250; 3], "one on each");
    // The first twenty need a whole device, which none is: one is kept for them, the others are filled.
    let sweep = lab.submit_batches(("p", "bob"), &[UNKNOWN, QUARTER], 20);
    let running = |lab: &Lab| lab.core.state().sweep(sweep).unwrap().counts.running;
    assert_eq!((running(&lab), shares(&lab)), (6, vec![250; 9]));
    let (agent, lease) = lab.held()[0];
    lab.done(agent, lease);
    assert_eq!(running(&lab), 7, "{:?}", shares(&lab));
    assert!(shares(&lab).contains(&1000), "it is empty");
    lab.check();
}

#[test]
fn one_that_is_to_be_alone_holds_up_nobody_of_its_sweep() {
    let mut lab = quarters(2);
    let sweep = lab.submit_batches(("p", "ann"), &[QUARTER], 40);
    assert_eq!(shares(&lab), [250; 8]);
    let (agent, lease) = lab.held()[0];
    lab.end(agent, lease, out_of_memory());
    lab.pass(Span::seconds(60));
    let state = lab.core.state();
    let alone = state.find(lease.trial).unwrap();
    assert!(state.trial(alone).leased().is_none() && state.sweep(sweep).unwrap().counts.backoff == 0);
    // One device is filled no more, the other goes on.
    for _ in 0..8 {
        let (agent, lease) = *lab.held().last().unwrap();
        lab.done(agent, lease);
        let used: u32 = shares(&lab).iter().sum();
        assert!(used >= 1000, "{:?}", shares(&lab));
    }
    lab.check();
}

#[test]
fn a_part_of_a_device_is_given_up_for_who_was_promised_one() {
    let mut lab = quarters(2);
    lab.preempt_after(Some(Span::seconds(2)));
    lab.submit_batches(("p", "ann"), &[QUARTER], 40);
    assert_eq!(shares(&lab), [250; 8]);
    let until = lab.now + Span::hours(1);
    let promise = Reservation { project: "audio".into(), slots: 1, from: lab.now, until, reason: String::new() };
    lab.set(Change::Reservation("dl".into(), Some(promise)));
    lab.submit_batches(("audio", "bob"), &[QUARTER], 3);
    for _ in 0..4 {
        lab.pass(Span::seconds(3));
        lab.held().into_iter().for_each(|(agent, lease)| lab.checkpoint(agent, lease));
        lab.leave();
    }
    assert_eq!((has(&lab, "bob"), has(&lab, "ann")), (750, 1250));
    assert_eq!(lab.preemptions(), 3);
    lab.check();
}

//! Giving way to a trial that needs more of a shared device than any one trial leaves: one device is emptied, by lodgers that all leave
//! at once, and only for whom all of them give way.

use proptest::prelude::*;
use sweep_core::id::Lease;
use sweep_core::placement::Placement;
use sweep_core::plan::Limits;
use sweep_core::reservation::Reservation;
use sweep_core::shares::{Change, DEVICE};
use sweep_core::time::Span;

use crate::lab::Lab;
use crate::packing::{GB, shares};
use crate::parts::{QUARTER, UNKNOWN, has, quarters};

/// One host with so many GPUs, all of ann's, by quarters.
fn taken(gpus: u32) -> Lab {
    let mut lab = quarters(gpus);
    lab.preempt_after(Some(Span::seconds(2)));
    lab.submit_batches(("p", "ann"), &[QUARTER], 80);
    assert_eq!(shares(&lab), vec![250; 4 * gpus as usize]);
    lab
}

/// One after the other keeps a checkpoint, a second apart, and whoever is asked leaves.
fn around(lab: &mut Lab) {
    for (agent, lease) in lab.held() {
        lab.pass(Span::seconds(1));
        lab.checkpoint(agent, lease);
        lab.leave();
    }
}

fn promise(lab: &mut Lab, project: &str, slots: u32) {
    let until = lab.now + Span::hours(24 * 365);
    let promise = Reservation { project: project.into(), slots, from: lab.now, until, reason: String::new() };
    lab.set(Change::Reservation("dl".into(), Some(promise)));
}

/// Devices that somebody left, and nobody came to.
fn left_in_vain(lab: &Lab) -> usize {
    let rooms = lab.core.state().agents.values().flat_map(|agent| &agent.rooms);
    rooms.filter(|room| room.awaits.is_some()).count()
}

fn asks(memory: u64) -> Limits {
    Limits { placement: Placement { memory: Some(memory * GB), ..Placement::default() }, ..Limits::default() }
}

#[test]
fn who_was_promised_a_device_gets_a_whole_one_as_soon_as_it_is_time_for_somebody_there() {
    let mut lab = taken(2);
    promise(&mut lab, "audio", 1);
    lab.held().into_iter().for_each(|(agent, lease)| lab.checkpoint(agent, lease));
    lab.pass(Span::seconds(20));
    lab.submit_batches(("audio", "bob"), &[UNKNOWN], 2);
    assert_eq!((has(&lab, "bob"), lab.preemptions()), (0, 0), "no checkpoint is fresh");
    // The others write theirs when they are asked.
    let (agent, first) = lab.held()[0];
    lab.checkpoint(agent, first);
    assert!(!lab.leases(agent).contains(&first), "it is among them");
    assert_eq!((lab.preemptions(), lab.leave(), has(&lab, "bob")), (4, 4, DEVICE));
    (0..3).for_each(|_| around(&mut lab));
    assert_eq!((lab.preemptions(), has(&lab, "ann"), has(&lab, "bob")), (4, DEVICE, DEVICE), "as much as was promised");
    assert_eq!(left_in_vain(&lab), 0);
    lab.check();
}

#[test]
fn nobody_is_asked_to_leave_a_device_before_all_there_have_run_for_a_while_and_kept_a_checkpoint() {
    let mut lab = taken(1);
    lab.preempt_after(Some(Span::seconds(100)));
    promise(&mut lab, "audio", 1);
    lab.submit_batches(("audio", "bob"), &[UNKNOWN], 1);
    let held = lab.held();
    lab.pass(Span::seconds(99));
    held.iter().for_each(|(agent, lease)| lab.checkpoint(*agent, *lease));
    assert_eq!(lab.preemptions(), 0);
    lab.pass(Span::seconds(2));
    assert_eq!((lab.preemptions(), lab.leave(), has(&lab, "bob")), (4, 4, DEVICE));
    lab.check();
    // One has just opened its data.
    let mut lab = taken(1);
    promise(&mut lab, "audio", 1);
    lab.submit_batches(("audio", "bob"), &[UNKNOWN], 1);
    let held = lab.held();
    lab.pass(Span::hours(1));
    held[1..].iter().for_each(|(agent, lease)| lab.checkpoint(*agent, *lease));
    assert_eq!(lab.preemptions(), 0, "it would lose what it has done");
    lab.checkpoint(held[0].0, held[0].1);
    assert_eq!((lab.preemptions(), lab.leave(), has(&lab, "bob")), (4, 4, DEVICE));
    lab.check();
}

#[test]
fn those_leave_a_device_first_whose_time_it_is() {
    for number in 0..4 {
        let mut lab = taken(1);
        promise(&mut lab, "audio", 1);
        let held = lab.held();
        held.iter().for_each(|(agent, lease)| lab.checkpoint(*agent, *lease));
        lab.pass(Span::seconds(300));
        // Two of the four make room for it.
        lab.submit_batches_within(("audio", "bob"), &[QUARTER], 1, asks(20));
        assert_eq!(lab.preemptions(), 0);
        let (agent, lease) = held[number];
        lab.checkpoint(agent, lease);
        assert!(!lab.leases(agent).contains(&lease), "it is its time");
        assert_eq!((lab.preemptions(), lab.leave(), has(&lab, "bob")), (2, 2, DEVICE / 2));
        lab.check();
    }
}

#[test]
fn what_is_being_freed_counts_as_what_is_taken_of_it() {
    let mut lab = quarters(2);
    lab.preempt_after(Some(Span::seconds(2)));
    lab.submit_batches_within(("p", "ann"), &[QUARTER], 3, asks(20));
    promise(&mut lab, "audio", 1);
    lab.submit_batches(("audio", "bob"), &[UNKNOWN], 2);
    assert_eq!((shares(&lab), has(&lab, "bob")), (vec![500; 3], 0));
    lab.pass(Span::seconds(3));
    // One is alone on its device, where somebody who needs all of it gets more than it leaves.
    let rooms = lab.core.state().agents.values().flat_map(|agent| &agent.rooms);
    let alone: Vec<u32> =
        rooms.filter(|room| room.trials.len() == 1).flat_map(|room| room.trials.keys().copied()).collect();
    let mut held = lab.held();
    held.sort_by_key(|(_, lease)| !alone.contains(&lab.core.state().leased(*lease).unwrap().1.slot));
    held.into_iter().for_each(|(agent, lease)| lab.checkpoint(agent, lease));
    assert_eq!(lab.preemptions(), 1);
    assert_eq!((lab.leave(), has(&lab, "ann"), has(&lab, "bob")), (1, DEVICE, DEVICE));
    (0..3).for_each(|_| around(&mut lab));
    assert_eq!((lab.preemptions(), left_in_vain(&lab)), (1, 0));
    lab.check();
}

#[test]
fn a_higher_share_gets_as_many_whole_devices_as_it_is_for_and_a_lower_one_none() {
    let got = |ann: u32, bob: u32, gpus: u32| {
        let mut lab = taken(gpus);
        lab.share("ann", ann);
        lab.share("bob", bob);
        lab.submit_batches(("p", "bob"), &[UNKNOWN], 9);
        (0..6).for_each(|_| around(&mut lab));
        assert_eq!(lab.preemptions() as u64, has(&lab, "bob") / DEVICE * 4, "nobody leaves in vain");
        assert_eq!(left_in_vain(&lab), 0);
        lab.check();
        has(&lab, "bob") / DEVICE
    };
    assert_eq!([got(1, 1, 1), got(1, 5, 1)], [0, 0], "all that ann has");
    assert_eq!([got(1, 1, 3), got(1, 3, 3), got(3, 1, 3)], [1, 2, 0]);
}

#[test]
fn a_device_with_somebody_who_stays_is_not_emptied() {
    // Of the two devices bob has a quarter of one.
    let lab = |both: bool| {
        let mut lab = quarters(2);
        lab.preempt_after(Some(Span::seconds(2)));
        lab.submit_batches(("audio", "bob"), &[QUARTER], if both { 2 } else { 1 });
        lab.submit_batches(("p", "ann"), &[QUARTER], 80);
        promise(&mut lab, "audio", 2);
        lab.submit_batches(("audio", "bob"), &[UNKNOWN], 1);
        (0..3).for_each(|_| around(&mut lab));
        lab.check();
        lab
    };
    let one = lab(false);
    assert_eq!((one.preemptions(), has(&one, "bob")), (4, DEVICE + DEVICE / 4), "the other one");
    let none = lab(true);
    assert_eq!((none.preemptions(), has(&none, "bob")), (0, DEVICE / 2));
    // A protected slot is on the first.
    let mut lab = taken(2);
    lab.set(Change::Host("host1".into(), 1));
    promise(&mut lab, "audio", 2);
    lab.submit_batches(("audio", "bob"), &[UNKNOWN], 2);
    (0..3).for_each(|_| around(&mut lab));
    assert_eq!((lab.preemptions(), has(&lab, "bob")), (4, DEVICE));
    lab.check();
}

#[test]
fn only_as_many_leave_as_have_to() {
    let mut lab = taken(2);
    promise(&mut lab, "audio", 1);
    // It may have company, as what is known of the shape says, and its file asks for half of a device.
    lab.submit_batches_within(("audio", "bob"), &[QUARTER], 1, asks(20));
    (0..3).for_each(|_| around(&mut lab));
    assert_eq!((lab.preemptions(), has(&lab, "bob"), has(&lab, "ann")), (2, DEVICE / 2, DEVICE * 3 / 2));
    lab.check();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    /// Trials that need a quarter, a half and all of a device, of users with any shares: as long as nobody comes and nothing ends, only so
    /// many give way.
    #[test]
    fn hand_overs_of_parts_and_of_whole_devices_end(
        gpus in 1u32..4,
        sweeps in prop::collection::vec((0u32..4, 0u32..2, 0u32..3, 1u32..9, 0i64..200), 2..6),
        reserved in 0u32..3,
        picks in prop::collection::vec((0usize..16, 0i64..4000), 40),
    ) {
        let mut lab = quarters(gpus);
        lab.preempt_after(Some(Span(0)));
        if reserved > 0 {
            promise(&mut lab, "p1", reserved.min(gpus));
        }
        for (number, (share, project, kind, trials, wait)) in sweeps.iter().enumerate() {
            let (project, user) = (format!("p{project}"), format!("u{number}"));
            lab.share(&user, *share);
            match kind {
                0 => lab.submit_batches((&project, &user), &[QUARTER], *trials),
                1 => lab.submit_batches((&project, &user), &[UNKNOWN], *trials),
                _ => lab.submit_batches_within((&project, &user), &[QUARTER], *trials, asks(20)),
            };
            lab.pass(Span::seconds(*wait));
        }
        let keep = |lab: &mut Lab, held: Vec<(u128, Lease)>| {
            held.into_iter().for_each(|(agent, lease)| lab.checkpoint(agent, lease));
            lab.leave()
        };
        for (pick, seconds) in picks {
            let held = lab.held();
            let some = held.into_iter().skip(pick % 4).step_by(1 + pick / 4).collect();
            keep(&mut lab, some);
            lab.pass(Span::seconds(seconds));
        }
        // When history has faded, there is nothing left to give.
        for _ in 0..40 {
            let held = lab.held();
            keep(&mut lab, held);
            lab.pass(Span::hours(5 * 24));
        }
        let before = lab.preemptions();
        for _ in 0..4 {
            let held = lab.held();
            keep(&mut lab, held);
            lab.pass(Span::hours(24));
        }
        prop_assert_eq!(lab.preemptions(), before, "still giving way");
        prop_assert!(before <= 100, "{} hand-overs", before);
        prop_assert_eq!(left_in_vain(&lab), 0);
        lab.check();
    }
}

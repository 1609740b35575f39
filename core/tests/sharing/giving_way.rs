//! Preemption: right after a checkpoint, after a while, to whoever is clearly below its share, never in turns, and
//! without harm to the trial.

use proptest::prelude::*;
use sweep_core::attempt::FailureClass;
use sweep_core::command::Ending;
use sweep_core::event::Failure;
use sweep_core::plan::Limits;
use sweep_core::shares::Change;
use sweep_core::state::trial::Phase;
use sweep_core::time::Span;

use crate::fairness::{max_min, same, steps};
use crate::lab::Lab;

/// Everything that runs keeps a checkpoint; who has to leave does so, until nobody has to. Returns how many left.
fn round(lab: &mut Lab) -> usize {
    for (number, lease) in lab.held() {
        lab.checkpoint(number, lease);
    }
    lab.leave()
}

#[test]
fn a_trial_gives_way_after_its_checkpoint_and_goes_on_from_it() {
    let mut lab = Lab::new(&[2]);
    lab.submit(("p", "ann"), 2, Limits::default());
    let [first, second] = lab.leases(1)[..] else { panic!() };
    lab.pass(Span::seconds(300));
    lab.checkpoint(1, first);
    lab.checkpoint(1, second);
    let bob = lab.submit(("p", "bob"), 2, Limits::default());
    assert_eq!(lab.preemptions(), 0, "ten minutes first");
    lab.pass(Span::seconds(301));
    assert_eq!(lab.preemptions(), 0, "its last checkpoint is old");
    lab.checkpoint(1, second);
    assert_eq!((lab.preemptions(), lab.leases(1)), (1, vec![first]), "the order is withdrawn");
    lab.checkpoint(1, first);
    assert_eq!(lab.preemptions(), 1, "one each is fair");
    assert_eq!(lab.leave(), 1);
    assert_eq!((lab.slots("ann"), lab.slots("bob")), (1, 1));
    let at = lab.core.state().find(second.trial).unwrap();
    let trial = lab.core.state().trial(at);
    assert_eq!((&trial.phase, trial.own_failures, trial.failures, trial.resume_epoch()), (&Phase::Waiting, 0, 0, 2));
    // It goes on where it was.
    lab.leases(1).into_iter().filter(|lease| *lease != first).for_each(|lease| lab.done(1, lease));
    lab.leases(1).into_iter().filter(|lease| *lease != first).for_each(|lease| lab.done(1, lease));
    let again = lab.leases(1).into_iter().find(|lease| lease.trial == second.trial).unwrap();
    assert_eq!(again.attempt, 2);
    lab.checkpoint(1, again);
    assert_eq!(lab.core.state().trial(at).resume_epoch(), 3);
    assert_eq!(lab.core.state().sweep(bob).unwrap().counts.completed, 2);
    lab.check();
}

/// Its trainer writes a checkpoint when it is asked to: whoever waits does not wait for the end of an epoch of an hour.
#[test]
fn a_trial_that_has_kept_no_checkpoint_for_long_gives_way_all_the_same() {
    let mut lab = Lab::new(&[2]);
    lab.submit(("p", "ann"), 2, Limits::default());
    let [first, second] = lab.leases(1)[..] else { panic!() };
    lab.submit(("p", "bob"), 2, Limits::default());
    lab.pass(Span::hours(1));
    assert_eq!(lab.preemptions(), 0, "neither has kept one: they would begin again");
    lab.pass(Span::seconds(1));
    lab.preempt_after(None);
    lab.checkpoint(1, second);
    lab.pass(Span::seconds(500));
    lab.checkpoint(1, first);
    lab.pass(Span::seconds(11));
    lab.preempt_after(Some(Span::seconds(600)));
    lab.pass(Span::seconds(80));
    assert_eq!(lab.preemptions(), 0, "the next one may come soon");
    lab.pass(Span::seconds(10));
    assert_eq!((lab.preemptions(), lab.leases(1)), (1, vec![first]));
    assert_eq!((lab.leave(), lab.slots("bob")), (1, 1));
    lab.pass(Span::seconds(60));
    assert_eq!(lab.preemptions(), 1, "one each is fair");
    lab.check();
}

#[test]
fn what_has_trained_its_last_epoch_is_let_be_also_before_that_is_kept() {
    let mut lab = Lab::new(&[2]);
    lab.preempt_after(Some(Span(0)));
    lab.submit(("p", "ann"), 2, Limits::default());
    for lease in lab.leases(1) {
        (1..crate::lab::EPOCHS).for_each(|_| lab.checkpoint(1, lease));
        lab.train(1, lease);
    }
    lab.submit(("p", "bob"), 2, Limits::default());
    lab.pass(Span::seconds(700));
    assert_eq!(lab.preemptions(), 0, "its last checkpoint is on its way");
    lab.check();
}

#[test]
fn how_it_leaves_is_not_held_against_it_and_an_end_is_an_end() {
    let lab = || {
        let mut lab = Lab::new(&[1]);
        lab.preempt_after(Some(Span(0)));
        lab.share("bob", 3);
        lab.submit(("p", "ann"), 1, Limits::default());
        lab.share("ann", 0);
        lab.submit(("p", "bob"), 1, Limits::default());
        let lease = lab.leases(1)[0];
        lab.checkpoint(1, lease);
        assert_eq!((lab.preemptions(), lab.leases(1)), (1, vec![]));
        (lab, lease)
    };
    let fail = |class| Ending::Failed(Failure { class, reason: "r".into(), message: "m".into() });
    let check = |how: Ending, expected: &str, failures: u16| {
        let (mut lab, lease) = lab();
        lab.end(1, lease, how);
        let at = lab.core.state().find(lease.trial).unwrap();
        let trial = lab.core.state().trial(at);
        assert_eq!((trial.phase.name(), trial.failures), (expected, failures));
        assert_eq!(lab.slots("bob"), 1);
        lab.check();
    };
    check(Ending::Stopped, "waiting", 0);
    check(fail(FailureClass::Crash), "waiting", 0);
    check(fail(FailureClass::Host), "waiting", 0);
    check(fail(FailureClass::Diverged), "failed", 1);
    check(Ending::Done { early: false, weights: "w".into(), test: None }, "completed", 0);
}

#[test]
fn protected_slots_and_people_who_switch_it_off_keep_what_they_have() {
    let mut lab = Lab::new(&[4]);
    lab.preempt_after(Some(Span(0)));
    lab.set(Change::Host("host1".into(), 3));
    lab.submit(("p", "ann"), 9, Limits::default());
    lab.submit(("p", "bob"), 9, Limits::default());
    assert_eq!((round(&mut lab), round(&mut lab)), (1, 0));
    assert_eq!((lab.slots("ann"), lab.slots("bob")), (3, 1));
    lab.preempt_after(None);
    lab.set(Change::Host("host1".into(), 0));
    assert_eq!(round(&mut lab), 0);
    lab.preempt_after(Some(Span(0)));
    assert_eq!((round(&mut lab), round(&mut lab)), (1, 0));
    lab.check();
}

#[test]
fn nobody_gives_way_for_a_slot_that_the_other_cannot_use() {
    let mut lab = Lab::new(&[]);
    lab.agent(2, Some("cats"));
    lab.agent(2, Some("dogs"));
    lab.preempt_after(Some(Span(0)));
    lab.submit_on(("p", "ann"), "cats", 9, Limits::default());
    lab.submit_on(("p", "ann"), "dogs", 9, Limits::default());
    lab.submit_on(("p", "bob"), "dogs", 9, Limits { max_parallel: Some(1), ..Limits::default() });
    let on_dogs = |lab: &Lab| lab.leases(2).len();
    assert_eq!(on_dogs(&lab), 2);
    assert_eq!((round(&mut lab), round(&mut lab)), (1, 0));
    assert_eq!((lab.slots("ann"), lab.slots("bob"), on_dogs(&lab)), (3, 1, 2));
    lab.check();
}

#[test]
fn who_had_more_lately_takes_nothing_from_who_had_less() {
    let mut lab = Lab::new(&[4]);
    lab.preempt_after(Some(Span(0)));
    lab.submit(("p", "bob"), 999, Limits::default());
    let hour = |lab: &mut Lab| {
        lab.pass(Span::hours(1));
        lab.leases(1).into_iter().for_each(|lease| lab.done(1, lease));
    };
    (0..24).for_each(|_| hour(&mut lab));
    lab.submit(("p", "ann"), 4, Limits::default());
    lab.pass(Span::seconds(300));
    lab.leases(1).into_iter().for_each(|lease| lab.done(1, lease));
    assert_eq!((lab.slots("ann"), lab.slots("bob")), (4, 0));
    assert_eq!(round(&mut lab), 0);
    // After a day and more she has had as much.
    (0..30).for_each(|_| lab.pass(Span::hours(1)));
    while round(&mut lab) > 0 {}
    assert_eq!((lab.slots("ann"), lab.slots("bob")), (2, 2));
    lab.check();
}

#[test]
fn what_has_trained_its_last_epoch_is_let_go() {
    let mut lab = Lab::new(&[1]);
    lab.preempt_after(Some(Span(0)));
    lab.submit(("p", "night"), 1, Limits::default());
    let lease = lab.leases(1)[0];
    (0..crate::lab::EPOCHS).for_each(|_| lab.checkpoint(1, lease));
    lab.share("night", 0);
    lab.submit(("p", "ann"), 1, Limits::default());
    assert_eq!(lab.preemptions(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// The first user has everything, some of it for good; the others come, with equal shares. Whoever has to
    /// give way does, and what comes of it is the max-min of brute force.
    #[test]
    fn hand_overs_end_in_max_min(
        demands in prop::collection::vec(0u32..7, 1..4),
        slots in 1u32..8,
        protected in 0u32..8,
    ) {
        let mut lab = Lab::new(&[slots as usize]);
        lab.preempt_after(Some(Span(0)));
        lab.set(Change::Host("host1".into(), protected));
        lab.submit(("p", "u0"), 20, Limits::default());
        for (number, demand) in (1..).zip(&demands) {
            if *demand > 0 {
                lab.submit(("p", &format!("u{number}")), *demand, Limits::default());
            }
        }
        while round(&mut lab) > 0 {}
        let count = demands.len() + 1;
        let found: Vec<u32> = (0..count).map(|number| lab.slots(&format!("u{number}"))).collect();
        let mut least = vec![0; count];
        least[0] = protected.min(slots);
        let most: Vec<u32> = std::iter::once(20).chain(demands).collect();
        let equal = vec![1; count];
        prop_assert!(same(&steps(&found, &equal), &max_min(slots, &equal, &least, &most)), "{:?}", found);
        lab.check();
    }

    /// Whatever the shares and however time passes: as long as nobody comes and nothing ends, only so many trials
    /// ever give way, and then no more.
    #[test]
    fn hand_overs_are_finite(
        users in prop::collection::vec((0u32..4, 0u32..2, 1u32..7, 0i64..200_000), 2..5),
        slots in 1usize..9,
        times in prop::collection::vec(0i64..400_000, 30),
    ) {
        let mut lab = Lab::new(&[slots]);
        lab.preempt_after(Some(Span(0)));
        for (number, (share, project, demand, wait)) in users.iter().enumerate() {
            let user = format!("u{number}");
            lab.share(&user, *share);
            lab.submit((&format!("p{project}"), &user), *demand, Limits::default());
            lab.pass(Span::seconds(*wait));
        }
        let mut total = 0;
        // When history has faded, there is nothing left to give.
        let settled = std::iter::repeat_n(40 * 24 * 3600, 2 * slots);
        for seconds in times.into_iter().chain(settled) {
            total += round(&mut lab);
            prop_assert!(lab.held().len() == slots.min(users.iter().map(|user| user.2 as usize).sum()));
            lab.pass(Span::seconds(seconds));
        }
        for _ in 0..3 {
            prop_assert_eq!(round(&mut lab), 0, "still giving way after {} hand-overs", total);
            lab.pass(Span::hours(24));
        }
        prop_assert!(total <= slots * slots, "{} hand-overs", total);
        lab.check();
    }
}

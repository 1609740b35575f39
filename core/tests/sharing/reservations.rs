//! What a project is promised for a time: it has it while the time lasts and it has work, the rest is for
//! all, before and after everything goes by shares, and hand-overs come to an end with promises, too.

use proptest::prelude::*;
use sweep_core::command::{Command, Reply};
use sweep_core::plan::Limits;
use sweep_core::reservation::Reservation;
use sweep_core::shares::{Change, Patch, SHARE};
use sweep_core::time::{Span, Timestamp};

use crate::lab::Lab;

fn reserve(lab: &mut Lab, name: &str, project: &str, slots: u32, from: Span, length: Span) {
    let from = lab.now + from;
    let reservation = Reservation { project: project.into(), slots, from, until: from + length, reason: String::new() };
    lab.set(Change::Reservation(name.into(), Some(reservation)));
}

fn project_share(lab: &mut Lab, project: &str, share: u32) {
    lab.set(Change::Project(project.into(), Patch { share: Some(share * SHARE), ..Patch::default() }));
}

fn round(lab: &mut Lab) -> usize {
    for (number, lease) in lab.held() {
        lab.checkpoint(number, lease);
    }
    lab.leave()
}

fn settle(lab: &mut Lab) {
    while round(lab) > 0 {}
}

#[test]
fn a_promise_holds_while_it_lasts_and_not_before_or_after() {
    let mut lab = Lab::new(&[8]);
    lab.preempt_after(Some(Span(0)));
    project_share(&mut lab, "big", 7);
    project_share(&mut lab, "paper", 1);
    lab.submit(("big", "ann"), 99, Limits::default());
    lab.submit(("paper", "bob"), 99, Limits::default());
    settle(&mut lab);
    assert_eq!((lab.slots("ann"), lab.slots("bob")), (7, 1));
    reserve(&mut lab, "deadline", "paper", 5, Span::hours(1), Span::hours(2));
    settle(&mut lab);
    assert_eq!((lab.slots("ann"), lab.slots("bob")), (7, 1), "not yet");
    lab.pass(Span::hours(1));
    settle(&mut lab);
    assert_eq!((lab.slots("ann"), lab.slots("bob")), (3, 5));
    lab.pass(Span::hours(1));
    settle(&mut lab);
    assert_eq!((lab.slots("ann"), lab.slots("bob")), (3, 5));
    lab.pass(Span::hours(1));
    settle(&mut lab);
    assert_eq!(lab.slots("bob"), 1, "it is over, and what it had counts");
    lab.check();
}

#[test]
fn what_is_promised_and_not_used_is_for_all_and_free_slots_go_there_first() {
    let mut lab = Lab::new(&[4]);
    lab.preempt_after(None);
    reserve(&mut lab, "deadline", "paper", 3, Span(0), Span::hours(9));
    lab.submit(("big", "ann"), 99, Limits::default());
    assert_eq!(lab.slots("ann"), 4, "nobody else wants them");
    project_share(&mut lab, "paper", 0);
    lab.submit(("paper", "bob"), 2, Limits::default());
    assert_eq!(lab.slots("bob"), 0, "nobody has to give way in this lab");
    let held = lab.held();
    lab.done(held[0].0, held[0].1);
    assert_eq!((lab.slots("ann"), lab.slots("bob")), (3, 1), "a promise comes before a share, even before none");
    lab.check();
}

#[test]
fn a_quota_holds_all_the_same_and_it_can_be_taken_back() {
    let mut lab = Lab::new(&[4]);
    lab.preempt_after(Some(Span(0)));
    lab.submit(("big", "ann"), 99, Limits::default());
    lab.set(Change::Project("paper".into(), Patch { slots: Some(Some(1)), ..Patch::default() }));
    reserve(&mut lab, "deadline", "paper", 3, Span(0), Span::hours(9));
    lab.submit(("paper", "bob"), 9, Limits::default());
    settle(&mut lab);
    assert_eq!(lab.slots("bob"), 1);
    lab.set(Change::Project("paper".into(), Patch { slots: Some(None), ..Patch::default() }));
    settle(&mut lab);
    assert_eq!(lab.slots("bob"), 3);
    lab.set(Change::Reservation("deadline".into(), None));
    settle(&mut lab);
    assert_eq!((lab.slots("ann"), lab.slots("bob")), (2, 2));
    lab.check();
}

#[test]
fn one_that_cannot_be_is_refused_with_what_would_be() {
    let mut lab = Lab::new(&[1]);
    lab.pass(Span::hours(2));
    let now = lab.now;
    let good =
        Reservation { project: "p".into(), slots: 1, from: now, until: now + Span::hours(1), reason: "x".into() };
    let past = Reservation { from: Timestamp(0), until: now, ..good.clone() };
    let cases = [
        (Some(Reservation { slots: 0, ..good.clone() }), "slots = 0 is not allowed: use 1 to 10000000"),
        (Some(Reservation { until: now, ..good.clone() }), "length of a reservation = 0 s is not allowed"),
        (Some(past), "end of the reservation = in the past is not allowed: let it end later"),
        (Some(Reservation { project: "../p".into(), ..good.clone() }), "project = \"../p\" is not allowed"),
        (Some(Reservation { reason: "a\nb".into(), ..good.clone() }), "reason = 3 bytes is not allowed"),
        (None, "reservation = \"x\" is not allowed: there are none"),
    ];
    for (reservation, text) in cases {
        let change = Change::Reservation("x".into(), reservation);
        let Reply::Rejected(reject) = lab.ask(Command::SetShares { user: "root".into(), change }) else { panic!() };
        assert!(reject.to_string().starts_with(text), "{reject}");
    }
    lab.set(Change::Reservation("x".into(), Some(good)));
    lab.check();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is promised, to whom and when: with demand that stays as it is hand-overs come to an end, no slot is
    /// idle, and then everybody has what was promised, as far as there are slots and work.
    #[test]
    fn promises_are_kept_and_hand_overs_end(
        projects in prop::collection::vec((0u32..4, 1u32..7, 0i64..100_000), 2..4),
        slots in 1usize..9,
        promises in prop::collection::vec((0usize..4, 1u32..6, 0i64..50_000), 0..4),
    ) {
        let mut lab = Lab::new(&[slots]);
        lab.preempt_after(Some(Span(0)));
        for (number, (share, demand, wait)) in projects.iter().enumerate() {
            project_share(&mut lab, &format!("p{number}"), *share);
            lab.submit((&format!("p{number}"), &format!("u{number}")), *demand, Limits::default());
            lab.pass(Span::seconds(*wait));
        }
        let mut promised = vec![0; projects.len()];
        for (number, (project, slots, from)) in promises.iter().enumerate() {
            let project = project % projects.len();
            promised[project] += slots;
            let (from, length) = (Span::seconds(*from), Span::hours(24 * 365));
            reserve(&mut lab, &format!("r{number}"), &format!("p{project}"), *slots, from, length);
        }
        // All promises have begun, and history fades.
        for seconds in [50_000i64].into_iter().chain(std::iter::repeat_n(40 * 24 * 3600 / 8, 4 * slots)) {
            lab.pass(Span::seconds(seconds));
            // Who is asked leaves within seconds, not at the next round.
            round(&mut lab);
            let again = (0..20).take_while(|_| lab.leave() > 0).count();
            prop_assert!(again < 20, "at one time, without an end");
            prop_assert!(lab.held().len() == slots.min(projects.iter().map(|of| of.1 as usize).sum()));
        }
        for _ in 0..3 {
            prop_assert_eq!(round(&mut lab), 0, "still giving way");
            lab.pass(Span::hours(24));
        }
        let owed: Vec<u32> = promised.iter().zip(&projects).map(|(promised, of)| (*promised).min(of.1)).collect();
        let has: Vec<u32> = (0..projects.len()).map(|number| lab.slots(&format!("u{number}"))).collect();
        if owed.iter().sum::<u32>() <= slots as u32 {
            prop_assert!(has.iter().zip(&owed).all(|(has, owed)| has >= owed), "has {:?}, owed {:?}", has, owed);
        } else {
            // Promised more than there is: nobody has more than its promise.
            prop_assert!(has.iter().zip(&owed).all(|(has, owed)| has <= owed), "has {:?}, owed {:?}", has, owed);
        }
        lab.check();
    }
}

//! Who gets how much: small cases against brute force, and the order in which people are served.

use proptest::prelude::*;
use sweep_core::plan::Limits;
use sweep_core::shares::{Change, Patch, SHARE};
use sweep_core::time::Span;

use crate::lab::Lab;

/// How two amounts for their shares compare.
fn less(a: (u32, u32), b: (u32, u32)) -> std::cmp::Ordering {
    (a.0 * b.1).cmp(&(b.0 * a.1))
}

/// What everybody had for its share before it got each of its slots, highest first.
pub(crate) fn steps(slots: &[u32], shares: &[u32]) -> Vec<(u32, u32)> {
    let each = slots.iter().zip(shares).flat_map(|(slots, share)| (0..*slots).map(move |had| (had, *share)));
    let mut steps: Vec<_> = each.collect();
    steps.sort_by(|a, b| less(*b, *a));
    steps
}

/// Max-min by trying everything: of all allocations between `least` and `most` that use as much as
/// possible, the one in which the best-off got its last slot with least in hand, and so on down: there is no slot
/// that somebody with less could have had. With equal shares, the lowest is highest.
pub(crate) fn max_min(slots: u32, shares: &[u32], least: &[u32], most: &[u32]) -> Vec<(u32, u32)> {
    let total = slots.min(most.iter().sum());
    let mut best: Option<Vec<(u32, u32)>> = None;
    let mut open: Vec<Vec<u32>> = vec![vec![]];
    while let Some(head) = open.pop() {
        if head.len() < shares.len() {
            let (low, high) = (least[head.len()], most[head.len()]);
            open.extend((low..=high.min(total)).map(|next| [head.as_slice(), &[next]].concat()));
            continue;
        }
        if head.iter().sum::<u32>() != total {
            continue;
        }
        let found = steps(&head, shares);
        let better = |best: &Vec<(u32, u32)>| {
            let pairs = found.iter().zip(best).map(|(a, b)| less(*a, *b));
            pairs.into_iter().find(|order| order.is_ne()).is_some_and(std::cmp::Ordering::is_lt)
        };
        if best.as_ref().is_none_or(better) {
            best = Some(found);
        }
    }
    best.unwrap()
}

pub(crate) fn same(a: &[(u32, u32)], b: &[(u32, u32)]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| less(*a, *b).is_eq())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Nobody has used anything yet: what is granted is the max-min of brute force, within every quota.
    #[test]
    fn grants_are_max_min(
        users in prop::collection::vec((1u32..4, 0u32..6, prop::option::of(0u32..5)), 1..5),
        slots in 1usize..9,
    ) {
        let mut lab = Lab::new(&[]);
        for (number, (share, demand, quota)) in users.iter().enumerate() {
            let name = format!("u{number}");
            let patch = Patch { share: Some(share * SHARE), slots: Some(*quota), ..Patch::default() };
            lab.set(Change::User(name.clone(), patch));
            if *demand > 0 {
                lab.submit(("p", &name), *demand, Limits::default());
            }
        }
        lab.agent(slots, None);
        let shares: Vec<u32> = users.iter().map(|user| user.0).collect();
        let most: Vec<u32> = users.iter().map(|(_, demand, quota)| (*demand).min(quota.unwrap_or(9))).collect();
        let found: Vec<u32> = (0..users.len()).map(|number| lab.slots(&format!("u{number}"))).collect();
        let best = max_min(slots as u32, &shares, &vec![0; users.len()], &most);
        prop_assert!(same(&steps(&found, &shares), &best), "{:?} {:?}", found, best);
        lab.check();
    }

    /// The same with projects: max-min among projects, and inside each.
    #[test]
    fn projects_come_before_users(
        projects in prop::collection::vec((1u32..4, prop::collection::vec((1u32..4, 1u32..5), 1..3)), 1..4),
        slots in 1usize..9,
    ) {
        let mut lab = Lab::new(&[]);
        for (number, (share, users)) in projects.iter().enumerate() {
            let name = format!("p{number}");
            let patch = Patch { share: Some(share * SHARE), ..Patch::default() };
            lab.set(Change::Project(name.clone(), patch));
            for (user, (share, demand)) in users.iter().enumerate() {
                let user = format!("u{number}{user}");
                lab.share(&user, *share);
                lab.submit((&name, &user), *demand, Limits::default());
            }
        }
        lab.agent(slots, None);
        let found = lab.by_member();
        let of = |number: usize| -> Vec<u32> {
            let name = format!("p{number}");
            found.iter().filter(|((project, _), _)| *project == name).map(|(_, slots)| *slots).collect()
        };
        let shares: Vec<u32> = projects.iter().map(|project| project.0).collect();
        let most: Vec<u32> = projects.iter().map(|(_, users)| users.iter().map(|user| user.1).sum()).collect();
        let sums: Vec<u32> = (0..projects.len()).map(|number| of(number).iter().sum()).collect();
        let best = max_min(slots as u32, &shares, &vec![0; shares.len()], &most);
        prop_assert!(same(&steps(&sums, &shares), &best), "{:?} {:?}", sums, best);
        for (number, (_, users)) in projects.iter().enumerate() {
            let (shares, most): (Vec<u32>, Vec<u32>) = users.iter().copied().unzip();
            let best = max_min(sums[number], &shares, &vec![0; shares.len()], &most);
            prop_assert!(same(&steps(&of(number), &shares), &best), "{:?} {:?}", of(number), best);
        }
        lab.check();
    }
}

#[test]
fn whoever_used_less_lately_is_served_first_and_use_is_forgotten() {
    let mut lab = Lab::new(&[4]);
    lab.preempt_after(None);
    lab.submit(("p", "ann"), 999, Limits::default());
    let hours = |lab: &mut Lab, hours: u32| {
        for _ in 0..hours {
            lab.pass(Span::hours(1));
            lab.leases(1).into_iter().for_each(|lease| lab.done(1, lease));
        }
    };
    hours(&mut lab, 24 * 7);
    lab.submit(("p", "bob"), 999, Limits::default());
    // For a week ann had everything: it takes bob a half-life to have had as much.
    hours(&mut lab, 1);
    assert_eq!((lab.slots("ann"), lab.slots("bob")), (0, 4));
    hours(&mut lab, 19);
    assert_eq!((lab.slots("ann"), lab.slots("bob")), (0, 4));
    hours(&mut lab, 10);
    assert_eq!((lab.slots("ann"), lab.slots("bob")), (2, 2));
    lab.check();
}

#[test]
fn a_share_of_nothing_gets_what_is_left() {
    let mut lab = Lab::new(&[]);
    lab.share("night", 0);
    lab.submit(("p", "night"), 9, Limits::default());
    lab.submit(("p", "ann"), 3, Limits::default());
    lab.agent(4, None);
    assert_eq!((lab.slots("night"), lab.slots("ann")), (1, 3));
    lab.check();
}

#[test]
fn priority_orders_the_sweeps_of_one_owner_only() {
    let mut lab = Lab::new(&[]);
    let urgent = |priority| Limits { priority: Some(priority), ..Limits::default() };
    let [low, high, mid] = [10, 90, 50].map(|priority| lab.submit(("p", "ann"), 2, urgent(priority)));
    let other = lab.submit(("p", "bob"), 9, urgent(0));
    lab.agent(6, None);
    let running = |sweep| lab.core.state().sweep(sweep).unwrap().counts.running;
    assert_eq!([low, mid, high, other].map(running), [0, 1, 2, 3]);
    lab.check();
}

#[test]
fn a_slot_that_only_one_can_use_goes_to_that_one() {
    let mut lab = Lab::new(&[]);
    lab.agent(2, Some("cats"));
    lab.agent(1, Some("dogs"));
    lab.submit_on(("p", "ann"), "dogs", 9, Limits::default());
    lab.submit_on(("p", "bob"), "cats", 9, Limits::default());
    lab.submit_on(("p", "cy"), "birds", 9, Limits::default());
    assert_eq!(["ann", "bob", "cy"].map(|user| lab.slots(user)), [1, 2, 0]);
    lab.check();
}

//! Hours of a lab in simulated time: users with shares get device time by their shares, and no slot is idle while
//! somebody waits.

use std::collections::BTreeMap;

use sweep_core::event::Event;
use sweep_core::id::{Lease, TrialId};
use sweep_core::plan::Limits;
use sweep_core::time::{Span, Timestamp};

use crate::lab::Lab;

/// Users with their shares.
const USERS: [(&str, u32); 3] = [("ann", 2), ("bob", 1), ("cy", 1)];

/// Everybody submits so many trials; each lasts from `shortest` to `longest` seconds. Runs until nobody has anything left to start, and
/// no slot is idle before; returns who held a slot from when to when, and until when all had something to start.
fn run(slots: &[usize], trials: u32, shortest: i64, longest: i64) -> (Vec<(usize, Timestamp, Timestamp)>, Timestamp) {
    let mut lab = Lab::new(&[]);
    for (user, share) in USERS {
        lab.share(user, share);
        lab.submit(("p", user), trials, Limits::default());
    }
    slots.iter().for_each(|slots| lab.agent(*slots, None));
    let total: u32 = slots.iter().map(|slots| *slots as u32).sum();
    let mut ends: BTreeMap<Lease, Timestamp> = BTreeMap::new();
    let mut state = 1u64;
    let mut draw = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let span = (longest - shortest) * 1_000_000 + 1;
        Span(shortest * 1_000_000 + (state >> 33) as i64 % span)
    };
    let mut all_wait = None;
    let waits = |lab: &Lab| lab.core.state().sweeps.iter().map(|sweep| sweep.counts.waiting > 0).collect::<Vec<_>>();
    while waits(&lab).contains(&true) {
        if all_wait.is_none() && waits(&lab).contains(&false) {
            all_wait = Some(lab.now);
        }
        assert_eq!(lab.held().len() as u32, total, "nothing is idle while somebody waits");
        for (_, lease) in lab.held() {
            ends.entry(lease).or_insert_with(|| lab.now + draw());
        }
        let next = ends.values().min().copied().unwrap();
        // Agents call often enough to stay reachable.
        while next - lab.now > Span::seconds(10) {
            lab.pass(Span::seconds(10));
        }
        lab.pass(next - lab.now);
        for (number, lease) in lab.held() {
            if ends.get(&lease) == Some(&next) {
                ends.remove(&lease);
                lab.done(number, lease);
            }
        }
    }
    lab.check();
    let state = lab.core.state();
    assert_eq!(state.sweeps.iter().map(|sweep| sweep.trials.len() as u32).sum::<u32>(), trials * USERS.len() as u32);
    (intervals(&lab), all_wait.unwrap())
}

fn intervals(lab: &Lab) -> Vec<(usize, Timestamp, Timestamp)> {
    let state = lab.core.state();
    let user = |trial: TrialId| {
        let name = &state.sweep_of(state.find(trial).unwrap()).user;
        USERS.iter().position(|(user, _)| user == name).unwrap()
    };
    let mut open: BTreeMap<Lease, Timestamp> = BTreeMap::new();
    let mut found = Vec::new();
    for (at, event) in &lab.journal {
        match event {
            Event::LeaseGranted { lease, .. } => drop(open.insert(*lease, *at)),
            Event::TrialCompleted { lease, .. } => found.push((user(lease.trial), open.remove(lease).unwrap(), *at)),
            _ => {}
        }
    }
    found.extend(open.into_iter().map(|(lease, start)| (user(lease.trial), start, lab.now)));
    found
}

/// In every window of this length, each user's part of the device time is within `most` (a part of 1) of its share.
fn check(intervals: &[(usize, Timestamp, Timestamp)], end: Timestamp, window: Span, most: f64) {
    let first = intervals.iter().map(|(_, start, _)| *start).min().unwrap();
    let mut worst = 0.0f64;
    let mut start = first;
    while start + window <= end {
        let mut used = [0i64; USERS.len()];
        for (user, from, to) in intervals {
            used[*user] += (*(to.min(&(start + window))) - *from.max(&start)).0.max(0);
        }
        let total: i64 = used.iter().sum();
        let shares: u32 = USERS.iter().map(|user| user.1).sum();
        for (used, (_, share)) in used.into_iter().zip(USERS) {
            let due = total as f64 * f64::from(share) / f64::from(shares);
            worst = worst.max((used as f64 / due - 1.0).abs());
        }
        start = start + Span::seconds(7);
    }
    assert!(end - first > window, "there is a whole window");
    assert!(worst <= most, "{:.1} % from the share", worst * 100.0);
}

#[test]
fn three_users_get_two_to_one_to_one_in_any_ten_minutes() {
    let (intervals, end) = run(&[4, 4], 300, 60, 60);
    check(&intervals, end, Span::seconds(600), 0.05);
    let (intervals, end) = run(&[8], 300, 45, 75);
    check(&intervals, end, Span::seconds(600), 0.05);
}

#[test]
fn what_cannot_be_divided_evens_out_over_time() {
    // Seven slots: 3.5, 1.75 and 1.75 on average.
    let (intervals, end) = run(&[7], 300, 45, 75);
    check(&intervals, end, Span::seconds(3600), 0.05);
}

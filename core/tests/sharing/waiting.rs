//! What people are told about what waits: every reason once, with the time where it can be said.

use std::collections::BTreeMap;

use proptest::prelude::*;
use sweep_core::attempt::{EpochMetrics, FailureClass};
use sweep_core::command::{Command, EffectKind, Ending};
use sweep_core::device::{HoldChange, HoldKind};
use sweep_core::event::Failure;
use sweep_core::id::Lease;
use sweep_core::num::Num;
use sweep_core::placement::Placement;
use sweep_core::plan::Limits;
use sweep_core::queue::{Basis, waiting};
use sweep_core::shares::{Change, Patch};
use sweep_core::time::Span;
use sweep_core::tuning::TuningPatch;

use crate::lab::{EPOCHS, Lab};
use crate::packing::GB;
use crate::parts::{QUARTER, UNKNOWN, quarters};

impl Lab {
    /// Reason, text and seconds until the start of everything that waits.
    fn told(&self) -> Vec<(String, Option<i64>)> {
        let reachable = |agent| self.core.is_reachable(agent, self.now);
        let told = waiting(self.core.state(), self.now, reachable).into_iter().map(|waiting| {
            let starts = waiting.starts.map(|starts| (starts - self.now).0 / 1_000_000);
            (format!("{}: {}", waiting.why.reason(), waiting.why), starts)
        });
        told.collect()
    }

    /// Seconds until the start of the first that waits, and what they are reckoned by.
    fn expected(&self) -> Option<(i64, Basis)> {
        let reachable = |agent| self.core.is_reachable(agent, self.now);
        let first = waiting(self.core.state(), self.now, reachable).into_iter().next()?;
        Some(((first.starts? - self.now).0 / 1_000_000, first.by?))
    }

    /// A trial reports an epoch that took so long.
    fn epoch(&mut self, lease: Lease, epoch: u32, seconds: f64) {
        let metrics = EpochMetrics { seconds: Num(seconds), ..EpochMetrics::uniform(epoch.into(), epoch, Num(0.5)) };
        self.effect(1, lease, EffectKind::Metrics(vec![metrics]));
    }

    fn check_told(&self, expected: &[(&str, Option<i64>)]) {
        let expected: Vec<_> = expected.iter().map(|(text, starts)| ((*text).to_owned(), *starts)).collect();
        assert_eq!(self.told(), expected);
    }
}

#[test]
fn a_slot_is_expected_by_how_long_trials_took() {
    let mut lab = Lab::new(&[]);
    lab.submit(("p", "ann"), 9, Limits::default());
    lab.check_told(&[("no_host: no host has called yet", None)]);
    lab.agent(2, None);
    lab.submit(("p", "bob"), 9, Limits::default());
    // Everybody's trials count, whoever asks.
    let second = "no_free_slot: no free slot; 1 sweep with 9 waiting trials comes before";
    let text = ["no_free_slot: no free slot; it is next", second];
    lab.check_told(&[(text[0], None), (text[1], None)]);
    // Two of ann's trials take a minute: the third is expected to.
    for _ in 0..2 {
        lab.pass(Span::seconds(60));
        let lease = lab.leases(1)[0];
        lab.done(1, lease);
    }
    lab.pass(Span::seconds(15));
    let told = lab.told();
    assert_eq!(told.len(), 2);
    assert!(told.iter().any(|(_, starts)| starts.is_some()), "{told:?}");
    // Nobody answers.
    lab.now = lab.now + Span::seconds(30);
    assert!(lab.told().iter().all(|(text, _)| text == "unreachable: the hosts with the data set d do not answer"));
}

#[test]
fn until_a_trial_is_completed_a_slot_is_expected_by_epochs() {
    let mut lab = Lab::new(&[2]);
    lab.submit(("p", "ann"), 3, Limits::default());
    assert_eq!(lab.expected(), None, "nothing is known yet");
    let [first, second] = lab.leases(1)[..] else { panic!("two slots") };
    // One trial has come to an epoch: the other, which has not, is taken to be like it.
    lab.pass(Span::seconds(10));
    lab.epoch(first, 1, 8.0);
    let epochs = i64::from(EPOCHS);
    assert_eq!(lab.expected(), Some((epochs * 8 - 10, Basis::Epochs)));
    lab.pass(Span::seconds(10));
    lab.epoch(second, 1, 2.0);
    assert_eq!(lab.expected(), Some(((epochs - 1) * 2, Basis::Epochs)), "by its own");
    // Numbers of a trainer that make no sense are no time.
    for (epoch, seconds) in [(2, 0.0), (3, -1.0), (4, f64::NAN), (5, f64::MAX)] {
        lab.epoch(first, epoch, seconds);
        lab.epoch(second, epoch, seconds);
        assert_eq!(lab.expected(), None);
    }
    lab.epoch(first, 6, 3.0);
    // Once one is completed, by how long that took.
    lab.done(1, second);
    lab.pass(Span::seconds(15));
    lab.submit(("p", "ann"), 1, Limits::default());
    assert_eq!(lab.expected().map(|(_, by)| by), Some(Basis::Completed));
    lab.check();
}

#[test]
fn a_sweep_without_an_epoch_is_expected_to_take_what_its_shape_took_elsewhere() {
    let mut lab = Lab::new(&[1]);
    lab.submit(("p", "ann"), 1, Limits::default());
    let lease = lab.leases(1)[0];
    lab.epoch(lease, 1, 4.0);
    lab.pass(Span::seconds(30));
    lab.done(1, lease);
    lab.submit(("q", "bob"), 2, Limits::default());
    assert_eq!(lab.expected(), Some((i64::from(EPOCHS) * 4, Basis::Alike)));
    // Of another shape nothing is known.
    let mut lab = Lab::new(&[1]);
    lab.submit(("p", "ann"), 1, Limits::default());
    let lease = lab.leases(1)[0];
    lab.epoch(lease, 1, 4.0);
    lab.done(1, lease);
    lab.submit_on(("q", "bob"), "other", 2, Limits::default());
    assert_eq!(lab.expected(), None);
    lab.check();
}

#[test]
fn whoever_has_more_than_a_lowered_quota_waits_for_all_that_is_over_it() {
    let mut lab = Lab::new(&[3]);
    lab.submit(("p", "ann"), 9, Limits::default());
    for (lease, seconds) in lab.leases(1).into_iter().zip([2.0, 4.0, 8.0]) {
        lab.epoch(lease, 1, seconds);
    }
    let last = i64::from(EPOCHS) - 1;
    assert_eq!(lab.expected(), Some((last * 2, Basis::Epochs)));
    lab.set(Change::User("ann".into(), Patch { slots: Some(Some(1)), ..Patch::default() }));
    assert_eq!(lab.expected(), Some((last * 8, Basis::Epochs)), "when the third of the three has ended");
    lab.set(Change::User("ann".into(), Patch { slots: Some(Some(0)), ..Patch::default() }));
    assert_eq!(lab.expected(), None, "never");
    lab.set(Change::User("ann".into(), Patch { slots: Some(None), ..Patch::default() }));
    let sweep = lab.core.state().sweeps[0].id;
    let patch = TuningPatch { max_parallel: Some(Some(2)), ..TuningPatch::default() };
    lab.ask(Command::SetSweep { sweep, user: "ann".into(), patch });
    assert_eq!(lab.expected(), Some((last * 4, Basis::Epochs)), "when the second has ended");
    lab.check();
}

#[test]
fn limits_are_named_with_their_numbers() {
    let mut lab = Lab::new(&[8]);
    lab.set(Change::User("ann".into(), Patch { slots: Some(Some(2)), ..Patch::default() }));
    lab.set(Change::Project("q".into(), Patch { device_hours: Some(Some(1)), ..Patch::default() }));
    lab.submit(("p", "ann"), 3, Limits::default());
    lab.submit(("p", "bob"), 3, Limits { max_parallel: Some(1), ..Limits::default() });
    lab.submit_on(("p", "cy"), "d", 1, Limits::default());
    lab.submit(("q", "cy"), 3, Limits { max_parallel: Some(2), ..Limits::default() });
    let mut leases = lab.leases(1);
    assert_eq!(leases.len(), 6);
    let ann = ("quota_slots: quota of user ann reached: 2 of 2 slots", None);
    let parallel = |most: u32| (format!("max_parallel: max_parallel {most} reached"), None::<i64>);
    let (one, two) = (parallel(1), parallel(2));
    lab.check_told(&[ann, (one.0.as_str(), None), (two.0.as_str(), None)]);
    // One of cy's, for q, ends after an hour: the device-hour is used up.
    (0..240).for_each(|_| lab.pass(Span::seconds(15)));
    let last = leases.pop().unwrap();
    lab.done(1, last);
    let told = lab.told();
    let hours = "quota_hours: quota of project q used up: 1 device-hours in 7 days";
    assert_eq!(told[2].0, hours, "{told:?}");
    assert!(told[2].1.is_some_and(|starts| starts > 6 * 24 * 3600), "{told:?}");
    lab.check();
}

#[test]
fn what_no_host_can_run_and_what_has_failed() {
    let mut lab = Lab::new(&[]);
    lab.agent(1, Some("cats"));
    lab.submit_on(("p", "ann"), "birds", 1, Limits::default());
    lab.check_told(&[("no_data: no host has the data set birds", None)]);
    lab.submit_on(("p", "bob"), "cats", 1, Limits::default());
    let lease = lab.leases(1)[0];
    let failure = Failure { class: FailureClass::Host, reason: "r".into(), message: "m".into() };
    lab.end(1, lease, Ending::Failed(failure));
    let told = lab.told();
    assert_eq!(told[1], ("backoff: waits for another try after a failure".to_owned(), Some(1)));
}

impl Lab {
    /// Seconds until the next start of every sweep that waits for a slot.
    fn forecast(&self) -> BTreeMap<u32, i64> {
        let reachable = |agent| self.core.is_reachable(agent, self.now);
        let told = waiting(self.core.state(), self.now, reachable).into_iter();
        told.filter_map(|one| Some((one.sweep, (one.starts? - self.now).0 / 1_000_000))).collect()
    }

    /// The sweep of a lease.
    fn of(&self, lease: Lease) -> u32 {
        self.core.state().leased(lease).unwrap().0.sweep
    }

    /// Runs on, every trial of a sweep for its seconds, until nothing waits. Tells when each sweep started its next trial, in seconds from now.
    fn run_out(&mut self, begun: &mut BTreeMap<Lease, i64>, seconds: &[i64]) -> BTreeMap<u32, i64> {
        let (start, mut starts) = (self.now.0 / 1_000_000, BTreeMap::new());
        loop {
            let now = self.now.0 / 1_000_000;
            for (_, lease) in self.held() {
                if let std::collections::btree_map::Entry::Vacant(new) = begun.entry(lease) {
                    new.insert(now);
                    starts.entry(self.core.state().leased(lease).unwrap().0.sweep).or_insert(now - start);
                }
            }
            let ends = |lease: &Lease| begun[lease] + seconds[self.of(*lease) as usize];
            let Some(next) = self.held().iter().map(|(_, lease)| ends(lease)).min() else { return starts };
            let over: Vec<_> = self.held().into_iter().filter(|(_, lease)| ends(lease) == next).collect();
            self.pass(Span::seconds(next - now));
            over.into_iter().for_each(|(agent, lease)| self.done(agent, lease));
        }
    }
}

#[test]
fn a_closed_slot_counts_from_its_known_end() {
    let hold = |lab: &mut Lab, host: &str, kind, span, from| {
        let change = HoldChange::Set { kind, reason: "repair".into(), span, from };
        lab.ask(Command::Hold { user: "root".into(), host: host.into(), slot: None, change });
    };
    let starts = |lab: &Lab| lab.told().into_iter().map(|(_, starts)| starts).collect::<Vec<_>>();
    let mut lab = Lab::new(&[1, 1]);
    hold(&mut lab, "host1", HoldKind::Drain, Some(Span::seconds(3600)), None);
    hold(&mut lab, "host2", HoldKind::Drain, None, None);
    lab.submit(("p", "ann"), 1, Limits::default());
    assert_eq!(starts(&lab), [Some(3600)]);
    // Each slot is one start: how long the first trial will take is not known.
    lab.submit(("p", "bob"), 1, Limits::default());
    assert_eq!(starts(&lab), [Some(3600), None]);
    // Maintenance begins a minute after that, too soon for an epoch.
    let from = lab.now + Span::seconds(3660);
    hold(&mut lab, "host1", HoldKind::Maintenance, Some(Span::seconds(600)), Some(from));
    assert_eq!(starts(&lab), [Some(3660 + 600), None]);
    hold(&mut lab, "host1", HoldKind::Quarantine, None, None);
    assert_eq!(starts(&lab), [None, None], "until somebody lifts it");
    lab.check();
}

#[test]
fn all_trials_that_come_before_are_counted() {
    let mut lab = Lab::new(&[2]);
    lab.preempt_after(None);
    lab.submit(("p", "ann"), 1, Limits::default());
    lab.pass(Span::seconds(60));
    let lease = lab.leases(1)[0];
    lab.done(1, lease);
    // A hundred trials of a minute on two slots, and then one that is less urgent.
    let urgent = |priority| Limits { priority: Some(priority), ..Limits::default() };
    lab.submit(("p", "ann"), 102, urgent(90));
    for lease in lab.leases(1) {
        lab.epoch(lease, 1, 0.06);
    }
    lab.submit(("p", "ann"), 1, urgent(10));
    let forecast = lab.forecast();
    assert!((55..=60).contains(&forecast[&1]), "{forecast:?}");
    assert!((50 * 55..=51 * 60).contains(&forecast[&2]), "{forecast:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// What is told is what then happens, where every trial of a sweep takes as long: to the second for one owner, whose order does not change
    /// by what was used, and to about the length of a trial for several.
    #[test]
    fn starts_are_told_as_they_come(
        sweeps in prop::collection::vec((0usize..3, 1u32..12, 10u32..90, 20i64..90), 1..6),
        sizes in prop::collection::vec(1usize..4, 1..3),
        owners in 1usize..4,
        later in 0i64..60,
    ) {
        let mut lab = Lab::new(&sizes);
        lab.preempt_after(None);
        let seconds: Vec<i64> = sweeps.iter().map(|sweep| sweep.3).collect();
        let mut begun = BTreeMap::new();
        // One trial of each is completed before: how long it took is known.
        for (owner, trials, priority, _) in &sweeps {
            let user = ["ann", "bob", "cy"][owner % owners];
            let limits = Limits { priority: Some(*priority), max_parallel: Some(1), ..Limits::default() };
            lab.submit(("p", user), trials + 1, limits);
        }
        let first = |lab: &Lab| (0..sweeps.len()).find(|at| lab.core.state().sweeps[*at].counts.completed == 0);
        while first(&lab).is_some() {
            for (_, lease) in lab.held() {
                begun.entry(lease).or_insert(lab.now.0 / 1_000_000);
            }
            let ends = |lab: &Lab, lease: &Lease| begun[lease] + seconds[lab.of(*lease) as usize];
            let next = lab.held().iter().map(|(_, lease)| ends(&lab, lease)).min().unwrap();
            let over: Vec<_> = lab.held().into_iter().filter(|(_, lease)| ends(&lab, lease) == next).collect();
            lab.pass(Span::seconds(next - lab.now.0 / 1_000_000));
            over.into_iter().for_each(|(agent, lease)| lab.done(agent, lease));
        }
        for sweep in 0..sweeps.len() {
            let (sweep, patch) = (lab.core.state().sweeps[sweep].id, TuningPatch { max_parallel: Some(None), priority: None });
            lab.ask(Command::SetSweep { sweep, user: "root".into(), patch });
        }
        for (_, lease) in lab.held() {
            begun.entry(lease).or_insert(lab.now.0 / 1_000_000);
        }
        let soonest = lab.held().iter().map(|(_, lease)| begun[lease] + seconds[lab.of(*lease) as usize]).min();
        let room = soonest.map_or(0, |soonest| soonest - lab.now.0 / 1_000_000 - 1);
        lab.pass(Span::seconds(later.min(room.max(0))));
        let told = lab.forecast();
        let came = lab.run_out(&mut begun, &seconds);
        let longest = seconds.iter().max().unwrap();
        let one = sweeps.iter().map(|sweep| sweep.0 % owners).collect::<std::collections::BTreeSet<_>>().len() == 1;
        for (sweep, told) in &told {
            let came = came.get(sweep).copied();
            let off = came.map(|came| (came - told).abs());
            prop_assert!(off.is_some_and(|off| off <= if one { 1 } else { *longest }), "{sweep}: told {told}, came {came:?}");
        }
        prop_assert_eq!(told.keys().collect::<Vec<_>>(), came.keys().collect::<Vec<_>>());
    }
}

/// Ann's trials on quarters of a device: one ends after ten seconds, one after twenty ...: 25 s on average, and the next four end ten
/// seconds apart.
fn staggered(lab: &mut Lab) {
    lab.submit_batches(("p", "ann"), &[QUARTER], 80);
    for _ in 0..4 {
        lab.pass(Span::seconds(10));
        let oldest = lab.held().into_iter().min_by_key(|(_, lease)| lab.core.state().leased(*lease).unwrap().1.since);
        let (agent, lease) = oldest.unwrap();
        lab.done(agent, lease);
    }
}

#[test]
fn a_trial_that_needs_a_whole_shared_device_waits_for_the_last_one_on_it() {
    let mut lab = quarters(1);
    staggered(&mut lab);
    lab.submit_batches(("q", "bob"), &[UNKNOWN], 1);
    let starts = |lab: &Lab| lab.told().into_iter().map(|(_, starts)| starts).collect::<Vec<_>>();
    assert_eq!(starts(&lab)[0], Some(25), "the youngest of ann's began just now");
    // Half of the device is free sooner than all of it.
    let half = Placement { memory: Some(20 * GB), ..Placement::default() };
    lab.submit_batches_within(("r", "eve"), &[QUARTER], 1, Limits { placement: half, ..Limits::default() });
    let (eve, bob) = (starts(&lab)[1], starts(&lab)[0]);
    assert!(eve < bob && eve.is_some(), "{eve:?} {bob:?}");
}

#[test]
fn an_empty_shared_device_that_is_closed_is_no_room() {
    let mut lab = quarters(2);
    let gpu = lab.core.state().agents.values().next().unwrap().facts.offer.devices[1].clone();
    for slot in gpu.slots {
        let change = HoldChange::Set { kind: HoldKind::Drain, reason: "fan".into(), span: None, from: None };
        lab.ask(Command::Hold { user: "root".into(), host: "host1".into(), slot: Some(slot), change });
    }
    staggered(&mut lab);
    assert_eq!(lab.held().len(), 4, "all on the other");
    lab.submit_batches(("q", "bob"), &[UNKNOWN], 1);
    assert_eq!(lab.told()[0].1, Some(25), "the last of ann's: {:?}", lab.told());
}

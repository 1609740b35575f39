//! What people are told about what waits: every reason once, with the time where it can be said.

use sweep_core::attempt::{EpochMetrics, FailureClass};
use sweep_core::command::{EffectKind, Ending};
use sweep_core::event::Failure;
use sweep_core::id::Lease;
use sweep_core::num::Num;
use sweep_core::plan::Limits;
use sweep_core::queue::{Basis, waiting};
use sweep_core::shares::{Change, Patch};
use sweep_core::time::Span;

use crate::lab::{EPOCHS, Lab};

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

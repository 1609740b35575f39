//! What is changed about a sweep while it runs: it holds from then on, nothing that runs is stopped, and the oracle knows.

use sweep_core::command::{Command, Reply};
use sweep_core::event::Event;
use sweep_core::id::SweepId;
use sweep_core::plan::Limits;
use sweep_core::queue::waiting;
use sweep_core::shares::{Change, DEVICE, Patch};
use sweep_core::time::Span;
use sweep_core::tuning::{Tuning, TuningPatch};

use crate::lab::Lab;

impl Lab {
    /// Sets the limit of a sweep; how many of its trials run then.
    pub(crate) fn limit(&mut self, sweep: SweepId, most: Option<u32>) -> u32 {
        let reply = self.tune(sweep, TuningPatch { max_parallel: Some(most), ..TuningPatch::default() });
        assert!(matches!(reply, Reply::Tuned { .. }), "{reply:?}");
        self.running(sweep)
    }

    fn tune(&mut self, sweep: SweepId, patch: TuningPatch) -> Reply {
        self.ask(Command::SetSweep { sweep, user: "ann".into(), patch })
    }

    pub(crate) fn go(&mut self, sweep: SweepId, project: &str) -> Reply {
        self.ask(Command::MoveSweep { sweep, user: "ann".into(), project: project.into() })
    }

    fn running(&self, sweep: SweepId) -> u32 {
        self.core.state().sweep(sweep).unwrap().counts.running
    }

    /// One of its trials ends; how many run then.
    fn one_ends(&mut self, sweep: SweepId) -> u32 {
        let of = |lab: &Self, trial| lab.core.state().sweep(sweep).unwrap().ids.contains(&trial);
        let (agent, lease) = self.held().into_iter().find(|(_, lease)| of(self, lease.trial)).unwrap();
        self.done(agent, lease);
        self.running(sweep)
    }
}

#[test]
fn a_lower_limit_stops_nothing_and_a_higher_one_gives_at_once() {
    let mut lab = Lab::new(&[4]);
    let sweep = lab.submit(("p", "ann"), 12, Limits::default());
    assert_eq!(lab.running(sweep), 4);
    assert_eq!(lab.limit(sweep, Some(2)), 4, "what runs goes on");
    assert_eq!([lab.one_ends(sweep), lab.one_ends(sweep)], [3, 2], "nothing new before fewer than two run");
    assert_eq!(lab.one_ends(sweep), 2);
    lab.check();
    let other = lab.submit(("p", "ann"), 9, Limits::default());
    assert_eq!(lab.running(other), 2, "others have the rest");
    lab.check();
    let mut lab = Lab::new(&[4]);
    let sweep = lab.submit(("p", "ann"), 12, Limits { max_parallel: Some(1), ..Limits::default() });
    assert_eq!([lab.running(sweep), lab.limit(sweep, Some(3)), lab.limit(sweep, None)], [1, 3, 4]);
    lab.check();
}

#[test]
fn the_next_slot_goes_by_the_new_priority() {
    let mut lab = Lab::new(&[2]);
    let [first, second] = [(); 2].map(|()| lab.submit(("p", "ann"), 9, Limits::default()));
    assert_eq!((lab.running(first), lab.running(second)), (2, 0));
    let reply = lab.tune(first, TuningPatch { priority: Some(0), ..TuningPatch::default() });
    let tuning = Tuning { priority: 0, max_parallel: None };
    assert_eq!(reply, Reply::Tuned { tuning, changed: true });
    assert_eq!([lab.one_ends(first), lab.one_ends(first)], [1, 0]);
    assert_eq!(lab.running(second), 2);
    let raised = TuningPatch { priority: Some(90), max_parallel: Some(Some(1)) };
    lab.tune(first, raised);
    assert_eq!([lab.one_ends(second), lab.one_ends(second)], [1, 1], "it has the one that it may");
    lab.check();
}

#[test]
fn a_moved_sweep_counts_for_the_new_project_and_what_it_used_for_the_old_one() {
    let mut lab = Lab::new(&[4]);
    let slots = |most| Patch { slots: Some(Some(most)), ..Patch::default() };
    lab.set(Change::Project("q".into(), slots(1)));
    let sweep = lab.submit(("p", "ann"), 12, Limits { max_parallel: Some(2), ..Limits::default() });
    let (agent, lease) = lab.held()[0];
    lab.checkpoint(agent, lease);
    (0..240).for_each(|_| lab.pass(Span::seconds(15)));
    assert_eq!(lab.go(sweep, "q"), Reply::Changed(1));
    let device_hours = |lab: &Lab, name: &str| {
        let project = lab.core.state().accounts.project(name).unwrap();
        (project.week.used(lab.now) / (3_600_000_000 * DEVICE), project.week.running / DEVICE, project.stored)
    };
    assert_eq!((device_hours(&lab, "p"), device_hours(&lab, "q")), ((2, 0, 0), (0, 2, 1)));
    lab.check();
    // Two run where one may: both go on, and nothing is started before none does.
    assert_eq!([lab.one_ends(sweep), lab.one_ends(sweep)], [1, 1]);
    let told = waiting(lab.core.state(), lab.now, |agent| lab.core.is_reachable(agent, lab.now));
    assert_eq!(told[0].why.to_string(), "quota of project q reached: 1 of 1 slots");
    assert_eq!((lab.go(sweep, "q"), lab.go(sweep, "p")), (Reply::Changed(0), Reply::Changed(1)));
    assert_eq!(lab.running(sweep), 2, "where there is room it goes on at once");
    let Reply::Rejected(reject) = lab.go(sweep, "../x") else { panic!("it is no name") };
    assert_eq!(reject.reason(), "setting_invalid");
    assert!(matches!(lab.go(SweepId::derive("x", ""), "p"), Reply::Rejected(_)));
    lab.check();
}

#[test]
fn what_changes_nothing_is_not_written_down_and_what_cannot_be_is_refused() {
    let mut lab = Lab::new(&[1]);
    let sweep = lab.submit(("p", "ann"), 3, Limits { max_parallel: Some(2), ..Limits::default() });
    let before = lab.journal.len();
    let tuning = Tuning { priority: 50, max_parallel: Some(2) };
    let same = TuningPatch { priority: Some(50), max_parallel: Some(Some(2)) };
    for patch in [same, TuningPatch::default()] {
        assert_eq!(lab.tune(sweep, patch), Reply::Tuned { tuning, changed: false });
    }
    let refused = |lab: &mut Lab, sweep, patch| match lab.tune(sweep, patch) {
        Reply::Rejected(reject) => (reject.reason(), reject.to_string()),
        other => panic!("{other:?}"),
    };
    let zero = TuningPatch { max_parallel: Some(Some(0)), ..TuningPatch::default() };
    let text = "max_parallel = 0 is not allowed: use 1 to 100000".to_owned();
    assert_eq!(refused(&mut lab, sweep, zero), ("setting_invalid", text));
    assert_eq!(refused(&mut lab, SweepId::derive("x", ""), same).0, "sweep_unknown");
    assert_eq!(lab.journal.len(), before);
    lab.limit(sweep, None);
    let [(_, Event::SweepSet { user, tuning, .. })] = &lab.journal[before..] else { panic!("{:?}", lab.journal) };
    assert_eq!((user.as_str(), *tuning), ("ann", Tuning { priority: 50, max_parallel: None }));
    lab.check();
}

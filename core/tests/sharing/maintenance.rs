//! Maintenance that is planned ahead: nothing is started that would not come to a checkpoint, trials leave right after
//! their last one, whatever is left leaves when it begins, and it can be called off.

use sweep_core::command::{Command, Reply};
use sweep_core::device::{HoldChange, HoldKind};
use sweep_core::event::Event;
use sweep_core::plan::Limits;
use sweep_core::queue::waiting;
use sweep_core::time::Span;

use crate::lab::{Lab, agent_id};

fn ask(lab: &mut Lab, host: &str, change: HoldChange) -> Reply {
    lab.ask(Command::Hold { user: "root".into(), host: host.into(), slot: None, change })
}

/// In so many seconds, for so many.
fn plan(lab: &mut Lab, host: &str, after: i64, length: i64) -> Reply {
    let (kind, reason, from) = (HoldKind::Maintenance, "new driver".to_owned(), Some(lab.now + Span::seconds(after)));
    ask(lab, host, HoldChange::Set { kind, reason, span: Some(Span::seconds(length)), from })
}

fn why(lab: &Lab) -> String {
    let told = waiting(lab.core.state(), lab.now, |agent| lab.core.is_reachable(agent, lab.now));
    told.iter().map(|waiting| waiting.why.to_string()).collect()
}

fn on(lab: &Lab) -> Vec<u128> {
    lab.held().into_iter().map(|(agent, _)| agent).collect()
}

fn evicted(lab: &Lab) -> Vec<&str> {
    let events = lab.journal.iter().filter_map(|(_, event)| match event {
        Event::TrialEvicted { why, .. } => Some(why.as_str()),
        _ => None,
    });
    events.collect()
}

#[test]
fn nothing_is_started_that_would_not_come_to_a_checkpoint_before_it() {
    let mut lab = Lab::new(&[1, 1]);
    assert_eq!(plan(&mut lab, "host1", 300, 3600), Reply::Changed(0));
    lab.submit(("p", "ann"), 9, Limits::default());
    assert_eq!(on(&lab), [2], "nobody knows how long an epoch takes");
    assert!(why(&lab).contains("host1:0 has maintenance in 5 min by root: new driver"), "{}", why(&lab));
    lab.pass(Span::seconds(100));
    let (agent, lease) = lab.held()[0];
    lab.done(agent, lease);
    // 100 s for a trial of 1000 epochs: there is time for one.
    assert_eq!(on(&lab), [1, 2]);
    lab.pass(Span::seconds(195));
    let (agent, lease) = lab.held()[0];
    lab.done(agent, lease);
    assert_eq!(on(&lab), [2], "five seconds are too few for anything");
    lab.pass(Span::seconds(5));
    assert!(why(&lab).contains("host1:0 is maintenance by root: new driver"), "{}", why(&lab));
    lab.pass(Span::seconds(3600));
    assert_eq!(on(&lab), [1, 2], "it is over");
    lab.check();
}

#[test]
fn a_trial_leaves_right_after_the_last_checkpoint_that_it_can_reach() {
    let mut lab = Lab::new(&[1]);
    lab.submit(("p", "ann"), 1, Limits::default());
    let (agent, lease) = lab.held()[0];
    plan(&mut lab, "host1", 1000, 600);
    for _ in 0..3 {
        lab.pass(Span::seconds(300));
        assert_eq!(evicted(&lab), [""; 0]);
        lab.checkpoint(agent, lease);
    }
    // 100 s are left and an epoch takes 300.
    assert_eq!(evicted(&lab), ["maintenance in 2 min by root: new driver"]);
    assert_eq!(lab.leave(), 1);
    assert_eq!(on(&lab), [], "it is not started again there");
    lab.pass(Span::seconds(700));
    let trial = &lab.core.state().sweeps[0].trials[0];
    assert_eq!((trial.attempt, trial.resume_epoch(), trial.failures), (2, 3, 0));
    lab.check();
}

#[test]
fn what_is_still_there_leaves_when_it_begins() {
    let mut lab = Lab::new(&[2]);
    lab.submit(("p", "ann"), 2, Limits::default());
    plan(&mut lab, "host1", 60, 600);
    lab.pass(Span::seconds(59));
    assert_eq!(evicted(&lab).len(), 0);
    lab.pass(Span::seconds(1));
    assert_eq!(evicted(&lab), ["maintenance by root: new driver"; 2]);
    assert_eq!((lab.leave(), on(&lab).len()), (2, 0));
    lab.check();
}

#[test]
fn several_windows_stand_and_are_called_off_one_by_one() {
    const DAY: i64 = 86_400;
    let mut lab = Lab::new(&[1]);
    let windows = |lab: &Lab| lab.core.state().agents[&agent_id(1)].devices.holds.len();
    plan(&mut lab, "host1", DAY, 600);
    // Every week, and one that begins with another.
    plan(&mut lab, "host1", 8 * DAY, 600);
    plan(&mut lab, "host1", 15 * DAY, 600);
    plan(&mut lab, "host1", 15 * DAY, 1200);
    assert_eq!(windows(&lab), 4);
    let same = plan(&mut lab, "host1", 15 * DAY, 1200);
    assert_eq!((same, windows(&lab)), (Reply::Changed(0), 4), "said twice");
    let last = Some(lab.now + Span::seconds(15 * DAY));
    assert_eq!(ask(&mut lab, "host1", HoldChange::CallOff { from: last }), Reply::Changed(2));
    assert_eq!(ask(&mut lab, "host1", HoldChange::CallOff { from: last }), Reply::Changed(0));
    assert_eq!(windows(&lab), 2);
    // Each of them is kept.
    let start = lab.now;
    for day in [1, 8] {
        lab.now = start + Span::seconds(day * DAY + 300);
        lab.pass(Span::seconds(1));
        lab.submit(("p", "ann"), 1, Limits::default());
        assert_eq!(on(&lab), [], "day {day}");
        lab.pass(Span::seconds(300));
        let (agent, lease) = lab.held()[0];
        lab.done(agent, lease);
    }
    // What is over is forgotten with the next that is planned; there is an end to how many stand.
    for more in 1..=64 {
        assert_eq!(plan(&mut lab, "host1", more * DAY, 600), Reply::Changed(0));
    }
    assert_eq!(windows(&lab), 64);
    let Reply::Rejected(reject) = plan(&mut lab, "host1", 65 * DAY, 600) else { panic!("one too many") };
    assert_eq!(
        reject.to_string(),
        "maintenance = of host1 is not allowed: at most 64 windows; call some off (`--cancel`)"
    );
    assert_eq!(ask(&mut lab, "host1", HoldChange::CallOff { from: None }), Reply::Changed(64));
    lab.check();
}

#[test]
fn it_is_for_all_hosts_if_that_is_said_and_called_off_alone() {
    let mut lab = Lab::new(&[1, 1]);
    plan(&mut lab, "all", 60, 600);
    let cordon = HoldChange::Set { kind: HoldKind::Cordon, reason: String::new(), span: None, from: None };
    ask(&mut lab, "host1", cordon.clone());
    assert!(matches!(ask(&mut lab, "all", cordon), Reply::Rejected(_)), "only of maintenance");
    lab.submit(("p", "ann"), 2, Limits::default());
    assert_eq!(on(&lab), []);
    assert_eq!(ask(&mut lab, "all", HoldChange::CallOff { from: None }), Reply::Changed(2));
    assert_eq!(on(&lab), [2], "the cordon stays");
    assert_eq!(ask(&mut lab, "all", HoldChange::CallOff { from: None }), Reply::Changed(0));
    let far = plan(&mut lab, "host2", 400 * 24 * 3600, 60);
    let Reply::Rejected(reject) = far else { panic!("{far:?}") };
    assert_eq!(reject.to_string(), "from = more than a year ahead is not allowed: at most 365 days ahead");
    lab.check();
}

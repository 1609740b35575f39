//! Stories: what the journal says about a trial, a slot, an agent and a sweep, word for word.

use sweep_core::attempt::{CheckpointKind, FailureClass};
use sweep_core::command::{Command, EffectKind, Ending};
use sweep_core::device::{HoldChange, HoldKind};
use sweep_core::event::{AgentFacts, Failure};
use sweep_core::plan::Limits;
use sweep_core::story::{Names, Story, Subject, Teller};
use sweep_core::time::Span;
use sweep_core::tuning::TuningPatch;

use crate::lab::*;

/// The story as a person reads it: minutes and seconds, and words.
fn told(lab: &Lab, subject: Subject) -> String {
    let state = lab.core.state();
    let mut teller = Teller::new(subject, Names::of(state, |_| true));
    lab.journal.iter().for_each(|(at, event)| teller.read(*at, event));
    let Story { lines, now, .. } = teller.finish(state, lab.now, |agent| lab.core.is_reachable(agent, lab.now));
    let line = |line: &sweep_core::story::Line| {
        let seconds = line.at.0 / 1_000_000;
        format!("{:02}:{:02} {}\n", seconds / 60, seconds % 60, line.text)
    };
    format!("{}now: {now}\n", lines.iter().map(line).collect::<String>())
}

fn on(number: u128) -> AgentFacts {
    AgentFacts { host: format!("lab{number}"), ..facts(number, 1, 1) }
}

#[test]
fn a_trial_that_was_killed_and_went_on_elsewhere() {
    let mut lab = Lab::new();
    lab.hello(on(1), &[]);
    lab.submit(plan("first", 1, Limits::default()));
    lab.pass(Span::seconds(60));
    lab.hello(on(1), &[]);
    lab.submit(plan("mine", 1, Limits::default()));
    let before = lab.leases(1)[0];
    lab.pass(Span::seconds(10));
    lab.beat(1);
    lab.epoch(1, before, 1, 1, 0.5);
    lab.done(1, before, 1);
    let first = lab.leases(1)[0];
    lab.epoch(1, first, 1, 1, 0.5);
    lab.checkpoint(1, first, CheckpointKind::Last, 1, 1);
    lab.epoch(1, first, 2, 2, 0.6);
    lab.pass(Span::seconds(5));
    lab.beat(1);
    let failure = Failure {
        class: FailureClass::Host,
        reason: "killed".into(),
        message: "somebody sent SIGKILL to the trainer".into(),
    };
    lab.effect(1, first, EffectKind::Ended { final_seq: 2, how: Ending::Failed(failure) });
    let (user, host) = ("root".to_owned(), "lab1".to_owned());
    let change = HoldChange::Set { kind: HoldKind::Cordon, reason: "fan".into(), from: None, span: None };
    lab.ask(Command::Hold { user, host, slot: Some(0), change });
    lab.pass(Span::seconds(3));
    lab.hello(on(2), &[]);
    let second = lab.leases(2)[0];
    lab.epoch(2, second, 1, 2, 0.6);
    lab.pass(Span::seconds(8));
    lab.beat(2);
    let sweep = lab.core.state().sweep_named("mine").unwrap().id;
    let trial = told(&lab, Subject::Trial(second.trial));
    assert_eq!(
        trial,
        "01:00 submitted by ann to project p: sweep mine, 1 trials\n\
         01:10 started on lab1:0 (attempt 1), having waited 10 s\n\
         01:15 failed: host (killed): somebody sent SIGKILL to the trainer [the host's fault, not charged; tried again after 1 s], \
         after epoch 2; epoch 1 is kept\n\
         01:18 started on lab2:0 (attempt 2) and goes on after epoch 1, having waited 2 s\n\
         now: runs on lab2:0 for 8 s\n"
    );
    lab.done(2, second, 1);
    let tail = told(&lab, Subject::Trial(second.trial));
    assert!(tail.ends_with("01:26 done, after epoch 2; epoch 1 is kept\nnow: it is done\n"), "{tail}");
    let slot = told(&lab, Subject::Slot(agent(1), 0));
    // Whoever may not see a sweep learns that a slot was used, not for what.
    let mut stranger = Teller::new(Subject::Slot(agent(1), 0), Names::of(lab.core.state(), |_| false));
    lab.journal.iter().for_each(|(at, event)| stranger.read(*at, event));
    let lines = stranger.finish(lab.core.state(), lab.now, |_| true).lines;
    let failed = "a trial of others failed: host (killed) [the host's fault, not charged; tried again after 1 s], after epoch 2; epoch 1 is kept";
    assert!(lines.iter().any(|line| line.text == failed), "{lines:?}");
    assert!(lines.iter().all(|line| !line.text.contains("mine") && !line.text.contains("SIGKILL")), "{lines:?}");
    let names = [before.trial.short(), first.trial.short()];
    assert_eq!(
        slot,
        format!(
            "00:00 lab1 called for the first time: 1 slots\n\
             00:00 trial {0} of first started on lab1:0 (attempt 1)\n\
             01:10 trial {0} of first done, after epoch 1; nothing is kept\n\
             01:10 trial {1} of mine started on lab1:0 (attempt 1), having waited 10 s\n\
             01:15 trial {1} of mine failed: host (killed): somebody sent SIGKILL to the trainer [the host's fault, not charged; \
             tried again after 1 s], after epoch 2; epoch 1 is kept\n\
             01:15 lab1:0 is cordoned by root: fan\n\
             now: runs nothing\n",
            names[0], names[1]
        )
    );
    let whole = told(&lab, Subject::Sweep(sweep));
    assert!(
        whole.contains("failed: host (killed)") && whole.ends_with("now: completed: 1 of 1 trials are done\n"),
        "{whole}"
    );
    assert!(told(&lab, Subject::Agent(agent(2))).contains("started on lab2:0 (attempt 2)"));
}

#[test]
fn a_trial_that_waits_says_for_what() {
    let mut lab = Lab::new();
    lab.hello(on(1), &[]);
    lab.submit(plan("first", 1, Limits::default()));
    lab.submit(plan("second", 1, Limits::default()));
    let state = lab.core.state();
    let trial = state.sweep_named("second").unwrap().ids[0];
    let story = told(&lab, Subject::Trial(trial));
    assert!(story.contains("now: waits: "), "{story}");
    // Names that somebody may not see are not told.
    let mut teller = Teller::new(Subject::Agent(agent(1)), Names::of(state, |sweep| sweep.name != "first"));
    lab.journal.iter().for_each(|(at, event)| teller.read(*at, event));
    let story = teller.finish(state, lab.now, |_| true);
    assert!(story.lines.iter().any(|line| line.text == "a trial of others started on lab1:0 (attempt 1)"), "{story:?}");
}

#[test]
fn a_sweep_that_was_changed_says_by_whom() {
    let mut lab = Lab::new();
    lab.submit(plan("first", 1, Limits::default()));
    let sweep = lab.core.state().sweep_named("first").unwrap().id;
    lab.pass(Span::seconds(7));
    let patch = TuningPatch { priority: Some(80), max_parallel: Some(Some(2)) };
    lab.ask(Command::SetSweep { sweep, user: "root".into(), patch });
    let trial = lab.core.state().sweep_named("first").unwrap().ids[0];
    for subject in [Subject::Sweep(sweep), Subject::Trial(trial)] {
        let story = told(&lab, subject);
        assert!(story.contains("00:07 root set priority 80, max_parallel 2\n"), "{story}");
    }
}

#[test]
fn a_long_story_keeps_its_beginning_and_its_end() {
    let mut lab = Lab::new();
    let trial = plan("long", 1, Limits::default()).trial_ids(sweep_core::id::SweepId::derive("long", ""))[0];
    let names = Names::default();
    let mut teller = Teller::new(Subject::Trial(trial), names);
    for user in 0..1000 {
        let event = sweep_core::event::Event::TrialCancelled { trial, user: user.to_string() };
        teller.read(lab.now, &event);
    }
    lab.pass(Span::seconds(1));
    let story = teller.finish(lab.core.state(), lab.now, |_| true);
    assert_eq!((story.lines.len(), story.left_out), (400, 600));
    assert_eq!(story.lines[39].text, "cancelled by 39");
    assert_eq!(story.lines[40].text, "cancelled by 640");
}

//! The real agent with real trainer processes, against a coordinator that is the real core without
//! a disk: whatever is killed, lost or refused, every trial ends once and nothing is left behind.

#![expect(clippy::unwrap_used, reason = "what a test or its helper cannot do fails the test")]

mod support;

use std::fs;
use std::time::Duration;

use rustix::process::Signal;
use support::Host;
use support::fake::World;
use sweep_core::attempt::FailureClass;
use sweep_core::command::Command;
use sweep_core::event::{Event, Failure, LossCause};
use sweep_core::id::Lease;
use sweep_core::state::State;
use sweep_core::state::trial::Phase;

const SWEEP: &str = "name = \"t\"\ndataset = \"d\"\nepochs = 6\n[grid]\nlr = [1e-3, 1e-2]\n";
const ONE: &str = "name = \"t\"\ndataset = \"d\"\nepochs = 20\n";
/// As many epochs as the recipe says, with checkpoints.
const EPOCHS: [(&str, &str); 3] =
    [("SWEEP_NOOP_EPOCHS", "recipe"), ("SWEEP_NOOP_EPOCH_MS", "40"), ("SWEEP_NOOP_CHECKPOINT", "1")];

fn failure(event: &Event) -> Option<Failure> {
    match event {
        Event::AttemptFailed { failure, .. } => Some(failure.clone()),
        _ => None,
    }
}

fn granted(world: &World) -> usize {
    world.journal.iter().filter(|event| matches!(event, Event::LeaseGranted { .. })).count()
}

/// The final weights of every trial, to compare runs.
fn weights(host: &Host) -> Vec<Option<String>> {
    let world = host.fake.world();
    let state = world.core.as_ref().unwrap().state();
    let sweeps = state.sweeps.iter().flat_map(|sweep| &sweep.trials);
    sweeps.map(|trial| trial.progress.as_ref().and_then(|progress| progress.weights.clone())).collect()
}

#[tokio::test]
async fn trials_run_to_their_end_and_leave_nothing() {
    let mut host = Host::new(&EPOCHS).await;
    host.start_agent();
    let sweep = host.fake.submit(SWEEP);
    let audit = host.fake.finish(sweep).await;
    assert!(audit.is_exactly_once());
    assert_eq!((audit.attempts, audit.epochs), (2, 12));
    host.is_clean().await;
    let world = host.fake.world();
    let state = world.core.as_ref().unwrap().state();
    for trial in &state.sweeps[0].trials {
        let progress = trial.progress.as_ref().unwrap();
        let last = &progress.last_checkpoint.as_ref().unwrap().checkpoint;
        assert_eq!(last.epoch, 6);
        for checkpoint in [last, progress.best_checkpoint.as_ref().unwrap()] {
            assert!(world.blobs.contains_key(&checkpoint.sha256));
        }
    }
}

#[tokio::test]
async fn a_killed_trainer_is_reported_and_its_trial_goes_on_from_its_checkpoint() {
    let mut quiet = Host::new(&EPOCHS).await;
    quiet.start_agent();
    let sweep = quiet.fake.submit(ONE);
    quiet.fake.finish(sweep).await;

    let mut host = Host::new(&EPOCHS).await;
    host.start_agent();
    let sweep = host.fake.submit(ONE);
    let lease = host.fake.running(3).await;
    host.signal_trainer(lease, Signal::KILL);
    let failure = host.fake.event("a failure", failure).await;
    assert_eq!((failure.class, failure.reason.as_str()), (FailureClass::Host, "killed"));
    let audit = host.fake.finish(sweep).await;
    assert_eq!((audit.completed, audit.attempts), (1, 2));
    let resumed = host.fake.event("a resumed attempt", |event| match event {
        Event::LeaseGranted { lease, resume_epoch, .. } if lease.attempt == 2 => Some(*resume_epoch),
        _ => None,
    });
    assert!(resumed.await >= 2);
    assert_eq!(weights(&host), weights(&quiet));
    host.is_clean().await;
}

#[tokio::test]
async fn an_agent_that_is_killed_takes_its_trainer_over_again() {
    for signal in [Signal::KILL, Signal::TERM] {
        let mut host = Host::new(&EPOCHS).await;
        host.start_agent();
        let sweep = host.fake.submit(ONE);
        let lease = host.fake.running(3).await;
        let pids = host.pids(lease);
        host.signal_agent(signal).await;
        assert_eq!(host.pids(lease), pids, "the trainer lives on");
        host.start_agent();
        host.fake
            .event("the second start", |event| match event {
                Event::AgentJoined(facts) if !facts.slots.is_empty() => Some(()),
                _ => None,
            })
            .await;
        host.fake.running(8).await;
        assert_eq!(host.pids(lease), pids, "and is not started again");
        let audit = host.fake.finish(sweep).await;
        assert!(audit.is_exactly_once());
        assert_eq!((audit.attempts, audit.epochs), (1, 20));
        host.is_clean().await;
    }
}

#[tokio::test]
async fn what_ended_while_no_agent_was_there_is_reported_by_the_next() {
    let mut host = Host::new(&EPOCHS).await;
    host.start_agent();
    let sweep = host.fake.submit(ONE);
    let lease = host.fake.running(2).await;
    host.signal_agent(Signal::KILL).await;
    host.until("the trainer has ended", || host.pids(lease).is_empty()).await;
    host.start_agent();
    let audit = host.fake.finish(sweep).await;
    assert!(audit.is_exactly_once());
    assert_eq!((audit.attempts, audit.epochs), (1, 20));
    host.is_clean().await;
}

#[tokio::test]
async fn a_trainer_that_died_with_its_agent_has_vanished() {
    let mut host = Host::new(&EPOCHS).await;
    host.start_agent();
    let sweep = host.fake.submit(ONE);
    let lease = host.fake.running(2).await;
    host.signal_agent(Signal::KILL).await;
    host.signal_trainer(lease, Signal::KILL);
    host.start_agent();
    let failure = host.fake.event("a failure", failure).await;
    assert_eq!(failure.reason, "vanished");
    assert_eq!(host.fake.finish(sweep).await.completed, 1);
    host.is_clean().await;
}

#[tokio::test]
async fn lost_answers_change_nothing() {
    let mut host = Host::new(&EPOCHS).await;
    host.fake.world().lose_answers = true;
    host.start_agent();
    let sweep = host.fake.submit(SWEEP);
    let audit = host.fake.finish(sweep).await;
    assert!(audit.is_exactly_once());
    assert_eq!((audit.attempts, audit.epochs), (2, 12));
    assert!(host.fake.world().lost > 0);
    host.is_clean().await;
}

#[tokio::test]
async fn training_goes_on_while_the_coordinator_is_away_and_after_its_restart() {
    let mut host = Host::new(&EPOCHS).await;
    host.start_agent();
    let sweep = host.fake.submit(ONE);
    let lease = host.fake.running(2).await;
    host.fake.world().away = true;
    host.until("the trainer has ended", || host.pids(lease).is_empty()).await;
    let state = host.fake.world().core.as_ref().unwrap().state().clone();
    assert!(matches!(host.fake.phase(lease.trial), Phase::Leased(_)));
    host.fake.restart(state);
    host.fake.world().away = false;
    let audit = host.fake.finish(sweep).await;
    assert!(audit.is_exactly_once());
    assert_eq!((audit.attempts, audit.epochs), (1, 20));
    host.is_clean().await;
}

#[tokio::test]
async fn a_lease_given_away_ends_the_attempt_and_the_next_one_starts() {
    let mut host = Host::new(&EPOCHS).await;
    host.start_agent();
    let sweep = host.fake.submit(ONE);
    let lease = host.fake.running(2).await;
    host.fake.take_leases();
    host.until("the fenced trainer is gone", || host.pids(lease).is_empty()).await;
    let audit = host.fake.finish(sweep).await;
    assert_eq!((audit.completed, audit.attempts), (1, 2));
    host.is_clean().await;
    assert!(host.state().join("failed").join(lease.to_string()).join("log.txt").exists());
}

#[tokio::test]
async fn an_attempt_that_the_coordinator_does_not_know_is_stopped_and_kept() {
    let mut host = Host::new(&EPOCHS).await;
    host.start_agent();
    host.fake.submit(ONE);
    let lease = host.fake.running(2).await;
    host.fake.restart(State::default());
    host.until("the trainer is gone", || host.pids(lease).is_empty()).await;
    host.is_clean().await;
    let kept = host.state().join("unknown").join(lease.to_string());
    assert!(kept.join("events.jsonl").exists() && kept.join("ckpt").exists());
}

#[tokio::test]
async fn a_full_store_delays_checkpoints_and_nothing_else() {
    let mut host = Host::new(&EPOCHS).await;
    host.fake.world().full = true;
    host.start_agent();
    let sweep = host.fake.submit(ONE);
    let lease = host.fake.running(20).await;
    host.until("the trainer has ended", || host.pids(lease).is_empty()).await;
    assert!(matches!(host.fake.phase(lease.trial), Phase::Leased(_)), "its checkpoints are not safe yet");
    host.fake.world().full = false;
    let audit = host.fake.finish(sweep).await;
    assert!(audit.is_exactly_once());
    assert!(audit.checkpoints >= 2);
    host.is_clean().await;
}

#[tokio::test]
async fn a_cancelled_attempt_takes_everything_it_started_with_it() {
    // The trainer and its child ignore SIGTERM.
    let mut host = Host::with_script("trap '' TERM\nexec 9>\"$1/alive\"\nsleep 600 &\necho working\nwait").await;
    host.start_agent();
    let sweep = host.fake.submit(ONE);
    let lease = host.fake.running(0).await;
    host.until("two processes", || host.pids(lease).len() == 2).await;
    let reported = host.fake.until("its log", |world| world.logs.get(&lease).cloned());
    assert_eq!(reported.await, b"working\n");
    let user = "test".to_owned();
    host.fake.act(Some(Command::CancelSweep { sweep, user }));
    host.fake.finish(sweep).await;
    assert_eq!(host.fake.phase(lease.trial), Phase::Cancelled);
    assert_eq!(host.pids(lease), [], "reported only when nothing is left");
    host.is_clean().await;
}

#[tokio::test]
async fn what_a_trainer_leaves_behind_is_ended_before_its_slot_is_used_again() {
    let done = "{\"event\":{\"done\":{\"final_seq\":0,\"early\":false,\"weights\":\"w\"}}}";
    let script = format!("sleep 600 &\nsetsid sleep 600 &\necho '{done}' > \"$1/events.jsonl\"");
    let mut host = Host::with_script(&script).await;
    host.start_agent();
    let sweep = host.fake.submit(SWEEP);
    let ended = |event: &Event| match event {
        Event::TrialCompleted { lease, .. } => Some(*lease),
        _ => None,
    };
    let lease: Lease = host.fake.event("an end", ended).await;
    assert_eq!(host.pids(lease), []);
    assert!(host.fake.finish(sweep).await.is_exactly_once());
    host.is_clean().await;
}

/// Runs a trainer that is a script until its first failure, which must be this one; it is not said
/// whether it is charged.
async fn fails(script: &str, class: FailureClass, reason: &str, words: &str) -> Host {
    let mut host = Host::with_script(script).await;
    host.start_agent();
    host.fake.submit(ONE);
    let failure = host.fake.event("a failure", failure).await;
    assert_eq!((failure.class, failure.reason.as_str()), (class, reason), "{}", failure.message);
    assert!(failure.message.contains(words), "{}", failure.message);
    host
}

#[tokio::test]
async fn every_way_to_fail_has_its_name() {
    fails("echo out of luck >&2; exit 3", FailureClass::Crash, "exited", "out of luck").await;
    fails("kill -SEGV $$", FailureClass::Crash, "crashed", "signal 11").await;
    let torn = "printf '{\"event\":{\"ep' > \"$1/events.jsonl\"; exit 1";
    fails(torn, FailureClass::Crash, "exited", "code 1").await;
    let said =
        "{\"event\":{\"failed\":{\"final_seq\":0,\"class\":\"data\",\"reason\":\"bad_image\",\"message\":\"x.jpg\"}}}";
    fails(&format!("echo '{said}' > \"$1/events.jsonl\"; exit 1"), FailureClass::Data, "bad_image", "x.jpg").await;
    // It shows that it gets on, and then it does not any more.
    let hangs = "for step in 1 2 3; do echo $step > \"$1/progress\"; sleep 0.3; done; sleep 600";
    fails(hangs, FailureClass::Crash, "stalled", "no further for 2 s").await;
    let stopped = "echo 1 > \"$1/progress\"; kill -STOP $$";
    fails(stopped, FailureClass::Host, "stalled", "its process was stopped").await;
    let host = fails(
        "printf 'garbage\\nmore\\n' > \"$1/events.jsonl\"; sleep 600",
        FailureClass::Host,
        "events_corrupt",
        "byte 0",
    )
    .await;
    host.until("it is set aside", || host.state().join("quarantine").exists()).await;
}

#[tokio::test]
async fn a_missing_trainer_is_the_hosts_fault() {
    let mut host = Host::new(&[]).await;
    host.use_trainer(&host.folder.path().join("none"));
    host.start_agent();
    host.fake.submit(ONE);
    let failure = host.fake.event("a failure", failure).await;
    assert_eq!((failure.class, failure.reason.as_str()), (FailureClass::Host, "trainer_missing"));
}

#[tokio::test]
async fn a_folder_that_cannot_be_read_costs_only_its_own_attempt() {
    let mut host = Host::new(&EPOCHS).await;
    host.start_agent();
    let sweep = host.fake.submit(SWEEP);
    let lease = host.fake.running(1).await;
    host.signal_agent(Signal::KILL).await;
    host.signal_trainer(lease, Signal::KILL);
    let events = host.attempts().join(lease.to_string()).join("events.jsonl");
    let good = fs::read(&events).unwrap();
    fs::write(&events, [b"\x00\x00garbage\n", good.as_slice()].concat()).unwrap();
    fs::write(host.attempts().join("stray"), "").unwrap();
    host.start_agent();
    let failure = host.fake.event("a failure", failure).await;
    assert_eq!(failure.reason, "events_corrupt");
    fs::remove_file(host.attempts().join("stray")).unwrap();
    assert_eq!(host.fake.finish(sweep).await.completed, 2);
    host.is_clean().await;
    assert!(host.state().join("quarantine").join(lease.to_string()).exists());
}

#[tokio::test]
async fn a_second_agent_on_the_same_state_leaves_at_once() {
    let mut host = Host::new(&EPOCHS).await;
    host.start_agent();
    host.fake.submit(ONE);
    host.fake.running(1).await;
    let second = tokio::time::timeout(Duration::from_secs(10), host.command().status());
    assert_eq!(second.await.unwrap().unwrap().code(), Some(3));
}

#[tokio::test]
async fn an_order_that_never_began_is_not_charged() {
    let mut host = Host::new(&EPOCHS).await;
    host.start_agent();
    let sweep = host.fake.submit(ONE);
    let lease = host.fake.running(1).await;
    host.signal_agent(Signal::KILL).await;
    host.signal_trainer(lease, Signal::KILL);
    // As if the agent had been killed between the order and the start.
    let folder = host.attempts().join(lease.to_string());
    fs::write(folder.join("events.jsonl"), "").unwrap();
    host.start_agent();
    let cause = host.fake.event("a loss", |event| match event {
        Event::LeaseLost { cause, .. } => Some(*cause),
        _ => None,
    });
    assert_eq!(cause.await, LossCause::Forgotten);
    let audit = host.fake.finish(sweep).await;
    assert_eq!(audit.completed, 1);
    assert!(granted(&host.fake.world()) == 2);
    host.is_clean().await;
}

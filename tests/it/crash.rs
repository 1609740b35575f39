//! Coordinator and agent die at every call with which they change a file or use the network. (Trainers do in `tests/train/crash.rs`.)

use std::time::Duration;

use sweep_tests::crash::joining::{self, Who};
use sweep_tests::crash::points::{Program, STEPS};
use sweep_tests::crash::{AGENT, COORDINATOR, Plan, Round, run};
use sweep_tests::process::built;

use crate::recovery::setup;

/// Other values each time, so that no checkpoint is in the store already.
fn grid(number: u32) -> String {
    let lr = format!("[{number}e-6, {number}e-5, {number}e-4]");
    format!("dataset = \"none\"\nepochs = 3\nseeds = 2\n\n[grid]\nlr = {lr}\ndropout = [0.0, 0.1]\n")
}

/// Every call, from an empty folder and from one with a journal; then those that are rare.
const ROUNDS: &[&[Round]] = &[
    &[Round::every(COORDINATOR, 160), Round::every(AGENT, 160)],
    &[Round::down(COORDINATOR, 60), Round::down(AGENT, 60)],
    &[Round::at(COORDINATOR, "name /blobs/"), Round::at(AGENT, "write order.json")],
    &[Round::at(COORDINATOR, "remove /blobs/"), Round::at(AGENT, "cut order.json")],
    &[Round::at(COORDINATOR, "write sweep.db-wal"), Round::at(AGENT, "child")],
    &[Round::at(COORDINATOR, "sync sweep.db-wal"), Round::at(AGENT, "end")],
    &[Round::at(COORDINATOR, "receive 127.0.0.2"), Round::at(AGENT, "read /ckpt/")],
    &[Round::at(AGENT, "read-all /ckpt/")],
    &[Round::at(COORDINATOR, "name snapshot.bin"), Round::at(AGENT, "remove")],
    &[Round::at(COORDINATOR, "write snapshot.bin"), Round::at(AGENT, "receive 127.0.0.1 read-all")],
];

#[test]
fn wherever_a_program_dies_nothing_is_lost_and_nothing_is_done_twice() {
    let dir = tempfile::tempdir().unwrap();
    let mut setup = setup(&dir.path().join("lab"));
    let env = [("SWEEP_NOOP_EPOCHS", "recipe"), ("SWEEP_NOOP_EPOCH_MS", "40"), ("SWEEP_NOOP_CHECKPOINT", "1")];
    setup.env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let limit = Duration::from_secs(900);
    let plan = Plan { grid, rounds: ROUNDS, stopping: 40, limit };
    let outcome = run(setup, plan).unwrap();
    let steps = STEPS.iter().filter(|step| step.of != Program::Trainer);
    let missed: Vec<&str> = steps.filter(|step| step.hits(&outcome.deaths) == 0).map(|step| step.name).collect();
    println!("{outcome}");
    assert!(missed.is_empty(), "nothing died at {missed:?}");
    assert!(outcome.alone > 0, "no trainer came to its end while no agent was there");
}

#[test]
fn an_agent_joins_with_its_token_wherever_it_or_the_coordinator_dies() {
    for (who, places) in [(Who::Agent, 70), (Who::Coordinator, 40)] {
        let dir = tempfile::tempdir().unwrap();
        let died = joining::run(&built().unwrap(), dir.path(), who, places).unwrap();
        println!("{who:?}: died {died} times in {places} joins");
        assert!(died > places / 2, "{who:?} died {died} times only");
    }
}

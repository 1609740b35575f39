//! Early stopping with real processes under `kill -9` of everything: the coordinator decides the same as in a quiet run.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use sweep_tests::chaos::hurts::Hurt;
use sweep_tests::chaos::{Outcome, Plan, run};
use sweep_tests::process::{Lab, Setup};

use crate::recovery::setup;

/// Twelve configurations of two seeds with rungs after 1, 2 and 4 of so many epochs.
fn sweep(setup: Setup, rule: &str, epochs: u32, plan: Plan) -> Outcome {
    let mut lab = Lab::start(setup).unwrap();
    let spec = lab.setup().dir.join(format!("{rule}.toml"));
    let text = format!(
        "name = \"{rule}\"\ndataset = \"none\"\nmodel = \"cifar-cnn\"\nepochs = {epochs}\nseeds = 2\nmax_retries = 20\n\
         [stop]\nrule = \"{rule}\"\nreduction_factor = 2\nmax_rungs = 3\naudit_fraction = 0.1\n\
         [grid]\nlr = [1e-4, 1e-3, 1e-2, 1e-1]\ndropout = [0.0, 0.1, 0.2]\n"
    );
    std::fs::write(&spec, text).unwrap();
    run(&mut lab, &spec, plan).unwrap()
}

/// A lab whose trainers train as many epochs as they are told.
fn lab(dir: &Path) -> Setup {
    let mut setup = setup(dir);
    setup.env.push(("SWEEP_NOOP_EPOCHS".into(), "recipe".into()));
    setup
}

/// The lab with one slot: who reports when follows from what is decided alone.
fn one_at_a_time(dir: &Path) -> Setup {
    Setup { slots: 1, ..lab(dir) }
}

/// By point: the phases of its trials.
fn fates(outcome: &Outcome) -> Vec<(u64, Vec<String>)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let trials =
        |point: &Value| point["trials"].as_array().unwrap().iter().map(|trial| text(&trial["phase"])).collect();
    let points = outcome.result["points"].as_array().unwrap().iter();
    let mut fates: Vec<_> = points.map(|point| (point["point"].as_u64().unwrap(), trials(point))).collect();
    fates.sort();
    fates
}

/// Nobody trains past a rung before it is decided: what was stopped has exactly the epochs of one.
fn nothing_was_trained_in_vain(outcome: &Outcome, all: u64) {
    for point in outcome.result["points"].as_array().unwrap() {
        for trial in point["trials"].as_array().unwrap() {
            let epochs = trial["epochs"].as_u64().unwrap();
            let wanted = if trial["phase"] == "stopped" { [1, 2, 4].contains(&epochs) } else { epochs == all };
            assert!(wanted, "{trial}");
        }
    }
}

fn is_sound(outcome: &Outcome, seed: u64) {
    let audit = &outcome.audit;
    assert_eq!(audit["exactly_once"], true, "seed {seed}: {audit}");
    assert_eq!(audit["completed"].as_u64().unwrap() + audit["stopped"].as_u64().unwrap(), 24, "{audit}");
    let fates = fates(outcome);
    assert!(fates.iter().all(|(_, phases)| phases[0] == phases[1]), "{fates:?}");
    let stopped = fates.iter().filter(|(_, phases)| *phases == ["stopped", "stopped"]).count();
    assert!((1..12).contains(&stopped), "{stopped} of 12 configurations were stopped");
}

/// Successive halving, because it does not matter to it who comes to a rung first: what is decided depends on
/// the numbers alone, however the kills shift them in time.
#[test]
fn killing_everything_changes_no_decision() {
    // A trainer whose agent was killed trains on. It must not come to its end before the agent is back to stop it.
    const EPOCHS: u32 = 100;
    let dir = tempfile::tempdir().unwrap();
    let limit = Duration::from_secs(300);
    let start = |name: &str| lab(&dir.path().join(name));
    let quiet = sweep(start("quiet"), "halving", EPOCHS, Plan::quiet(limit));
    let seed = u64::from(std::process::id());
    let noisy = Plan::kills(Duration::from_millis(300), seed, limit);
    let killed = sweep(start("noisy"), "halving", EPOCHS, noisy);
    assert!(killed.hurts.of(Hurt::Coordinator) > 0, "seed {seed}: {}", killed.hurts);
    assert_eq!(fates(&killed), fates(&quiet), "seed {seed}, {}", killed.hurts);
    let asha = sweep(start("asha"), "asha", EPOCHS, noisy);
    for outcome in [&quiet, &killed, &asha] {
        nothing_was_trained_in_vain(outcome, EPOCHS.into());
        is_sound(outcome, seed);
    }
}

/// What ASHA decides depends on who reports first, so that only one trial runs at a time here. Then every number of the report is
/// the same, that of trials which were stopped and of those that the stop audit let go on included. With more than one it is tested event by
/// event in `core/tests/stopping`.
#[test]
fn killing_the_coordinator_during_asha_changes_no_decision() {
    const EPOCHS: u32 = 12;
    let dir = tempfile::tempdir().unwrap();
    let limit = Duration::from_secs(300);
    let start = |name: &str| one_at_a_time(&dir.path().join(name));
    let quiet = sweep(start("quiet"), "asha", EPOCHS, Plan::quiet(limit));
    let seed = u64::from(std::process::id());
    let plan = Plan { hurts: &[Hurt::Coordinator], ..Plan::kills(Duration::from_millis(300), seed, limit) };
    let killed = sweep(start("noisy"), "asha", EPOCHS, plan);
    assert!(killed.hurts.of(Hurt::Coordinator) >= 10, "seed {seed}: {}", killed.hurts);
    assert_eq!(killed.result, quiet.result, "seed {seed}, {}", killed.hurts);
    for outcome in [&quiet, &killed] {
        nothing_was_trained_in_vain(outcome, EPOCHS.into());
        is_sound(outcome, seed);
    }
}

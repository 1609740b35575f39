//! Early stopping with real processes under `kill -9` of everything: the coordinator decides the same as in a quiet run.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use sweep_tests::chaos::hurts::Hurt;
use sweep_tests::chaos::{Outcome, Plan, run};
use sweep_tests::process::Lab;

use crate::recovery::setup;

/// Successive halving, because it does not matter to it who comes to a rung first: what is decided depends on
/// the numbers alone, however the kills shift them in time. ASHA's decisions depend on the order of reports; that a crash leaves
/// them alone is tested event by event in `core/tests/stopping`.
fn sweep(dir: &Path, name: &str, rule: &str, plan: Plan) -> Outcome {
    let spec = dir.join(format!("{rule}.toml"));
    let text = format!(
        "name = \"{rule}\"\ndataset = \"none\"\nmodel = \"cifar-cnn\"\nepochs = 100\nseeds = 2\nmax_retries = 20\n\
         [stop]\nrule = \"{rule}\"\nreduction_factor = 2\nmax_rungs = 3\naudit_fraction = 0.1\n\
         [grid]\nlr = [1e-4, 1e-3, 1e-2, 1e-1]\ndropout = [0.0, 0.1, 0.2]\n"
    );
    std::fs::write(&spec, text).unwrap();
    // A trainer whose agent was killed trains on. It must not come to its end before the agent is back to stop it.
    let mut setup = setup(&dir.join(name));
    setup.env.push(("SWEEP_NOOP_EPOCHS".into(), "recipe".into()));
    run(&mut Lab::start(setup).unwrap(), &spec, plan).unwrap()
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
fn nothing_was_trained_in_vain(outcome: &Outcome) {
    for point in outcome.result["points"].as_array().unwrap() {
        for trial in point["trials"].as_array().unwrap() {
            let epochs = trial["epochs"].as_u64().unwrap();
            let wanted = if trial["phase"] == "stopped" { [1, 2, 4].contains(&epochs) } else { epochs == 100 };
            assert!(wanted, "{trial}");
        }
    }
}

#[test]
fn killing_everything_changes_no_decision() {
    let dir = tempfile::tempdir().unwrap();
    let limit = Duration::from_secs(300);
    let quiet = sweep(dir.path(), "quiet", "halving", Plan::quiet(limit));
    let seed = u64::from(std::process::id());
    let noisy = Plan::kills(Duration::from_millis(300), seed, limit);
    let killed = sweep(dir.path(), "noisy", "halving", noisy);
    assert!(killed.hurts.of(Hurt::Coordinator) > 0, "seed {seed}: {}", killed.hurts);
    assert_eq!(fates(&killed), fates(&quiet), "seed {seed}, {}", killed.hurts);
    let stopped = fates(&quiet).iter().filter(|(_, phases)| *phases == ["stopped", "stopped"]).count();
    assert!((1..12).contains(&stopped), "{stopped} of 12 configurations were stopped");
    let asha = sweep(dir.path(), "asha", "asha", noisy);
    for outcome in [&quiet, &killed, &asha] {
        nothing_was_trained_in_vain(outcome);
        let audit = &outcome.audit;
        assert_eq!(audit["exactly_once"], true, "seed {seed}: {audit}");
        assert_eq!(audit["completed"].as_u64().unwrap() + audit["stopped"].as_u64().unwrap(), 24, "{audit}");
    }
    assert!(fates(&asha).iter().all(|(_, phases)| phases[0] == phases[1]), "{:?}", fates(&asha));
}

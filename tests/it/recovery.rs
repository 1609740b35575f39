//! Real processes under `kill -9`, with trainers that do nothing but follow the folder protocol: many
//! cheap trials, many kills, and the oracle's verdict.

mod longer;
mod probe;
mod reuse;
mod search;

use std::path::Path;
use std::time::Duration;

use sweep_tests::chaos::hurts::Hurt;
use sweep_tests::chaos::{Outcome, Plan, run};
use sweep_tests::process::{Lab, Setup, built, wait_for};

pub(super) const SPEC: &str = r#"
name = "noop"
dataset = "none"
model = "cifar-cnn"
epochs = 6
seeds = 2
max_retries = 20

[grid]
lr = [1e-4, 1e-3, 1e-2, 1e-1]
dropout = [0.0, 0.1, 0.2, 0.3]
"#;

pub(super) fn setup(dir: &Path) -> Setup {
    let mut setup = Setup::new(built().unwrap(), dir.to_owned());
    setup.trainer = "sweep-noop-trainer".into();
    setup.slots = 4;
    setup.agent_args = vec!["--pretend".into(), "1".into()];
    let env = [("SWEEP_NOOP_EPOCHS", "6"), ("SWEEP_NOOP_EPOCH_MS", "60"), ("SWEEP_NOOP_CHECKPOINT", "1")];
    setup.env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    setup
}

fn sweep(dir: &Path, name: &str, plan: Plan) -> Outcome {
    let spec = dir.join("noop.toml");
    std::fs::write(&spec, SPEC).unwrap();
    run(&mut Lab::start(setup(&dir.join(name))).unwrap(), &spec, plan).unwrap()
}

#[test]
fn every_point_runs_exactly_once_under_kills_of_everything() {
    let dir = tempfile::tempdir().unwrap();
    let limit = Duration::from_secs(300);
    let quiet = sweep(dir.path(), "quiet", Plan::quiet(limit));
    let seed = u64::from(std::process::id());
    let noisy = sweep(dir.path(), "noisy", Plan::kills(Duration::from_millis(300), seed, limit));
    assert!(noisy.hurts.has_all(Hurt::PROCESSES), "seed {seed}: {}", noisy.hurts);
    assert_eq!(noisy.result, quiet.result, "seed {seed}, {}", noisy.hurts);
    for audit in [&quiet.audit, &noisy.audit] {
        let text = audit.to_string();
        assert!(text.contains("\"violations\":[]"), "seed {seed}: {text}");
        assert!(text.contains("\"completed\":32"), "seed {seed}: {text}");
    }
}

#[test]
fn a_trainer_outlives_its_agent_and_is_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut slow = setup(dir.path());
    slow.env.push(("SWEEP_NOOP_EPOCH_MS".into(), "1500".into()));
    let mut lab = Lab::start(slow).unwrap();
    lab.wait_for_agent().unwrap();
    let spec = dir.path().join("one.toml");
    std::fs::write(&spec, "name = \"one\"\ndataset = \"none\"\nepochs = 6\n").unwrap();
    lab.text(&["submit", spec.to_str().unwrap()]).unwrap();
    let trainer = wait_for("the trainer", || lab.trainers().first().copied()).unwrap();
    lab.kill_agent();
    assert_eq!(lab.trainers(), [trainer], "training goes on without the agent");
    lab.start_agent().unwrap();
    lab.wait_for_agent().unwrap();
    assert_eq!(lab.trainers(), [trainer], "the same process, not a new one");
    lab.text(&["watch", "one", "--quiet"]).unwrap();
    let audit = lab.text(&["audit", "one", "--json"]).unwrap();
    assert!(audit.contains("\"attempts\":1") || audit.contains("\"attempts\": 1"), "{audit}");
}

#[test]
fn a_second_coordinator_on_the_same_data_leaves_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let lab = Lab::start(setup(dir.path())).unwrap();
    let data = dir.path().join("coordinator");
    let second = std::process::Command::new(lab.setup().bin.join("sweep-coordinator"))
        .args(["--listen", "127.0.0.1:0", "--data"])
        .arg(&data)
        .output()
        .unwrap();
    assert!(!second.status.success());
    let words = String::from_utf8_lossy(&second.stderr);
    assert!(words.contains("coordinator"), "{words}");
    lab.text(&["list"]).unwrap();
}

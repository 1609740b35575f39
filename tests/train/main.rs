//! End to end with the real binaries and real training: a sweep under kills ends with the weights of a
//! quiet one, the best checkpoint can be fetched and loaded, a wrong data set fails at once.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use sweep_tests::chaos::{Plan, decided, find, run};
use sweep_tests::process::{Lab, Setup, built};
use sweep_tests::skipped;

mod crash;
mod preempted;
mod probe;
mod python;
mod report;
mod syncs;
mod yielded;

const TINY: &str =
    "epochs = 4\nbatch_size = 32\nseeds = 2\n\n[grid]\nlr = [1e-3, 1e-2]\naugmentation = [\"none\", \"flip-crop\"]\n";

/// A sweep over small images with a small network, the same bits in every run.
fn sweep(name: &str, rest: &str) -> String {
    let network = "dataset = \"demo\"\nmodel = \"cifar-cnn\"\nimage_size = 32";
    decided(&format!("name = \"{name}\"\n{network}\n{rest}")).unwrap()
}

/// The program whose packages this compares with.
fn python() -> String {
    std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned())
}

fn python_has(modules: &str) -> bool {
    let has = Command::new(python()).args(["-c", &format!("import {modules}")]).output();
    has.is_ok_and(|ran| ran.status.success())
}

fn demo_images(bin: &Path, root: &Path) {
    let images = Command::new(bin.join("sweep-demo-images")).arg(root.join("demo")).output().unwrap();
    assert!(images.status.success(), "{}", String::from_utf8_lossy(&images.stderr));
}

fn lab(dir: &Path, name: &str) -> Lab {
    Lab::start(setup(dir, name)).unwrap()
}

fn setup(dir: &Path, name: &str) -> Setup {
    let bin = built().unwrap();
    let data = dir.join("data");
    if !data.exists() {
        demo_images(&bin, &data);
    }
    let mut setup = Setup::new(bin, dir.join(name));
    setup.data = vec![data];
    setup
}

#[test]
fn a_sweep_under_kills_ends_with_the_weights_of_a_quiet_one() {
    let dir = tempfile::tempdir().unwrap();
    let spec = dir.path().join("tiny.toml");
    std::fs::write(&spec, sweep("tiny", TINY)).unwrap();
    let limit = Duration::from_secs(600);
    let quiet = run(&mut lab(dir.path(), "quiet"), &spec, Plan::quiet(limit)).unwrap();
    assert_eq!(
        quiet.audit["completed"].as_u64().or(quiet.audit["audit"]["completed"].as_u64()),
        Some(8),
        "{}",
        quiet.audit
    );
    let seed = u64::from(std::process::id());
    let mut hurt = setup(dir.path(), "noisy");
    (hurt.has_proxy, hurt.disk) = (true, Some(256));
    let plan = Plan::everything(Duration::from_millis(800), seed, limit, Some(20));
    let noisy = run(&mut Lab::start(hurt).unwrap(), &spec, plan).unwrap();
    // How many depends on the machine's speed; the long run is `make chaos`.
    assert!(noisy.hurts.kills() >= 1, "seed {seed}: {}", noisy.hurts);
    let differing = differing(&noisy.result, &quiet.result, String::new());
    assert_eq!(differing, [] as [String; 0], "seed {seed}, {}", noisy.hurts);
    for audit in [&quiet.audit, &noisy.audit] {
        assert!(is_clean(audit), "seed {seed}: {audit}");
    }
}

/// Where two values differ, with both.
fn differing(one: &Value, other: &Value, path: String) -> Vec<String> {
    match (one, other) {
        _ if one == other => Vec::new(),
        (Value::Object(left), Value::Object(right)) if left.len() == right.len() => {
            let none = Value::Null;
            left.iter()
                .flat_map(|(key, value)| differing(value, right.get(key).unwrap_or(&none), format!("{path}/{key}")))
                .collect()
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            let pairs = left.iter().zip(right).enumerate();
            pairs.flat_map(|(at, (one, other))| differing(one, other, format!("{path}/{at}"))).collect()
        }
        _ => vec![format!("{path}: {one} and {other}")],
    }
}

/// No violations anywhere in an audit's JSON.
fn is_clean(audit: &Value) -> bool {
    let violations = audit.get("violations").or_else(|| audit.get("audit").and_then(|inner| inner.get("violations")));
    violations.and_then(Value::as_array).is_some_and(Vec::is_empty)
}

#[test]
fn all_trials_of_a_sweep_compute_alike_whatever_their_batch() {
    let dir = tempfile::tempdir().unwrap();
    let spec = dir.path().join("alike.toml");
    let text = "name = \"alike\"\ndataset = \"demo\"\nmodel = \"cifar-cnn\"\nimage_size = 32\nepochs = 1\nseeds = 2\n\
        [grid]\nbatch_size = [4, 64]\n";
    std::fs::write(&spec, text).unwrap();
    let plan = Plan::quiet(Duration::from_secs(600));
    let outcome = run(&mut lab(dir.path(), "lab"), &spec, plan).unwrap();
    let numerics = outcome.result["numerics"].as_object().unwrap();
    assert_eq!(numerics.values().filter_map(Value::as_u64).collect::<Vec<_>>(), [4], "{numerics:?}");
}

#[test]
fn the_best_checkpoint_is_fetched_and_loads() {
    let dir = tempfile::tempdir().unwrap();
    let spec = dir.path().join("one.toml");
    let text = "name = \"one\"\ndataset = \"demo\"\nmodel = \"resnet18\"\nimage_size = 32\nepochs = 1\nlr = 1e-3\n";
    std::fs::write(&spec, text).unwrap();
    let mut lab = lab(dir.path(), "lab");
    let plan = Plan::quiet(Duration::from_secs(600));
    let outcome = run(&mut lab, &spec, plan).unwrap();
    let trial = find(&outcome.result["best"], "trial").or_else(|| find(&outcome.result, "trial")).unwrap();
    let out = dir.path().join("out");
    let path = lab.text(&["fetch", &trial, "--best", "-o", out.to_str().unwrap()]).unwrap();
    let path = path.lines().find(|line| line.contains("safetensors")).unwrap().trim().to_owned();
    // A second fetch finds the file and changes nothing.
    lab.text(&["fetch", &trial, "--best", "-o", out.to_str().unwrap()]).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/torchvision_parity.py");
    let trainer = lab.setup().bin.join("sweep-trainer");
    let python = python();
    let output = Command::new(&python)
        .args([script, &path, "--classes", "4", "--image-size", "32"])
        .env("SWEEP_TRAINER", trainer)
        .output();
    let output = match output {
        Ok(output) => output,
        Err(error) => return skipped(&format!("{python}: {error}")),
    };
    let words = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words}");
    if let Some(why) = words.trim_end().strip_prefix("skipped: ") {
        skipped(why);
    }
}

#[test]
fn a_class_folder_without_images_is_refused_before_anything_runs() {
    let dir = tempfile::tempdir().unwrap();
    let bin = built().unwrap();
    let data = dir.path().join("data");
    demo_images(&bin, &data);
    std::fs::create_dir_all(data.join("demo/train/zebra")).unwrap();
    let mut setup = Setup::new(bin, dir.path().join("lab"));
    setup.data = vec![data];
    let lab = Lab::start(setup).unwrap();
    lab.wait_for_agent().unwrap();
    let spec = dir.path().join("tiny.toml");
    std::fs::write(&spec, sweep("tiny", TINY)).unwrap();
    let output = lab.ctl(&["submit", spec.to_str().unwrap()]).unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "accepted: {words}");
    assert!(words.contains("zebra"), "the folder is named: {words}");
}

#[test]
fn real_images_train() {
    let Some(root) = sweep_tests::images::root() else {
        return skipped("no real images ($SWEEP_TEST_DATA is not set)");
    };
    let dir = tempfile::tempdir().unwrap();
    let spec = dir.path().join("real.toml");
    let text =
        "name = \"real\"\ndataset = \"cifar10-small\"\nmodel = \"cifar-cnn\"\nimage_size = 32\nepochs = 2\nlr = 1e-3\n";
    std::fs::write(&spec, text).unwrap();
    let mut setup = Setup::new(built().unwrap(), dir.path().join("lab"));
    setup.data = vec![root];
    let mut lab = Lab::start(setup).unwrap();
    let plan = Plan::quiet(Duration::from_secs(600));
    let outcome = run(&mut lab, &spec, plan).unwrap();
    let accuracy = outcome.result["points"][0]["accuracy"]["mean"].as_f64();
    let accuracy = accuracy.or_else(|| outcome.result["report"]["points"][0]["accuracy"]["mean"].as_f64()).unwrap();
    assert!(accuracy > 0.2, "ten classes: chance is 0.1, got {accuracy}");
}

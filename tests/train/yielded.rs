//! A slot that is given back in the middle of an epoch, with real training and without `checkpoint_steps`: the trial leaves within seconds,
//! goes on elsewhere with its very next step, and ends with the bits of one that nobody disturbed.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use sweep_tests::chaos::{Plan, comparable, find, run};
use sweep_tests::process::{Lab, built, wait_for};

use crate::{differing, is_clean, lab, sweep};

/// 1200 batches: seconds, of which the first is enough.
const LONG: &str = "epochs = 1\nbatch_size = 2\n";

/// Whether a trainer has said a step.
fn trains(lab: &Lab) -> bool {
    let Ok(attempts) = std::fs::read_dir(lab.setup().dir.join("agent/attempts")) else { return false };
    let said = |folder: &Path| std::fs::read_to_string(folder.join("events.jsonl")).unwrap_or_default();
    attempts.flatten().any(|attempt| said(&attempt.path()).contains("{\"step\":"))
}

/// The slot that has a trial.
fn taken(lab: &Lab) -> Option<usize> {
    let agents = lab.json(&["agents"]).unwrap();
    agents["agents"][0]["slots"].as_array().unwrap().iter().position(|slot| slot["trial"].is_string())
}

#[test]
fn a_slot_given_back_in_the_middle_of_an_epoch_costs_no_step() {
    let dir = tempfile::tempdir().unwrap();
    let images = Command::new(built().unwrap().join("sweep-demo-images"))
        .arg(dir.path().join("data/demo"))
        .args(["--train", "2400"])
        .output()
        .unwrap();
    assert!(images.status.success(), "{}", String::from_utf8_lossy(&images.stderr));
    let spec = dir.path().join("long.toml");
    std::fs::write(&spec, sweep("long", LONG)).unwrap();
    let quiet = run(&mut lab(dir.path(), "quiet"), &spec, Plan::quiet(Duration::from_secs(600))).unwrap();

    let lab = lab(dir.path(), "lab");
    lab.wait_for_agent().unwrap();
    lab.text(&["submit", spec.to_str().unwrap()]).unwrap();
    wait_for("the first step", || trains(&lab).then_some(())).unwrap();
    let slot = taken(&lab).unwrap();
    let host = find(&lab.json(&["agents"]).unwrap()["agents"][0], "host").unwrap();
    let asked = Instant::now();
    lab.text(&["yield", &format!("{host}:{slot}"), "--for", "1h"]).unwrap();
    wait_for("the trial to leave", || (taken(&lab) != Some(slot)).then_some(())).unwrap();
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    lab.text(&["watch", "long", "--quiet"]).unwrap();

    let trial = find(&lab.json(&["show", "long"]).unwrap()["trials"], "trial").unwrap();
    let log = |attempt: &str| lab.text(&["logs", &trial, "--attempt", attempt]).unwrap();
    let (first, second) = (log("1"), log("2"));
    let place = first.split("leaves with a checkpoint ").nth(1).and_then(|rest| rest.lines().next());
    let place = place.unwrap_or_else(|| panic!("{first}"));
    assert!(place.ends_with(" of 1200 in epoch 1") && !place.contains("batch 1200 "), "in the middle: {place}");
    assert!(second.contains(&format!("goes on {place}")), "{place}: {second}");
    let audit = lab.json(&["audit", "long"]).unwrap();
    let counts = audit.get("audit").unwrap_or(&audit);
    assert!(is_clean(&audit) && counts["attempts"] == 2 && counts["completed"] == 1, "{audit}");
    let result = comparable(lab.json(&["report", "long"]).unwrap());
    assert_eq!(differing(&result, &quiet.result, String::new()), [] as [String; 0]);
}

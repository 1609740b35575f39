//! Two projects want the same slots, with real training: trials of the one that has more give way by checkpoint, and end with
//! the bits of trials that nobody disturbed.

use std::time::Duration;

use serde_json::Value;
use sweep_tests::chaos::{Plan, comparable, run};
use sweep_tests::process::{Lab, wait_for};

use crate::{differing, is_clean, lab, sweep};

/// Long enough to be in the middle when the others come.
const LOW: &str = "epochs = 12\nbatch_size = 16\nseeds = 2\n\n[grid]\nlr = [1e-3, 1e-2]\n";
const HIGH: &str = "epochs = 1\nseeds = 4\n";

fn count(lab: &Lab, sweep: &str, what: &str) -> u64 {
    let audit = lab.json(&["audit", sweep]).unwrap();
    let audit = audit.get("audit").unwrap_or(&audit);
    audit[what].as_u64().unwrap()
}

#[test]
fn trials_that_gave_way_end_with_the_bits_of_undisturbed_ones() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, rest: &str| {
        let path = dir.path().join(format!("{name}.toml"));
        std::fs::write(&path, sweep(name, rest)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (low, high) = (file("low", LOW), file("high", HIGH));
    let plan = Plan::quiet(Duration::from_secs(600));
    let quiet = run(&mut lab(dir.path(), "quiet"), low.as_ref(), plan).unwrap();
    let lab = lab(dir.path(), "busy");
    lab.wait_for_agent().unwrap();
    lab.text(&["admin", "shares", "set", "--preempt-after", "0s"]).unwrap();
    lab.text(&["admin", "shares", "set", "--project", "deadline", "--share", "2"]).unwrap();
    lab.text(&["submit", &low, "--project", "hobby"]).unwrap();
    let running = || lab.json(&["show", "low"]).unwrap()["summary"]["running"] == 2;
    wait_for("both slots to be taken", || running().then_some(())).unwrap();
    lab.text(&["submit", &high, "--project", "deadline"]).unwrap();
    lab.text(&["watch", "high", "--quiet"]).unwrap();
    lab.text(&["watch", "low", "--quiet"]).unwrap();
    let audit: Value = lab.json(&["audit", "low"]).unwrap();
    assert!(is_clean(&audit) && is_clean(&quiet.audit), "{audit}");
    assert!(count(&lab, "low", "attempts") > 4, "somebody gave way: {audit}");
    // To whom is told of each that did; nobody else's attempt ended before its trial.
    let trials = lab.json(&["show", "low", "--trials"]).unwrap();
    let again = trials["trials"].as_array().unwrap().iter().filter(|trial| trial["attempt"].as_u64() > Some(1));
    let mut told = 0;
    for trial in again {
        let why = lab.text(&["why", trial["trial"].as_str().unwrap()]).unwrap();
        assert!(why.contains("asked to give its slot to sweep high"), "{why}");
        told += 1;
    }
    assert!(told > 0, "{trials}");
    assert_eq!(count(&lab, "low", "completed"), 4);
    let result = comparable(lab.json(&["report", "low"]).unwrap());
    assert_eq!(differing(&result, &quiet.result, String::new()), [] as [String; 0]);
}

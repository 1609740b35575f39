//! Checkpoints that went bad on the coordinator's disk while real processes need them.

use std::fs;

use serde_json::Value;
use sweep_tests::process::wait_for;

use crate::breaks::{SLOW, audit, come_to, kill_trainers, lab, submit};

#[test]
fn a_trial_goes_on_from_the_checkpoint_before_a_damaged_one() {
    let dir = tempfile::tempdir().unwrap();
    let lab = lab(dir.path(), 1, SLOW);
    submit(&lab, "one", 1, 1, 60);
    come_to(&lab, "one", 10);
    // The attempt ends with everything that it has to say, and nothing else starts.
    lab.text(&["cordon", "pretend-0"]).unwrap();
    kill_trainers(&lab);
    let trial = wait_for("the end of the attempt", || {
        let trial = lab.json(&["show", "one", "--trials"]).ok()?["trials"][0].clone();
        (trial["host"] == Value::Null).then_some(trial)
    })
    .unwrap();
    let sha256 = trial["last_checkpoint"]["sha256"].as_str().unwrap();
    let data = dir.path().join("coordinator");
    let file = data.join("blobs").join(&sha256[..2]).join(sha256);
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, &bytes).unwrap();
    let fsck = lab.ctl(&["admin", "fsck"]).unwrap();
    let found = String::from_utf8_lossy(&fsck.stdout);
    assert!(!fsck.status.success() && found.contains("damaged: 1 (1 that a trial would go on from)"), "{found}");
    lab.text(&["undrain", "pretend-0"]).unwrap();
    let audit = audit(&lab, "one", 1);
    // The attempt that was killed, the one that asked for the damaged checkpoint, and the one from the checkpoint before.
    assert_eq!(audit["attempts"], 3, "{audit}");
    let story = lab.text(&["why", trial["trial"].as_str().unwrap()]).unwrap();
    assert!(story.contains("checkpoint_missing"), "{story}");
    // Uploads may leave epochs out, so the one before is not always one epoch before.
    let starts = story.lines().filter_map(|line| line.split("goes on after epoch ").nth(1)?.parse().ok());
    let starts: Vec<u64> = starts.collect();
    let newest = trial["last_checkpoint"]["epoch"].as_u64().unwrap();
    assert!(starts.len() == 2 && starts[0] == newest && (1..newest).contains(&starts[1]), "{starts:?} {story}");
    let aside: Vec<_> = fs::read_dir(data.join("damaged")).unwrap().map(|file| file.unwrap().path()).collect();
    assert_eq!(aside.len(), 1, "{aside:?}");
    assert_eq!(fs::read(&aside[0]).unwrap(), bytes, "nothing is thrown away");
    let fsck = lab.ctl(&["admin", "fsck"]).unwrap();
    assert!(fsck.status.success(), "{}", String::from_utf8_lossy(&fsck.stdout));
}

//! Real processes whose coordinator goes back: to a backup that an admin put in place, and to a copy that somebody put there without
//! a word. Nothing that agents have is thrown away, nobody decides before an admin does, and then every trial ends exactly once.

use std::path::Path;
use std::process::Command;

use sweep_tests::process::{Lab, wait_for};

use crate::recovery::{SPEC, setup};

/// A lab whose sweep goes slowly enough to be caught in the middle.
fn lab(dir: &Path) -> Lab {
    let mut slow = setup(dir);
    slow.env.push(("SWEEP_NOOP_EPOCH_MS".into(), "400".into()));
    let lab = Lab::start(slow).unwrap();
    lab.wait_for_agent().unwrap();
    let spec = dir.join("noop.toml");
    std::fs::write(&spec, SPEC).unwrap();
    lab.text(&["submit", spec.to_str().unwrap()]).unwrap();
    lab
}

fn completed(lab: &Lab) -> u64 {
    lab.json(&["show", "noop"]).unwrap()["summary"]["completed"].as_u64().unwrap()
}

fn safe_mode(lab: &Lab) -> Option<String> {
    let text = String::from_utf8(lab.ctl(&["queue"]).unwrap().stderr).unwrap();
    text.lines().find(|line| line.contains("safe mode")).map(str::to_owned)
}

/// Nothing is started in safe mode; after the word of an admin the sweep ends, exactly once.
fn accept_and_finish(lab: &Lab) {
    let doctor = lab.ctl(&["doctor"]).unwrap();
    let found = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(!doctor.status.success() && found.contains("safe mode"), "{found}");
    let before = completed(lab);
    let cancel = lab.ctl(&["cancel", "noop"]).unwrap();
    assert!(!cancel.status.success(), "nobody decides in safe mode");
    assert_eq!(completed(lab), before);
    lab.text(&["admin", "accept-rollback"]).unwrap();
    assert_eq!(safe_mode(lab), None);
    lab.text(&["watch", "noop", "--quiet"]).unwrap();
    let audit = lab.json(&["audit", "noop"]).unwrap();
    assert_eq!((&audit["exactly_once"], &audit["completed"]), (&true.into(), &32.into()), "{audit}\n{}", lab.logs());
    let story = lab.text(&["why", "noop"]).unwrap();
    assert!(
        story.contains("safe mode: the end of the journal was lost") && story.contains("went on without it"),
        "{story}"
    );
    assert!(story.ends_with("now: completed: 32 of 32 trials are done\n"), "{story}");
    let fsck = lab.ctl(&["admin", "fsck"]).unwrap();
    assert!(fsck.status.success(), "{}", String::from_utf8_lossy(&fsck.stdout));
}

#[test]
fn after_a_restore_nothing_is_decided_before_an_admin_accepts_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut lab = lab(dir.path());
    wait_for("some results", || (completed(&lab) >= 2).then_some(())).unwrap();
    lab.text(&["admin", "backup", "early", "--with-blobs"]).unwrap();
    let at_backup = completed(&lab);
    wait_for("more results", || (completed(&lab) >= at_backup + 4).then_some(())).unwrap();
    lab.kill_coordinator();
    let data = dir.path().join("coordinator");
    let program = lab.setup().bin.join("sweep-coordinator");
    let restore = |backup: &Path| {
        let mut command = Command::new(&program);
        command.arg("restore").arg("--data").arg(&data).arg(backup).output().unwrap()
    };
    let done = restore(&data.join("backups/early"));
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    lab.start_coordinator().unwrap();
    // Or what the agent has seen, if it was first to say so.
    let words = safe_mode(&lab).unwrap();
    assert!(words.contains("a backup was put in place") || words.contains("has seen"), "{words}");
    lab.wait_for_agent().unwrap();
    let refused = restore(&data.join("backups/early"));
    assert!(!refused.status.success(), "a coordinator works on it");
    accept_and_finish(&lab);
}

#[test]
fn a_copy_that_was_put_in_place_without_a_word_is_noticed_by_what_agents_have_seen() {
    let dir = tempfile::tempdir().unwrap();
    let mut lab = lab(dir.path());
    wait_for("some results", || (completed(&lab) >= 2).then_some(())).unwrap();
    lab.text(&["admin", "backup", "early"]).unwrap();
    let at_backup = completed(&lab);
    wait_for("more results", || (completed(&lab) >= at_backup + 4).then_some(())).unwrap();
    lab.kill_coordinator();
    // The agent does not remember in memory alone.
    lab.kill_agent();
    let data = dir.path().join("coordinator");
    for suffix in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(data.join(format!("sweep.db{suffix}")));
    }
    std::fs::copy(data.join("backups/early/sweep.db"), data.join("sweep.db")).unwrap();
    lab.start_coordinator().unwrap();
    assert_eq!(safe_mode(&lab), None, "nobody knows yet");
    lab.start_agent().unwrap();
    let words = wait_for("safe mode", || safe_mode(&lab)).unwrap();
    assert!(words.contains("has seen"), "{words}");
    accept_and_finish(&lab);
}

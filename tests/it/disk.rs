//! A full disk under the coordinator: refused with a clear word, nothing lost, work goes on by itself
//! when there is room. Uses a small tmpfs, so it needs the right to mount; without it the test says so.

use std::path::Path;

use sweep_tests::chaos::disk::SmallDisk;
use sweep_tests::process::{Lab, wait_for};
use sweep_tests::skipped;

const NO_DISK: &str = "no right to mount a tmpfs";

/// A sweep that runs beside a small disk of the coordinator's; nothing where none can be mounted.
fn running(dir: &Path) -> Option<Lab> {
    let mut setup = super::recovery::setup(dir);
    setup.env.push(("SWEEP_NOOP_EPOCH_MS".into(), "300".into()));
    setup.disk = Some(8);
    let lab = Lab::start(setup).unwrap();
    lab.disk()?;
    submit(&lab, dir);
    Some(lab)
}

/// Submits it and waits until some of it runs.
fn submit(lab: &Lab, dir: &Path) {
    lab.wait_for_agent().unwrap();
    let spec = dir.join("noop.toml");
    std::fs::write(&spec, super::recovery::SPEC).unwrap();
    lab.text(&["submit", spec.to_str().unwrap()]).unwrap();
    wait_for("a trainer", || lab.trainers().first().copied()).unwrap();
}

/// Waits for the end: every point once.
fn all_there(lab: &Lab) {
    lab.text(&["watch", "noop", "--quiet"]).unwrap();
    let audit = lab.text(&["audit", "noop", "--json"]).unwrap();
    assert!(audit.contains("\"completed\":32") || audit.contains("\"completed\": 32"), "{audit}");
}

#[test]
fn a_full_disk_is_said_survived_and_healed() {
    let dir = tempfile::tempdir().unwrap();
    let Some(lab) = running(dir.path()) else {
        return skipped(NO_DISK);
    };
    let small = lab.disk().unwrap();
    small.fill().unwrap();
    let words = wait_for("the refusal", || {
        let output = lab.ctl(&["cancel", "noop", "--trial", "00000000"]).unwrap();
        let other = lab.ctl(&["list"]).unwrap();
        let words = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&other.stderr);
        (words.contains("disk_full") || words.contains("no room") || words.contains("full")).then_some(words)
    })
    .unwrap();
    assert!(words.contains("coordinator"), "the place is named: {words}");
    small.clear();
    all_there(&lab);
}

#[test]
fn a_coordinator_that_starts_on_a_full_disk_works_when_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mut lab) = running(dir.path()) else {
        return skipped(NO_DISK);
    };
    lab.kill_coordinator();
    // The place that this leaves must be taken, too.
    std::fs::remove_file(dir.path().join("coordinator/address")).unwrap();
    lab.disk().unwrap().fill().unwrap();
    lab.launch_coordinator().unwrap();
    // Its log, which a start copies into the database if that has room, may leave enough for the address, or not.
    let said = wait_for("a coordinator on a full disk", || {
        let ended = lab.coordinator_ended().ok()?.is_some();
        (ended || lab.logs().matches("ready for").count() > 1).then_some(ended)
    });
    assert_eq!(said.ok(), Some(false), "{}", lab.logs());
    lab.disk().unwrap().clear();
    lab.serves().unwrap();
    all_there(&lab);
}

#[test]
fn an_agent_whose_disk_is_full_goes_on_when_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let Some(small) = SmallDisk::mount(&dir.path().join("agent"), 8) else {
        return skipped(NO_DISK);
    };
    let mut setup = super::recovery::setup(dir.path());
    setup.env.push(("SWEEP_NOOP_EPOCH_MS".into(), "300".into()));
    let mut lab = Lab::start(setup).unwrap();
    submit(&lab, dir.path());
    small.fill().unwrap();
    // What runs ends without a word, what starts cannot: neither is a fault of trials, and no other gets there for a while.
    let held = wait_for("the host's quarantine", || {
        let agents = lab.text(&["agents"]).ok()?;
        agents.contains("nothing can run there").then_some(agents)
    });
    assert!(held.is_ok(), "{}", lab.logs());
    small.clear();
    all_there(&lab);
    assert!(lab.agent_ended().unwrap().is_none(), "{}", lab.logs());
    let audit = lab.text(&["audit", "noop"]).unwrap();
    assert!(!audit.contains("suspended"), "{audit}");
}

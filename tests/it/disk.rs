//! A full disk under the coordinator: refused with a clear word, nothing lost, work goes on by itself
//! when there is room. Uses a small tmpfs, so it needs the right to mount; without it the test says so.

use sweep_tests::process::{Lab, wait_for};

#[test]
fn a_full_disk_is_said_survived_and_healed() {
    let dir = tempfile::tempdir().unwrap();
    let mut setup = super::recovery::setup(dir.path());
    setup.env.push(("SWEEP_NOOP_EPOCH_MS".into(), "300".into()));
    setup.disk = Some(8);
    let lab = Lab::start(setup).unwrap();
    let Some(small) = lab.disk() else {
        {
            eprintln!("skipped: no right to mount a tmpfs");
        }
        return;
    };
    lab.wait_for_agent().unwrap();
    let spec = dir.path().join("noop.toml");
    std::fs::write(&spec, super::recovery::SPEC).unwrap();
    lab.text(&["submit", spec.to_str().unwrap()]).unwrap();
    wait_for("a trainer", || lab.trainers().first().copied()).unwrap();

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
    lab.text(&["watch", "noop", "--quiet"]).unwrap();
    let audit = lab.text(&["audit", "noop", "--json"]).unwrap();
    assert!(audit.contains("\"completed\":32") || audit.contains("\"completed\": 32"), "{audit}");
}

//! Probes with real processes: a trial of each shape that nobody knows, then an estimate.

use sweep_tests::process::Lab;

use super::{SPEC, setup};

#[test]
fn a_probe_trains_what_was_never_trained() {
    let dir = tempfile::tempdir().unwrap();
    let mut setup = setup(&dir.path().join("lab"));
    setup.env.push(("SWEEP_NOOP_EPOCHS".into(), "recipe".into()));
    let lab = Lab::start(setup).unwrap();
    lab.wait_for_agent().unwrap();
    let file = dir.path().join("shapes.toml");
    std::fs::write(
        &file,
        SPEC.replace("\"noop\"", "\"shapes\"")
            .replace("dropout = [0.0,", "batch_size = [16,")
            .replace("0.1, 0.2, 0.3]", "32]"),
    )
    .unwrap();
    let file = file.to_str().unwrap();
    let unknown = lab.json(&["plan", file, "--estimate"]).unwrap();
    assert!(unknown["full"].is_null(), "{unknown}");
    let found = lab.json(&["plan", file, "--estimate", "--probe"]).unwrap();
    let seen: Vec<_> =
        found["shapes"].as_array().unwrap().iter().map(|shape| shape["seen"]["trials"].clone()).collect();
    assert_eq!(seen, [1, 1], "{found}");
    assert!(found["full"]["slot_hours"].as_f64().unwrap() > 0.0, "{found}");
    let audit = lab.json(&["audit", "probe-shapes"]).unwrap();
    assert_eq!((&audit["planned"], &audit["exactly_once"]), (&2.into(), &true.into()), "{audit}");
    // Nobody takes it for a result.
    let page = lab.text(&["report", "probe-shapes", "-o", "md"]).unwrap();
    assert!(page.starts_with("# Probe probe-shapes\n\nThis is a probe, not a result"), "{page}");
    assert_eq!(lab.json(&["list"]).unwrap()["sweeps"][0]["probe_steps"], 20);
    assert!(lab.text(&["list"]).unwrap().contains("probe, no result"));
    assert!(lab.text(&["show", "probe-shapes"]).unwrap().contains("no result: at most 20 steps"));
    // All is known now: there is no second probe.
    lab.text(&["plan", file, "--estimate", "--probe"]).unwrap();
    assert_eq!(lab.json(&["list"]).unwrap()["sweeps"].as_array().unwrap().len(), 1);
}

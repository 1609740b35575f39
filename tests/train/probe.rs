//! A probe with real training: a few steps of each shape, and what they say about the whole.

use sweep_tests::chaos::find;

use crate::{lab, sweep};

#[test]
fn a_probe_measures_each_shape_and_leaves_nothing_to_fetch() {
    let dir = tempfile::tempdir().unwrap();
    let lab = lab(dir.path(), "probe");
    lab.wait_for_agent().unwrap();
    let file = dir.path().join("shapes.toml");
    std::fs::write(&file, sweep("shapes", "epochs = 50\nseeds = 2\n\n[grid]\nbatch_size = [8, 32]\n")).unwrap();
    let file = file.to_str().unwrap();
    let found = lab.json(&["plan", file, "--estimate", "--probe"]).unwrap();
    let shapes = found["shapes"].as_array().unwrap();
    assert_eq!(shapes.len(), 2, "{found}");
    for shape in shapes {
        let positive = |value: &serde_json::Value| value.as_f64().is_some_and(|value| value > 0.0);
        let seen = &shape["seen"];
        assert!(
            ["seconds", "startup", "step_ms", "images_per_s", "peak_memory"].iter().all(|of| positive(&seen[of])),
            "{shape}"
        );
        assert!(positive(&shape["cost"]["slot_hours"]) && positive(&shape["cost"]["eta_hours"]), "{shape}");
        assert!(shape["fit"]["trials"].as_u64().unwrap() <= shape["fit"]["slots"].as_u64().unwrap(), "{shape}");
    }
    let probe = lab.json(&["show", "probe-shapes"]).unwrap();
    let text = probe.to_string();
    assert!(text.contains("\"completed\":2"), "{text}");
    // What was not kept cannot be fetched.
    let trial = find(&probe, "trial").or_else(|| find(&probe, "id")).unwrap();
    let kept = lab.text(&["fetch", &trial, "-o", dir.path().join("w").to_str().unwrap()]);
    assert!(kept.is_err(), "{kept:?}");
}

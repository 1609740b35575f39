//! Several trials on one pretend GPU, with real processes: the first one is alone until its memory and its speed are
//! known, others come beside it while the sum fits and gains, and the history is legal.

use serde_json::Value;
use sweep_tests::process::{Lab, wait_for};

use crate::recovery::setup;

/// One GPU of 40 GB on which every trial holds 12 GB.
fn lab(dir: &std::path::Path, share: &str) -> Lab {
    let file = dir.join("devices.toml");
    let gpu = "[[device]]\nid = \"GPU-0\"\nmodel = \"NVIDIA A100\"\nmemory = \"40 GB\"\ntrial = \"12 GB\"\n";
    std::fs::write(&file, gpu).unwrap();
    let mut on = setup(&dir.join("lab"));
    on.slots = 0;
    on.agent_args.extend(["--devices", file.to_str().unwrap(), "--share", share].map(str::to_owned));
    let pretend = [("SWEEP_NOOP_EPOCHS", "recipe"), ("SWEEP_NOOP_EPOCH_MS", "200"), ("SWEEP_NOOP_SPEED", "1000")];
    on.env.extend(pretend.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let lab = Lab::start(on).unwrap();
    lab.wait_for_agent().unwrap();
    let spec = dir.join("shared.toml");
    std::fs::write(&spec, "name = \"shared\"\ndataset = \"none\"\nepochs = 25\nseeds = 7\n").unwrap();
    lab.text(&["submit", spec.to_str().unwrap()]).unwrap();
    lab
}

fn device(lab: &Lab) -> Value {
    lab.json(&["agents"]).unwrap()["agents"][0]["devices"][0].clone()
}

#[test]
fn trials_share_a_gpu_once_their_memory_and_speed_are_known() {
    let dir = tempfile::tempdir().unwrap();
    let lab = lab(dir.path(), "4");
    wait_for("the first trial", || (device(&lab)["given"] == 1000).then_some(())).unwrap();
    let queue = lab.text(&["queue"]).unwrap();
    assert!(queue.contains("needs a whole GPU"), "{queue}");
    // 13.2 GB with headroom are a third of the device: never four, although there are four slots.
    wait_for("three trials beside each other", || (device(&lab)["given"] == 993).then_some(())).unwrap();
    let devices = lab.text(&["agents", "--devices"]).unwrap();
    assert!(devices.contains("0.993") && devices.contains("a trial (12.0 GB)"), "{devices}");
    lab.text(&["watch", "shared", "--quiet"]).unwrap();
    let audit = lab.text(&["audit", "shared", "--json"]).unwrap().replace(' ', "");
    assert!(audit.contains("\"violations\":[]") && audit.contains("\"completed\":7"), "{audit}");
}

#[test]
fn one_switch_keeps_every_gpu_for_one_trial() {
    let dir = tempfile::tempdir().unwrap();
    let lab = lab(dir.path(), "1");
    wait_for("the first trial", || {
        (lab.json(&["agents"]).unwrap()["agents"][0]["slots"][0]["trial"].is_string()).then_some(())
    })
    .unwrap();
    let agents = lab.json(&["agents"]).unwrap();
    assert_eq!(
        (agents["agents"][0]["slots"].as_array().unwrap().len(), &device(&lab)["packed"]),
        (1, &Value::Bool(false))
    );
    lab.text(&["cancel", "shared"]).unwrap();
}

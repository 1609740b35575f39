//! Devices that others use, too, with real processes: a pretend GPU on which somebody else's process runs is named and
//! avoided until it has been free for a while; a slot that is drained or given back is left within seconds, uncharged;
//! one whose memory does not come back after a trial is not used again.

use std::path::Path;

use serde_json::Value;
use sweep_tests::process::{Lab, Setup, wait_for};

use crate::recovery::setup;

const ALICE: &str =
    "[[device.process]]\npid = 1\nuser = \"alice\"\ncommand = \"python train.py\"\nmemory = \"9.2 GB\"\n";

/// Two GPUs; the first with what is given.
fn devices(dir: &Path, first: &str) {
    let gpu = |number: u32, more: &str| {
        format!("[[device]]\nid = \"GPU-{number}\"\nmodel = \"NVIDIA A100\"\nmemory = \"40 GB\"\n{more}")
    };
    let beside = dir.join("devices.new");
    std::fs::write(&beside, gpu(0, first) + &gpu(1, "")).unwrap();
    std::fs::rename(beside, dir.join("devices.toml")).unwrap();
}

fn lab(dir: &Path, first: &str, epoch_ms: &str, more: &[&str]) -> Lab {
    devices(dir, first);
    let mut on: Setup = setup(&dir.join("lab"));
    on.slots = 2;
    on.agent_args.extend(["--devices".to_owned(), dir.join("devices.toml").display().to_string()]);
    on.agent_args.extend(more.iter().map(|word| (*word).to_owned()));
    on.env.push(("SWEEP_NOOP_EPOCH_MS".to_owned(), epoch_ms.to_owned()));
    let lab = Lab::start(on).unwrap();
    lab.wait_for_agent().unwrap();
    lab
}

fn submit(lab: &Lab, dir: &Path, name: &str, trials: u32) {
    let spec = dir.join(format!("{name}.toml"));
    let text = format!("name = \"{name}\"\ndataset = \"none\"\nepochs = 6\nseeds = {trials}\nmax_retries = 0\n");
    std::fs::write(&spec, text).unwrap();
    lab.text(&["submit", spec.to_str().unwrap()]).unwrap();
}

fn slots(lab: &Lab) -> Vec<Value> {
    lab.json(&["agents"]).unwrap()["agents"][0]["slots"].as_array().unwrap().clone()
}

/// Why a slot gets no trials.
fn why(lab: &Lab, slot: usize) -> String {
    slots(lab)[slot]["why"].as_str().unwrap_or_default().to_owned()
}

fn runs(lab: &Lab, slot: usize) -> bool {
    slots(lab)[slot]["trial"].is_string()
}

#[test]
fn a_process_of_others_is_named_and_avoided_until_it_has_been_gone_for_a_while() {
    let dir = tempfile::tempdir().unwrap();
    let lab = lab(dir.path(), ALICE, "300", &["--free-after", "2"]);
    let busy = "busy (alice, python train.py, 9.2 GB)";
    wait_for("alice to be seen", || (why(&lab, 0) == busy).then_some(())).unwrap();
    submit(&lab, dir.path(), "beside", 4);
    wait_for("a trial on the other GPU", || runs(&lab, 1).then_some(())).unwrap();
    let queue = lab.json(&["queue"]).unwrap();
    let told = queue["waiting"][0]["why"].as_str().unwrap().to_owned();
    assert!(told.contains(&format!("pretend-0:0 is {busy}")), "{told}");
    assert!(lab.text(&["agents", "--devices"]).unwrap().contains("alice, python train.py, 9.2 GB"));
    // While she is there, the trials run one after the other, beside her.
    lab.text(&["watch", "beside", "--quiet"]).unwrap();
    let trials = lab.json(&["show", "beside"]).unwrap();
    assert_eq!((&trials["summary"]["completed"], why(&lab, 0).as_str()), (&4.into(), busy), "{}", lab.logs());
    submit(&lab, dir.path(), "after", 40);
    devices(dir.path(), "");
    wait_for("a trial where she was", || runs(&lab, 0).then_some(())).unwrap();
    lab.text(&["cancel", "after"]).unwrap();
    let audit = lab.text(&["audit", "beside", "--json"]).unwrap().replace(' ', "");
    assert!(audit.contains("\"violations\":[]") && audit.contains("\"attempts\":4"), "{audit}");
}

#[test]
fn a_slot_that_is_given_back_or_drained_is_left_at_once_and_nothing_is_charged() {
    let dir = tempfile::tempdir().unwrap();
    let lab = lab(dir.path(), "", "400", &[]);
    submit(&lab, dir.path(), "polite", 3);
    wait_for("trials on both", || (runs(&lab, 0) && runs(&lab, 1)).then_some(())).unwrap();
    let said = lab.text(&["yield", "pretend-0:0", "--for", "1h", "--reason", "mine"]).unwrap();
    assert_eq!(said, "pretend-0:0 is given back for 1 h 00 min; 1 trial leaves\n");
    wait_for("the trial to leave", || (!runs(&lab, 0)).then_some(())).unwrap();
    assert!(why(&lab, 0).starts_with("yielded by ") && why(&lab, 0).ends_with(": mine"), "{}", why(&lab, 0));
    lab.text(&["drain", "pretend-0", "--reason", "new driver"]).unwrap();
    wait_for("the host to be empty", || (!runs(&lab, 0) && !runs(&lab, 1)).then_some(())).unwrap();
    let queue = lab.json(&["queue"]).unwrap();
    assert_eq!(queue["waiting"][0]["reason"], "closed", "{queue}");
    lab.text(&["undrain", "pretend-0"]).unwrap();
    // With no retry at all, every trial still comes to its end.
    lab.text(&["watch", "polite", "--quiet"]).unwrap();
    let shown = lab.json(&["show", "polite"]).unwrap();
    assert_eq!((&shown["summary"]["completed"], &shown["summary"]["failed"]), (&3.into(), &0.into()), "{shown}");
    let audit = lab.text(&["audit", "polite", "--json"]).unwrap().replace(' ', "");
    assert!(audit.contains("\"violations\":[]"), "{audit}");
}

#[test]
fn a_gpu_that_keeps_memory_after_a_trial_is_quarantined_and_the_result_is_not_lost() {
    let dir = tempfile::tempdir().unwrap();
    let lab = lab(dir.path(), "", "300", &["--release-timeout", "1"]);
    lab.text(&["cordon", "pretend-0:1"]).unwrap();
    submit(&lab, dir.path(), "leaves", 1);
    wait_for("the trial", || runs(&lab, 0).then_some(())).unwrap();
    devices(dir.path(), "used = \"5 GB\"\n");
    lab.text(&["watch", "leaves", "--quiet"]).unwrap();
    wait_for("the quarantine", || why(&lab, 0).starts_with("quarantined by system: 5.0 GB").then_some(())).unwrap();
    assert_eq!(lab.json(&["show", "leaves"]).unwrap()["summary"]["completed"], 1);
    devices(dir.path(), "");
    wait_for("the memory to be seen", || {
        let agents = lab.json(&["agents"]).ok()?;
        agents["agents"][0]["devices"][0]["fault"].is_null().then_some(())
    })
    .unwrap();
    lab.text(&["unquarantine", "pretend-0:0"]).unwrap();
    assert_eq!(why(&lab, 0), "");
}

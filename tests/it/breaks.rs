//! Five ways to hurt a search, of which Optuna 5.0.0 loses or repeats work in four (`benches/peers/optuna_breaks.py` does the same to it).
//! Real processes; the trainer trains nothing.

use std::fs::{File, metadata};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use sweep_tests::process::{Lab, wait_for};

use crate::recovery::setup;

/// Milliseconds of an epoch of a trial that something is done to in its middle, on a slow machine, too.
pub(crate) const SLOW: u32 = 200;

/// A lab whose trials pause for so long in each epoch.
pub(crate) fn lab(dir: &Path, agents: u32, pause_ms: u32) -> Lab {
    let mut setup = setup(dir);
    setup.slots = 1;
    setup.agent_args = vec!["--pretend".into(), agents.to_string()];
    let checkpoints = u32::from(pause_ms > 0);
    setup.env = vec![("SWEEP_NOOP_EPOCHS".into(), "recipe".into())];
    setup.env.push(("SWEEP_NOOP_EPOCH_MS".into(), pause_ms.to_string()));
    setup.env.push(("SWEEP_NOOP_CHECKPOINT".into(), checkpoints.to_string()));
    let lab = Lab::start(setup).unwrap();
    lab.wait_for_agent().unwrap();
    lab
}

/// Submits a sweep with so many learning rates and seeds.
pub(crate) fn submit(lab: &Lab, name: &str, rates: u32, seeds: u32, epochs: u32) {
    let rates: Vec<String> = (1..=rates).map(|number| format!("{number}e-4")).collect();
    let spec = lab.setup().dir.join(format!("{name}.toml"));
    let head =
        format!("name = \"{name}\"\ndataset = \"none\"\nmodel = \"cifar-cnn\"\nepochs = {epochs}\nseeds = {seeds}");
    let text = format!("{head}\n[grid]\nlr = [{}]\n", rates.join(", "));
    std::fs::write(&spec, text).unwrap();
    lab.text(&["submit", spec.to_str().unwrap()]).unwrap();
}

/// Waits for the end; every trial has to have ended exactly once.
pub(crate) fn audit(lab: &Lab, name: &str, trials: u64) -> Value {
    lab.text(&["watch", name, "--quiet"]).unwrap();
    let mut audit = lab.json(&["audit", name]).unwrap();
    // Of the whole journal, which goes on.
    audit["events"].take();
    assert_eq!(
        (&audit["exactly_once"], &audit["completed"]),
        (&true.into(), &trials.into()),
        "{audit}\n{}",
        lab.logs()
    );
    audit
}

/// The epoch that the only trial of a sweep has come to.
fn epoch(lab: &Lab, name: &str) -> u64 {
    let shown = lab.json(&["show", name, "--trials"]).unwrap();
    shown["trials"][0]["epoch"].as_u64().unwrap_or_default()
}

pub(crate) fn come_to(lab: &Lab, name: &str, least: u64) {
    wait_for("epochs", || (epoch(lab, name) >= least).then_some(())).unwrap();
}

/// A second agent, ended with the test.
struct Second(Child);

impl Drop for Second {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn second(lab: &Lab) -> Second {
    let setup = lab.setup();
    let mut command = Command::new(setup.bin.join("sweep-agent"));
    command.args(["--coordinator", &lab.url(), "--slots", "1", "--pretend", "1", "--trainer"]);
    command.arg(setup.bin.join(&setup.trainer)).arg("--state").arg(setup.dir.join("second"));
    command.arg("--cache").arg(setup.dir.join("cache")).envs(setup.env.iter().cloned());
    Second(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
}

fn signal(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), signal).unwrap();
}

/// Does something to a lab in the middle of a trial of 60 epochs: the same trial has to go on from its last checkpoint.
fn goes_on_after(what: impl FnOnce(&mut Lab)) {
    let dir = tempfile::tempdir().unwrap();
    let mut lab = lab(dir.path(), 1, SLOW);
    submit(&lab, "one", 1, 1, 60);
    come_to(&lab, "one", 10);
    what(&mut lab);
    let audit = audit(&lab, "one", 1);
    assert_eq!(audit["attempts"], 2, "the same trial, once more");
    assert!(audit["epochs"].as_u64().unwrap() <= 61, "more than one epoch was done again: {audit}");
}

pub(crate) fn kill_trainers(lab: &Lab) {
    lab.trainers().into_iter().for_each(|pid| lab.kill_process(pid));
}

#[test]
fn a_everything_of_a_host_killed_in_the_middle_of_a_trial() {
    goes_on_after(|lab| {
        lab.kill_agent();
        kill_trainers(lab);
        lab.start_agent().unwrap();
    });
}

#[test]
fn b_a_trainer_killed_in_the_middle_of_a_trial() {
    goes_on_after(|lab| kill_trainers(lab));
}

#[test]
fn c_an_agent_that_stands_still_until_its_trial_is_another_ones() {
    let dir = tempfile::tempdir().unwrap();
    let lab = lab(dir.path(), 1, SLOW);
    submit(&lab, "c", 1, 1, 60);
    come_to(&lab, "c", 10);
    let first = lab.agent_pid().unwrap();
    signal(first, Signal::STOP);
    let _second = second(&lab);
    // Its trainer goes on alone to an end that nobody hears of, and the trial runs to its end elsewhere.
    let done = audit(&lab, "c", 1);
    assert_eq!(done["attempts"], 2);
    signal(first, Signal::CONT);
    // Long enough for the first one to come back and take its part.
    submit(&lab, "after", 12, 1, 20);
    audit(&lab, "after", 12);
    assert_eq!(lab.agent_pid(), Some(first));
    assert_eq!(audit(&lab, "c", 1), done, "what the first one had to say changes nothing");
    let why = |agent: &Value| lab.text(&["why", agent["agent"].as_str().unwrap()]).unwrap();
    let agents = lab.json(&["agents"]).unwrap();
    for agent in agents["agents"].as_array().unwrap() {
        assert!(why(agent).contains("of after done"), "both work again: {agents}\n{}", why(agent));
    }
}

/// Waits until the agent has seen the whole journal, and nothing more is written.
fn told_of_everything(lab: &Lab) {
    let seen = lab.setup().dir.join("agent/pretend-0/seen.json");
    let seen = || serde_json::from_slice::<Value>(&std::fs::read(&seen).ok()?).ok();
    wait_for("an agent that has seen everything", || {
        // Its exit code says that the sweep is not over.
        let all = lab.ctl(&["audit", "d", "--json"]).ok()?.stdout;
        let all: Value = serde_json::from_slice(&all).ok()?;
        (seen()?["events"] == all["events"]).then_some(())
    })
    .unwrap();
}

#[test]
fn d_the_last_20_bytes_of_the_journal_are_lost() {
    let dir = tempfile::tempdir().unwrap();
    let mut lab = lab(dir.path(), 1, SLOW);
    submit(&lab, "d", 2, 1, 40);
    come_to(&lab, "d", 5);
    // Whatever the end of the log is, the agent has to have been told of it: the trainers stand still for that long.
    let trainers = lab.trainers();
    assert_eq!(trainers.len(), 1);
    trainers.into_iter().for_each(|pid| signal(pid, Signal::STOP));
    told_of_everything(&lab);
    submit(&lab, "late", 1, 1, 20);
    told_of_everything(&lab);
    lab.kill_coordinator();
    let log = dir.path().join("coordinator/sweep.db-wal");
    let length = metadata(&log).unwrap().len();
    assert!(length > 20, "{length}");
    File::options().write(true).open(&log).unwrap().set_len(length - 20).unwrap();
    lab.start_coordinator().unwrap();
    lab.trainers().into_iter().for_each(|pid| signal(pid, Signal::CONT));
    // What was lost had been acknowledged: the agent knows of it, so this is not passed over in silence.
    wait_for("safe mode", || {
        let words = lab.ctl(&["queue"]).unwrap().stderr;
        String::from_utf8_lossy(&words).contains("safe mode").then_some(())
    })
    .unwrap();
    lab.text(&["admin", "accept-rollback"]).unwrap();
    audit(&lab, "d", 2);
    submit(&lab, "late", 1, 1, 20);
    audit(&lab, "late", 1);
}

#[test]
fn e_sixteen_agents_do_eighty_trials_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let lab = lab(dir.path(), 16, 0);
    submit(&lab, "e", 16, 5, 20);
    let audit = audit(&lab, "e", 80);
    assert_eq!((&audit["attempts"], &audit["epochs"]), (&80.into(), &1600.into()), "nothing twice: {audit}");
}

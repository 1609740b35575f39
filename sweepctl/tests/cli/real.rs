//! `up` with the real coordinator and agent, where they have been built: the flags fit, the address
//! is found without being told, and a coordinator killed with SIGKILL loses nothing.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::offline::GRID;
use crate::ran::{command, finish, run, wait_until};

/// The program beside `sweepctl`, if it is there.
pub(crate) fn built(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_BIN_EXE_sweepctl")).with_file_name(name);
    path.is_file().then_some(path)
}

/// Ends `up` also when the test fails.
struct Up(Child);

impl Up {
    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.0.id().try_into().unwrap()).unwrap(), signal).unwrap();
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        if self.0.try_wait().is_ok_and(|ended| ended.is_none()) {
            self.signal(Signal::TERM);
            let _ = self.0.wait();
        }
    }
}

fn start(command: &mut Command) -> Up {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
    let mut address = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
    assert!(address.starts_with("http://127.0.0.1:"), "{address:?}");
    Up(child)
}

#[test]
fn up_runs_the_real_programs_and_a_killed_coordinator_comes_back_with_everything() {
    if built("sweep-coordinator").is_none() || built("sweep-agent").is_none() {
        println!("skipped: sweep-coordinator and sweep-agent are not built");
        return;
    }
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("grid.toml"), GRID).unwrap();
    let mut up = start(&mut command(home.path(), &["up", "--listen", "127.0.0.1:0", "--slots", "1"]));

    // No server is named: it is found by the file that the coordinator writes.
    let agents = run(home.path(), &["agents", "--json"]).expect(0).json();
    assert_eq!(agents["agents"][0]["status"], "reachable");
    run(home.path(), &["version"]).expect(0).says("coordinator");
    // Whoever cannot read the token is a stranger, also on this host.
    let folder = home.path().join(".local/state/sweep/coordinator");
    let address = std::fs::read_to_string(folder.join("address")).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    run(elsewhere.path(), &["list", "--server", address.trim()]).expect(0);
    std::fs::rename(folder.join("local-token"), folder.join("away")).unwrap();
    run(home.path(), &["list"]).expect(4).tells("local-token");
    std::fs::rename(folder.join("away"), folder.join("local-token")).unwrap();
    run(home.path(), &["submit", "grid.toml"]).expect(2).tells("[dataset_unknown]");
    let submitted = run(home.path(), &["submit", "grid.toml", "--queue-anyway"]).expect(0);
    let plan = run(home.path(), &["plan", "grid.toml", "--json"]).expect(0).json();
    let show = run(home.path(), &["show", "imagenette-first", "--json"]).expect(0).json();
    let ids = |value: &serde_json::Value| -> Vec<String> {
        let trials = value["trials"].as_array().unwrap().iter();
        trials.map(|trial| trial["trial"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(&plan), ids(&show), "the plan shows the very ids that run");

    let state = home.path().join(".local/state/sweep");
    let pid = || std::fs::read_to_string(state.join("run/coordinator.pid")).unwrap();
    let before = pid();
    let raw = before.split(' ').next().unwrap().parse().unwrap();
    kill_process(Pid::from_raw(raw).unwrap(), Signal::KILL).unwrap();
    let is_back = || pid() != before && run(home.path(), &["list"]).code == Some(0);
    wait_until("the coordinator comes back", || is_back().then_some(()));
    let again = run(home.path(), &["submit", "grid.toml", "--queue-anyway"]).expect(0).tells("submitted before");
    assert_eq!(again.out, submitted.out);
    run(home.path(), &["cancel", "imagenette-first"]).expect(0).says("72 trials");
    run(home.path(), &["watch", "imagenette-first"]).expect(6).tells("72 trials cancelled");
    run(home.path(), &["audit", "imagenette-first"]).expect(6).says("72 planned").says("no lease overlapped");
    run(home.path(), &["retry", "imagenette-first", "--cancelled"]).expect(0).says("72 trials");
    run(home.path(), &["report", "imagenette-first"]).expect(0).says("no trial has a result yet");
    finish(&mut command(home.path(), &["up", "--listen", "127.0.0.1:0"])).expect(0).tells("already running");

    up.signal(Signal::INT);
    assert_eq!(up.0.wait().unwrap().code(), Some(0));
    run(home.path(), &["list"]).expect(5);
}

#[test]
fn verify_resume_kills_a_real_trainer_and_finds_the_same_bits() {
    let (Some(images), Some(_)) = (built("sweep-demo-images"), built("sweep-trainer")) else {
        println!("skipped: sweep-trainer and sweep-demo-images are not built");
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    assert!(Command::new(images).arg(data.join("demo")).stdout(Stdio::null()).status().unwrap().success());
    let spec = "name = \"v\"\ndataset = \"demo\"\nmodel = \"cifar-cnn\"\nimage_size = 32\nepochs = 2\ndropout = 0.2\n";
    std::fs::write(home.path().join("v.toml"), spec).unwrap();
    let verify = |more: &[&str]| run(home.path(), &[&["verify-resume", "v.toml", "--data", "data"], more].concat());
    verify(&["--kills", "2"]).expect(0).says("the same bits after 2 kills").tells("straight: 2 epochs");
    verify(&["--trial", "9"]).expect(2).tells("the plan has 1");
    verify(&["--device", "cuda:77"]).expect(1).tells("device_unavailable");
}

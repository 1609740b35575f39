//! A benchmark that is interrupted leaves nothing behind.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use sweep_tests::process::{built, wait_for};

/// Processes that have this folder on their command line.
fn at_work(folder: &Path) -> Vec<String> {
    let lines = fs::read_dir("/proc").unwrap().flatten();
    let lines = lines.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines.filter(|line| line.contains(folder.to_str().unwrap()) && !line.contains("sweep-bench")).collect()
}

#[test]
fn an_interrupted_benchmark_takes_what_it_started_with_it() {
    let bin = built().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(bin.join("sweep-bench"));
    command.args(["dispatch", "--processes", "--process-trials", "100000", "--dir"]).arg(folder.path());
    // In a group of its own nobody but the benchmark hears of it.
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let mut bench = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for("the coordinator and two agents", || (at_work(folder.path()).len() >= 3).then_some(())).unwrap();
    kill_process(Pid::from_child(&bench), Signal::TERM).unwrap();
    assert_eq!(bench.wait().unwrap().code(), Some(143));
    wait_for("nobody is at work", || at_work(folder.path()).is_empty().then_some(())).unwrap();
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().flatten().map(|entry| entry.path()).collect();
    assert!(left.is_empty(), "{left:?}");
}

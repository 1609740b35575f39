//! The real program on an attempt folder, as the agent runs it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use sweep_core::attempt::{Body, EVENTS_FILE, Line, ORDER_FILE, OrderFile};

use super::Bench;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_sweep-trainer");
const BOUND: Duration = Duration::from_secs(60);

pub(crate) fn attempt(bench: &Bench, name: &str, order: &OrderFile) -> PathBuf {
    let folder = bench.path(name);
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join(ORDER_FILE), serde_json::to_vec(order).unwrap()).unwrap();
    folder
}

pub(crate) fn start(folder: &Path) -> Child {
    let log = File::create(folder.join("log.txt")).unwrap();
    Command::new(PROGRAM).arg(folder).stdout(Stdio::null()).stderr(log).spawn().unwrap()
}

pub(crate) fn lines(folder: &Path) -> Vec<Body> {
    let text = fs::read_to_string(folder.join(EVENTS_FILE)).unwrap_or_default();
    let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    whole
        .map(|line| serde_json::from_str::<Line>(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .map(|line| line.body)
        .collect()
}

pub(crate) fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < BOUND, "{what} did not happen in {BOUND:?}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

pub(crate) fn end(child: &mut Child) -> ExitStatus {
    wait_for("the end of the trainer", || child.try_wait().unwrap().is_some());
    child.wait().unwrap()
}

pub(crate) fn signal(child: &Child, name: &str) {
    let done = Command::new("kill").args([format!("-{name}"), child.id().to_string()]).status().unwrap();
    assert!(done.success());
}

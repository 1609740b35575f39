//! A fake coordinator and a real agent process.

pub(crate) mod fake;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use sweep_agent::launcher::scan;
use sweep_core::id::Lease;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

pub(crate) use fake::Fake;

/// How long a test waits for something that must happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// One host.
pub(crate) struct Host {
    pub(crate) fake: Fake,
    pub(crate) folder: tempfile::TempDir,
    url: String,
    trainer: PathBuf,
    vars: Vec<(&'static str, String)>,
    agent: Option<Child>,
    server: JoinHandle<()>,
}

impl Host {
    /// A host whose no-op trainers behave as the variables say.
    pub(crate) async fn new(vars: &[(&'static str, &str)]) -> Self {
        let (fake, address, server) = Fake::serve().await;
        Self {
            fake,
            folder: tempfile::tempdir().unwrap(),
            url: format!("http://{address}"),
            trainer: env!("CARGO_BIN_EXE_sweep-noop-trainer").into(),
            vars: vars.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
            agent: None,
            server,
        }
    }

    /// A host whose trainer is a shell script; `$1` is the attempt folder.
    pub(crate) async fn with_script(script: &str) -> Self {
        let mut host = Self::new(&[]).await;
        host.trainer = host.folder.path().join("trainer");
        program(&host.trainer, &format!("#!/bin/sh\n{script}\n"));
        host
    }

    pub(crate) fn use_trainer(&mut self, trainer: &Path) {
        self.trainer = trainer.into();
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sweep-agent"));
        command
            .args([
                "--coordinator",
                &self.url,
                "--pretend",
                "1",
                "--slots",
                "1",
                "--grace",
                "2",
                "--stall-limit",
                "2",
                "--state",
            ])
            .arg(self.folder.path().join("state"))
            .arg("--cache")
            .arg(self.folder.path().join("cache"))
            .arg("--trainer")
            .arg(&self.trainer)
            .envs(self.vars.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stderr(self.log())
            .kill_on_drop(true);
        command
    }

    fn log(&self) -> fs::File {
        let path = self.folder.path().join("agent.log");
        fs::File::options().append(true).create(true).open(path).unwrap()
    }

    pub(crate) fn start_agent(&mut self) {
        self.agent = Some(self.command().spawn().unwrap());
    }

    pub(crate) async fn signal_agent(&mut self, signal: Signal) {
        let mut agent = self.agent.take().unwrap();
        kill_process(Pid::from_raw(agent.id().unwrap() as i32).unwrap(), signal).unwrap();
        agent.wait().await.unwrap();
    }

    /// The agent's folder.
    pub(crate) fn state(&self) -> PathBuf {
        self.folder.path().join("state/pretend-0")
    }

    pub(crate) fn attempts(&self) -> PathBuf {
        self.state().canonicalize().unwrap().join("attempts")
    }

    pub(crate) fn pids(&self, lease: Lease) -> Vec<Pid> {
        scan::of(&self.attempts(), lease)
    }

    pub(crate) fn signal_trainer(&self, lease: Lease, signal: Signal) {
        let pids = self.pids(lease);
        assert!(!pids.is_empty(), "no process of {lease}");
        scan::signal(&pids, signal);
    }

    /// Waits until `look` says yes. Files and processes do not tell when they change, so it looks
    /// again and again.
    pub(crate) async fn until(&self, what: &str, mut look: impl FnMut() -> bool) {
        let looking = async {
            while !look() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        if tokio::time::timeout(PATIENCE, looking).await.is_err() {
            let log = fs::read_to_string(self.folder.path().join("agent.log")).unwrap();
            panic!("not within {PATIENCE:?}: {what}; agent's log:\n{log}");
        }
    }

    /// Nothing is left: no folder, no process.
    pub(crate) async fn is_clean(&self) {
        let attempts = self.attempts();
        self.until("no attempt folder is left", || fs::read_dir(&attempts).unwrap().next().is_none()).await;
        assert!(scan::all(&attempts).is_empty(), "a process is left");
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.server.abort();
        if let Ok(state) = self.state().canonicalize() {
            for found in scan::all(&state.join("attempts")).into_values() {
                scan::signal(&found.pids, Signal::KILL);
            }
        }
    }
}

/// Writes a program. A process of its own holds the file open while it is written: a descriptor of this
/// process could be inherited by whatever another test starts just then, and the program be "busy".
fn program(path: &std::path::Path, text: &str) {
    use std::io::Write;
    let mut shell = std::process::Command::new("/bin/sh");
    shell.args(["-c", "cat > \"$1\" && chmod 755 \"$1\"", "sh"]).arg(path).stdin(std::process::Stdio::piped());
    let mut shell = shell.spawn().unwrap();
    shell.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(shell.wait().unwrap().success());
}

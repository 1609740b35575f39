//! A program that `up` looks after: started by this `up`, or by an earlier one that was killed.
//! A process is known by its pid and its start time, so that a reused pid is never taken for it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use crate::fault::Fault;

/// A log longer than this is put aside when its program starts, bytes.
const LONGEST_LOG: u64 = 16 << 20;
/// No more of a log is read for its last lines, bytes.
const LONGEST_WORDS: u64 = 1 << 20;
/// How often an adopted process is looked at: nobody tells when it ends.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How a program is started and where it leaves its traces.
#[derive(Debug)]
pub(super) struct Recipe {
    /// Its name, for people.
    pub(super) name: &'static str,
    /// The executable.
    pub(super) path: PathBuf,
    /// What it is told.
    pub(super) arguments: Vec<std::ffi::OsString>,
    /// Where its words go.
    pub(super) log: PathBuf,
    /// Where pid and start time are written.
    pub(super) pid_file: PathBuf,
}

/// A running program.
#[derive(Debug)]
pub(super) struct Process {
    pid: i32,
    started: u64,
    /// Length of its log when it was started.
    log_from: u64,
    /// Absent for a process of an earlier `up`.
    child: Option<Child>,
}

impl Recipe {
    /// Starts it in a process group of its own, so that Ctrl-C reaches `up` alone, which then stops it in order.
    pub(super) fn start(&self) -> Result<Process, Fault> {
        let disk = |what, path: &Path| {
            let path = path.to_owned();
            move |source| Fault::Disk { what, path, source }
        };
        let log = self.open_log().map_err(disk("write the log", &self.log))?;
        let log_from = log.metadata().map_err(disk("read the log", &self.log))?.len();
        let errors = log.try_clone().map_err(disk("write the log", &self.log))?;
        let mut command = Command::new(&self.path);
        command.args(&self.arguments).stdin(Stdio::null()).stdout(log).stderr(errors).process_group(0);
        let run = |source| Fault::Program { path: self.path.clone(), source };
        let child = command.spawn().map_err(run)?;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).unwrap_or_default();
        let started = start_time(pid).unwrap_or_default();
        let partial = self.pid_file.with_extension("tmp");
        fs::write(&partial, format!("{pid} {started}\n")).map_err(disk("write", &partial))?;
        fs::rename(&partial, &self.pid_file).map_err(disk("write", &self.pid_file))?;
        Ok(Process { pid, started, log_from, child: Some(child) })
    }

    /// The process that an earlier `up` left, if it still runs.
    pub(super) fn adopt(&self) -> Option<Process> {
        let text = fs::read_to_string(&self.pid_file).ok()?;
        let (pid, started) = text.trim().split_once(' ')?;
        let (pid, started) = (pid.parse().ok()?, started.parse().ok()?);
        let process = Process { pid, started, log_from: 0, child: None };
        process.is_alive().then_some(process)
    }

    /// The last lines that `process` wrote to its log, without what only its developers understand.
    pub(super) fn last_words(&self, process: &Process, lines: usize) -> Vec<String> {
        let read = || -> io::Result<String> {
            let mut file = File::open(&self.log)?;
            file.seek(SeekFrom::Start(process.log_from))?;
            let mut bytes = Vec::new();
            file.take(LONGEST_WORDS).read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        let text = read().unwrap_or_default();
        let text = anstream::adapter::strip_str(&text).to_string();
        let plain = text.lines().take_while(|line| !line.to_lowercase().contains("stack backtrace:"));
        let all: Vec<String> = plain.filter(|line| !line.trim().is_empty()).map(str::to_owned).collect();
        all[all.len().saturating_sub(lines)..].to_vec()
    }

    fn open_log(&self) -> io::Result<File> {
        if fs::metadata(&self.log).is_ok_and(|log| log.len() > LONGEST_LOG) {
            fs::rename(&self.log, self.log.with_extension("log.1"))?;
        }
        OpenOptions::new().create(true).append(true).open(&self.log)
    }
}

impl Process {
    /// Comes back when it has ended; with its status if it was started here.
    pub(super) async fn ended(&mut self) -> Option<ExitStatus> {
        if let Some(child) = &mut self.child {
            return child.wait().await.ok();
        }
        while self.is_alive() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        None
    }

    /// Whether it has ended by now, and how.
    pub(super) fn has_ended(&mut self) -> Option<Option<ExitStatus>> {
        match &mut self.child {
            Some(child) => child.try_wait().ok().flatten().map(Some),
            None => (!self.is_alive()).then_some(None),
        }
    }

    /// Asks it to end.
    pub(super) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Ends it.
    pub(super) fn kill(&self) {
        self.signal(Signal::KILL);
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = Pid::from_raw(self.pid).filter(|_| self.is_alive()) {
            // It may have ended a moment ago; that is what was wanted.
            let _ = kill_process(pid, signal);
        }
    }

    fn is_alive(&self) -> bool {
        start_time(self.pid).is_some_and(|started| started == self.started)
    }
}

/// When a process started, in clock ticks since boot; nothing for one that has ended.
fn start_time(pid: i32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may contain anything, also parentheses.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_process_is_adopted_by_pid_and_start_time() {
        let folder = tempfile::tempdir().unwrap();
        let recipe = Recipe {
            name: "sleep",
            path: "/bin/sleep".into(),
            arguments: vec!["600".into()],
            log: folder.path().join("log"),
            pid_file: folder.path().join("pid"),
        };
        let mut own = recipe.start().unwrap();
        assert!(own.has_ended().is_none());
        let adopted = recipe.adopt().unwrap();
        fs::write(&recipe.pid_file, format!("{} {}\n", own.pid, own.started + 1)).unwrap();
        assert!(recipe.adopt().is_none());
        adopted.terminate();
        assert!(!own.ended().await.unwrap().success());
        assert!(!adopted.is_alive());
    }
}

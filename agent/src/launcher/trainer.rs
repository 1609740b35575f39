//! One trainer process as seen by the agent: its lines, its log, its end. Own children are waited
//! for; a trainer of the agent's earlier life is nobody's child and is looked for.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rustix::process::{Pid, kill_process_group, test_kill_process_group};
use sweep_core::attempt::{ALIVE_FILE, EVENTS_FILE};
use sweep_core::id::Lease;
use tokio::process::Child;
use tokio::time::{Interval, MissedTickBehavior, interval_at};

use super::stall::Stall;
use super::{Exit, ExitKind, News, Signal, Trainer, scan};
use crate::devices::{Devices, Release};
use crate::tail::{Tail, TailError};

/// How often files are looked at while a trainer runs.
const LOOK: Duration = Duration::from_millis(100);
/// Every so many looks the log is read.
const LOG_EVERY: u32 = 10;
/// Most log bytes read at once: a flood costs its middle, never the training.
const LOG_AT_ONCE: u64 = 256 << 10;
/// Most log bytes behind which reading goes on from the end.
const LOG_BEHIND: u64 = 1 << 20;
/// The signal of kernels out of memory and of people in a hurry.
const SIGKILL: i32 = 9;
/// Log bytes that go into the message of a crash.
const LAST_WORDS: u64 = 2 << 10;

/// The process behind a trainer.
pub(super) enum Body {
    /// A child of this agent and leader of its own group.
    Own {
        /// The child.
        child: Child,
        /// Its group.
        group: Option<Pid>,
    },
    /// Started by an earlier life of this agent.
    Found {
        /// Where attempts are.
        attempts: PathBuf,
        /// Its processes as last seen.
        pids: Vec<Pid>,
        /// The host was started again since.
        rebooted: bool,
        /// It is alive without any process that can be seen: somebody else holds its lock.
        foreign: bool,
    },
}

impl Body {
    pub(super) fn own(child: Child) -> Self {
        let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        Self::Own { child, group }
    }

    pub(super) fn found(attempts: PathBuf, lease: Lease, folder: &Path, rebooted: bool) -> Self {
        let pids = scan::of(&attempts, lease);
        let foreign = pids.is_empty() && !lock_is_free(folder);
        Self::Found { attempts, pids, rebooted, foreign }
    }
}

/// A trainer process and its folder.
pub(super) struct ProcessTrainer {
    body: Body,
    lease: Lease,
    folder: PathBuf,
    tail: Tail,
    log: File,
    log_offset: u64,
    looks: u32,
    tick: Interval,
    /// Whether it gets on.
    stall: Stall,
    /// It was killed because it did not.
    stalled: Option<ExitKind>,
    /// Why its events cannot be read on.
    corrupt: Option<String>,
    /// The kernel's count of processes killed for lack of memory, when this one was first looked at.
    memory_kills: Option<u64>,
    /// The device it was on, if that is looked at.
    device: Option<(Devices, String)>,
    /// When nothing was left of it on the host.
    gone: Option<std::time::Instant>,
}

impl ProcessTrainer {
    pub(super) fn new(
        body: Body,
        lease: Lease,
        folder: PathBuf,
        log: File,
        device: Option<(Devices, String)>,
        stall_limit: Option<Duration>,
    ) -> Self {
        let stall = Stall::new(&folder, stall_limit);
        let mut tick = interval_at(tokio::time::Instant::now() + LOOK, LOOK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            body,
            lease,
            tail: Tail::new(folder.join(EVENTS_FILE)),
            folder,
            log,
            log_offset: 0,
            looks: 0,
            tick,
            stall,
            stalled: None,
            corrupt: None,
            memory_kills: None,
            device,
            gone: None,
        }
    }

    async fn wait(&mut self) -> News {
        loop {
            // The end of a found trainer is looked for before its lines are read, so that lines
            // written just before the end are seen with it.
            let ended = match &mut self.body {
                Body::Own { child, .. } => tokio::select! {
                    biased;
                    status = child.wait() => Some(match status {
                        Ok(status) => match (status.code(), status.signal()) {
                            (Some(code), _) => ExitKind::Code(code),
                            (None, Some(SIGKILL)) if self.memory_kills < memory_kills() && self.looks > 0 => {
                                ExitKind::OutOfMemory
                            }
                            (None, number) => ExitKind::Signal(number.unwrap_or_default()),
                        },
                        Err(error) => {
                            tracing::error!(lease = %self.lease, %error, "cannot wait for the trainer");
                            ExitKind::Vanished
                        }
                    }),
                    _ = self.tick.tick() => None,
                },
                Body::Found { .. } => {
                    let ended = self.found_end();
                    if ended.is_none() {
                        self.tick.tick().await;
                    }
                    ended
                }
            };
            if let Some(how) = ended {
                return self.gone(how);
            }
            if self.looks == 0 {
                self.memory_kills = memory_kills();
            }
            self.looks += 1;
            let lines = self.tail.read();
            let lines = self.checked(lines);
            if !lines.is_empty() {
                self.stall.heard();
                return News::Lines(lines);
            }
            self.end_if_stalled();
            if self.looks.is_multiple_of(LOG_EVERY)
                && let Some((offset, text)) = self.read_log()
            {
                return News::Log { offset, text };
            }
        }
    }

    /// How a found trainer ended, if it did.
    fn found_end(&mut self) -> Option<ExitKind> {
        let Body::Found { attempts, pids, rebooted, foreign } = &mut self.body else {
            return None;
        };
        pids.retain(|pid| rustix::process::test_kill_process(*pid).is_ok());
        // A number may have been given to another process meanwhile; the mark tells.
        if !pids.is_empty() && self.looks.is_multiple_of(LOG_EVERY) {
            *pids = scan::of(attempts, self.lease);
        }
        if *foreign {
            *foreign = !lock_is_free(&self.folder);
        }
        let ended = pids.is_empty() && !*foreign;
        let how = if *rebooted { ExitKind::Rebooted } else { ExitKind::Vanished };
        ended.then_some(how)
    }

    fn gone(&mut self, how: ExitKind) -> News {
        let lines = match self.corrupt {
            None => self.tail.finish(),
            Some(_) => Ok(Vec::new()),
        };
        let lines = self.checked(lines);
        let how = self.stalled.take().unwrap_or(how);
        let how = match how {
            // It may have had no room to say so.
            ExitKind::Code(code) if code != 0 && is_full(&self.folder) => ExitKind::NoRoom(code),
            how => how,
        };
        let how = self.corrupt.take().map_or(how, ExitKind::Corrupt);
        let exit = Exit { how, words: self.last_words() };
        News::Gone { lines, exit }
    }

    /// A trainer whose events cannot be read must not train on.
    fn checked(&mut self, lines: Result<Vec<sweep_core::attempt::Line>, TailError>) -> Vec<sweep_core::attempt::Line> {
        lines.unwrap_or_else(|error| {
            if self.corrupt.is_none() {
                self.corrupt = Some(error.to_string());
                self.signal(Signal::Kill);
            }
            Vec::new()
        })
    }

    /// A trainer that hangs keeps its slot from others.
    fn end_if_stalled(&mut self) {
        if self.stalled.is_some() {
            return;
        }
        let Some(quiet) = self.stall.look(std::time::Instant::now()) else { return };
        let state = match &self.body {
            Body::Own { child, .. } => child.id().and_then(scan::state),
            Body::Found { pids, .. } => pids.first().and_then(|pid| scan::state(pid.as_raw_nonzero().get() as u32)),
        };
        tracing::warn!(lease = %self.lease, ?quiet, ?state, "the trainer gets no further and is killed");
        self.stalled = Some(ExitKind::Stalled { quiet, state });
        self.signal(Signal::Kill);
    }

    fn read_log(&mut self) -> Option<(u64, Bytes)> {
        let length = self.log.metadata().ok()?.len();
        if length <= self.log_offset {
            return None;
        }
        if length - self.log_offset > LOG_BEHIND {
            self.log_offset = length - LOG_AT_ONCE;
        }
        let mut text = vec![0; (length - self.log_offset).min(LOG_AT_ONCE) as usize];
        let read = self.log.read_at(&mut text, self.log_offset).ok()?;
        text.truncate(read);
        let offset = self.log_offset;
        self.log_offset += read as u64;
        (read > 0).then(|| (offset, text.into()))
    }

    fn last_words(&self) -> String {
        let length = self.log.metadata().map_or(0, |metadata| metadata.len());
        let from = length.saturating_sub(LAST_WORDS);
        let mut text = vec![0; (length - from) as usize];
        let read = self.log.read_at(&mut text, from).unwrap_or_default();
        text.truncate(read);
        String::from_utf8_lossy(&text).trim().to_owned()
    }
}

impl Trainer for ProcessTrainer {
    fn news(&mut self) -> BoxFuture<'_, News> {
        self.wait().boxed()
    }

    fn signal(&mut self, signal: Signal) {
        let signal = match signal {
            Signal::Stop => rustix::process::Signal::TERM,
            Signal::Kill => rustix::process::Signal::KILL,
        };
        match &mut self.body {
            Body::Own { child, group } => {
                let Some(group) = *group else { return };
                // After its leader was waited for, only a group that still has members is ours.
                if child.id().is_some() || scan::group_lives(group) {
                    kill_process_group(group, signal).ok();
                }
                if signal == rustix::process::Signal::KILL && child.id().is_none() {
                    scan::signal(&scan::of(&root(&self.folder), self.lease), signal);
                }
            }
            Body::Found { attempts, pids, .. } => {
                *pids = scan::of(attempts, self.lease);
                scan::signal(pids, signal);
            }
        }
    }

    fn is_released(&mut self) -> bool {
        let group_is_gone = match &self.body {
            Body::Own { group, .. } => {
                group.is_none_or(|group| test_kill_process_group(group).is_err() || !scan::group_lives(group))
            }
            Body::Found { attempts, .. } => scan::of(attempts, self.lease).is_empty(),
        };
        if !group_is_gone || !lock_is_free(&self.folder) {
            return false;
        }
        let since = *self.gone.get_or_insert_with(std::time::Instant::now);
        let device = self.device.as_ref();
        device.is_none_or(|(devices, device)| devices.release(device, since) != Release::Wait)
    }

    fn rest_of_log(&mut self) -> Option<(u64, Bytes)> {
        // One piece only: of much, the end says most.
        let length = self.log.metadata().ok()?.len();
        self.log_offset = self.log_offset.max(length.saturating_sub(LOG_AT_ONCE));
        self.read_log()
    }
}

fn root(folder: &Path) -> PathBuf {
    folder.parent().map(Path::to_path_buf).unwrap_or_default()
}

/// How many processes the kernel has killed for lack of memory since it started.
fn memory_kills() -> Option<u64> {
    let counters = std::fs::read_to_string("/proc/vmstat").ok()?;
    counters.lines().find_map(|line| line.strip_prefix("oom_kill "))?.trim().parse().ok()
}

/// Whether nobody holds the lock that says a trainer lives. Asks for a shared lock for a moment, so
/// it is asked only when no trainer can be about to take it.
fn lock_is_free(folder: &Path) -> bool {
    match File::open(folder.join(ALIVE_FILE)) {
        Ok(file) => file.try_lock_shared().is_ok(),
        Err(_) => true,
    }
}

/// Whether nothing more can be written to the disk that a folder is on.
fn is_full(folder: &Path) -> bool {
    rustix::fs::statvfs(folder).is_ok_and(|disk| disk.f_blocks > 0 && disk.f_bavail == 0)
}

//! The tie between a trainer and its attempt folder: the lock that says it lives, the lines it
//! appends, the stop flag that SIGTERM and the watchdog set. What the lines say is left to `run`.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sweep_core::attempt::{ALIVE_FILE, Body, EVENTS_FILE, Line, ORDER_FILE, OrderFile, PROTOCOL, StopCause, WAIT_FILE};

use crate::error::{OrderError, TrainError};
use crate::log::say;
use crate::room::wait_for_room;

/// How often a trainer that waits looks whether it may go on.
const WAIT_LOOK: Duration = Duration::from_millis(20);
/// How often the watchdog looks at the agent's lock.
const LOOK: Duration = Duration::from_millis(500);

/// Set when a trial shall end before its time; cheap to clone and to ask.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    asked: Arc<AtomicBool>,
    orphaned: Arc<AtomicBool>,
    looks: Arc<AtomicU64>,
}

impl Stop {
    /// Asks for the stop, as SIGTERM does.
    pub fn ask(&self) {
        self.asked.store(true, Ordering::Relaxed);
    }

    /// How often it was asked: whoever asks gets on.
    pub fn asked_so_often(&self) -> u64 {
        self.looks.load(Ordering::Relaxed)
    }

    /// Why the trial shall end, if it shall.
    pub fn cause(&self) -> Option<StopCause> {
        self.looks.fetch_add(1, Ordering::Relaxed);
        if self.asked.load(Ordering::Relaxed) {
            Some(StopCause::Asked)
        } else if self.orphaned.load(Ordering::Relaxed) {
            Some(StopCause::Orphaned)
        } else {
            None
        }
    }

    /// [`TrainError::Stopped`] if the trial shall end.
    pub fn check(&self) -> Result<(), TrainError> {
        match self.cause() {
            Some(_) => Err(TrainError::Stopped),
            None => Ok(()),
        }
    }

    /// Sleeps for `time`, or shorter if the trial shall end.
    pub fn pause(&self, time: Duration) -> Result<(), TrainError> {
        let end = Instant::now() + time;
        loop {
            self.check()?;
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(Duration::from_millis(100)));
        }
    }

    /// Sets this flag on SIGTERM and SIGINT.
    pub fn on_signals(&self) -> io::Result<()> {
        for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
            signal_hook::flag::register(signal, Arc::clone(&self.asked))?;
        }
        Ok(())
    }

    /// Starts the watchdog: once `agent_lock` has been free for `limit`, nobody waits for this
    /// trainer any more and the flag is set.
    pub fn watch_agent(&self, agent_lock: PathBuf, limit: Duration) -> io::Result<()> {
        let stop = self.clone();
        std::thread::Builder::new().name("watchdog".into()).spawn(move || {
            let mut free_since = None::<Instant>;
            loop {
                if is_free(&agent_lock) {
                    let since = *free_since.get_or_insert_with(Instant::now);
                    if since.elapsed() >= limit {
                        say("no agent for too long, leaving");
                        stop.orphaned.store(true, Ordering::Relaxed);
                        return;
                    }
                } else {
                    free_since = None;
                }
                std::thread::sleep(LOOK.min(limit.max(Duration::from_millis(10))));
            }
        })?;
        Ok(())
    }
}

/// Waits for as long as the agent says in `folder` that no epoch after `epoch` is to be trained yet.
///
/// # Errors
/// When the trial shall end.
pub fn wait_after(epoch: u32, folder: &Path, stop: &Stop) -> Result<(), TrainError> {
    let waits = || wait_of(folder).is_some_and(|last| epoch >= last);
    if !waits() {
        return Ok(());
    }
    let began = Instant::now();
    while waits() {
        stop.pause(WAIT_LOOK)?;
    }
    say(format_args!("goes on after epoch {epoch}, {:.2} s later", began.elapsed().as_secs_f64()));
    Ok(())
}

/// Whatever is not a number says nothing: the trial goes on.
fn wait_of(folder: &Path) -> Option<u32> {
    fs::read_to_string(folder.join(WAIT_FILE)).ok()?.trim().parse().ok()
}

/// Whether nobody holds `lock` exclusively. Asks for a shared lock for a moment only.
fn is_free(lock: &Path) -> bool {
    match File::open(lock) {
        Ok(file) => !matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)),
        Err(_) => true,
    }
}

/// Why a trainer will not touch an attempt folder at all. Nothing is written then.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Not a folder that can be used.
    #[error("cannot use {path:?}: {source}")]
    Folder {
        /// The file inside it that was needed.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Another trainer lives in it.
    #[error("{0:?} has a living trainer")]
    Taken(PathBuf),
    /// It has lines of an earlier trainer.
    #[error("{0:?} was already begun; every attempt needs a folder of its own")]
    Begun(PathBuf),
}

/// An attempt folder that belongs to this process for as long as this value lives.
#[derive(Debug)]
pub struct Link {
    folder: PathBuf,
    events: File,
    length: u64,
    _alive: File,
}

impl Link {
    /// Locks `folder`. Refuses a folder that is taken or has lines already.
    pub fn open(folder: &Path) -> Result<Self, Refusal> {
        let fail = |name: &str| {
            let path = folder.join(name);
            move |source| Refusal::Folder { path, source }
        };
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        let alive = options.open(folder.join(ALIVE_FILE)).map_err(fail(ALIVE_FILE))?;
        match alive.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Refusal::Taken(folder.into())),
            Err(TryLockError::Error(source)) => return Err(fail(ALIVE_FILE)(source)),
        }
        let events = options.open(folder.join(EVENTS_FILE)).map_err(fail(EVENTS_FILE))?;
        let length = events.metadata().map_err(fail(EVENTS_FILE))?.len();
        if length > 0 {
            return Err(Refusal::Begun(folder.into()));
        }
        Ok(Self { folder: folder.to_path_buf(), events, length, _alive: alive })
    }

    /// The attempt folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Reads the order. An order of another protocol is told from a broken one.
    pub fn order(&self) -> Result<OrderFile, OrderError> {
        #[derive(serde::Deserialize)]
        struct Head {
            protocol: u64,
        }
        let text = fs::read(self.folder.join(ORDER_FILE))?;
        let Head { protocol } = serde_json::from_slice(&text)?;
        if protocol != u64::from(PROTOCOL) {
            return Err(OrderError::Version { theirs: protocol, ours: PROTOCOL });
        }
        Ok(serde_json::from_slice(&text)?)
    }

    /// Appends one line with one write; a full disk is waited out, and a torn line is taken back.
    pub fn emit(&mut self, body: Body, stop: &Stop) -> Result<(), TrainError> {
        let line = Line { work: 0, body };
        let mut text = serde_json::to_vec(&line).map_err(|error| TrainError::Emit(error.into()))?;
        text.push(b'\n');
        let (events, length) = (&mut self.events, self.length);
        let path = self.folder.join(EVENTS_FILE);
        let write = || {
            let written = events.write_all(&text);
            if written.is_err() {
                events.set_len(length).ok();
            }
            written
        };
        wait_for_room(&path, stop, write, TrainError::Emit)?;
        self.length += text.len() as u64;
        Ok(())
    }
}

//! Where trainers run. The seam has two kinds of implementation: real processes ([`process`]) and
//! trainers inside this process ([`noop`], and the scripted ones of the simulation). What an
//! attempt's life looks like is `unit`'s business, not a launcher's.

pub mod noop;
pub mod process;
pub mod scan;
mod stall;
mod trainer;

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use sweep_core::attempt::Line;
use sweep_core::event::Failure;
use sweep_core::id::Lease;
use sweep_proto::convert::PlacedOrder;

use crate::devices::Devices;
use crate::energy::meters::Meters;

/// Starts trainers and looks after what they leave behind.
pub trait Launcher: Send + Sync + 'static {
    /// Attempts of an earlier life of this agent, running or not. Called once, before anything else.
    fn found(&self) -> Vec<Found>;

    /// Starts a trainer. Dropping the future before it is done leaves no process.
    fn start(&self, order: PlacedOrder) -> BoxFuture<'static, Result<Box<dyn Trainer>, Failure>>;

    /// Takes over an attempt that [`Launcher::found`] named; its lines come again from the first.
    fn attach(&self, lease: Lease) -> BoxFuture<'static, Result<Box<dyn Trainer>, Failure>>;

    /// After which epoch the trainer of an attempt waits to be told more; `None`: it trains to its end. Also for one that is
    /// about to be started. False if that could not be said: it trains on, until it is said again.
    fn wait_at(&self, _lease: Lease, _epoch: Option<u32>) -> bool {
        true
    }

    /// The bytes of a checkpoint of an attempt; `None` if there is no such file.
    fn checkpoint(&self, lease: Lease, file: &str) -> Option<Source>;

    /// The counters of energy of where its trainers run.
    fn meters(&self) -> Meters {
        Meters::default()
    }

    /// What is seen on the devices of where its trainers run, if there is anything to see.
    fn devices(&self) -> Option<Devices> {
        None
    }

    /// The attempt is over and settled.
    fn dispose(&self, lease: Lease, how: Disposal);
}

/// An attempt of an earlier life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Which.
    pub lease: Lease,
    /// The slot it runs on, if it runs and that can be told.
    pub slot: Option<u32>,
}

/// One trainer.
pub trait Trainer: Send {
    /// Waits for something new. Can be dropped and called again without losing anything; must not
    /// be called after [`News::Gone`].
    fn news(&mut self) -> BoxFuture<'_, News>;

    /// Signals every process of the trainer.
    fn signal(&mut self, signal: Signal);

    /// Whether no process of the trainer is left. Asked only after [`News::Gone`].
    fn is_released(&mut self) -> bool;

    /// Log text that no [`News::Log`] has brought yet. Asked only after [`News::Gone`].
    fn rest_of_log(&mut self) -> Option<(u64, Bytes)> {
        None
    }
}

/// What a trainer is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Save and leave (SIGTERM).
    Stop,
    /// End at once (SIGKILL).
    Kill,
}

/// What a trainer has done.
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    /// It wrote lines.
    Lines(Vec<Line>),
    /// It wrote to its log.
    Log {
        /// Where the text starts, bytes.
        offset: u64,
        /// The text.
        text: Bytes,
    },
    /// It is gone.
    Gone {
        /// Its last lines.
        lines: Vec<Line>,
        /// How it went.
        exit: Exit,
    },
}

/// How a trainer went.
#[derive(Clone, Debug, PartialEq)]
pub struct Exit {
    /// How.
    pub how: ExitKind,
    /// The last lines of its log, for people.
    pub words: String,
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExitKind {
    /// By itself, with this code.
    Code(i32),
    /// By itself, with this code, while the disk of its folder was full.
    NoRoom(i32),
    /// By this signal.
    Signal(i32),
    /// By SIGKILL, while the kernel was killing for lack of memory.
    OutOfMemory,
    /// Nobody saw it: it ended while there was no agent.
    Vanished,
    /// The host was started again under it.
    Rebooted,
    /// It showed no progress for too long and was killed.
    Stalled {
        /// For how long.
        quiet: Duration,
        /// The kernel's letter for what its process did then.
        state: Option<char>,
    },
    /// Its events cannot be read: what is wrong with them.
    Corrupt(String),
}

/// Where a checkpoint's bytes are.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// In a file.
    File(PathBuf),
    /// In memory.
    Bytes(Bytes),
}

/// What happens to the folder of a settled attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposal {
    /// Everything of it is with the coordinator.
    Remove,
    /// Its log and events are kept for people, for a while.
    KeepLog,
    /// Something is wrong with it: moved away with everything.
    Quarantine,
    /// The coordinator does not know it: moved away with everything.
    Unknown,
}

//! The attempt folder of a simulated host, and the process that writes it.

use sweep_agent::launcher::ExitKind;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::trainer::Files;

pub(super) struct Folder {
    pub(super) slot: u32,
    pub(super) events: Vec<u8>,
    pub(super) files: Files,
    pub(super) changed: watch::Sender<u64>,
    pub(super) process: Option<AbortHandle>,
    /// How it ended, once it has.
    pub(super) exit: Option<ExitKind>,
    /// What it has left behind is gone then.
    pub(super) released: Instant,
    pub(super) stop: bool,
}

impl Folder {
    pub(super) fn lives(&self) -> bool {
        self.process.is_some() && self.exit.is_none()
    }

    pub(super) fn tell(&self) {
        self.changed.send_modify(|count| *count += 1);
    }
}

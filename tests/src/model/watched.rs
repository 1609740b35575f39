//! A trainer on a host of the simulation, as its agent sees it.

use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use sweep_agent::launcher::{Exit, ExitKind, News, Signal, Trainer};
use sweep_agent::tail::Lines;
use sweep_core::attempt::Line;
use sweep_core::id::Lease;
use tokio::time::{Instant, sleep};

use super::host::Host;

/// See the module.
pub(super) struct OneTrainer {
    host: Host,
    lease: Lease,
    lines: Lines,
    /// How its end is called if this agent did not start it.
    found: Option<ExitKind>,
    corrupt: Option<String>,
}

impl OneTrainer {
    /// `found` is how its end is called if this agent did not start it.
    pub(super) fn new(host: Host, lease: Lease, found: Option<ExitKind>) -> Self {
        Self { host, lease, lines: Lines::default(), found, corrupt: None }
    }

    /// Its end if it has ended, and its new lines.
    fn look(&mut self) -> (Option<ExitKind>, Vec<Line>) {
        let (exit, text) = {
            let inner = self.host.inner();
            match inner.folders.get(&self.lease) {
                Some(folder) => {
                    let from = (self.lines.offset() as usize).min(folder.events.len());
                    (folder.exit.clone(), folder.events[from..].to_vec())
                }
                None => (Some(ExitKind::Vanished), Vec::new()),
            }
        };
        let lines = match self.corrupt.is_some() {
            true => Vec::new(),
            false => self.lines.take(&text).map_or_else(
                |error| {
                    self.corrupt = Some(error.to_string());
                    self.host.inner().kill(self.lease);
                    Vec::new()
                },
                |(lines, _)| lines,
            ),
        };
        (exit, lines)
    }
}

impl Trainer for OneTrainer {
    fn news(&mut self) -> BoxFuture<'_, News> {
        async move {
            loop {
                let changed = self.host.changed(self.lease);
                let (exit, lines) = self.look();
                if let Some(how) = exit {
                    let how = self.found.clone().unwrap_or(how);
                    let how = self.corrupt.take().map_or(how, ExitKind::Corrupt);
                    return News::Gone { lines, exit: Exit { how, words: String::new() } };
                }
                if !lines.is_empty() {
                    return News::Lines(lines);
                }
                match changed {
                    Some(mut changed) if self.corrupt.is_none() => drop(changed.changed().await),
                    _ => sleep(Duration::from_millis(100)).await,
                }
            }
        }
        .boxed()
    }

    fn signal(&mut self, signal: Signal) {
        let mut inner = self.host.inner();
        match signal {
            Signal::Kill => inner.kill(self.lease),
            Signal::Stop => {
                if let Some(folder) = inner.folders.get_mut(&self.lease) {
                    folder.stop = true;
                    folder.tell();
                }
            }
        }
    }

    fn is_released(&mut self) -> bool {
        let inner = self.host.inner();
        let folder = inner.folders.get(&self.lease);
        folder.is_none_or(|folder| !folder.lives() && folder.released <= Instant::now())
    }
}

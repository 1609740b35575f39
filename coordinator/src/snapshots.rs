//! Takes a snapshot of the state now and then, so that a start is short however long the journal is, and reads the part of
//! the journal that the start has left out. It works beside the owner of the state, from the journal alone, and holds nobody up;
//! how a snapshot is written and read is left to [`snapshot`].

use std::path::PathBuf;

use sqlx::sqlite::SqlitePool;
use tokio::time::sleep;

use crate::config::Snapshots;
use crate::journal::{JournalError, replay, snapshot};

/// Who looks after the snapshots of one data folder.
#[derive(Debug)]
pub(crate) struct Keeper {
    /// Connections to the journal.
    pub(crate) readers: SqlitePool,
    /// The data folder.
    pub(crate) folder: PathBuf,
    /// Events that the start took from a snapshot.
    pub(crate) unread: u64,
    /// How often.
    pub(crate) pace: Snapshots,
}

impl Keeper {
    /// Works until the journal turns out to be damaged. The process must end then: its successor has no snapshot, reads
    /// everything, and refuses as it should.
    pub(crate) async fn run(self) -> Result<(), JournalError> {
        let error = tokio::select! {
            error = self.read() => error,
            error = self.take() => error,
        };
        tracing::error!(%error, "the coordinator ends, and its next start reads every event");
        if let Err(error) = snapshot::set_aside(&self.folder) {
            tracing::error!(%error, "the snapshot cannot be put aside: delete {} before the next start", snapshot::FILE);
        }
        Err(error)
    }

    /// Reads what the start has not read, slowly; returns when that is damaged.
    async fn read(&self) -> JournalError {
        let mut next = 1;
        while next <= self.unread {
            match replay::check(&self.readers, next).await {
                Ok(after) => next = after,
                Err(error) if error.is_damage() => return error,
                Err(error) => {
                    tracing::warn!(%error, "reading the journal again failed");
                    sleep(self.pace.look).await;
                }
            }
            sleep(self.pace.pause).await;
        }
        if self.unread > 0 {
            tracing::info!(events = self.unread, "the journal before the snapshot is as it was written");
        }
        std::future::pending().await
    }

    /// Takes snapshots; returns when the journal is damaged.
    async fn take(&self) -> JournalError {
        let mut taken = self.unread;
        loop {
            sleep(self.pace.look).await;
            let last = match replay::last(&self.readers).await {
                Ok(last) if last >= taken + self.pace.every => last,
                Ok(_) => continue,
                Err(error) if error.is_damage() => return error,
                Err(error) => {
                    tracing::warn!(%error, "asking for the end of the journal failed");
                    continue;
                }
            };
            let since = std::time::Instant::now();
            taken = match snapshot::take(&self.readers, &self.folder).await {
                Ok(events) => {
                    tracing::info!(events, seconds = since.elapsed().as_secs_f64(), "snapshot taken");
                    events
                }
                Err(error) if error.is_damage() => return error,
                Err(error) => {
                    // As many events later it is tried again: without it a start only takes longer.
                    tracing::warn!(%error, "no snapshot was taken");
                    last
                }
            };
        }
    }
}

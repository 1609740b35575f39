//! `sweep-coordinator`: the shell around `sweep-core`. It tells the core the time, makes its events
//! durable, keeps checkpoints, and speaks gRPC; it decides nothing itself.
//!
//! Reading order: [`serve`], `actor` (the one owner of the state), [`journal`] (events become
//! durable), `books` (what is expensive to recompute), [`rpc`] (decode, ask, encode), [`blobs`] and
//! [`janitor`] (checkpoints), [`archive`] (copies), [`access`] (who is let in), [`metrics`] (numbers for Prometheus).

pub mod access;
mod actor;
pub mod archive;
pub mod blobs;
pub mod books;
pub mod clock;
pub mod config;
pub mod doctor;
pub mod folder;
pub mod handle;
pub mod janitor;
pub mod journal;
pub mod metrics;
pub mod notify;
pub mod rpc;
mod snapshots;
mod spans;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;
use sweep_identity::wire::Services;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tonic::transport::server::Connected;

use access::guard::Guard;
use actor::Actor;
use blobs::{BlobError, Blobs};
use config::{Cleaning, Config, Store};
use handle::Handle;
use journal::memory::MemoryJournal;
use journal::sqlite::SqliteJournal;
use journal::{Journal, JournalError};
use metrics::Metrics;
use notify::board::Board;
use notify::sender::Sender;
use rpc::Edge;
use snapshots::Keeper;

/// Version, with the commit of a release that was built from a checkout: for the provenance of reports.
pub(crate) fn build_name() -> String {
    let commit = option_env!("SWEEP_COMMIT").map(|commit| format!("+{commit}")).unwrap_or_default();
    format!("{}{commit}", env!("CARGO_PKG_VERSION"))
}

/// Calls in flight get so long to end at a stop.
const DRAIN: Duration = Duration::from_secs(5);

/// Why a coordinator does not start, or ends.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The journal cannot be read or written.
    #[error("the journal failed")]
    Journal(#[from] JournalError),
    /// The checkpoint store cannot be opened.
    #[error("the checkpoint store failed")]
    Blobs(#[from] BlobError),
    /// Nobody can be told of anything.
    #[error(transparent)]
    Notify(#[from] notify::NotifyError),
    /// What is to be told cannot be read.
    #[error("the outbox of webhooks failed")]
    Outbox(#[source] sqlx::Error),
    /// The server failed.
    #[error("serving failed")]
    Transport(#[from] tonic::transport::Error),
    /// The owner of the state panicked.
    #[error("the owner of the state ended")]
    Owner(#[from] tokio::task::JoinError),
}

/// A coordinator that has read its journal and can be asked.
#[derive(Debug)]
pub struct Coordinator {
    /// How to ask it.
    pub handle: Handle,
    /// Numbers about it.
    pub metrics: Arc<Metrics>,
    edge: Edge,
    cleaning: Cleaning,
    /// Ends where it stands when it is dropped: as if the process had.
    actor: AbortOnDropHandle<Result<(), JournalError>>,
    /// Who tells people, if anybody is to be told. It ends after the owner.
    teller: Option<AbortOnDropHandle<()>>,
    closing: CancellationToken,
    /// Who takes snapshots of the state, where there is a file.
    keeper: Option<Keeper>,
}

impl Coordinator {
    /// Opens the stores, folds the journal and starts the owner of the state.
    ///
    /// # Errors
    /// When a store cannot be opened or is damaged; nothing is changed then.
    pub async fn start(config: Config) -> Result<Self, ServeError> {
        let place = config.place();
        let in_memory = matches!(config.store, Store::Memory(..));
        let (mut board, mut telling, mut keeper) = (Board::default(), None, None);
        let (journal, replayed, blobs) = match config.store {
            Store::Folder(folder) => {
                let hooks = notify::read(&folder)?;
                let (journal, replayed) = SqliteJournal::open(&folder).await?;
                if !hooks.is_empty() {
                    board = Board::new(folder.clone(), hooks);
                    telling = Some(Sender::open(&folder, board.clone()).await.map_err(ServeError::Outbox)?);
                }
                let (readers, unread, pace) = (journal.reader(), replayed.unread, config.snapshots);
                keeper = Some(Keeper { readers, folder: folder.clone(), unread, pace });
                (Journal::Sqlite(journal), replayed, Blobs::open(&folder.join("blobs"))?)
            }
            Store::Memory(store, blobs) => {
                let (journal, replayed) = MemoryJournal::open(store)?;
                (Journal::Memory(journal), replayed, blobs)
            }
        };
        tracing::info!(
            events = replayed.events,
            from_snapshot = replayed.unread,
            sweeps = replayed.state.sweeps.len(),
            "journal read"
        );
        let reader = journal.reader();
        let guard = Guard::open(config.clock);
        let closing = CancellationToken::new();
        let traces = config.traces;
        let metrics = Arc::new(Metrics::default());
        let (actor, handle) =
            Actor::new(journal, replayed, config.clock, closing.clone(), metrics.clone(), traces.clone());
        let actor = if telling.is_some() { actor.telling() } else { actor };
        let actor = AbortOnDropHandle::new(tokio::spawn(actor.run()));
        let teller = telling.map(|sender| {
            tracing::info!(?sender, "news goes to webhooks");
            AbortOnDropHandle::new(tokio::spawn(sender.run(config.clock, handle.changed())))
        });
        let stopping = CancellationToken::new();
        let (handle_of_edge, metrics_of_edge) = (handle.clone(), metrics.clone());
        let edge = Edge {
            handle: handle_of_edge,
            reader,
            blobs,
            place,
            in_memory,
            guard,
            stopping,
            metrics: metrics_of_edge,
            traces,
            board,
        };
        Ok(Self { handle, metrics, edge, cleaning: config.cleaning, actor, teller, closing, keeper })
    }

    /// Lets in only whom this guard lets in. Without it, everybody who can connect is trusted: the caller, who
    /// brings the listener, vouches for them.
    #[must_use]
    pub fn guarded(mut self, guard: Guard) -> Self {
        self.edge.guard = guard;
        self
    }

    /// Its services, for callers in the same process: a simulation puts its own network in between. They end with
    /// the coordinator.
    pub fn services(&self) -> Services {
        rpc::services(&self.edge)
    }

    /// Answers calls until `shutdown`, then lets those in flight end.
    ///
    /// # Errors
    /// When the journal fails: the process must end then, and its successor goes on from the journal.
    pub async fn serve<IO, IE>(
        mut self,
        incoming: impl Stream<Item = Result<IO, IE>>,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), ServeError>
    where
        IO: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
        IE: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let stopping = self.edge.stopping.clone();
        let (health, router) = rpc::router(&self.edge).await;
        // Checkpoints of a simulation are not worth a wall clock.
        let janitor = (!self.edge.in_memory)
            .then(|| tokio::spawn(janitor::run(self.handle.clone(), self.edge.blobs.clone(), self.cleaning)));
        let keeper = self.keeper.take();
        let mut keeper = AbortOnDropHandle::new(tokio::spawn(async {
            match keeper {
                Some(keeper) => keeper.run().await,
                None => std::future::pending().await,
            }
        }));
        let server = router.serve_with_incoming_shutdown(incoming, stopping.clone().cancelled_owned());
        let mut server = std::pin::pin!(server);
        let mut shutdown = std::pin::pin!(shutdown);
        let ended = tokio::select! {
            biased;
            () = &mut shutdown => None,
            failed = &mut self.actor => Some(failed),
            damaged = &mut keeper => Some(damaged),
            served = &mut server => { served?; None }
        };
        if let Some(janitor) = janitor {
            janitor.abort();
        }
        drop(keeper);
        if let Some(ended) = ended {
            return Ok(ended??);
        }
        tracing::info!("stopping: calls in flight may end");
        rpc::not_serving(&health).await;
        stopping.cancel();
        if tokio::time::timeout(DRAIN, server).await.is_err() {
            tracing::warn!("some calls did not end in time");
        }
        self.closing.cancel();
        drop(self.handle);
        drop(self.edge);
        let ended = self.actor.await;
        // Whoever starts next in this process finds the outbox as it is left here.
        if let Some(teller) = self.teller
            && tokio::time::timeout(DRAIN, teller).await.is_err()
        {
            tracing::warn!("a webhook does not answer; it is told again after the next start");
        }
        Ok(ended??)
    }
}

/// Runs a coordinator: the caller brings the listener and the stop signal.
///
/// # Errors
/// When it cannot start, or its journal fails.
pub async fn serve<IO, IE>(
    config: Config,
    incoming: impl Stream<Item = Result<IO, IE>>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError>
where
    IO: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
    IE: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    Coordinator::start(config).await?.serve(incoming, shutdown).await
}

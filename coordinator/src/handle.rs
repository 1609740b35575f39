//! How everything else talks to the owner of the state: cheap to clone, one bounded queue. What is
//! asked is here; answering is the actor's.

use std::path::PathBuf;

use sweep_core::command::{Command, Reply};
use sweep_core::decide::Core;
use sweep_core::id::{AgentId, Lease};
use sweep_core::lineage::Position;
use sweep_core::time::Timestamp;
use sweep_proto::convert::Orders;
use tokio::sync::{mpsc, oneshot, watch};

use crate::books::Books;
use crate::journal::Series;

/// Requests that may wait for the owner; more wait at the sender.
pub const QUEUE: usize = 4096;

/// Why there is no answer. Refusals of the core are answers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No room for the journal.
    #[error("no room left to write {}: make room on that disk, and work goes on by itself", path.display())]
    DiskFull {
        /// The file.
        path: PathBuf,
    },
    /// Another program holds the journal's lock.
    #[error("another program (a `sqlite3` shell?) has locked {}: end it, and work goes on by itself", path.display())]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// The end of the journal was lost.
    #[error("nothing is taken while the end of the journal is taken for lost")]
    SafeMode,
    /// The coordinator is going down.
    #[error("the coordinator is stopping")]
    Stopping,
}

/// What a query sees: the state between two commits.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The state and when agents were heard.
    pub core: &'a Core,
    /// What follows from the state but is expensive to recompute.
    pub books: &'a Books,
    /// Now.
    pub now: Timestamp,
}

/// The answer to an agent, with its orders after the commit.
#[derive(Debug)]
pub struct Synced {
    /// What the core says.
    pub reply: Reply,
    /// What the agent should be running.
    pub orders: Orders,
    /// Where the journal is.
    pub position: Option<Position>,
    /// Raised with every change of the agent's orders after these.
    pub changes: watch::Receiver<u64>,
}

/// A question with its answer's way back.
pub(crate) type Query = Box<dyn FnOnce(Result<View<'_>, Refusal>) + Send>;

/// A request in the queue.
pub(crate) enum Ask {
    /// May change the state.
    Command(Command, oneshot::Sender<Result<Reply, Refusal>>),
    /// An agent's command; answered with orders for what is not in the list.
    Sync(AgentId, Command, Vec<Lease>, oneshot::Sender<Result<Synced, Refusal>>),
    /// Reads the state.
    Query(Query),
    /// To store beside the events.
    Series(AgentId, Series, oneshot::Sender<Result<(), Refusal>>),
}

impl Ask {
    pub(crate) fn refuse(self, refusal: Refusal) {
        // A caller that has left needs no answer.
        match self {
            Self::Command(_, reply) => drop(reply.send(Err(refusal))),
            Self::Sync(_, _, _, reply) => drop(reply.send(Err(refusal))),
            Self::Query(query) => query(Err(refusal)),
            Self::Series(_, _, reply) => drop(reply.send(Err(refusal))),
        }
    }
}

/// The way to the owner of the state.
#[derive(Clone, Debug)]
pub struct Handle {
    asks: mpsc::Sender<Ask>,
    changed: watch::Receiver<u64>,
}

impl Handle {
    pub(crate) fn new(asks: mpsc::Sender<Ask>, changed: watch::Receiver<u64>) -> Self {
        Self { asks, changed }
    }

    /// Has the core handle a command; answered when its events are durable.
    ///
    /// # Errors
    /// When the command was not handled.
    pub async fn command(&self, command: Command) -> Result<Reply, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.ask(Ask::Command(command, reply), answer).await
    }

    /// As [`Handle::command`], with the agent's orders after it; bodies are left out for `known` leases.
    ///
    /// # Errors
    /// When the command was not handled.
    pub async fn sync(&self, agent: AgentId, command: Command, known: Vec<Lease>) -> Result<Synced, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.ask(Ask::Sync(agent, command, known, reply), answer).await
    }

    /// Reads the durable state.
    ///
    /// # Errors
    /// When there is none to show.
    pub async fn query<T: Send + 'static>(
        &self,
        query: impl FnOnce(View<'_>) -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let (reply, answer) = oneshot::channel();
        let query = Box::new(move |view: Result<View<'_>, Refusal>| drop(reply.send(view.map(query))));
        self.ask(Ask::Query(query), answer).await
    }

    /// Stores log text and step numbers of an agent's attempts; answered when they are durable.
    ///
    /// # Errors
    /// When they were not stored.
    pub async fn series(&self, agent: AgentId, series: Series) -> Result<(), Refusal> {
        let (reply, answer) = oneshot::channel();
        self.ask(Ask::Series(agent, series, reply), answer).await
    }

    /// Raised after every commit that changed something.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.changed.clone()
    }

    async fn ask<T>(&self, ask: Ask, answer: oneshot::Receiver<Result<T, Refusal>>) -> Result<T, Refusal> {
        self.asks.send(ask).await.map_err(|_| Refusal::Stopping)?;
        answer.await.map_err(|_| Refusal::Stopping)?
    }
}

//! The one task that owns `access.db`: it decides a change on the newest book, stores it, and only then
//! shows the new book, which every call looks at. So a revocation that was answered holds from then on.

use std::path::Path;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use super::book::{Book, Change, Denied, Done};
use super::store::{Entry, Store, StoreError};
use crate::clock::Clock;

/// Requests that may wait; more wait at the sender.
const QUEUE: usize = 256;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// It must not be so.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// It could not be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The coordinator is going down.
    #[error("the coordinator is stopping")]
    Stopping,
}

type Answer<T> = oneshot::Sender<Result<T, KeeperError>>;

enum Ask {
    Change(Change, Answer<Done>),
    Note(String, Answer<()>),
    Page(u64, u32, Answer<(Vec<Entry>, u64)>),
}

/// The way to it. Cheap to clone; the task ends with the last one.
#[derive(Clone, Debug)]
pub struct Keeper {
    asks: mpsc::Sender<Ask>,
    book: watch::Receiver<Arc<Book>>,
}

impl Keeper {
    /// Opens `access.db` in a folder and starts its owner.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub async fn start(folder: &Path, clock: Clock) -> Result<Self, StoreError> {
        let (store, book) = Store::open(folder).await?;
        let (asks, asked) = mpsc::channel(QUEUE);
        let (shown, seen) = watch::channel(Arc::new(book));
        tokio::spawn(keep(store, clock, asked, shown));
        Ok(Self { asks, book: seen })
    }

    /// Makes a change; answered when it is durable and every call sees it.
    ///
    /// # Errors
    /// When it was not made.
    pub async fn change(&self, change: Change) -> Result<Done, KeeperError> {
        let (answer, answered) = oneshot::channel();
        self.ask(Ask::Change(change, answer), answered).await
    }

    /// Adds an entry to the audit log; answered when it is durable.
    ///
    /// # Errors
    /// When it was not added.
    pub async fn note(&self, body: String) -> Result<(), KeeperError> {
        let (answer, answered) = oneshot::channel();
        self.ask(Ask::Note(body, answer), answered).await
    }

    /// A page of the audit log, and how long it is.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn page(&self, after: u64, limit: u32) -> Result<(Vec<Entry>, u64), KeeperError> {
        let (answer, answered) = oneshot::channel();
        self.ask(Ask::Page(after, limit, answer), answered).await
    }

    /// Everybody, now.
    pub fn book(&self) -> Arc<Book> {
        self.book.borrow().clone()
    }

    /// Everybody, and what becomes of them.
    pub(super) fn changes(&self) -> watch::Receiver<Arc<Book>> {
        self.book.clone()
    }

    async fn ask<T>(&self, ask: Ask, answer: oneshot::Receiver<Result<T, KeeperError>>) -> Result<T, KeeperError> {
        self.asks.send(ask).await.map_err(|_| KeeperError::Stopping)?;
        answer.await.map_err(|_| KeeperError::Stopping)?
    }
}

async fn keep(mut store: Store, clock: Clock, mut asks: mpsc::Receiver<Ask>, shown: watch::Sender<Arc<Book>>) {
    while let Some(ask) = asks.recv().await {
        // A caller that has left needs no answer.
        match ask {
            Ask::Change(change, answer) => {
                let now = clock.now();
                let decided = shown.borrow().decide(change, now);
                let stored = match decided {
                    Err(denied) => Err(denied.into()),
                    Ok((records, done)) => match store.put(&records).await {
                        Err(error) => Err(error.into()),
                        Ok(()) => {
                            if !records.is_empty() {
                                shown.send_modify(|book| {
                                    let book = Arc::make_mut(book);
                                    records.into_iter().for_each(|record| book.apply(record));
                                });
                            }
                            Ok(done)
                        }
                    },
                };
                drop(answer.send(stored));
            }
            Ask::Note(body, answer) => drop(answer.send(store.note(&body).await.map_err(Into::into))),
            Ask::Page(after, limit, answer) => {
                drop(answer.send(store.page(after, limit).await.map_err(Into::into)));
            }
        }
    }
    store.close().await;
}

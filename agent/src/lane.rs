//! A kind of call to the coordinator: one at a time, with a pause after a failure.

use std::future::{Future, pending};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::time::Instant;

/// One kind of call: at most one at a time, and a pause after a failure.
pub(crate) struct Lane<T> {
    pub(crate) call: Option<BoxFuture<'static, T>>,
    not_before: Option<Instant>,
    /// In a row.
    pub(crate) failures: u32,
}

impl<T> Lane<T> {
    pub(crate) fn new() -> Self {
        Self { call: None, not_before: None, failures: 0 }
    }

    pub(crate) fn is_open(&self, now: Instant) -> bool {
        self.call.is_none() && self.not_before.is_none_or(|at| at <= now)
    }

    pub(crate) fn start(&mut self, call: impl Future<Output = T> + Send + 'static) {
        self.not_before = None;
        self.call = Some(call.boxed());
    }

    /// Waits for the answer; for ever if nothing was asked.
    pub(crate) async fn answer(&mut self) -> T {
        match &mut self.call {
            Some(call) => {
                let answer = call.await;
                self.call = None;
                answer
            }
            None => pending().await,
        }
    }

    pub(crate) fn pause(&mut self, pause: Duration) {
        self.not_before = Some(Instant::now() + pause);
    }

    /// When it may go on, if it waits only for that.
    pub(crate) fn wake(&self) -> Option<Instant> {
        self.not_before.filter(|_| self.call.is_none())
    }
}

//! How receivers stand, for whoever runs the machines: what waits for each, what it took last and why it failed; and a test that goes
//! to all of them at once, past the outbox.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::json;
use sweep_core::time::Timestamp;

use super::outbox::Outbox;
use super::{Hook, sender};

/// The event type of a test: no kind of news has it.
const TEST: &str = "test";

/// The receivers of a coordinator, shared by who tells them and who is asked about them. Empty where nobody is told.
#[derive(Clone, Debug, Default)]
pub struct Board {
    data: PathBuf,
    hooks: Arc<Vec<Hook>>,
    standings: Arc<Mutex<Vec<Standing>>>,
}

/// How a receiver stands. Of this process only: a restart tries everything at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// When it last took something.
    pub taken: Option<Timestamp>,
    /// When it last failed, and how.
    pub failed: Option<(Timestamp, String)>,
    /// How often in a row; 0 when the last piece of news was taken.
    pub failures: u32,
}

/// A receiver, as far as it may be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Which `[[notify]]` of the file, from 1.
    pub number: u32,
    /// As in the log.
    pub label: String,
    /// Its domain.
    pub place: String,
    /// The words of what it is told.
    pub on: Vec<&'static str>,
}

/// What is known of a receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Which.
    pub hook: Shown,
    /// News that it has not taken yet, and since when the oldest of it waits.
    pub waiting: (u64, Option<Timestamp>),
    /// How it stands.
    pub standing: Standing,
}

/// What a receiver made of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tested {
    /// Which.
    pub hook: Shown,
    /// How long it took.
    pub took: Duration,
    /// It took it, or why not.
    pub result: Result<(), String>,
}

impl Board {
    /// Of the receivers that a data folder names.
    pub fn new(data: PathBuf, hooks: Vec<Hook>) -> Self {
        let standings = vec![Standing::default(); hooks.len()];
        Self { data, hooks: Arc::new(hooks), standings: Arc::new(Mutex::new(standings)) }
    }

    /// In the order of the file.
    pub fn hooks(&self) -> &[Hook] {
        &self.hooks
    }

    /// A receiver took something.
    pub(super) fn taken(&self, hook: usize, at: Timestamp) {
        self.note(hook, |standing| (standing.taken, standing.failures) = (Some(at), 0));
    }

    /// A receiver failed.
    pub(super) fn failed(&self, hook: usize, at: Timestamp, why: &str) {
        self.note(hook, |standing| {
            (standing.failed, standing.failures) = (Some((at, why.to_owned())), standing.failures + 1);
        });
    }

    fn note(&self, hook: usize, change: impl FnOnce(&mut Standing)) {
        let mut standings = self.standings.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(standing) = standings.get_mut(hook) {
            change(standing);
        }
    }

    /// Every receiver.
    ///
    /// # Errors
    /// When SQLite cannot read the outbox.
    pub async fn list(&self) -> Result<Vec<Listed>, sqlx::Error> {
        if self.hooks.is_empty() {
            return Ok(Vec::new());
        }
        let standings = self.standings.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut outbox = Outbox::open(&self.data).await?;
        let mut listed = Vec::new();
        for (hook, standing) in self.shown().zip(standings) {
            let waiting = outbox.waiting(&hook.label, &hook.on).await?;
            listed.push(Listed { hook, waiting, standing });
        }
        Ok(listed)
    }

    /// Tells every receiver something that means nothing, all at the same time.
    pub async fn test(&self, user: &str, now: Timestamp) -> Vec<Tested> {
        let text = format!("a test by {user}: this receiver is told what happens to sweeps");
        let payload = json!({ "user": user, "at": now.0 / 1_000_000 });
        let body = json!({"text": text, "metadata": {"event_type": TEST, "event_payload": payload}}).to_string();
        let sent = self.hooks.iter().zip(self.shown()).map(|(hook, shown)| {
            let begun = Instant::now();
            let posted = sender::post(&hook.url, &body);
            async move { Tested { hook: shown, result: posted.await, took: begun.elapsed() } }
        });
        futures_util::future::join_all(sent).await
    }

    fn shown(&self) -> impl Iterator<Item = Shown> + '_ {
        (1..).zip(self.hooks.iter()).map(|(number, hook)| Shown {
            number,
            label: hook.label(),
            place: hook.place(),
            on: hook.on.iter().map(|kind| kind.word()).collect(),
        })
    }
}

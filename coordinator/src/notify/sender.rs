//! Tells receivers what is in the outbox, each in order and at its own pace. One that fails is asked again after a pause that doubles;
//! what nobody took for a week is dropped, with a word in the log.

use std::path::Path;
use std::time::Duration;

use sweep_core::time::{Span, Timestamp};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use ureq::Agent;

use super::Hook;
use super::board::Board;
use super::outbox::Outbox;
use crate::clock::Clock;

/// First and longest pause after a failure.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// Time for one receiver to take one piece of news.
const PATIENCE: Duration = Duration::from_secs(10);
/// What is older is no news.
const KEPT: Span = Span::seconds(7 * 86_400);
/// The outbox is looked at at least so often.
const LOOK: Duration = Duration::from_secs(60);

/// A receiver and where it stands.
struct Line {
    number: usize,
    hook: Hook,
    label: String,
    last: i64,
    failures: u32,
    not_before: Instant,
}

/// Everybody who is told.
pub struct Sender {
    board: Board,
    outbox: Outbox,
    lines: Vec<Line>,
}

impl std::fmt::Debug for Sender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sender({} receivers)", self.lines.len())
    }
}

impl Sender {
    /// Opens the outbox of a data folder and finds where each receiver stands. Before anything happens that there is to tell: a
    /// receiver that is new begins here.
    ///
    /// # Errors
    /// When SQLite fails.
    pub async fn open(data: &Path, board: Board) -> Result<Self, sqlx::Error> {
        let mut outbox = Outbox::open(data).await?;
        let mut lines = Vec::new();
        for (number, hook) in board.hooks().iter().cloned().enumerate() {
            let label = hook.label();
            let last = outbox.begin(&label).await?;
            lines.push(Line { number, hook, label, last, failures: 0, not_before: Instant::now() });
        }
        Ok(Self { board, outbox, lines })
    }

    /// Tells until `changed` is closed, which is when the coordinator stops. `changed` is raised after every commit. An outbox that
    /// cannot be used now, for want of room or because somebody else holds its lock, is tried again.
    pub async fn run(mut self, clock: Clock, mut changed: watch::Receiver<u64>) {
        let labels: Vec<String> = self.lines.iter().map(|line| line.label.clone()).collect();
        let mut said = false;
        loop {
            let wake = match self.round(clock, &labels).await {
                Ok(wake) => {
                    if std::mem::take(&mut said) {
                        tracing::info!("the outbox of webhooks can be used again");
                    }
                    wake
                }
                Err(error) => {
                    if !std::mem::replace(&mut said, true) {
                        tracing::error!(%error, "the outbox of webhooks cannot be used; nobody is told until it can");
                    }
                    Instant::now() + FIRST_PAUSE
                }
            };
            tokio::select! {
                change = changed.changed() => if change.is_err() { return },
                () = sleep_until(wake) => {}
            }
        }
    }

    /// Tells everybody who may be told now. When to look again at the latest.
    async fn round(&mut self, clock: Clock, labels: &[String]) -> Result<Instant, sqlx::Error> {
        let mut wake = Instant::now() + LOOK;
        for line in &mut self.lines {
            if line.not_before <= Instant::now() {
                line.tell(&mut self.outbox, &self.board, clock).await?;
            }
            if line.failures > 0 {
                wake = wake.min(line.not_before);
            }
        }
        self.outbox.tidy(labels, Timestamp(clock.now().0 - KEPT.0)).await?;
        Ok(wake)
    }
}

impl Line {
    /// Tells all there is, up to the first failure.
    async fn tell(&mut self, outbox: &mut Outbox, board: &Board, clock: Clock) -> Result<(), sqlx::Error> {
        loop {
            let items = outbox.after(self.last).await?;
            if items.is_empty() {
                return Ok(());
            }
            for item in items {
                let wanted = self.hook.on.iter().any(|kind| kind.word() == item.kind);
                let is_old = clock.now() - item.at > KEPT;
                if wanted && is_old {
                    tracing::warn!(
                        hook = self.label,
                        item = item.id,
                        "nobody took this piece of news for a week; dropped"
                    );
                } else if wanted && let Err(why) = post(&self.hook.url, &item.body).await {
                    board.failed(self.number, clock.now(), &why);
                    let pause = FIRST_PAUSE.saturating_mul(1 << self.failures.min(16)).min(LONGEST_PAUSE);
                    (self.failures, self.not_before) = (self.failures + 1, Instant::now() + pause);
                    tracing::warn!(
                        hook = self.label,
                        why,
                        seconds = pause.as_secs(),
                        "a webhook failed; again after a pause"
                    );
                    return Ok(());
                } else if wanted {
                    board.taken(self.number, clock.now());
                }
                // It was told, whatever becomes of the note: only a restart before the next one repeats it.
                (self.last, self.failures) = (item.id, 0);
                outbox.told(&self.label, item.id).await?;
            }
        }
    }
}

/// Posts what a receiver is told; the words of a failure do not hold the address.
pub(super) async fn post(url: &str, body: &str) -> Result<(), String> {
    let (url, body) = (url.to_owned(), body.to_owned());
    let sent = tokio::task::spawn_blocking(move || {
        let config = Agent::config_builder().timeout_global(Some(PATIENCE)).max_redirects(0).build();
        let answer = Agent::new_with_config(config).post(&url).header("content-type", "application/json").send(body);
        // The words of an error may hold the address, which is a secret.
        match answer {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => Err(format!("it answers {}", answer.status())),
            Err(ureq::Error::StatusCode(code)) => Err(format!("it answers {code}")),
            Err(ureq::Error::Timeout(_)) => Err("it does not answer in time".to_owned()),
            Err(ureq::Error::HostNotFound) => Err("there is no such host".to_owned()),
            Err(ureq::Error::Io(error)) => Err(error.kind().to_string()),
            Err(_) => Err("it cannot be reached".to_owned()),
        }
    });
    sent.await.unwrap_or_else(|_| Err("the call panicked".to_owned()))
}

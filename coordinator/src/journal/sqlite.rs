//! The default journal: one SQLite file, one writer connection, WAL, `synchronous=FULL`.
//!
//! `events` has one row for each *commit*, not for each event: a group of a thousand events is one
//! insert and one check, is there whole or not at all, and is read back at the speed of the JSON in it.
//! `epochs` is a projection of the same events, written in the same transaction, so that a curve is
//! read without the journal. `logs` and `steps` are for people and are never folded.
//! Small commits make many small rows; some thousand events are joined inside SQLite when read back, so
//! that a row costs no hand-over between threads.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _};
use sweep_core::event::Event;
use sweep_core::id::Lease;

use super::replay::replay;
use super::rows::Row;
use super::{Batch, JournalError, Replayed, Step, log, series};
use crate::archive;
use crate::notify::outbox;

/// `swee` in ASCII: marks the file as ours.
const APPLICATION_ID: i64 = 0x7377_6565;
/// Format of the file; grows when a table changes.
const VERSION: i64 = 1;
/// Older ones have a bug that can damage a WAL after a checkpoint.
const OLDEST_SQLITE: &str = "3.51.3";
/// SQLite's result codes for a file system without room: SQLITE_FULL, SQLITE_IOERR_SHMSIZE.
pub(super) const NO_ROOM: [&str; 2] = ["13", "4874"];
/// For a file that another program has locked for longer than we wait: SQLITE_BUSY, and two of its kinds (recovery, timeout).
const LOCKED: [&str; 3] = ["5", "261", "773"];
/// How long we wait for such a lock.
pub(super) const WAIT: Duration = Duration::from_secs(5);

const TABLES: &str = r#"
BEGIN;
CREATE TABLE events (
    no INTEGER PRIMARY KEY,
    count INTEGER NOT NULL,
    at INTEGER NOT NULL,
    "check" INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;
CREATE TABLE epochs (
    trial INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    metrics TEXT NOT NULL,
    PRIMARY KEY (trial, attempt, seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE logs (
    trial BLOB NOT NULL,
    attempt INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    log_end INTEGER NOT NULL,
    text BLOB NOT NULL,
    PRIMARY KEY (trial, attempt, offset)
) STRICT;
CREATE TABLE steps (
    trial BLOB NOT NULL,
    attempt INTEGER NOT NULL,
    step INTEGER NOT NULL,
    loss_bits INTEGER NOT NULL,
    PRIMARY KEY (trial, attempt, step)
) STRICT, WITHOUT ROWID;
"#;

const INSERT_EVENTS: &str = r#"
BEGIN IMMEDIATE;
INSERT INTO events (no, count, at, "check", body) VALUES (?, ?, ?, ?, ?);
INSERT OR REPLACE INTO epochs (trial, attempt, seq, metrics)
    SELECT value ->> 0, value ->> 1, value ->> 2, value -> 3 FROM json_each(?);
"#;

const INSERT_STEPS: &str = r#"
INSERT OR REPLACE INTO steps (trial, attempt, step, loss_bits)
    SELECT unhex(value ->> 0), value ->> 1, value ->> 2, value ->> 3 FROM json_each(?)
"#;

/// The writer.
#[derive(Debug)]
pub struct SqliteJournal {
    path: PathBuf,
    writer: SqliteConnection,
    readers: SqlitePool,
    next: u64,
    log_ends: BTreeMap<Lease, u64>,
    /// How long the last commit waited for the disk.
    pub(super) synced_in: Option<Duration>,
}

impl SqliteJournal {
    /// Opens or creates `sweep.db` in `folder` and folds what is in it.
    ///
    /// # Errors
    /// When the file cannot be read, is another program's or a newer release's, or is damaged. It is then left as it is.
    pub async fn open(folder: &Path) -> Result<(Self, Replayed), JournalError> {
        if folder.join(archive::UNFINISHED).exists() {
            return Err(JournalError::HalfRestored { path: folder.to_owned() });
        }
        Self::open_file(folder.join(archive::JOURNAL)).await
    }

    /// Opens a file that is not in its place yet.
    ///
    /// # Errors
    /// Like [`SqliteJournal::open`].
    pub(crate) async fn open_file(path: PathBuf) -> Result<(Self, Replayed), JournalError> {
        let sql = |action, source| JournalError::sql(action, &path, source);
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true)
            .busy_timeout(WAIT)
            .synchronous(SqliteSynchronous::Full)
            .pragma("wal_autocheckpoint", "4000")
            .pragma("journal_size_limit", "67108864")
            .disable_statement_logging();
        let mut writer = options.connect().await.map_err(|source| sql("opening", source))?;
        let replayed = match begin(&mut writer, &path).await {
            Ok(replayed) => replayed,
            Err(error) => {
                // Before anybody is told: whoever puts another file in its place must not have it open here.
                if let Err(error) = writer.close().await {
                    tracing::debug!(%error, "closing a journal that is refused failed");
                }
                return Err(error);
            }
        };
        let readers = SqlitePoolOptions::new()
            .max_connections(6)
            .connect_lazy_with(options.create_if_missing(false).read_only(true).pragma("query_only", "on"));
        let next = replayed.events + 1;
        Ok((Self { path, writer, readers, next, log_ends: BTreeMap::new(), synced_in: None }, replayed))
    }

    /// Connections that only read.
    pub fn reader(&self) -> SqlitePool {
        self.readers.clone()
    }

    pub(super) async fn commit(&mut self, batch: &Batch) -> Result<(), JournalError> {
        match self.write(batch).await {
            Ok(()) => {
                self.next += batch.events.len() as u64;
                Ok(())
            }
            Err(source) => {
                self.log_ends.clear();
                // Fails when SQLite has rolled back by itself, which is as good.
                let rolled_back = sqlx::raw_sql("ROLLBACK").execute(&mut self.writer).await;
                tracing::debug!(?rolled_back, "a commit failed");
                Err(failed("writing", &self.path, source))
            }
        }
    }

    async fn write(&mut self, batch: &Batch) -> Result<(), sqlx::Error> {
        let writer = &mut self.writer;
        if batch.events.is_empty() {
            sqlx::query("BEGIN IMMEDIATE").execute(&mut *writer).await?;
        } else {
            let row = Row::encode(self.next, batch.at, &batch.events);
            sqlx::query(INSERT_EVENTS)
                .bind(row.no as i64)
                .bind(row.count as i64)
                .bind(row.at.0)
                .bind(i64::from(row.check))
                .bind(row.body)
                .bind(epochs(batch))
                .execute(&mut *writer)
                .await?;
        }
        for chunk in &batch.series.logs {
            let end = match self.log_ends.get(&chunk.lease) {
                Some(end) => *end,
                None => log_end(writer, chunk.lease).await?,
            };
            let Some((offset, text, end)) = series::fresh(chunk, end) else { continue };
            sqlx::query("INSERT OR REPLACE INTO logs (trial, attempt, offset, log_end, text) VALUES (?, ?, ?, ?, ?)")
                .bind(chunk.lease.trial.0.as_bytes().as_slice())
                .bind(i64::from(chunk.lease.attempt))
                .bind(offset as i64)
                .bind(end as i64)
                .bind(text)
                .execute(&mut *writer)
                .await?;
            if self.log_ends.len() > 4096 {
                self.log_ends.clear();
            }
            self.log_ends.insert(chunk.lease, end);
        }
        if !batch.series.steps.is_empty() {
            sqlx::query(INSERT_STEPS).bind(steps(batch)).execute(&mut *writer).await?;
        }
        for notice in &batch.notices {
            sqlx::query(outbox::INSERT)
                .bind(batch.at.0)
                .bind(notice.kind.word())
                .bind(crate::notify::body(notice, batch.at))
                .execute(&mut *writer)
                .await?;
        }
        let start = Instant::now();
        sqlx::query("COMMIT").execute(writer).await?;
        self.synced_in = Some(start.elapsed());
        Ok(())
    }

    pub(super) async fn close(mut self) {
        self.readers.close().await;
        if let Err(error) = sqlx::raw_sql("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut self.writer).await {
            tracing::warn!(%error, "the last WAL checkpoint failed; the next start does it");
        }
        if let Err(error) = self.writer.close().await {
            tracing::warn!(%error, "closing the journal failed; everything in it is durable");
        }
    }
}

/// What SQLite said to a change, with what passes by itself told apart.
pub(super) fn failed(action: &'static str, path: &Path, source: sqlx::Error) -> JournalError {
    match source.as_database_error().and_then(|error| error.code()) {
        Some(code) if NO_ROOM.contains(&code.as_ref()) => JournalError::Full { path: path.to_owned() },
        Some(code) if LOCKED.contains(&code.as_ref()) => JournalError::Locked { path: path.to_owned() },
        _ => JournalError::sql(action, path, source),
    }
}

/// Makes the tables if there are none, and folds the events. What was read is on the disk when it returns.
async fn begin(writer: &mut SqliteConnection, path: &Path) -> Result<Replayed, JournalError> {
    check_sqlite(writer, path).await?;
    prepare(writer, path).await?;
    let made = sqlx::raw_sql(outbox::TABLES).execute(&mut *writer).await;
    made.map_err(|source| JournalError::sql("preparing", path, source))?;
    let replayed = replay(writer, path).await?;
    log::settle(writer, path).await?;
    Ok(replayed)
}

/// The rows of `epochs`, as JSON for `json_each`.
fn epochs(batch: &Batch) -> String {
    let reports = batch.events.iter().filter_map(|event| match event {
        Event::EpochReported { lease, metrics } => Some((lease.attempt, metrics)),
        _ => None,
    });
    let rows: Vec<_> =
        reports.zip(&batch.keys).map(|((attempt, metrics), key)| (key, attempt, metrics.seq, metrics)).collect();
    serde_json::to_string(&rows).expect("metrics have string keys only")
}

/// The rows of `steps`, as JSON for `json_each`; losses by their bits.
fn steps(batch: &Batch) -> String {
    let row = |step: &Step| (step.lease.trial.to_string(), step.lease.attempt, step.step, step.loss.to_bits() as i64);
    let rows: Vec<_> = batch.series.steps.iter().map(row).collect();
    serde_json::to_string(&rows).expect("numbers and texts are JSON")
}

async fn log_end(writer: &mut SqliteConnection, lease: Lease) -> Result<u64, sqlx::Error> {
    let end: Option<i64> = sqlx::query_scalar("SELECT max(log_end) FROM logs WHERE trial = ? AND attempt = ?")
        .bind(lease.trial.0.as_bytes().as_slice())
        .bind(i64::from(lease.attempt))
        .fetch_one(writer)
        .await?;
    Ok(end.unwrap_or(0) as u64)
}

async fn check_sqlite(writer: &mut SqliteConnection, path: &Path) -> Result<(), JournalError> {
    let found: String = sqlx::query_scalar("SELECT sqlite_version()")
        .fetch_one(writer)
        .await
        .map_err(|source| JournalError::sql("opening", path, source))?;
    let number = |text: &str| text.split('.').map(|part| part.parse().unwrap_or(0)).collect::<Vec<u32>>();
    match number(&found) >= number(OLDEST_SQLITE) {
        true => Ok(()),
        false => Err(JournalError::OldSqlite { found, wanted: OLDEST_SQLITE }),
    }
}

/// Makes the tables of a new file, and refuses one that is not ours before anything is changed.
async fn prepare(writer: &mut SqliteConnection, path: &Path) -> Result<(), JournalError> {
    let header = header(writer, path).await?;
    let mode = sqlx::raw_sql("PRAGMA journal_mode = WAL").execute(&mut *writer).await;
    mode.map_err(|source| failed("preparing", path, source))?;
    if header == Header::Empty {
        let mark =
            format!("{TABLES} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION}; COMMIT;");
        let made = sqlx::raw_sql(sqlx::AssertSqlSafe(mark)).execute(writer).await;
        made.map_err(|source| JournalError::sql("creating", path, source))?;
    }
    Ok(())
}

/// What a file says that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Header {
    /// New.
    Empty,
    /// A journal that this release reads.
    Journal,
}

/// Reads the header, and refuses a file that is not ours.
pub(super) async fn header(connection: &mut SqliteConnection, path: &Path) -> Result<Header, JournalError> {
    let query = "SELECT a.application_id, v.user_version, (SELECT count(*) FROM sqlite_schema) \
                 FROM pragma_application_id AS a, pragma_user_version AS v";
    let read = sqlx::query_as(query).fetch_one(&mut *connection).await;
    let (application, version, tables): (i64, i64, i64) =
        read.map_err(|source| JournalError::sql("reading the header of", path, source))?;
    match (application, version, tables) {
        (0, 0, 0) => Ok(Header::Empty),
        (APPLICATION_ID, VERSION, _) => Ok(Header::Journal),
        (APPLICATION_ID, found, _) => Err(JournalError::Newer { path: path.to_owned(), found, known: VERSION }),
        (found, _, _) => Err(JournalError::Foreign { path: path.to_owned(), found }),
    }
}

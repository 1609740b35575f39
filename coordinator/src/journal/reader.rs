//! Reads beside the writer: curves, logs, the audit. Never sees what is not committed.

use std::path::Path;

use sqlx::sqlite::SqlitePool;
use sweep_core::attempt::EpochMetrics;
use sweep_core::audit::Auditor;
use sweep_core::id::Lease;
use sweep_core::story::Teller;

use super::memory::MemoryStore;
use super::{Damage, JournalError, Step, replay};

/// Log text read at once, rows.
const LOG_ROWS: i64 = 64;
/// Epochs of a sweep read at once: some hundred megabytes.
const MOST_EPOCHS: i64 = 200_000;

/// A store, for reading.
#[derive(Clone, Debug)]
pub enum Reader {
    /// Read-only connections.
    Sqlite(SqlitePool),
    /// The simulated disk.
    Memory(MemoryStore),
}

impl Reader {
    /// Every epoch report of a trial with its attempt, by attempt and sequence. `key` is [`super::key`].
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn curve(&self, key: i64) -> Result<Vec<(u32, EpochMetrics)>, JournalError> {
        let pool = match self {
            Self::Memory(store) => return Ok(store.curve(key)),
            Self::Sqlite(pool) => pool,
        };
        let query = "SELECT attempt, metrics FROM epochs WHERE trial = ? ORDER BY attempt, seq";
        let rows: Vec<(u32, String)> = sqlx::query_as(query).bind(key).fetch_all(pool).await.map_err(reading)?;
        let parse = |(attempt, text): (u32, String)| {
            let metrics = serde_json::from_str(&text);
            metrics.map(|metrics| (attempt, metrics)).map_err(|_| unreadable())
        };
        rows.into_iter().map(parse).collect()
    }

    /// Every epoch report of a sweep with its trial's place in the plan, by trial, attempt and sequence; nothing of a
    /// sweep with more than 200,000 of them.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn curves(&self, sweep: u32) -> Result<Vec<(u32, EpochMetrics)>, JournalError> {
        let (first, last) = (super::key(sweep, 0), super::key(sweep, u32::MAX));
        let pool = match self {
            Self::Memory(store) => return Ok(store.curves(first, last)),
            Self::Sqlite(pool) => pool,
        };
        let query =
            "SELECT trial, metrics FROM epochs WHERE trial BETWEEN ? AND ? ORDER BY trial, attempt, seq LIMIT ?";
        let rows: Vec<(i64, String)> = sqlx::query_as(query)
            .bind(first)
            .bind(last)
            .bind(MOST_EPOCHS + 1)
            .fetch_all(pool)
            .await
            .map_err(reading)?;
        if rows.len() as i64 > MOST_EPOCHS {
            return Ok(Vec::new());
        }
        let parse = |(key, text): (i64, String)| {
            let metrics = serde_json::from_str(&text);
            metrics.map(|metrics| ((key - first) as u32, metrics)).map_err(|_| unreadable())
        };
        rows.into_iter().map(parse).collect()
    }

    /// Pieces of an attempt's log from an offset on, in order; not necessarily all.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn logs(&self, lease: Lease, from: u64) -> Result<Vec<(u64, Vec<u8>)>, JournalError> {
        let pool = match self {
            Self::Memory(store) => return Ok(store.logs(lease, from)),
            Self::Sqlite(pool) => pool,
        };
        let query =
            "SELECT offset, text FROM logs WHERE trial = ? AND attempt = ? AND offset >= ? ORDER BY offset LIMIT ?";
        let rows: Vec<(i64, Vec<u8>)> = sqlx::query_as(query)
            .bind(lease.trial.0.as_bytes().as_slice())
            .bind(lease.attempt)
            .bind(from as i64)
            .bind(LOG_ROWS)
            .fetch_all(pool)
            .await
            .map_err(reading)?;
        Ok(rows.into_iter().map(|(offset, text)| (offset as u64, text)).collect())
    }

    /// Step numbers of an attempt.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn steps(&self, lease: Lease) -> Result<Vec<Step>, JournalError> {
        let pool = match self {
            Self::Memory(store) => return Ok(store.steps(lease)),
            Self::Sqlite(pool) => pool,
        };
        let query = "SELECT step, loss_bits FROM steps WHERE trial = ? AND attempt = ? ORDER BY step";
        let rows: Vec<(i64, i64)> = sqlx::query_as(query)
            .bind(lease.trial.0.as_bytes().as_slice())
            .bind(lease.attempt)
            .fetch_all(pool)
            .await
            .map_err(reading)?;
        let step = |(step, bits): (i64, i64)| Step { lease, step: step as u64, loss: f64::from_bits(bits as u64) };
        Ok(rows.into_iter().map(step).collect())
    }

    /// The whole journal, told to somebody who listens.
    ///
    /// # Errors
    /// When the journal cannot be read or is damaged.
    pub async fn tell(&self, teller: &mut Teller) -> Result<(), JournalError> {
        match self {
            Self::Memory(store) => store.timed()?.iter().for_each(|(at, event)| teller.read(*at, event)),
            Self::Sqlite(pool) => replay::read_all(pool, |at, event| teller.read(at, event)).await?,
        }
        Ok(())
    }

    /// The oracle, after the whole journal.
    ///
    /// # Errors
    /// When the journal cannot be read or is damaged.
    pub async fn audit(&self) -> Result<Auditor, JournalError> {
        let mut auditor = Auditor::new();
        match self {
            Self::Memory(store) => store.events()?.iter().for_each(|event| auditor.read(event)),
            Self::Sqlite(pool) => replay::read_all(pool, |_, event| auditor.read(event)).await?,
        }
        Ok(auditor)
    }
}

fn reading(source: sqlx::Error) -> JournalError {
    JournalError::sql("reading", Path::new("sweep.db"), source)
}

fn unreadable() -> JournalError {
    JournalError::Damaged { event: 0, damage: Damage::Unreadable }
}

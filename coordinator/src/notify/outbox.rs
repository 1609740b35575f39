//! What waits to be told, in the file of the journal: rows that come with the events they follow from, and how far each receiver has
//! come. Older releases do not look at these tables.

use std::path::Path;

use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sweep_core::time::Timestamp;

/// Both tables; made when a journal is opened.
pub(crate) const TABLES: &str = "
CREATE TABLE IF NOT EXISTS outbox (id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS outbox_told (hook TEXT PRIMARY KEY, last INTEGER NOT NULL) STRICT, WITHOUT ROWID;
";
/// A row for a piece of news.
pub(crate) const INSERT: &str = "INSERT INTO outbox (at, kind, body) VALUES (?, ?, ?)";
/// Rows read at once.
const PAGE: i64 = 32;

/// A piece of news on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its number.
    pub id: i64,
    /// When it happened.
    pub at: Timestamp,
    /// Its kind's word.
    pub kind: String,
    /// What receivers get.
    pub body: String,
}

/// A connection of its own beside the journal's.
#[derive(Debug)]
pub struct Outbox(SqliteConnection);

impl Outbox {
    /// Opens the outbox in a data folder whose journal is open.
    ///
    /// # Errors
    /// When SQLite cannot open it.
    pub async fn open(data: &Path) -> Result<Self, sqlx::Error> {
        let options = SqliteConnectOptions::new().filename(data.join("sweep.db"));
        let wait = std::time::Duration::from_secs(5);
        Ok(Self(SqliteConnection::connect_with(&options.busy_timeout(wait)).await?))
    }

    /// How far a receiver has come. A new one begins at the end: it is not told what was before it.
    ///
    /// # Errors
    /// When SQLite fails.
    pub async fn begin(&mut self, hook: &str) -> Result<i64, sqlx::Error> {
        let insert = "INSERT OR IGNORE INTO outbox_told (hook, last) SELECT ?, coalesce(max(id), 0) FROM outbox";
        sqlx::query(insert).bind(hook).execute(&mut self.0).await?;
        sqlx::query_scalar("SELECT last FROM outbox_told WHERE hook = ?").bind(hook).fetch_one(&mut self.0).await
    }

    /// What comes after a number, oldest first; not necessarily all.
    ///
    /// # Errors
    /// When SQLite fails.
    pub async fn after(&mut self, last: i64) -> Result<Vec<Item>, sqlx::Error> {
        let query = "SELECT id, at, kind, body FROM outbox WHERE id > ? ORDER BY id LIMIT ?";
        let rows: Vec<(i64, i64, String, String)> =
            sqlx::query_as(query).bind(last).bind(PAGE).fetch_all(&mut self.0).await?;
        Ok(rows.into_iter().map(|(id, at, kind, body)| Item { id, at: Timestamp(at), kind, body }).collect())
    }

    /// How many pieces of news of these kinds a receiver has not got yet, and when the oldest of them happened.
    ///
    /// # Errors
    /// When SQLite fails.
    pub async fn waiting(&mut self, hook: &str, kinds: &[&str]) -> Result<(u64, Option<Timestamp>), sqlx::Error> {
        let query = "SELECT count(*), min(at) FROM outbox WHERE id > (SELECT coalesce(max(last), 0) FROM outbox_told WHERE hook = ?) \
                     AND kind IN (SELECT value FROM json_each(?))";
        let kinds = serde_json::to_string(kinds).expect("words are text");
        let (count, oldest): (i64, Option<i64>) =
            sqlx::query_as(query).bind(hook).bind(kinds).fetch_one(&mut self.0).await?;
        Ok((count.unsigned_abs(), oldest.map(Timestamp)))
    }

    /// A receiver has everything up to a number.
    ///
    /// # Errors
    /// When SQLite fails: it will be told again.
    pub async fn told(&mut self, hook: &str, last: i64) -> Result<(), sqlx::Error> {
        sqlx::query("UPDATE outbox_told SET last = ? WHERE hook = ?")
            .bind(last)
            .bind(hook)
            .execute(&mut self.0)
            .await?;
        Ok(())
    }

    /// Forgets receivers that are no longer named, and what all others have or what is older than `before`.
    ///
    /// # Errors
    /// When SQLite fails.
    pub async fn tidy(&mut self, hooks: &[String], before: Timestamp) -> Result<(), sqlx::Error> {
        let named = serde_json::to_string(hooks).expect("names are text");
        let forget = "DELETE FROM outbox_told WHERE hook NOT IN (SELECT value FROM json_each(?))";
        sqlx::query(forget).bind(named).execute(&mut self.0).await?;
        let done = "DELETE FROM outbox WHERE at < ? OR id <= (SELECT coalesce(min(last), 9223372036854775807) FROM outbox_told)";
        sqlx::query(done).bind(before.0).execute(&mut self.0).await?;
        Ok(())
    }
}

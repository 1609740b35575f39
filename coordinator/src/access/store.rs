//! Where users, tokens, agents and the audit log are durable: `access.db` beside the journal. A file of
//! its own, because what is in it must not travel with copies of the journal, and because nothing of it
//! is ever folded into the state of sweeps.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _};
use sweep_identity::chain::{self, Broken, Follower};

use super::book::{Book, Record};

/// What the file is: `SWPA`.
const APPLICATION_ID: i64 = 0x5357_5041;
/// Of the tables.
const VERSION: i64 = 1;
const TABLES: &str = "BEGIN;
    CREATE TABLE records (key TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE audit (no INTEGER PRIMARY KEY, body TEXT NOT NULL, hash TEXT NOT NULL) STRICT;
    CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'append only'); END;
    CREATE TRIGGER audit_is_not_cut BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'append only'); END;
    PRAGMA application_id = 1398231105; PRAGMA user_version = 1; COMMIT;";
/// SQLite's result codes for a file system without room.
const NO_ROOM: [&str; 2] = ["13", "4874"];

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite refused.
    #[error("{action} {} failed", path.display())]
    Sql {
        /// What was attempted.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// No room left.
    #[error("no room left to write {}", .0.display())]
    Full(PathBuf),
    /// Another program's, or another release's.
    #[error("{} is not a file of this release", .0.display())]
    Foreign(PathBuf),
    /// Something in it cannot be read.
    #[error("{} is damaged: `{key}` cannot be read", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What in it.
        key: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The audit log is not what was written.
    #[error("the audit log in {} is not what was written", path.display())]
    Broken {
        /// Which file.
        path: PathBuf,
        /// Where.
        #[source]
        source: Broken,
    },
}

/// An entry of the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Counted from 1.
    pub no: u64,
    /// As it was hashed.
    pub body: String,
    /// Of this entry and all before it.
    pub hash: String,
}

/// The open file.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    connection: SqliteConnection,
    /// The newest entry of the audit log.
    head: Follower,
}

impl Store {
    /// Opens or makes the file and reads who there is.
    ///
    /// # Errors
    /// When it cannot be read or is not ours. It is then left as it is.
    pub async fn open(folder: &Path) -> Result<(Self, Book), StoreError> {
        let path = folder.join("access.db");
        // SQLite gives the files beside it the same permissions.
        let made = std::fs::OpenOptions::new().create(true).append(true).mode_private().open(&path);
        drop(made.map_err(|error| sql("making", &path, sqlx::Error::Io(error)))?);
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .busy_timeout(Duration::from_secs(5))
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .disable_statement_logging();
        let mut connection = options.connect().await.map_err(|source| sql("opening", &path, source))?;
        prepare(&mut connection, &path).await?;
        let rows: Vec<(String, String)> = sqlx::query_as("SELECT key, body FROM records ORDER BY key")
            .fetch_all(&mut connection)
            .await
            .map_err(|source| sql("reading", &path, source))?;
        let mut book = Book::default();
        for (key, body) in rows {
            let record = serde_json::from_str::<Record>(&body);
            book.apply(record.map_err(|source| StoreError::Damaged { path: path.clone(), key, source })?);
        }
        let last: Option<(i64, String)> = sqlx::query_as("SELECT no, hash FROM audit ORDER BY no DESC LIMIT 1")
            .fetch_optional(&mut connection)
            .await
            .map_err(|source| sql("reading", &path, source))?;
        let head = last.map(|(no, head)| Follower { entries: no as u64, head }).unwrap_or_default();
        Ok((Self { path, connection, head }, book))
    }

    /// Stores records, all or none.
    ///
    /// # Errors
    /// When they are not stored.
    pub async fn put(&mut self, records: &[Record]) -> Result<(), StoreError> {
        let path = self.path.clone();
        let put = async {
            let mut transaction = self.connection.begin_with("BEGIN IMMEDIATE").await?;
            for record in records {
                let body = serde_json::to_string(record).expect("a record has string keys only");
                sqlx::query("INSERT OR REPLACE INTO records (key, body) VALUES (?, ?)")
                    .bind(record.key())
                    .bind(body)
                    .execute(&mut *transaction)
                    .await?;
            }
            transaction.commit().await
        };
        put.await.map_err(|source| sql("writing", &path, source))
    }

    /// Adds an entry to the audit log.
    ///
    /// # Errors
    /// When it is not stored.
    pub async fn note(&mut self, body: &str) -> Result<(), StoreError> {
        let no = self.head.entries + 1;
        let hash = chain::link(&self.head.head, no, body);
        sqlx::query("INSERT INTO audit (no, body, hash) VALUES (?, ?, ?)")
            .bind(no as i64)
            .bind(body)
            .bind(&hash)
            .execute(&mut self.connection)
            .await
            .map_err(|source| sql("writing", &self.path, source))?;
        self.head = Follower { entries: no, head: hash };
        Ok(())
    }

    /// A page of the audit log, and how long it is.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn page(&mut self, after: u64, limit: u32) -> Result<(Vec<Entry>, u64), StoreError> {
        let query = "SELECT no, body, hash FROM audit WHERE no > ? ORDER BY no LIMIT ?";
        let rows: Vec<(i64, String, String)> = sqlx::query_as(query)
            .bind(i64::try_from(after).unwrap_or(i64::MAX))
            .bind(i64::from(limit))
            .fetch_all(&mut self.connection)
            .await
            .map_err(|source| sql("reading", &self.path, source))?;
        let entry = |(no, body, hash): (i64, String, String)| Entry { no: no as u64, body, hash };
        Ok((rows.into_iter().map(entry).collect(), self.head.entries))
    }

    /// Ends it.
    pub async fn close(self) {
        if let Err(error) = self.connection.close().await {
            tracing::warn!(%error, "closing access.db failed; everything in it is durable");
        }
    }
}

fn sql(action: &'static str, path: &Path, source: sqlx::Error) -> StoreError {
    let code = source.as_database_error().and_then(|error| error.code());
    match code {
        Some(code) if NO_ROOM.contains(&code.as_ref()) => StoreError::Full(path.to_owned()),
        _ => StoreError::Sql { action, path: path.to_owned(), source },
    }
}

async fn prepare(connection: &mut SqliteConnection, path: &Path) -> Result<(), StoreError> {
    let query = "SELECT a.application_id, v.user_version, (SELECT count(*) FROM sqlite_schema) \
                 FROM pragma_application_id AS a, pragma_user_version AS v";
    let found: (i64, i64, i64) =
        sqlx::query_as(query).fetch_one(&mut *connection).await.map_err(|source| sql("opening", path, source))?;
    match found {
        (0, 0, 0) => {
            let made = sqlx::raw_sql(TABLES).execute(connection).await;
            made.map(drop).map_err(|source| sql("making", path, source))
        }
        (APPLICATION_ID, VERSION, _) => Ok(()),
        _ => Err(StoreError::Foreign(path.to_owned())),
    }
}

trait ModePrivate {
    fn mode_private(&mut self) -> &mut Self;
}

impl ModePrivate for std::fs::OpenOptions {
    fn mode_private(&mut self) -> &mut Self {
        std::os::unix::fs::OpenOptionsExt::mode(self, 0o600)
    }
}

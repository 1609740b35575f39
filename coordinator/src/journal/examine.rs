//! Looks at a journal file that somebody else may be writing, or that nobody is: opens it for reading only, never makes
//! one, and says everything that is wrong with it.

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _};
use sweep_core::audit::Auditor;

use super::curves::Curves;
use super::sqlite::{Header, header};
use super::{JournalError, Replayed, replay};

/// Wrong pages that are named; more say nothing new.
const MOST: &str = "PRAGMA integrity_check(5)";

/// A file, open for reading only.
#[derive(Debug)]
pub struct Examined {
    connection: SqliteConnection,
    path: std::path::PathBuf,
}

impl Examined {
    /// Opens a journal that is there.
    ///
    /// # Errors
    /// When it cannot be opened, or is not a journal that this release reads.
    pub async fn open(path: &Path) -> Result<Self, JournalError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(false)
            .read_only(true)
            .busy_timeout(Duration::from_secs(5))
            .disable_statement_logging();
        let mut connection = options.connect().await.map_err(|source| JournalError::sql("opening", path, source))?;
        let header = header(&mut connection, path).await;
        let examined = Self { connection, path: path.to_owned() };
        match header {
            Ok(Header::Journal) => return Ok(examined),
            Ok(Header::Empty) => examined.close().await,
            Err(error) => {
                examined.close().await;
                return Err(error);
            }
        }
        Err(JournalError::Foreign { path: path.to_owned(), found: 0 })
    }

    /// What SQLite finds wrong with its pages and indexes; nothing if all is well.
    ///
    /// # Errors
    /// When it cannot even look.
    pub async fn pages(&mut self) -> Result<Vec<String>, JournalError> {
        let found = sqlx::query_scalar(MOST).fetch_all(&mut self.connection).await;
        let found: Vec<String> = found.map_err(|source| JournalError::sql("checking", &self.path, source))?;
        Ok(found.into_iter().filter(|line| line != "ok").collect())
    }

    /// Every event, folded and judged.
    ///
    /// # Errors
    /// When a row is not what was written.
    pub async fn events(&mut self) -> Result<(Replayed, Auditor), JournalError> {
        let mut auditor = Auditor::new();
        let replayed =
            replay::read(&mut self.connection, &self.path, Replayed::default(), |event| auditor.read(event)).await?;
        Ok((replayed, auditor))
    }

    /// The same, and the attempts whose curve in the table is not what the events say.
    ///
    /// # Errors
    /// When a row of either is not what was written.
    pub async fn everything(&mut self) -> Result<(Replayed, Auditor, Vec<String>), JournalError> {
        let mut auditor = Auditor::new();
        let mut curves = Curves::read(&mut self.connection, &self.path).await?;
        let replayed = replay::read(&mut self.connection, &self.path, Replayed::default(), |event| {
            auditor.read(event);
            curves.hear(event);
        });
        let replayed = replayed.await?;
        let differ = curves.differ(&replayed.state);
        Ok((replayed, auditor, differ))
    }

    /// A copy of the file as it is at this moment, in one file, while others write.
    ///
    /// # Errors
    /// When there is something at `target`, or no room.
    pub async fn copy_to(&mut self, target: &Path) -> Result<(), JournalError> {
        let done = sqlx::query("VACUUM INTO ?").bind(target.display().to_string()).execute(&mut self.connection).await;
        done.map(drop).map_err(|source| match source.as_database_error().and_then(|error| error.code()) {
            Some(code) if super::sqlite::NO_ROOM.contains(&code.as_ref()) => {
                JournalError::Full { path: target.to_owned() }
            }
            _ => JournalError::sql("copying the journal to", target, source),
        })
    }

    /// Lets go of it.
    pub async fn close(self) {
        if let Err(error) = self.connection.close().await {
            tracing::debug!(%error, "closing a journal that was only read failed");
        }
    }
}

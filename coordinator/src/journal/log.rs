//! What the log beside the database holds is made durable once more at a start. A sync of it that failed leaves pages that are
//! read as if all were well and that no later sync writes, and the process that knew has ended: only writing them again helps.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use sqlx::sqlite::SqliteConnection;

use super::JournalError;
use super::sqlite::{WAIT, failed};

/// Copies the log into the database, syncs that and cuts the log; fails with a row, not with an error, where others use the file.
const COPY: &str = "PRAGMA wal_checkpoint(TRUNCATE)";
/// Bytes that are written again at once.
const PIECE: usize = 1 << 20;

/// The log of a database.
pub(crate) fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Returns when everything that was read is on the disk. The log is copied into the database. Where that has no room, or somebody
/// reads an older state meanwhile, the log is written again in its place, which takes no room.
///
/// # Errors
/// When the disk refuses either, or another program keeps the file locked.
pub(super) async fn settle(writer: &mut SqliteConnection, path: &Path) -> Result<(), JournalError> {
    // Who only reads is not waited for.
    wait(writer, 0, path).await?;
    let copied: Result<(i64, i64, i64), _> = sqlx::query_as(COPY).fetch_one(&mut *writer).await;
    wait(writer, WAIT.as_millis(), path).await?;
    match copied {
        Ok((0, _, _)) => return Ok(()),
        // All is copied, and only the cut has to wait.
        Ok((_, log, copied)) if log >= 0 && log == copied => return Ok(()),
        Ok(_) => tracing::info!("somebody reads the journal: its log is written again where it is"),
        Err(source) => match failed("copying the log of", path, source) {
            JournalError::Full { .. } | JournalError::Locked { .. } => {}
            error => return Err(error),
        },
    }
    // Nobody writes to the log meanwhile.
    let sql = |source| failed("locking", path, source);
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut *writer).await.map_err(sql)?;
    let log = beside(path, "-wal");
    let written = tokio::task::spawn_blocking(move || again(&log)).await;
    let written = written.expect("reading and writing does not panic and is not cancelled");
    sqlx::raw_sql("ROLLBACK").execute(&mut *writer).await.map_err(sql)?;
    written.map_err(|source| match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => JournalError::Full { path: path.to_owned() },
        _ => JournalError::sql("writing the log again of", path, sqlx::Error::Io(source)),
    })
}

async fn wait(writer: &mut SqliteConnection, milliseconds: u128, path: &Path) -> Result<(), JournalError> {
    let set = sqlx::AssertSqlSafe(format!("PRAGMA busy_timeout = {milliseconds}"));
    let done = sqlx::raw_sql(set).execute(writer).await;
    done.map(drop).map_err(|source| failed("preparing", path, source))
}

/// Writes a file over itself, and waits for the disk. Other than a clean page, one that is written is written out.
fn again(path: &Path) -> io::Result<()> {
    let file = File::options().read(true).write(true).open(path)?;
    let (mut piece, mut at) = (vec![0; PIECE], 0);
    loop {
        let read = file.read_at(&mut piece, at)?;
        if read == 0 {
            return file.sync_all();
        }
        file.write_all_at(&piece[..read], at)?;
        at += read as u64;
    }
}

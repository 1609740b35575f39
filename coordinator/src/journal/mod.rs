//! The journal: where events become durable. An `enum` over the two stores; what they share is here.
//! A commit is the unit: all events of a batch with one time, and the series that came with it.
//! Folding the events is left to the caller, deciding to the core.

mod curves;
pub mod examine;
pub(crate) mod log;
pub mod memory;
pub mod reader;
pub(crate) mod replay;
pub mod rows;
mod series;
pub mod snapshot;
pub mod sqlite;

use std::path::{Path, PathBuf};

use sweep_core::event::Event;
use sweep_core::id::Lease;
use sweep_core::notice::Notice;
use sweep_core::state::State;
use sweep_core::time::Timestamp;

use crate::handle::Refusal;
use memory::MemoryJournal;
use reader::Reader;
use snapshot::Mark;
use sqlite::SqliteJournal;

/// Everything that one commit makes durable.
#[derive(Debug, Default)]
pub struct Batch {
    /// When.
    pub at: Timestamp,
    /// Events, in order.
    pub events: Vec<Event>,
    /// For each `EpochReported` of `events`, in the same order, the trial's [`key`].
    pub keys: Vec<i64>,
    /// Log text and step numbers; never folded.
    pub series: Series,
    /// What people are to be told; never folded.
    pub notices: Vec<Notice>,
}

impl Batch {
    /// Nothing to write.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.series.is_empty()
    }
}

/// Numbers and text for people, beside the events.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// Pieces of log.
    pub logs: Vec<LogChunk>,
    /// Losses of single steps.
    pub steps: Vec<Step>,
}

impl Series {
    /// Nothing in it.
    pub fn is_empty(&self) -> bool {
        self.logs.is_empty() && self.steps.is_empty()
    }
}

/// A piece of an attempt's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogChunk {
    /// Whose.
    pub lease: Lease,
    /// Byte offset in the attempt's log.
    pub offset: u64,
    /// The bytes.
    pub text: Vec<u8>,
}

/// The loss of one optimizer step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Whose.
    pub lease: Lease,
    /// Which step, from 1.
    pub step: u64,
    /// Its loss, nats.
    pub loss: f64,
}

/// Longest log kept of one attempt, bytes.
pub const LOG_LIMIT: u64 = 16 << 20;

/// What stands at the end of a log that was longer than [`LOG_LIMIT`].
pub const LOG_CUT: &[u8] = b"\n[log cut: longer than 16 MiB; the rest is in the attempt folder on its host]\n";

/// The number under which a trial's epochs are filed: its sweep's position, its position in the
/// plan. Trials that run at the same time are neighbours, so that a commit touches few pages.
pub fn key(sweep: u32, index: u32) -> i64 {
    (i64::from(sweep) << 32) | i64::from(index)
}

/// Why the journal cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// No room. The batch is intact and can be written later.
    #[error("no room left to write {path}")]
    Full {
        /// The file.
        path: PathBuf,
    },
    /// Another program holds the file's lock. The batch is intact and can be written later.
    #[error("another program has locked {path}")]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be opened, read or written.
    #[error("{action} {path} failed")]
    Sql {
        /// What was attempted.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: sqlx::Error,
    },
    /// The file is of another program.
    #[error("{path} is not a journal of this program (application id {found:#x}); it was left as it is")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The id in its header.
        found: i64,
    },
    /// The file was written by a newer release.
    #[error("{path} was written by a newer release (format {found}, this one knows {known}); start that release")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest version that this release reads.
        known: i64,
    },
    /// A row is what was written, and what it says is not known here.
    #[error(
        "event {event} (`{kind}`) of the journal was written by a newer release, and this one cannot read it. Nothing was \
         changed. Start that release, or a later one"
    )]
    NewerEvent {
        /// Its number.
        event: u64,
        /// What it is called.
        kind: String,
    },
    /// The linked SQLite is older than what the journal relies on.
    #[error("SQLite {found} is too old: {wanted} or newer is needed")]
    OldSqlite {
        /// The linked version.
        found: String,
        /// The oldest good one.
        wanted: &'static str,
    },
    /// A row is not what was written.
    #[error("the journal is damaged at event {event}: {damage}. Nothing was changed. {RESTORE}")]
    Damaged {
        /// Number of the first event that cannot be read.
        event: u64,
        /// What is wrong.
        damage: Damage,
    },
    /// SQLite finds its own pages wrong.
    #[error("{path} is damaged. Nothing was changed. {RESTORE}")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: sqlx::Error,
    },
    /// A copy was being put in place when something stopped it.
    #[error("putting a backup in place was cut off in {path}: run `sweep-coordinator restore BACKUP` again")]
    HalfRestored {
        /// The folder.
        path: PathBuf,
    },
    /// The data folder cannot be prepared.
    #[error("creating {path} failed")]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// What to do about a journal that cannot be read.
const RESTORE: &str = "`sweep-coordinator restore BACKUP`, with the same --data, puts a backup in its place and keeps this \
                       one beside it; `sweep-coordinator fsck` says what else is wrong";

/// SQLite's result codes for a file that is not what it wrote: SQLITE_CORRUPT, SQLITE_NOTADB.
const CORRUPT: [u32; 2] = [11, 26];

impl JournalError {
    /// What SQLite said, told apart where something can be done about it.
    pub(crate) fn sql(action: &'static str, path: &Path, source: sqlx::Error) -> Self {
        let code = source.as_database_error().and_then(|error| error.code()?.parse::<u32>().ok());
        let path = path.to_owned();
        match code {
            // The low byte is the code, the others say more about it.
            Some(code) if CORRUPT.contains(&(code & 0xff)) => Self::Corrupt { path, source },
            _ => Self::Sql { action, path, source },
        }
    }
}

/// How a row is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// Event numbers leave a hole or overlap.
    #[error("event numbers are not contiguous")]
    Gap,
    /// The checksum does not fit the bytes.
    #[error("the checksum does not match")]
    Checksum,
    /// The bytes are not events.
    #[error("the text is not a list of events")]
    Unreadable,
    /// Another number of events than the row says.
    #[error("the number of events is not what the row says")]
    Count,
}

/// The store of events.
#[derive(Debug)]
pub enum Journal {
    /// A file.
    Sqlite(SqliteJournal),
    /// Memory that survives a simulated crash.
    Memory(MemoryJournal),
}

/// What a replay found.
#[derive(Debug, Default)]
pub struct Replayed {
    /// The fold of all events.
    pub state: State,
    /// How many there are.
    pub events: u64,
    /// The time of the newest.
    pub newest: Timestamp,
    /// The last commit, where the journal is a file.
    pub mark: Option<Mark>,
    /// How many of the events were not read, because a snapshot stands for them.
    pub unread: u64,
}

impl JournalError {
    /// Whether the journal is not what was written.
    pub(crate) fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::Corrupt { .. })
    }

    /// What callers are told while this lasts; nothing if it does not pass by itself.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Full { path } => Some(Refusal::DiskFull { path: path.clone() }),
            Self::Locked { path } => Some(Refusal::Locked { path: path.clone() }),
            _ => None,
        }
    }
}

impl Journal {
    /// Writes a batch; when it returns, the batch survives a crash.
    ///
    /// # Errors
    /// [`JournalError::Full`] can be tried again with the same batch; anything else is fatal.
    pub async fn commit(&mut self, batch: &Batch) -> Result<(), JournalError> {
        match self {
            Self::Sqlite(journal) => journal.commit(batch).await,
            Self::Memory(journal) => journal.commit(batch).await,
        }
    }

    /// How long the last commit waited for the disk; nothing where there is none.
    pub fn synced_in(&self) -> Option<std::time::Duration> {
        match self {
            Self::Sqlite(journal) => journal.synced_in,
            Self::Memory(_) => None,
        }
    }

    /// Reads beside the writer.
    pub fn reader(&self) -> Reader {
        match self {
            Self::Sqlite(journal) => Reader::Sqlite(journal.reader()),
            Self::Memory(journal) => Reader::Memory(journal.store()),
        }
    }

    /// Leaves the file tidy; nothing that is durable depends on it.
    pub async fn close(self) {
        if let Self::Sqlite(journal) = self {
            journal.close().await;
        }
    }
}

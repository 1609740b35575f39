//! A snapshot: the fold of a journal up to one of its commits, in a file beside it, so that a start reads only what came
//! later. It is a cache and never the truth: one that is damaged, of another build or of another journal is not used, and then
//! every event is read. When a snapshot is taken is left to `crate::snapshots`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read as _, Seek as _, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rmp_serde::{Deserializer, Serializer};
use serde::{Deserialize, Serialize};
use sqlx::sqlite::{SqliteConnection, SqlitePool};
use sweep_core::state::State;
use sweep_core::time::Timestamp;
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::{JournalError, Replayed, replay};
use crate::archive::JOURNAL;

/// The newest snapshot in a data folder.
pub const FILE: &str = "snapshot.bin";
/// One that is being written.
pub const UNFINISHED: &str = "snapshot.bin.new";
/// One over a journal that turned out to be damaged before its end. Never read.
pub const ASIDE: &str = "snapshot.bin.aside";

/// What every snapshot begins with: the last digit grows when the layout of the file changes.
const MAGIC: &[u8; 16] = b"sweep snapshot 1";
/// Which release wrote it, and which fold is compiled into that.
const BUILD: &str = concat!(env!("CARGO_PKG_VERSION"), " ", env!("SWEEP_FOLD"));
/// Bytes of the checksum at the end.
const SUM: u64 = 4;
/// Bytes read and written at once.
const BUFFER: usize = 1 << 18;

/// The commit that a snapshot ends with, as the journal has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Number of its first event.
    pub no: u64,
    /// Number of its events.
    pub count: u64,
    /// When.
    pub at: Timestamp,
    /// Its checksum.
    pub check: u32,
}

/// What a snapshot says of itself, before the state.
#[derive(Serialize, Deserialize)]
struct Head {
    build: String,
    mark: Mark,
    newest: Timestamp,
}

/// Why a snapshot is not used.
#[derive(Debug, thiserror::Error)]
enum Unfit {
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error("its checksum does not match")]
    Checksum,
    #[error("it cannot be decoded: {0}")]
    Decode(#[from] rmp_serde::decode::Error),
    #[error("another build wrote it ({0})")]
    Build(String),
    #[error("the journal does not have its last commit (event {0})")]
    Journal(u64),
    #[error("the journal cannot be asked: {0}")]
    Sql(#[from] sqlx::Error),
}

type Source = Deserializer<rmp_serde::decode::ReadReader<BufReader<File>>>;

/// What the folder's snapshot stands for; nothing if there is none that can be used.
pub(super) async fn newest(connection: &mut SqliteConnection, folder: &Path) -> Replayed {
    match load(connection, &folder.join(FILE)).await {
        Ok(replayed) => replayed,
        Err(Unfit::Io(error)) if error.kind() == io::ErrorKind::NotFound => Replayed::default(),
        Err(why) => {
            tracing::warn!(file = FILE, %why, "the snapshot is not used: every event is read");
            Replayed::default()
        }
    }
}

async fn load(connection: &mut SqliteConnection, path: &Path) -> Result<Replayed, Unfit> {
    // On the thread that is here: nobody is served at a start, and a snapshot is taken on a thread of its own.
    let (Head { build, mark, newest }, mut source) = open(path)?;
    if build != BUILD {
        return Err(Unfit::Build(build));
    }
    if row(connection, mark.no).await? != Some(mark) {
        return Err(Unfit::Journal(mark.no));
    }
    let state = State::deserialize(&mut source)?;
    let events = mark.no + mark.count - 1;
    Ok(Replayed { state, events, newest, mark: Some(mark), unread: events })
}

/// Opens a file whose bytes are those that were written.
fn open(path: &Path) -> Result<(Head, Source), Unfit> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len().checked_sub(SUM).ok_or(Unfit::Checksum)?;
    let mut sum = BufWriter::with_capacity(BUFFER, Summed { file: io::sink(), hash: crc32fast::Hasher::new() });
    io::copy(&mut (&file).take(length), &mut sum)?;
    let mut written = [0; SUM as usize];
    file.read_exact(&mut written)?;
    let Summed { hash, .. } = sum.into_inner().map_err(io::IntoInnerError::into_error)?;
    if hash.finalize() != u32::from_le_bytes(written) {
        return Err(Unfit::Checksum);
    }
    file.rewind()?;
    let mut reader = BufReader::with_capacity(BUFFER, file);
    let mut magic = [0; MAGIC.len()];
    reader.read_exact(&mut magic)?;
    if &magic != MAGIC {
        return Err(Unfit::Build(String::from_utf8_lossy(&magic).into_owned()));
    }
    let mut source = Deserializer::new(reader);
    Ok((Head::deserialize(&mut source)?, source))
}

async fn row(connection: &mut SqliteConnection, no: u64) -> Result<Option<Mark>, sqlx::Error> {
    let query = r#"SELECT count, at, "check" FROM events WHERE no = ?"#;
    let found: Option<(i64, i64, i64)> = sqlx::query_as(query).bind(no as i64).fetch_optional(connection).await?;
    Ok(found.map(|(count, at, check)| Mark { no, count: count as u64, at: Timestamp(at), check: check as u32 }))
}

/// Takes a snapshot of all that is committed, beside whoever writes the journal, and puts it in the place of the one before.
/// Returns how many events it stands for.
///
/// # Errors
/// When the journal is damaged after the last snapshot, or the file cannot be written.
pub async fn take(readers: &SqlitePool, folder: &Path) -> Result<u64, JournalError> {
    let given_up = CancellationToken::new();
    let _guard = given_up.clone().drop_guard();
    let (runtime, readers, place) = (Handle::current(), readers.clone(), folder.to_owned());
    // The state is made, written and let go on one thread, so that the allocator gives its memory back.
    let written = spawn_blocking(move || {
        let Some(folded) = runtime.block_on(given_up.run_until_cancelled(fold(&readers, &place))) else { return Ok(0) };
        let replayed = folded?;
        write(&place, &replayed, BUILD).map_err(|source| unwritten(&place, source))?;
        Ok(replayed.events)
    });
    let events = written.await.map_err(|error| unwritten(folder, error.into()))??;
    // Not on the other thread: whoever has found damage meanwhile has given this up.
    publish(folder).map_err(|source| unwritten(folder, source))?;
    Ok(events)
}

async fn fold(readers: &SqlitePool, folder: &Path) -> Result<Replayed, JournalError> {
    let acquired = readers.acquire().await;
    let mut connection = acquired.map_err(|source| JournalError::sql("reading", Path::new(JOURNAL), source))?;
    replay::replay(&mut connection, &folder.join(JOURNAL)).await
}

fn unwritten(folder: &Path, source: io::Error) -> JournalError {
    let _ = fs::remove_file(folder.join(UNFINISHED));
    JournalError::Folder { path: folder.join(FILE), source }
}

fn publish(folder: &Path) -> io::Result<()> {
    fs::rename(folder.join(UNFINISHED), folder.join(FILE))?;
    File::open(folder)?.sync_all()
}

/// Writes it under another name, so that nobody finds one that is half there.
fn write(folder: &Path, replayed: &Replayed, build: &str) -> io::Result<()> {
    let Some(mark) = replayed.mark else { return Err(io::Error::other("a journal without events")) };
    let path = folder.join(UNFINISHED);
    // What a crash left behind has unknown permissions.
    let _ = fs::remove_file(&path);
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let mut writer = BufWriter::with_capacity(BUFFER, Summed { file, hash: crc32fast::Hasher::new() });
    writer.write_all(MAGIC)?;
    let mut target = Serializer::new(&mut writer).with_struct_map();
    let head = Head { build: build.to_owned(), mark, newest: replayed.newest };
    head.serialize(&mut target).and_then(|()| replayed.state.serialize(&mut target)).map_err(io::Error::other)?;
    let Summed { mut file, hash } = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.write_all(&hash.finalize().to_le_bytes())?;
    file.sync_all()
}

/// Keeps the next start from the snapshot of a damaged journal: it reads every event then, and refuses.
///
/// # Errors
/// When it cannot be put aside.
pub fn set_aside(folder: &Path) -> io::Result<()> {
    match fs::rename(folder.join(FILE), folder.join(ASIDE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => File::open(folder)?.sync_all(),
    }
}

/// A file and the checksum of what was written.
struct Summed<W> {
    file: W,
    hash: crc32fast::Hasher,
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

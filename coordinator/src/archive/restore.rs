//! Puts a copy of the journal in the place of the present one, while no coordinator runs. What was there stays beside
//! it under another name; checkpoints are only ever added.

use std::fs;
use std::path::{Path, PathBuf};

use sweep_core::event::Event;
use sweep_core::lineage::Suspicion;
use sweep_core::retain;

use super::{ArchiveError, BLOBS, JOURNAL, UNFINISHED, blob_in, copy, link, rename_new, sync};
use crate::journal::examine::Examined;
use crate::journal::log::beside;
use crate::journal::sqlite::SqliteJournal;
use crate::journal::{Batch, Journal, Replayed};

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Events in the journal that is in place now.
    pub events: u64,
    /// Where the one before it is; nothing if there was none.
    pub before: Option<PathBuf>,
    /// Checkpoints that were put back.
    pub blobs: u64,
    /// Checkpoints that trials refer to and that are nowhere: trials that would go on from them begin again.
    pub missing: Vec<String>,
}

/// Puts a copy, a folder or a single file, in place. The caller holds the lock of the data folder.
///
/// # Errors
/// When the copy is not good, or something cannot be written. The present journal is then still in place, but for
/// [`ArchiveError::Unfinished`]: nothing starts on what is there then.
pub async fn restore(data: &Path, backup: &Path) -> Result<Restored, ArchiveError> {
    let source = if backup.is_dir() { backup.join(JOURNAL) } else { backup.to_owned() };
    if !source.is_file() {
        return Err(ArchiveError::NoBackup(backup.to_owned()));
    }
    let stamp = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%S%6fZ").to_string();
    let new = data.join(format!("{JOURNAL}.restore-{stamp}"));
    let prepared = match prepare(data, &source, &new).await {
        Ok(restored) => begin(data, &stamp).map(|before| (restored, before)),
        Err(error) => Err(error),
    };
    let (mut restored, before) = prepared.inspect_err(|_| {
        for suffix in ["", "-wal", "-shm"] {
            fs::remove_file(beside(&new, suffix)).unwrap_or_default();
        }
    })?;
    let unfinished = |source| ArchiveError::Unfinished { path: data.to_owned(), source: Box::new(source) };
    restored.before = swap(data, &new, before).map_err(unfinished)?;
    Ok(restored)
}

/// Everything that is not in the journal's place: a copy under another name, checked, that says of itself that an end is lost.
async fn prepare(data: &Path, source: &Path, new: &Path) -> Result<Restored, ArchiveError> {
    // Of a copy of ours: what is checked is what will be in place.
    copy(source, new)?;
    // What was put aside, or copied from where a process was killed, has its newest commits beside it.
    let log = beside(source, "-wal");
    if log.is_file() {
        copy(&log, &beside(new, "-wal"))?;
    }
    let (events, keep) = check(new).await?;
    let mut restored = Restored { events, ..Restored::default() };
    let (stored, copied) = (data.join(BLOBS), source.with_file_name(BLOBS));
    for sha256 in keep {
        let (place, spare) = (blob_in(&stored, &sha256), blob_in(&copied, &sha256));
        if place.exists() {
            continue;
        }
        if !spare.exists() {
            restored.missing.push(sha256);
            continue;
        }
        let shelf = place.parent().unwrap_or(&stored);
        fs::create_dir_all(shelf).map_err(ArchiveError::io("making", shelf))?;
        link(&spare, &place)?;
        sync(shelf)?;
        restored.blobs += 1;
    }
    suspect(new).await?;
    sync(new)?;
    Ok(restored)
}

/// What came after the backup is lost, and agents may know of it: nothing is decided before an admin has accepted that. Written
/// before the copy has its place, so that there is no moment at which it is taken for the whole. It has no log afterwards.
async fn suspect(new: &Path) -> Result<(), ArchiveError> {
    let (journal, Replayed { state, events, newest, .. }) = SqliteJournal::open_file(new.to_owned()).await?;
    let suspicion = Suspicion { agent: None, host: String::new(), generation: state.lineage.generation, events };
    let events = vec![Event::RollbackSuspected(suspicion)];
    let mut journal = Journal::Sqlite(journal);
    let written = journal.commit(&Batch { at: newest, events, ..Batch::default() }).await;
    journal.close().await;
    written?;
    let log = beside(new, "-wal");
    match log.metadata() {
        Ok(left) if left.len() > 0 => Err(ArchiveError::Bad { path: log, what: "its log was not copied".to_owned() }),
        _ => Ok(()),
    }
}

/// Marks the folder: between two renames it would look like one with an older journal, or none, and nobody may start on it
/// then. Returns where the present journal goes.
fn begin(data: &Path, stamp: &str) -> Result<PathBuf, ArchiveError> {
    let marker = data.join(UNFINISHED);
    let before = |stamp: &str| data.join(format!("{JOURNAL}.before-{stamp}"));
    // One that was cut off may have moved the log already, and the file follows it under the same name.
    let earlier = fs::read_to_string(&marker).unwrap_or_default();
    let earlier = earlier.trim_end().strip_prefix("restore ").map(before);
    if let Some(place) = earlier
        && beside(&place, "-wal").exists()
        && !place.exists()
    {
        return Ok(place);
    }
    let is_new = marker.symlink_metadata().is_err();
    let written = fs::write(&marker, format!("restore {stamp}\n"));
    let written = written.map_err(ArchiveError::io("writing", &marker)).and_then(|()| sync(data));
    match written {
        Err(error) if is_new => {
            let removed = fs::remove_file(&marker);
            tracing::debug!(?removed, "a restore could not begin");
            Err(error)
        }
        written => written.map(|()| before(stamp)),
    }
}

/// Changes the journal's place; returns where the one before it is, if there was one.
fn swap(data: &Path, new: &Path, before: PathBuf) -> Result<Option<PathBuf>, ArchiveError> {
    let (present, marker) = (data.join(JOURNAL), data.join(UNFINISHED));
    let was_there = present.symlink_metadata().is_ok();
    // With its log of changes it is the same journal under another name, without it an older one.
    for suffix in ["-wal", "-shm"] {
        let part = beside(&present, suffix);
        if part.symlink_metadata().is_ok() {
            rename_new(&part, &beside(&before, suffix))?;
        }
    }
    if was_there {
        rename_new(&present, &before)?;
    }
    rename_new(new, &present)?;
    sync(data)?;
    fs::remove_file(&marker).map_err(ArchiveError::io("removing", &marker))?;
    sync(data)?;
    Ok(was_there.then_some(before))
}

/// Whether all of it can be read; how many events there are, and which checkpoints they refer to.
async fn check(path: &Path) -> Result<(u64, std::collections::BTreeSet<String>), ArchiveError> {
    let mut examined = Examined::open(path).await?;
    if let Some(what) = examined.pages().await?.into_iter().next() {
        return Err(ArchiveError::Bad { path: path.to_owned(), what });
    }
    let (replayed, _) = examined.events().await?;
    examined.close().await;
    Ok((replayed.events, retain::keep(&replayed.state)))
}

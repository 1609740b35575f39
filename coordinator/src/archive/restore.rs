//! Puts a copy of the journal in the place of the present one, while no coordinator runs. What was there stays beside
//! it under another name; checkpoints are only ever added.

use std::fs;
use std::path::{Path, PathBuf};

use sweep_core::event::Event;
use sweep_core::lineage::Suspicion;
use sweep_core::retain;

use super::{ArchiveError, BLOBS, JOURNAL, UNFINISHED, blob_in, copy, link, rename_new, sync};
use crate::journal::examine::Examined;
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
/// When the copy is not good, or something cannot be written. The present journal is then still in place.
pub async fn restore(data: &Path, backup: &Path) -> Result<Restored, ArchiveError> {
    let source = if backup.is_dir() { backup.join(JOURNAL) } else { backup.to_owned() };
    if !source.is_file() {
        return Err(ArchiveError::NoBackup(backup.to_owned()));
    }
    let stamp = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%S%6fZ").to_string();
    let new = data.join(format!("{JOURNAL}.restore-{stamp}"));
    // Of a copy of ours: what is checked is what will be in place.
    copy(&source, &new)?;
    let (events, keep) = match check(&new).await {
        Ok(found) => found,
        Err(error) => {
            let _ = fs::remove_file(&new);
            return Err(error);
        }
    };
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
    let (present, marker) = (data.join(JOURNAL), data.join(UNFINISHED));
    // Between two renames the folder would look like one with an older journal, or none: nobody may start on it then.
    fs::write(&marker, "restore\n").map_err(ArchiveError::io("writing", &marker))?;
    sync(data)?;
    if present.symlink_metadata().is_ok() {
        let before = data.join(format!("{JOURNAL}.before-{stamp}"));
        // With its log of changes it is the same journal under another name, without it an older one.
        for suffix in ["-wal", "-shm"] {
            let part = data.join(format!("{JOURNAL}{suffix}"));
            if part.symlink_metadata().is_ok() {
                rename_new(&part, &data.join(format!("{JOURNAL}.before-{stamp}{suffix}")))?;
            }
        }
        rename_new(&present, &before)?;
        restored.before = Some(before);
    }
    rename_new(&new, &present)?;
    sync(data)?;
    fs::remove_file(&marker).map_err(ArchiveError::io("removing", &marker))?;
    sync(data)?;
    suspect(data).await?;
    Ok(restored)
}

/// What came after the backup is lost, and agents may know of it: nothing is decided before an admin has accepted that.
async fn suspect(data: &Path) -> Result<(), ArchiveError> {
    let (journal, Replayed { state, events, newest, .. }) = SqliteJournal::open(data).await?;
    let suspicion = Suspicion { agent: None, host: String::new(), generation: state.lineage.generation, events };
    let events = vec![Event::RollbackSuspected(suspicion)];
    let mut journal = Journal::Sqlite(journal);
    journal.commit(&Batch { at: newest, events, ..Batch::default() }).await?;
    journal.close().await;
    Ok(())
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

//! The attempt folders on disk: made, listed, moved away, removed. What trainers write into them is
//! left to `tail` and the launcher.
//!
//! Nothing here is fsynced. A trainer starts only after its order is written, so a crash of the agent
//! while it writes leaves a folder without lines, which is removed; and a power loss takes the trainer with it, so that whatever the folder
//! lost is lost with an attempt that starts again from the last checkpoint the coordinator has.
//!
//! Folders without checkpoints are used again: making and removing six inodes for each attempt costs
//! more than starting a small process (ext4 looks for inodes that were not removed lately).

use std::fs;
use std::io::{self, Write};
use std::iter;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use sweep_core::attempt::{
    ALIVE_FILE, CHECKPOINT_DIR, EVENTS_FILE, LOG_FILE, ORDER_FILE, OrderFile, PROGRESS_FILE, WAIT_FILE,
};
use sweep_core::id::Lease;

use crate::launcher::Disposal;

/// Logs of so many failed attempts are kept, the newest.
const FAILED_KEPT: usize = 50;
/// Most folders that wait to be used again.
const SPARE_KEPT: usize = 256;

/// The folders below an agent's state folder.
#[derive(Clone, Debug)]
pub struct Folders {
    state: PathBuf,
    spare: Arc<Mutex<Vec<PathBuf>>>,
}

impl Folders {
    /// Makes `attempts/` below the state folder.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn new(state: &Path) -> io::Result<Self> {
        let spare = state.join("spare");
        gone(fs::remove_dir_all(&spare))?;
        fs::create_dir_all(spare)?;
        fs::create_dir_all(state.join("attempts"))?;
        Ok(Self { state: state.into(), spare: Arc::default() })
    }

    /// Where the attempt folders are.
    pub fn root(&self) -> PathBuf {
        self.state.join("attempts")
    }

    /// The folder of an attempt.
    pub fn path(&self, lease: Lease) -> PathBuf {
        self.root().join(lease.to_string())
    }

    /// Makes the folder of a new attempt. What an earlier try to start it left is removed; an attempt that had begun, and whose
    /// folder could not be settled, is moved away with everything.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn create(&self, lease: Lease) -> io::Result<PathBuf> {
        let path = self.path(lease);
        let begun = fs::metadata(path.join(EVENTS_FILE)).is_ok_and(|events| events.len() > 0);
        if begun || path.join(CHECKPOINT_DIR).exists() {
            self.set_aside(lease, "unknown")?;
        }
        let spare = self.spare.lock().map(|mut spare| spare.pop()).ok().flatten();
        if let Some(spare) = spare
            && fs::rename(spare, &path).is_ok()
        {
            return Ok(path);
        }
        match fs::create_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                fs::remove_dir_all(&path)?;
                fs::create_dir(&path)?;
            }
            other => other?,
        }
        Ok(path)
    }

    /// Writes the order into an attempt's folder.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write_order(folder: &Path, order: &OrderFile) -> io::Result<()> {
        let text = serde_json::to_vec(order)?;
        let mut options = fs::File::options();
        // In a folder that is used again the file keeps its block.
        let mut file = options.write(true).create(true).truncate(false).open(folder.join(ORDER_FILE))?;
        file.write_all(&text)?;
        file.set_len(text.len() as u64)
    }

    /// Says in an attempt's folder after which epoch its trainer waits. A trainer reads the old word or the new one. Where it
    /// cannot be written the trainer is told nothing: an epoch in vain is better than a wait without an end.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write_wait(folder: &Path, epoch: Option<u32>) -> io::Result<()> {
        let path = folder.join(WAIT_FILE);
        let Some(epoch) = epoch else { return gone(fs::remove_file(path)) };
        let beside = path.with_extension("tmp");
        fs::write(&beside, epoch.to_string()).and_then(|()| fs::rename(&beside, &path)).or_else(|error| {
            gone(fs::remove_file(path))?;
            Err(error)
        })
    }

    /// Empties the folder of a settled attempt for the next one. False if it holds more than the
    /// files that every attempt has, or there are enough of them.
    fn recycle(&self, lease: Lease) -> io::Result<bool> {
        let from = self.path(lease);
        for entry in fs::read_dir(&from)? {
            let name = entry?.file_name();
            if ![ORDER_FILE, EVENTS_FILE, LOG_FILE, ALIVE_FILE, PROGRESS_FILE].iter().any(|known| name == *known) {
                return Ok(false);
            }
        }
        let Ok(mut spare) = self.spare.lock() else { return Ok(false) };
        if spare.len() >= SPARE_KEPT {
            return Ok(false);
        }
        let to = self.state.join("spare").join(lease.to_string());
        fs::rename(from, &to)?;
        for name in [EVENTS_FILE, LOG_FILE] {
            let path = to.join(name);
            if fs::metadata(&path).is_ok_and(|file| file.len() > 0) {
                fs::File::options().write(true).open(path)?.set_len(0)?;
            }
        }
        // A trainer that shows nothing must not be taken for one that shows nothing new.
        match fs::remove_file(to.join(PROGRESS_FILE)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => spare.push(to),
        }
        Ok(true)
    }

    /// The attempts that have a folder. What is not an attempt's folder is left alone.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn list(&self) -> io::Result<Vec<Lease>> {
        let mut leases = Vec::new();
        for entry in fs::read_dir(self.root())? {
            let entry = entry?;
            let named = |name: &str| name.parse::<Lease>().ok().filter(|lease| lease.to_string() == name);
            let lease = entry.file_name().to_str().and_then(named);
            match lease {
                Some(lease) if entry.file_type()?.is_dir() => leases.push(lease),
                _ => tracing::warn!(path = %entry.path().display(), "not an attempt, left alone"),
            }
        }
        leases.sort_unstable();
        Ok(leases)
    }

    /// Settles an attempt's folder.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn dispose(&self, lease: Lease, how: Disposal) -> io::Result<()> {
        let from = self.path(lease);
        match how {
            Disposal::Remove => match self.recycle(lease) {
                Ok(true) => Ok(()),
                Ok(false) | Err(_) => gone(fs::remove_dir_all(&from)),
            },
            Disposal::Quarantine => self.set_aside(lease, "quarantine"),
            Disposal::Unknown => self.set_aside(lease, "unknown"),
            Disposal::KeepLog => {
                let kept = self.state.join("failed");
                let to = kept.join(lease.to_string());
                fs::create_dir_all(&to)?;
                for name in [ORDER_FILE, EVENTS_FILE, LOG_FILE] {
                    gone(fs::rename(from.join(name), to.join(name)))?;
                }
                gone(fs::remove_dir_all(&from))?;
                prune(&kept, FAILED_KEPT)
            }
        }
    }

    /// Keeps everything of it, out of the way. The same numbers may come again, for another attempt: it gets a name of its own.
    fn set_aside(&self, lease: Lease, name: &str) -> io::Result<()> {
        let aside = self.state.join(name);
        fs::create_dir_all(&aside)?;
        let from = self.path(lease);
        if !from.exists() {
            return Ok(());
        }
        let names = iter::once(lease.to_string()).chain((2..).map(|count: u64| format!("{lease}.{count}")));
        let free = names.map(|name| aside.join(name)).find(|to| fs::symlink_metadata(to).is_err());
        fs::rename(from, free.ok_or(io::ErrorKind::AlreadyExists)?)
    }
}

/// What is not there need not be removed.
fn gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Removes the oldest folders until at most `most` are left.
fn prune(folder: &Path, most: usize) -> io::Result<()> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        entries.push((entry.metadata()?.modified()?, entry.path()));
    }
    entries.sort_unstable();
    let surplus = entries.len().saturating_sub(most);
    for (_, path) in entries.drain(..surplus) {
        gone(fs::remove_dir_all(path))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use sweep_core::id::{SweepId, TrialId};

    fn lease(attempt: u32) -> Lease {
        let trial = TrialId::derive(SweepId::derive("attempts", ""), "");
        Lease { trial, attempt }
    }

    #[test]
    fn a_folder_is_found_again_until_it_is_settled() {
        let state = tempfile::tempdir().unwrap();
        let folders = Folders::new(state.path()).unwrap();
        for attempt in 1..=4 {
            let path = folders.create(lease(attempt)).unwrap();
            fs::write(path.join(LOG_FILE), "words").unwrap();
        }
        fs::write(state.path().join("attempts/stray"), "").unwrap();
        assert_eq!(folders.list().unwrap(), [lease(1), lease(2), lease(3), lease(4)]);
        let how = [Disposal::Remove, Disposal::KeepLog, Disposal::Quarantine, Disposal::Unknown];
        for (attempt, how) in (1..).zip(how) {
            folders.dispose(lease(attempt), how).unwrap();
            // Again is harmless.
            folders.dispose(lease(attempt), how).unwrap();
        }
        assert_eq!(folders.list().unwrap(), []);
        for (name, attempt) in [("failed", 2), ("quarantine", 3), ("unknown", 4)] {
            let kept = state.path().join(name).join(lease(attempt).to_string());
            assert_eq!(fs::read_to_string(kept.join(LOG_FILE)).unwrap(), "words");
        }
    }

    #[test]
    fn a_folder_without_checkpoints_is_used_again_and_is_empty() {
        let state = tempfile::tempdir().unwrap();
        let folders = Folders::new(state.path()).unwrap();
        let first = folders.create(lease(1)).unwrap();
        for name in [ORDER_FILE, EVENTS_FILE, LOG_FILE, ALIVE_FILE, PROGRESS_FILE] {
            fs::write(first.join(name), "old").unwrap();
        }
        folders.dispose(lease(1), Disposal::Remove).unwrap();
        assert_eq!(folders.list().unwrap(), []);
        let second = folders.create(lease(2)).unwrap();
        for name in [EVENTS_FILE, LOG_FILE] {
            assert_eq!(fs::read(second.join(name)).unwrap(), b"");
        }
        assert!(!second.join(PROGRESS_FILE).exists(), "nobody may be taken to hang for what another has shown");
        fs::create_dir(second.join("ckpt")).unwrap();
        folders.dispose(lease(2), Disposal::Remove).unwrap();
        assert_eq!(fs::read_dir(folders.create(lease(3)).unwrap()).unwrap().count(), 0);
    }

    #[test]
    fn a_word_to_wait_is_replaced_as_a_whole_and_taken_back() {
        let state = tempfile::tempdir().unwrap();
        let folders = Folders::new(state.path()).unwrap();
        let folder = folders.create(lease(1)).unwrap();
        Folders::write_wait(&folder, None).unwrap();
        for epoch in [1, 27, 3] {
            Folders::write_wait(&folder, Some(epoch)).unwrap();
            assert_eq!(fs::read_to_string(folder.join(WAIT_FILE)).unwrap(), epoch.to_string());
        }
        // It cannot be written: nobody is to wait for ever.
        fs::create_dir(folder.join("wait.tmp")).unwrap();
        assert!(Folders::write_wait(&folder, Some(9)).is_err());
        assert!(!folder.join(WAIT_FILE).exists());
        fs::write(folder.join(WAIT_FILE), "1").unwrap();
        // The next attempt in a folder waits for nothing that another was told.
        folders.dispose(lease(1), Disposal::Remove).unwrap();
        assert!(!folders.create(lease(2)).unwrap().join(WAIT_FILE).exists());
    }

    #[test]
    fn what_lies_where_an_attempt_begins_is_not_taken_for_its_own() {
        let state = tempfile::tempdir().unwrap();
        let folders = Folders::new(state.path()).unwrap();
        fs::write(folders.create(lease(1)).unwrap().join(EVENTS_FILE), "of an earlier start").unwrap();
        assert_eq!(fs::read_dir(folders.create(lease(1)).unwrap()).unwrap().count(), 0);
        // It had begun, and nobody has said that it may go.
        let aside = state.path().join("unknown").join(lease(1).to_string()).join(EVENTS_FILE);
        assert_eq!(fs::read_to_string(aside).unwrap(), "of an earlier start");
        fs::write(folders.create(lease(2)).unwrap().join(ORDER_FILE), "never begun").unwrap();
        assert_eq!(fs::read_dir(folders.create(lease(2)).unwrap()).unwrap().count(), 0);
        assert_eq!(fs::read_dir(state.path().join("unknown")).unwrap().count(), 1);
    }

    /// The second of the same numbers took the place of the first, which was to be kept.
    #[test]
    fn what_is_set_aside_is_never_removed() {
        let state = tempfile::tempdir().unwrap();
        let folders = Folders::new(state.path()).unwrap();
        for how in [Disposal::Unknown, Disposal::Quarantine] {
            for count in 1..=3 {
                fs::write(folders.create(lease(1)).unwrap().join(LOG_FILE), count.to_string()).unwrap();
                folders.dispose(lease(1), how).unwrap();
            }
        }
        for name in ["unknown", "quarantine"] {
            for (end, count) in [("", "1"), (".2", "2"), (".3", "3")] {
                let kept = state.path().join(name).join(format!("{}{end}", lease(1))).join(LOG_FILE);
                assert_eq!(fs::read_to_string(kept).unwrap(), count);
            }
        }
    }

    #[test]
    fn only_the_newest_failures_are_kept() {
        let state = tempfile::tempdir().unwrap();
        let folders = Folders::new(state.path()).unwrap();
        for attempt in 1..=FAILED_KEPT as u32 + 3 {
            folders.create(lease(attempt)).unwrap();
            folders.dispose(lease(attempt), Disposal::KeepLog).unwrap();
        }
        let kept = fs::read_dir(state.path().join("failed")).unwrap().count();
        assert_eq!(kept, FAILED_KEPT);
        assert!(state.path().join("failed").join(lease(FAILED_KEPT as u32 + 3).to_string()).exists());
    }
}

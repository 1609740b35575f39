//! The data folder: one coordinator at a time, and where others find its address.

use std::fmt::Display;
use std::fs::{DirBuilder, File, TryLockError};
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

/// Why the folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Another process holds the lock.
    #[error("another coordinator works on {}: stop it first, or use another --data", .0.display())]
    Taken(PathBuf),
    /// The file system refused.
    #[error("{action} {} failed", path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// The lock on a data folder; the kernel gives it back when the process ends, however it ends.
#[derive(Debug)]
pub struct FolderLock(#[expect(dead_code, reason = "the lock lives as long as the open file")] File);

/// Makes the folder if needed and takes its lock.
///
/// # Errors
/// When another process has it, or the folder cannot be made.
pub fn lock(folder: &Path) -> Result<FolderLock, FolderError> {
    let io = |action, path: &Path| {
        let path = path.to_owned();
        move |source| FolderError::Io { action, path, source }
    };
    // A new one is its owner's alone: results are in it, and may be nobody else's business.
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(io("making", folder))?;
    let path = folder.join("coordinator.lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(io("opening", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(FolderLock(file)),
        Err(TryLockError::WouldBlock) => Err(FolderError::Taken(folder.to_owned())),
        Err(TryLockError::Error(source)) => Err(io("locking", &path)(source)),
    }
}

/// Writes the bound address to `<folder>/address`, whole or not at all.
///
/// # Errors
/// When it cannot be written.
pub fn publish_address(folder: &Path, address: impl Display) -> Result<(), FolderError> {
    let (path, new) = (folder.join("address"), folder.join("address.new"));
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&new)?;
        writeln!(file, "{address}")?;
        file.sync_all()?;
        std::fs::rename(&new, &path)
    };
    write().map_err(|source| FolderError::Io { action: "writing", path: path.clone(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_coordinator_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let held = lock(folder.path()).unwrap();
        assert!(matches!(lock(folder.path()), Err(FolderError::Taken(_))));
        drop(held);
        lock(folder.path()).unwrap();
    }

    #[test]
    fn the_address_is_one_line() {
        let folder = tempfile::tempdir().unwrap();
        publish_address(folder.path(), "127.0.0.1:7070").unwrap();
        assert_eq!(std::fs::read_to_string(folder.path().join("address")).unwrap(), "127.0.0.1:7070\n");
    }
}

//! Copies of what is stored: made while everything runs ([`backup`]), put back while nothing does ([`restore`]), and
//! looked at either way ([`fsck`]). A copy is a folder with `sweep.db`, and with `blobs/` if checkpoints are in it.
//! Who may log in (`access.db`, `ca/`) never travels with it.

pub mod backup;
pub mod fsck;
pub mod restore;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::journal::JournalError;

/// The journal in a data folder and in a copy.
pub const JOURNAL: &str = "sweep.db";
/// The checkpoints in a data folder and in a copy.
pub const BLOBS: &str = "blobs";

/// In a data folder while a copy is put in place.
pub const UNFINISHED: &str = "restore-unfinished";

/// Why there is no copy, or it was not put back.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// Nothing is ever overwritten.
    #[error("{} is there already, and a backup never writes over anything: choose another name", .0.display())]
    Exists(PathBuf),
    /// Not where a copy can be.
    #[error("`{0}` is neither an absolute path on the coordinator's host nor a plain name for a folder in `backups/`")]
    Target(String),
    /// Nothing to put back.
    #[error("no backup at {}: it has no {JOURNAL}", .0.display())]
    NoBackup(PathBuf),
    /// The copy is not good.
    #[error("the copy in {} is not good ({what}); it was not put in place", path.display())]
    Bad {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The journal cannot be read or copied.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The file system refused.
    #[error("{action} {} failed", path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Stopped between the first and the last change in the journal's place.
    #[error(
        "putting the backup in place was cut off in {}: the coordinator does not start there before `sweep-coordinator restore \
         BACKUP` has come to its end", path.display()
    )]
    Unfinished {
        /// The data folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<Self>,
    },
    /// A task of ours ended early.
    #[error("the work on the copy was cut off")]
    CutOff,
}

impl ArchiveError {
    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

/// Where a checkpoint is in the folder of checkpoints.
fn blob_in(blobs: &Path, sha256: &str) -> PathBuf {
    blobs.join(sha256.get(..2).unwrap_or_default()).join(sha256)
}

/// What is in a file or a folder survives a crash.
fn sync(path: &Path) -> Result<(), ArchiveError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(ArchiveError::io("syncing", path))
}

/// A durable copy of a file under a name that is free.
fn copy(from: &Path, to: &Path) -> Result<(), ArchiveError> {
    let copy = || -> io::Result<()> {
        let mut source = File::open(from)?;
        let mut target = File::options().write(true).create_new(true).open(to)?;
        io::copy(&mut source, &mut target)?;
        target.sync_all()
    };
    copy().map_err(ArchiveError::io("copying to", to))
}

/// A second name for a file that is never changed, or a copy where the file system cannot give one.
fn link(from: &Path, to: &Path) -> Result<(), ArchiveError> {
    match fs::hard_link(from, to) {
        Ok(()) => Ok(()),
        Err(_) => copy(from, to),
    }
}

/// Renames where nothing is yet; whoever comes second is told.
fn rename_new(from: &Path, to: &Path) -> Result<(), ArchiveError> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::Errno;
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        Err(Errno::EXIST) => Err(ArchiveError::Exists(to.to_owned())),
        // A file system that does not know the flag.
        Err(Errno::INVAL) if to.symlink_metadata().is_err() => {
            fs::rename(from, to).map_err(ArchiveError::io("renaming to", to))
        }
        Err(Errno::INVAL) => Err(ArchiveError::Exists(to.to_owned())),
        Err(error) => Err(ArchiveError::io("renaming to", to)(error.into())),
    }
}

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
    /// It lies where locks and syncs cannot be relied on.
    #[error(
        "{} lies on {kind}, where locks and syncs may not hold and the journal may be lost: use a --data on a disk of this host, or \
         say --network-disk if you have made sure of both", path.display()
    )]
    Remote {
        /// The folder.
        path: PathBuf,
        /// The kind of file system.
        kind: &'static str,
    },
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

/// File systems on which SQLite's locks and syncs cannot be relied on, by their number in `statfs`.
const REMOTE: [(i64, &str); 9] = [
    (0x6969, "NFS"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB"),
    (0x6573_5546, "FUSE"),
    (0x0bd0_0bd0, "Lustre"),
    (0x00c3_6400, "Ceph"),
    (0x4750_4653, "GPFS"),
    (0x1983_0326, "BeeGFS"),
    (0x5346_414f, "AFS"),
];

fn remote(number: i64) -> Option<&'static str> {
    // Of 32 bits, which some kernels hand out with their sign.
    REMOTE.iter().find(|(known, _)| *known == number & 0xffff_ffff).map(|(_, kind)| *kind)
}

impl FolderError {
    /// Whether it passes when there is room.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull)
    }
}

/// Whether a folder lies on a disk of this host.
///
/// # Errors
/// When it does not, or nobody can say.
pub fn on_this_host(folder: &Path) -> Result<(), FolderError> {
    let disk = rustix::fs::statfs(folder);
    let io = |source| FolderError::Io { action: "looking at the file system of", path: folder.to_owned(), source };
    match remote(disk.map_err(|error| io(error.into()))?.f_type) {
        Some(kind) => Err(FolderError::Remote { path: folder.to_owned(), kind }),
        None => Ok(()),
    }
}

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
    fn a_share_of_the_network_is_told_from_a_disk() {
        assert_eq!(remote(0x6969), Some("NFS"));
        assert_eq!(remote(i64::from(0xff53_4d42_u32 as i32)), Some("CIFS"), "with its sign");
        assert_eq!(remote(0xef53), None, "ext4");
        on_this_host(tempfile::tempdir().unwrap().path()).unwrap();
        let error = FolderError::Remote { path: "/home/ann".into(), kind: "NFS" }.to_string();
        assert!(error.starts_with("/home/ann lies on NFS") && error.contains("--network-disk"), "{error}");
    }

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

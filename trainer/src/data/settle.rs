//! Gets a freshly built cache file onto the disk while training already reads it. Waiting for the disk would take
//! longer than decoding: 2,000 images of 224 px are 300 MB. Nothing is lost without it, since a file that did not
//! reach the disk whole is found out by its checksums and built again; but a disk that refuses it (a network file
//! system over its quota, a broken one) may also lose what the map shows, so the trial must end.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::SystemTime;

use super::verified;
use crate::error::TrainError;
use crate::log::say;

/// A file on its way to the disk.
#[derive(Clone, Debug)]
pub(super) struct Settling {
    path: PathBuf,
    /// Once it is over: what the disk said.
    end: Arc<OnceLock<Option<io::Error>>>,
}

impl Settling {
    /// Syncs `file`, which is open from `path`, on a thread of its own; without one at once. When `sync` fails, the
    /// file is removed, so that no other trial takes it.
    pub(super) fn start(
        file: File,
        path: PathBuf,
        sync: impl FnOnce(&File) -> io::Result<()> + Send + 'static,
    ) -> Self {
        let settling = Self { path, end: Arc::default() };
        let other = settling.clone();
        let named = thread::Builder::new().name("settle".to_owned());
        if let Err(error) = named.spawn(move || other.finish(&file, sync)) {
            // Unsynced and unnoted: checksums tell the next trial whether it is whole.
            say(format_args!("{} is left to the system to write: {error}", settling.path.display()));
        }
        settling
    }

    fn finish(&self, file: &File, sync: impl FnOnce(&File) -> io::Result<()>) {
        let trouble = sync(file).err();
        match &trouble {
            None => verified::remember(&self.path, file, SystemTime::now()),
            Some(error) => {
                say(format_args!("{} did not reach the disk, removed: {error}", self.path.display()));
                fs::remove_file(&self.path).ok();
            }
        }
        self.end.set(trouble).ok();
    }

    /// What the disk has said so far.
    pub(super) fn check(&self) -> Result<(), TrainError> {
        match self.end.get() {
            Some(Some(error)) => Err(TrainError::Cache {
                what: "write",
                path: self.path.clone(),
                source: io::Error::new(error.kind(), error.to_string()),
            }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(sync: fn(&File) -> io::Result<()>) -> (tempfile::TempDir, Settling) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.images");
        fs::write(&path, "pixels").unwrap();
        let settling = Settling::start(File::open(&path).unwrap(), path, sync);
        settling.end.wait();
        (folder, settling)
    }

    #[test]
    fn a_file_the_disk_takes_stays() {
        let (_folder, settling) = settled(File::sync_all);
        settling.check().unwrap();
        assert!(settling.path.exists());
    }

    #[test]
    fn a_file_the_disk_refuses_goes_and_ends_the_trial() {
        let (_folder, settling) = settled(|_| Err(io::ErrorKind::QuotaExceeded.into()));
        let error = settling.check().unwrap_err();
        assert!(matches!(&error, TrainError::Cache { what: "write", .. }), "{error}");
        assert!(!settling.path.exists());
    }
}

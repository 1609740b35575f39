//! That a blob is there says nothing about whether its name outlives a power loss: whoever stored it may have been cut off between
//! the name and the sync of the folder. Before it is said to be there, that is made up for, once in the life of a process.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use super::{BlobError, Blobs, place};

/// Names that are remembered; those of more are synced again.
const MOST: usize = 1 << 16;

/// Blobs of which it is known.
#[derive(Debug, Default)]
pub(super) struct Durable(Mutex<HashSet<String>>);

impl Durable {
    pub(super) fn add(&self, sha256: &str) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(sha256.to_owned());
    }

    pub(super) fn remove(&self, sha256: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(sha256);
    }

    fn has(&self, sha256: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(sha256)
    }
}

impl Blobs {
    /// Returns when a blob that is there survives a power loss.
    pub(super) async fn settle(&self, sha256: &str) -> Result<(), BlobError> {
        let Some(folder) = self.folder.clone().filter(|_| !self.durable.has(sha256)) else { return Ok(()) };
        let path = folder.join(place(sha256)?.as_ref());
        let name = path.clone();
        let synced = tokio::task::spawn_blocking(move || {
            let mut above = path.ancestors().skip(1).take_while(|above| above.starts_with(&folder));
            sync(&path)?;
            above.try_for_each(sync)
        });
        match synced.await.unwrap_or_else(|_| Err(ErrorKind::Interrupted.into())) {
            Ok(()) => {
                self.durable.add(sha256);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Err(BlobError::Missing(sha256.to_owned())),
            Err(source) => Err(BlobError::Sync { path: name, source }),
        }
    }
}

/// What is in a file or a folder survives a power loss.
pub(super) fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

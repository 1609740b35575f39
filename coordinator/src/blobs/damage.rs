//! Blobs whose bytes went bad: found by reading them, and set aside.

use std::error::Error;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::SystemTime;

use futures_util::TryStreamExt as _;
use object_store::ObjectStoreExt as _;
use sha2::{Digest as _, Sha256};

use super::{BlobError, Blobs, hex, place};

/// Beside the store: what was found to be damaged.
const DAMAGED: &str = "damaged";
/// `EIO`: the disk cannot read what it has.
const BAD_DISK: i32 = 5;

/// Whether reading failed because the disk has lost it.
pub(super) fn is_bad_disk(error: &object_store::Error) -> bool {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error) == Some(BAD_DISK) {
            return true;
        }
        cause = error.source();
    }
    false
}

impl Blobs {
    /// Reads a blob to its end. A damaged one is set aside, where nothing looks for it and nothing deletes it: whoever needs it is told
    /// that it is missing, and it can be stored again.
    ///
    /// # Errors
    /// [`BlobError::Damaged`]; or when there is none, or the store fails.
    pub async fn check(&self, sha256: &str) -> Result<u64, BlobError> {
        let place = place(sha256)?;
        let fail = |error| self.error("reading", sha256, error);
        let found = self.store.get(&place).await.map_err(fail)?;
        let (bytes, tag) = (found.meta.size, found.meta.e_tag.clone());
        let (mut data, mut hasher) = (found.into_stream(), Sha256::new());
        loop {
            match data.try_next().await {
                Ok(Some(piece)) => hasher.update(&piece),
                Ok(None) if hex(&hasher.finalize()) == sha256 => return Ok(bytes),
                Err(error) if !is_bad_disk(&error) => return Err(fail(error)),
                Ok(None) | Err(_) => break,
            }
        }
        // Somebody else may have set it aside, and somebody stored it again.
        let there = self.store.head(&place).await.map_err(fail)?;
        if there.e_tag == tag {
            tracing::error!(sha256, "a stored checkpoint is damaged; its trial goes on from an earlier one");
            match &self.folder {
                Some(folder) => {
                    if let Err(error) = set_aside(folder, &folder.join(place.as_ref()), sha256) {
                        tracing::error!(sha256, %error, "it cannot be moved to `damaged`");
                    }
                }
                None => self.delete(sha256).await?,
            }
        }
        Err(BlobError::Damaged(sha256.to_owned()))
    }
}

fn set_aside(folder: &Path, file: &Path, sha256: &str) -> io::Result<()> {
    let aside = folder.with_file_name(DAMAGED);
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_micros();
    fs::create_dir_all(&aside)?;
    match fs::rename(file, aside.join(format!("{sha256}-{since}"))) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

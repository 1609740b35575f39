//! Checkpoints: files named by their SHA-256, in a folder (or in memory for simulations) through
//! `object_store`. A file is written beside its place while it is hashed, and appears under its name
//! only when length and hash are right. Which files to keep is decided elsewhere.
//!
//! Durable: the local store is opened with `with_fsync(true)`, so that finishing an upload syncs the
//! file, renames it, and syncs its folder (and a folder that was made for it) before it returns.

mod damage;
mod durable;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt as _, path};
use sha2::{Digest as _, Sha256};
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

/// What is collected before it is written.
const PART: usize = 4 << 20;

/// Why a blob cannot be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// Not 64 lower-case hex digits.
    #[error("`{0}` is not a SHA-256 in lower-case hex")]
    Name(String),
    /// No such blob.
    #[error("no blob {0}")]
    Missing(String),
    /// More or fewer bytes than declared.
    #[error("{got} bytes came, {declared} were declared")]
    Length {
        /// Declared.
        declared: u64,
        /// Came, at least.
        got: u64,
    },
    /// The bytes are not what was declared.
    #[error("the bytes have the hash {found}, {declared} was declared")]
    Hash {
        /// Declared.
        declared: String,
        /// Came.
        found: String,
    },
    /// What is stored is not what was. It is set aside, if the disk lets it be moved.
    #[error("the stored bytes of blob {0} are damaged; they are moved to `damaged` beside the store")]
    Damaged(String),
    /// No room; nothing is left of the upload.
    #[error("no room left in {}: make room on that disk and send it again", path.display())]
    Full {
        /// The folder.
        path: PathBuf,
    },
    /// The folder cannot be made or cleaned.
    #[error("preparing {} failed", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is there, and the disk does not say that it stays.
    #[error("syncing {} failed", path.display())]
    Sync {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The store failed.
    #[error("{action} a blob failed")]
    Store {
        /// What was attempted.
        action: &'static str,
        /// Why.
        #[source]
        source: object_store::Error,
    },
}

/// The store. Clones share it.
#[derive(Clone, Debug)]
pub struct Blobs {
    store: Arc<dyn ObjectStore>,
    folder: Option<PathBuf>,
    gate: Arc<RwLock<()>>,
    references: Arc<RwLock<()>>,
    durable: Arc<durable::Durable>,
}

/// A stored blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its name.
    pub sha256: String,
    /// Its length.
    pub bytes: u64,
    /// When it was stored or last declared again.
    pub modified: SystemTime,
}

impl Blobs {
    /// In a folder, which is made if needed. Only one process may use it: what an interrupted upload
    /// left behind is removed.
    ///
    /// # Errors
    /// When the folder cannot be made or cleaned.
    pub fn open(folder: &Path) -> Result<Self, BlobError> {
        let fail = |source| BlobError::Folder { path: folder.to_owned(), source };
        std::fs::create_dir_all(folder).map_err(fail)?;
        let above = folder.parent().filter(|above| !above.as_os_str().is_empty());
        durable::sync(above.unwrap_or(Path::new("."))).map_err(fail)?;
        clean(folder).map_err(fail)?;
        let store = LocalFileSystem::new_with_prefix(folder)
            .map_err(|source| BlobError::Store { action: "opening the store of", source })?
            .with_fsync(true);
        Ok(Self { store: Arc::new(store), folder: Some(folder.to_owned()), ..Self::memory() })
    }

    /// In memory.
    pub fn memory() -> Self {
        let (gate, references, durable) = (Arc::default(), Arc::default(), Arc::default());
        Self { store: Arc::new(InMemory::new()), folder: None, gate, references, durable }
    }

    /// The folder, if there is one.
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// Bytes that are left on the disk of the folder; nothing where nobody says.
    pub fn room(&self) -> Option<u64> {
        let found = rustix::fs::statvfs(self.folder.as_ref()?).ok()?;
        Some(found.f_bavail.saturating_mul(found.f_frsize))
    }

    /// While this is held, nothing is cleaned away.
    pub async fn hold(&self) -> OwnedRwLockReadGuard<()> {
        self.gate.clone().read_owned().await
    }

    /// The right to clean up; nothing while somebody wants everything to stay.
    pub(crate) fn sweep(&self) -> Option<OwnedRwLockWriteGuard<()>> {
        self.gate.clone().try_write_owned().ok()
    }

    /// While this is held, a blob that was found is not cleaned away: it is about to be referred to.
    pub async fn refer(&self) -> OwnedRwLockReadGuard<()> {
        self.references.clone().read_owned().await
    }

    /// Nobody is between finding a blob and referring to it.
    pub(crate) async fn settled(&self) -> OwnedRwLockWriteGuard<()> {
        self.references.clone().write_owned().await
    }

    /// The length of a blob.
    ///
    /// # Errors
    /// When there is none, or the store fails.
    pub async fn length(&self, sha256: &str) -> Result<u64, BlobError> {
        let meta = self.store.head(&place(sha256)?).await;
        meta.map(|meta| meta.size).map_err(|error| self.error("finding", sha256, error))
    }

    /// Starts to store a blob; `None` if it is there already and survives a power loss (its time is renewed, so that it is
    /// not taken for a left-over).
    ///
    /// # Errors
    /// When the name is wrong or the store fails.
    pub async fn upload(&self, sha256: &str, bytes: u64) -> Result<Option<Upload>, BlobError> {
        let place = place(sha256)?;
        match self.length(sha256).await {
            Ok(stored) if stored == bytes => {
                self.renew(&place).await;
                match self.settle(sha256).await {
                    Ok(()) => return Ok(None),
                    Err(BlobError::Missing(_)) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(_) => match self.check(sha256).await {
                Ok(stored) => return Err(BlobError::Length { declared: bytes, got: stored }),
                Err(BlobError::Damaged(_)) => {}
                Err(error) => return Err(error),
            },
            Err(BlobError::Missing(_)) => {}
            Err(error) => return Err(error),
        }
        self.durable.remove(sha256);
        let parts = self.store.put_multipart(&place).await.map_err(|error| self.error("starting", sha256, error))?;
        let (hasher, part) = (Sha256::new(), BytesMut::new());
        Ok(Some(Upload { blobs: self.clone(), parts, hasher, part, got: 0, sha256: sha256.to_owned(), bytes }))
    }

    /// The length and the bytes of a blob. They are compared with its name on the way: after the last ones of a damaged blob comes
    /// [`BlobError::Damaged`], and from then on there is none of that name.
    ///
    /// # Errors
    /// When there is none, or the store fails.
    pub async fn download(
        &self,
        sha256: &str,
    ) -> Result<(u64, BoxStream<'static, Result<Bytes, BlobError>>), BlobError> {
        let found = self.store.get(&place(sha256)?).await.map_err(|error| self.error("reading", sha256, error))?;
        let (bytes, data) = (found.meta.size, found.into_stream());
        let (blobs, sha256) = (self.clone(), sha256.to_owned());
        let checked = stream::try_unfold(Some((data, Sha256::new())), move |reading| {
            let (blobs, sha256) = (blobs.clone(), sha256.clone());
            async move {
                let Some((mut data, mut hasher)) = reading else { return Ok(None) };
                match data.try_next().await {
                    Ok(Some(piece)) => {
                        hasher.update(&piece);
                        return Ok(Some((piece, Some((data, hasher)))));
                    }
                    Ok(None) if hex(&hasher.finalize()) == sha256 => return Ok(None),
                    Err(error) if !damage::is_bad_disk(&error) => return Err(blobs.error("reading", &sha256, error)),
                    Ok(None) | Err(_) => {}
                }
                blobs.check(&sha256).await?;
                Err(BlobError::Damaged(sha256))
            }
        });
        Ok((bytes, checked.boxed()))
    }

    /// Every blob.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(&self) -> Result<Vec<Stored>, BlobError> {
        let stored = self.store.list(None).map_ok(|meta| Stored {
            sha256: meta.location.filename().unwrap_or_default().to_owned(),
            bytes: meta.size,
            modified: meta.last_modified.into(),
        });
        let list: Vec<Stored> = stored.try_collect().await.map_err(|error| self.error("listing", "", error))?;
        Ok(list.into_iter().filter(|stored| is_digest(&stored.sha256)).collect())
    }

    /// Deletes a blob; one that is gone already is fine.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn delete(&self, sha256: &str) -> Result<(), BlobError> {
        match self.store.delete(&place(sha256)?).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.error("deleting", sha256, error)),
        }
    }

    async fn renew(&self, place: &path::Path) {
        let Some(folder) = &self.folder else { return };
        let file = folder.join(place.as_ref());
        let renew = move || std::fs::File::options().append(true).open(file)?.set_modified(SystemTime::now());
        if !matches!(tokio::task::spawn_blocking(renew).await, Ok(Ok(()))) {
            tracing::warn!(%place, "renewing the time of a blob failed");
        }
    }

    fn error(&self, action: &'static str, sha256: &str, source: object_store::Error) -> BlobError {
        if let object_store::Error::NotFound { .. } = source {
            return BlobError::Missing(sha256.to_owned());
        }
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&source);
        while let Some(error) = cause {
            let full = |error: &std::io::Error| {
                matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
            };
            if error.downcast_ref::<std::io::Error>().is_some_and(full) {
                return BlobError::Full { path: self.folder.clone().unwrap_or_default() };
            }
            cause = error.source();
        }
        BlobError::Store { action, source }
    }
}

/// An upload in progress. Dropped before [`Upload::finish`], nothing is left of it.
#[derive(Debug)]
pub struct Upload {
    blobs: Blobs,
    parts: Box<dyn MultipartUpload>,
    hasher: Sha256,
    part: BytesMut,
    got: u64,
    sha256: String,
    bytes: u64,
}

impl Upload {
    /// Adds bytes.
    ///
    /// # Errors
    /// When they are more than declared, or the store fails.
    pub async fn push(&mut self, data: &[u8]) -> Result<(), BlobError> {
        self.got += data.len() as u64;
        if self.got > self.bytes {
            return Err(BlobError::Length { declared: self.bytes, got: self.got });
        }
        self.hasher.update(data);
        self.part.extend_from_slice(data);
        if self.part.len() >= PART {
            self.write().await?;
        }
        Ok(())
    }

    /// Checks length and hash and makes the blob durable under its name.
    ///
    /// # Errors
    /// When it is not what was declared, or the store fails; nothing is left of it then.
    pub async fn finish(mut self) -> Result<(), BlobError> {
        match self.complete().await {
            Ok(()) => Ok(()),
            Err(error) => {
                if let Err(source) = self.parts.abort().await {
                    tracing::debug!(%source, "an upload was not there to be aborted");
                }
                Err(error)
            }
        }
    }

    async fn complete(&mut self) -> Result<(), BlobError> {
        if self.got != self.bytes {
            return Err(BlobError::Length { declared: self.bytes, got: self.got });
        }
        let found = hex(&std::mem::take(&mut self.hasher).finalize());
        if found != self.sha256 {
            return Err(BlobError::Hash { declared: self.sha256.clone(), found });
        }
        self.write().await?;
        let done = self.parts.complete().await;
        done.map_err(|error| self.blobs.error("finishing", &self.sha256, error))?;
        self.blobs.durable.add(&self.sha256);
        Ok(())
    }

    async fn write(&mut self) -> Result<(), BlobError> {
        let part = self.part.split().freeze();
        if part.is_empty() {
            return Ok(());
        }
        let written = self.parts.put_part(part.into()).await;
        written.map_err(|error| self.blobs.error("writing", &self.sha256, error))
    }
}

fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// `ab/<sha256>`: a folder never has more than a 256th of all blobs.
fn place(sha256: &str) -> Result<path::Path, BlobError> {
    match is_digest(sha256) {
        true => Ok(path::Path::from(format!("{}/{sha256}", &sha256[..2]))),
        false => Err(BlobError::Name(sha256.chars().take(80).collect())),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Removes what uploads left behind that were cut off by a crash: files named `<sha256>#<n>`.
fn clean(folder: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if !path.is_dir() {
            continue;
        }
        for file in std::fs::read_dir(path)? {
            let file = file?.path();
            let staged = file.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.contains('#'));
            if staged {
                std::fs::remove_file(file)?;
            }
        }
    }
    Ok(())
}

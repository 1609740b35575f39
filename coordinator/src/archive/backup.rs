//! A copy of the journal, made while sweeps run, with or without the checkpoints that its trials refer to. It is
//! written beside its place, read back whole, synced, and only then gets its name.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use sweep_core::retain;

use super::{ArchiveError, BLOBS, JOURNAL, blob_in, link, rename_new, sync};
use crate::blobs::Blobs;
use crate::journal::examine::Examined;

/// What was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Made {
    /// The folder.
    pub path: PathBuf,
    /// Events in the copy.
    pub events: u64,
    /// Length of the copy.
    pub bytes: u64,
    /// Checkpoints that its trials refer to.
    pub blobs: u64,
    /// Their length.
    pub blob_bytes: u64,
    /// Checkpoints that its trials refer to and that are not in the store.
    pub missing: Vec<String>,
}

/// Where a copy goes: an absolute path, or a plain name (by default the time) below `backups/` of the data folder.
///
/// # Errors
/// For anything else.
pub fn place(data: &Path, target: &str) -> Result<PathBuf, ArchiveError> {
    let path = Path::new(target);
    let is_plain = !target.starts_with('.')
        && target.len() <= 128
        && target.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    match target {
        "" => Ok(data.join("backups").join(jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string())),
        _ if is_plain => Ok(data.join("backups").join(target)),
        _ if path.is_absolute() && path.file_name().is_some() && !target.contains("..") => Ok(path.to_owned()),
        _ => Err(ArchiveError::Target(target.to_owned())),
    }
}

/// Copies the journal of a data folder to a new folder at `target`.
///
/// # Errors
/// When something is there already, there is no room, or the copy is not good. Nothing is left of it then.
pub async fn backup(data: &Path, target: &Path, blobs: Option<&Blobs>) -> Result<Made, ArchiveError> {
    let taken = target.symlink_metadata().is_ok();
    let (Some(parent), Some(name), false) = (target.parent(), target.file_name(), taken) else {
        return Err(ArchiveError::Exists(target.to_owned()));
    };
    DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(ArchiveError::io("making", parent))?;
    let partial = parent.join(format!(".{}.partial-{}", name.to_string_lossy(), std::process::id()));
    let folder = Partial::new(partial)?;
    // What the copy refers to must still be there when its turn comes.
    let held = match blobs {
        Some(blobs) => Some(blobs.hold().await),
        None => None,
    };
    let copied = folder.path.join(JOURNAL);
    let mut source = Examined::open(&data.join(JOURNAL)).await?;
    source.copy_to(&copied).await?;
    source.close().await;
    let mut copy = Examined::open(&copied).await?;
    if let Some(what) = copy.pages().await?.into_iter().next() {
        return Err(ArchiveError::Bad { path: target.to_owned(), what });
    }
    let (replayed, _) = copy.events().await?;
    copy.close().await;
    let from = data.join(BLOBS);
    let to = blobs.map(|_| folder.path.join(BLOBS));
    let keep = retain::keep(&replayed.state);
    let (events, target) = (replayed.events, target.to_owned());
    drop(replayed);
    // From here on it is only files: on a thread that may wait for them.
    let finish = move || -> Result<Made, ArchiveError> {
        let mut made = Made { path: target, events, ..Made::default() };
        for sha256 in keep {
            let blob = blob_in(&from, &sha256);
            let Ok(found) = blob.metadata() else {
                made.missing.push(sha256);
                continue;
            };
            (made.blobs, made.blob_bytes) = (made.blobs + 1, made.blob_bytes + found.len());
            if let Some(to) = &to {
                let place = blob_in(to, &sha256);
                let shelf = place.parent().unwrap_or(to);
                fs::create_dir_all(shelf).map_err(ArchiveError::io("making", shelf))?;
                link(&blob, &place)?;
            }
        }
        made.bytes = copied.metadata().map_err(ArchiveError::io("reading", &copied))?.len();
        sync(&copied)?;
        if let Some(to) = to.filter(|to| to.exists()) {
            for shelf in fs::read_dir(&to).map_err(ArchiveError::io("reading", &to))?.flatten() {
                sync(&shelf.path())?;
            }
            sync(&to)?;
        }
        sync(&folder.path)?;
        folder.name(&made.path)?;
        drop(held);
        Ok(made)
    };
    tokio::task::spawn_blocking(finish).await.map_err(|_| ArchiveError::CutOff)?
}

/// A folder that is not finished; removed when dropped before it has its name.
struct Partial {
    path: PathBuf,
    named: bool,
}

impl Partial {
    fn new(path: PathBuf) -> Result<Self, ArchiveError> {
        DirBuilder::new().mode(0o700).create(&path).map_err(ArchiveError::io("making", &path))?;
        Ok(Self { path, named: false })
    }

    fn name(mut self, target: &Path) -> Result<(), ArchiveError> {
        rename_new(&self.path, target)?;
        self.named = true;
        target.parent().map_or(Ok(()), sync)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.named
            && let Err(error) = fs::remove_dir_all(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "an unfinished backup could not be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_goes_to_a_name_of_its_own_or_to_an_absolute_path() {
        let data = Path::new("/data");
        let shown = |target: &str| place(data, target).map(|path| path.display().to_string()).ok();
        assert_eq!(shown("before-upgrade").as_deref(), Some("/data/backups/before-upgrade"));
        assert_eq!(shown("/mnt/safe/monday").as_deref(), Some("/mnt/safe/monday"));
        assert!(shown("").is_some_and(|path| path.starts_with("/data/backups/2")));
        for wrong in ["a/b", "../x", "/mnt/../etc", ".hidden", "/", "a b", "x\n"] {
            assert_eq!(shown(wrong), None, "{wrong:?}");
        }
    }
}

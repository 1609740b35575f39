//! Where the file of decoded images of one form lies, who may build it, and the building of those that are missing:
//! all in one pass over the images, under a name of their own until they are whole.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::build::{Progress, Target, build};
use super::cache::{Cache, key, stem};
use super::decode::Form;
use super::listing::Entry;
use super::memory::Mapped;
use super::settle::Settling;
use super::verified;
use crate::error::TrainError;
use crate::link::Stop;
use crate::log::say;
use crate::room::wait_for_room;

/// Time between two lines about the progress of decoding.
const TELL: Duration = Duration::from_secs(2);

/// Where the file of one form is, or will be.
pub(super) struct Site {
    path: PathBuf,
    temporary: PathBuf,
    lock: PathBuf,
    stem: String,
    images: usize,
    form: Form,
}

impl Site {
    pub(super) fn new(folder: &Path, root: &Path, entries: &[&Entry], form: Form) -> Self {
        let stem = stem(root, &form.label());
        Self {
            path: folder.join(format!("{stem}-{}.images", key(root, entries, &form.label()))),
            temporary: folder.join(format!("{stem}.tmp")),
            lock: folder.join(format!("{stem}.lock")),
            stem,
            images: entries.len(),
            form,
        }
    }

    pub(super) fn open(&self) -> Option<Cache> {
        Cache::open(&self.path, self.images)
    }

    /// Waits until nobody else builds this file.
    pub(super) fn lock(&self, stop: &Stop) -> Result<File, TrainError> {
        let lock = File::create(&self.lock).map_err(trouble("lock", &self.lock))?;
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => stop.pause(Duration::from_millis(20))?,
                Err(TryLockError::Error(error)) => {
                    // Some network file systems: the rename still keeps readers safe.
                    say(format_args!("cannot lock {}: {error}", self.lock.display()));
                    break;
                }
            }
        }
        Ok(lock)
    }
}

pub(super) fn trouble(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> TrainError {
    let path = path.to_path_buf();
    move |source| TrainError::Cache { what, path, source }
}

/// Builds the files of `missing`, all in one pass over the images.
pub(super) fn build_all(
    folder: &Path,
    root: &Path,
    entries: &[&Entry],
    missing: &[&Site],
    stop: &Stop,
) -> Result<Vec<Cache>, TrainError> {
    let Some(first) = missing.first() else {
        return Ok(Vec::new());
    };
    let entries = &entries[..missing.iter().map(|site| site.images).max().unwrap_or(0)];
    let names: Vec<String> = missing.iter().map(|site| site.path.display().to_string()).collect();
    say(format_args!("decoding {} images into {}", entries.len(), names.join(" and ")));
    let tell = |done: usize, all: usize| say(format_args!("decoded {done} of {all} images ({} %)", 100 * done / all));
    let progress = Progress { every: TELL, tell: &tell };
    let targets: Vec<Target<'_>> = (missing.iter())
        .map(|site| Target { temporary: &site.temporary, images: site.images, form: site.form })
        .collect();
    let put = || -> io::Result<Vec<File>> {
        let files = build(&targets, root, entries, stop, &progress)?;
        missing.iter().try_for_each(|site| fs::rename(&site.temporary, &site.path))?;
        Ok(files)
    };
    let files = wait_for_room(
        &first.path,
        stop,
        || {
            let result = put();
            if result.is_err() {
                missing.iter().for_each(|site| drop(fs::remove_file(&site.temporary)));
            }
            result
        },
        |source| interrupted_or(stop, trouble("write", &first.path)(source)),
    )?;
    let open = |(site, file): (&&Site, File)| {
        forget_older(folder, &site.stem, &site.path);
        // Its checksums were computed from what was written a moment ago.
        let map = Mapped::new(&file).map_err(trouble("read back", &site.path))?;
        let mut cache = Cache::parse(map, site.images, true)
            .ok_or_else(|| trouble("read back", &site.path)(io::Error::from(io::ErrorKind::InvalidData)))?;
        cache.settling = Some(Settling::start(file, site.path.clone(), File::sync_all));
        Ok(cache)
    };
    missing.iter().zip(files).map(open).collect()
}

fn interrupted_or(stop: &Stop, otherwise: TrainError) -> TrainError {
    match stop.cause() {
        Some(_) => TrainError::Stopped,
        None => otherwise,
    }
}

/// Removes caches of the same folder and form made from files that have changed since. A trainer
/// that still maps one keeps it until it ends.
fn forget_older(folder: &Path, stem: &str, keep: &Path) {
    let Ok(items) = fs::read_dir(folder) else {
        return;
    };
    for path in items.flatten().map(|item| item.path()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let same = name
            .strip_prefix(stem)
            .and_then(|rest| rest.strip_prefix('-')?.strip_suffix(".images"))
            .is_some_and(|key| key.len() == 16);
        if same && path != keep {
            fs::remove_file(&path).ok();
            fs::remove_file(verified::note_path(&path)).ok();
        }
    }
}

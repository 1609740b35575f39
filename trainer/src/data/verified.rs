//! Remembers beside a cache file that all its checksums were right, so that they are computed once for a
//! file and not once for every trial: on a large data set that takes longer than everything else before the
//! first step. The note holds as long as the file's inode, length and time of change do and the machine has not
//! been started again since; any write to the file makes it void.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A file changed less long ago is not noted: within the clock tick of the kernel another write would leave
/// the same time of change.
const SETTLED: Duration = Duration::from_secs(2);
/// Another value after every start of the machine.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// What the file was when it was verified.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    device: u64,
    inode: u64,
    bytes: u64,
    changed: (i64, i64),
    boot: String,
}

impl Note {
    fn of(file: &File) -> Option<Self> {
        let about = file.metadata().ok()?;
        Some(Self {
            device: about.dev(),
            inode: about.ino(),
            bytes: about.len(),
            changed: (about.ctime(), about.ctime_nsec()),
            boot: fs::read_to_string(BOOT_ID).ok()?.trim().to_owned(),
        })
    }
}

/// Where the note about the cache file at `path` lies.
pub(super) fn note_path(path: &Path) -> PathBuf {
    path.with_extension("verified")
}

/// Whether `file`, open from `path`, was verified as it is now.
pub fn is_known(path: &Path, file: &File) -> bool {
    let noted = fs::read(note_path(path)).ok().and_then(|text| serde_json::from_slice::<Note>(&text).ok());
    noted.is_some() && noted == Note::of(file)
}

/// Notes that `file`, open from `path`, has just been verified. `now` is the time of day. Only speed is lost
/// when the note cannot be written.
pub fn remember(path: &Path, file: &File, now: SystemTime) {
    let Some(note) = Note::of(file) else { return };
    let changed = UNIX_EPOCH + Duration::from_secs(note.changed.0.max(0).unsigned_abs() + 1);
    if now.duration_since(changed).is_ok_and(|age| age >= SETTLED) {
        let text = serde_json::to_vec(&note).expect("a note is plain JSON");
        let temporary = path.with_extension(format!("verified-{}", std::process::id()));
        if fs::write(&temporary, text).and_then(|()| fs::rename(&temporary, note_path(path))).is_err() {
            fs::remove_file(&temporary).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_note_is_void_after_any_change_and_never_made_of_a_fresh_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.images");
        fs::write(&path, "pixels").unwrap();
        let open = || File::options().read(true).write(true).open(&path).unwrap();
        assert!(!is_known(&path, &open()));
        remember(&path, &open(), SystemTime::now());
        assert!(!is_known(&path, &open()), "the file has only just been written");
        let later = SystemTime::now() + Duration::from_secs(5);
        remember(&path, &open(), later);
        assert!(is_known(&path, &open()));

        // Another file with the same content, as after a copy.
        fs::rename(&path, folder.path().join("b.images")).unwrap();
        fs::write(&path, "pixels").unwrap();
        assert!(!is_known(&path, &open()));
        remember(&path, &open(), later);
        open().write_all(b"X").unwrap();
        let changed = open().metadata().unwrap();
        let noted: Note = serde_json::from_slice(&fs::read(note_path(&path)).unwrap()).unwrap();
        // The kernel's clock may not have ticked between note and write: exactly what SETTLED is for.
        let ticked = noted.changed != (changed.ctime(), changed.ctime_nsec());
        assert_eq!(is_known(&path, &open()), !ticked);

        // A note of another start of the machine.
        remember(&path, &open(), later);
        let mut noted: Note = serde_json::from_slice(&fs::read(note_path(&path)).unwrap()).unwrap();
        noted.boot = "another".to_owned();
        fs::write(note_path(&path), serde_json::to_vec(&noted).unwrap()).unwrap();
        assert!(!is_known(&path, &open()));
    }
}

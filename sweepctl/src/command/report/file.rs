//! A file that is there whole or not at all, and never instead of another one unless that was asked for.

use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::Builder;

use crate::fault::Fault;

/// Refuses a file that is in the way, before anything is computed.
pub(crate) fn check(path: &Path, force: bool) -> Result<(), Fault> {
    let there = path.try_exists().map_err(disk("look for", path))?;
    if there && !force { Err(Fault::Exists { path: path.to_owned() }) } else { Ok(()) }
}

/// Whether these very bytes are there. What cannot be read is something else.
pub(crate) fn is_there(path: &Path, bytes: &[u8]) -> bool {
    let is_as_long = std::fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() == bytes.len() as u64);
    is_as_long && std::fs::read(path).is_ok_and(|found| found == bytes)
}

/// Writes beside it, syncs, then gives it its name.
pub(crate) fn write(path: &Path, bytes: &[u8], force: bool) -> Result<(), Fault> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // As any program's files: less what the umask takes.
    let readable = Permissions::from_mode(0o666);
    let part = Builder::new().permissions(readable).tempfile_in(folder);
    let mut part = part.map_err(disk("write into", folder))?;
    part.write_all(bytes).and_then(|()| part.as_file().sync_all()).map_err(disk("write", path))?;
    let named = if force { part.persist(path) } else { part.persist_noclobber(path) };
    match named {
        Ok(file) => drop(file),
        Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(Fault::Exists { path: path.to_owned() });
        }
        Err(error) => return Err(disk("write", path)(error.error)),
    }
    // The file is there once its folder says so on disk.
    std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(disk("sync the folder", folder))
}

fn disk(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Fault {
    move |source| Fault::Disk { what, path: path.to_owned(), source }
}

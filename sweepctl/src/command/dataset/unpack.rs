//! Archives to files, without trusting them: nothing is written outside of the folder, links and
//! devices are refused, and there is a limit to how much comes out.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Component, Path, PathBuf};

use flate2::read::MultiGzDecoder;
use tar::EntryType;

/// Most files that are unpacked.
const MOST_FILES: u64 = 5_000_000;

/// Why an archive was not unpacked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnpackFault {
    /// Reading it or writing what it holds failed.
    #[error("cannot unpack")]
    Io(#[from] io::Error),
    /// A zip that cannot be read.
    #[error("cannot unpack")]
    Zip(#[from] zip::result::ZipError),
    /// A name that leads out of the folder.
    #[error("the archive has a file {0:?}, which leads out of its folder: nothing of it is used")]
    Escapes(String),
    /// Neither a file nor a folder.
    #[error("the archive has {0:?}, which is neither a file nor a folder: nothing of it is used")]
    Special(String),
    /// More than can be right.
    #[error("the archive holds more than {0} bytes or {MOST_FILES} files: nothing of it is used")]
    TooLarge(u64),
}

/// What may still come out.
struct Room {
    limit: u64,
    bytes: u64,
    files: u64,
}

impl Room {
    fn new(limit: u64) -> Self {
        Self { limit, bytes: limit, files: MOST_FILES }
    }

    fn write(&mut self, reader: impl Read, path: &Path) -> Result<(), UnpackFault> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut file = File::create_new(path)?;
        let written = io::copy(&mut reader.take(self.bytes + 1), &mut file)?;
        let left = self.bytes.checked_sub(written).zip(self.files.checked_sub(1));
        (self.bytes, self.files) = left.ok_or(UnpackFault::TooLarge(self.limit))?;
        Ok(())
    }
}

/// Unpacks a gzipped tar; no more than `limit` bytes come out. `reader` may count what is read.
pub(super) fn tgz(reader: impl Read, into: &Path, limit: u64) -> Result<(), UnpackFault> {
    let mut room = Room::new(limit);
    let mut archive = tar::Archive::new(MultiGzDecoder::new(BufReader::with_capacity(1 << 20, reader)));
    for entry in archive.entries()? {
        let entry = entry?;
        let name = entry.path()?.into_owned();
        let path = inside(into, &name)?;
        match entry.header().entry_type() {
            EntryType::Directory => fs::create_dir_all(path)?,
            EntryType::Regular | EntryType::Continuous => room.write(entry, &path)?,
            EntryType::XGlobalHeader => {}
            _ => return Err(UnpackFault::Special(name.to_string_lossy().into_owned())),
        }
    }
    Ok(())
}

/// Unpacks a zip likewise.
pub(super) fn zip(file: File, into: &Path, limit: u64, mut done: impl FnMut(u64)) -> Result<(), UnpackFault> {
    let mut room = Room::new(limit);
    let mut archive = zip::ZipArchive::new(BufReader::with_capacity(1 << 20, file))?;
    for index in 0..archive.len() {
        let entry = archive.by_index(index)?;
        let name = PathBuf::from(entry.name()?.as_ref());
        let (path, length) = (inside(into, &name)?, entry.compressed_size());
        if entry.is_dir() {
            fs::create_dir_all(path)?;
        } else if entry.is_file() {
            room.write(entry, &path)?;
        } else {
            return Err(UnpackFault::Special(name.to_string_lossy().into_owned()));
        }
        done(length);
    }
    Ok(())
}

/// Where a name of the archive goes.
fn inside(into: &Path, name: &Path) -> Result<PathBuf, UnpackFault> {
    let mut path = into.to_path_buf();
    for part in name.components() {
        match part {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            _ => return Err(UnpackFault::Escapes(name.to_string_lossy().into_owned())),
        }
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// A gzipped tar whose names are written as they are, past the checks of the crate that makes it.
    fn tar_of(entries: &[(&str, EntryType, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, kind, bytes) in entries {
            let mut header = tar::Header::new_ustar();
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_entry_type(*kind);
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            if kind.is_symlink() || kind.is_hard_link() {
                header.set_link_name("/etc/passwd").unwrap();
            }
            header.set_cksum();
            builder.append(&header, *bytes).unwrap();
        }
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&builder.into_inner().unwrap()).unwrap();
        gzip.finish().unwrap()
    }

    fn zip_of(names: &[&str]) -> File {
        let mut writer = zip::ZipWriter::new(tempfile::tempfile().unwrap());
        for name in names {
            writer.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
            writer.write_all(b"xyz").unwrap();
        }
        writer.finish().unwrap()
    }

    #[test]
    fn files_and_folders_come_out() {
        let folder = tempfile::tempdir().unwrap();
        let archive = tar_of(&[
            ("top/", EntryType::Directory, b""),
            ("./top/a/1.txt", EntryType::Regular, b"one"),
            ("top/empty/", EntryType::Directory, b""),
        ]);
        tgz(archive.as_slice(), folder.path(), 3).unwrap();
        assert_eq!(fs::read(folder.path().join("top/a/1.txt")).unwrap(), b"one");
        assert!(folder.path().join("top/empty").is_dir());
        let mut seen = 0;
        zip(zip_of(&["z/1", "z/deep/2"]), folder.path(), 6, |bytes| seen += bytes).unwrap();
        assert_eq!(fs::read(folder.path().join("z/deep/2")).unwrap(), b"xyz");
        assert!(seen > 0);
    }

    #[test]
    fn nothing_leaves_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let into = folder.path().join("in");
        fs::create_dir(&into).unwrap();
        for name in ["../out", "a/../../out", "/tmp/sweep-out"] {
            let archive = tar_of(&[(name, EntryType::Regular, b"x")]);
            assert!(matches!(tgz(archive.as_slice(), &into, 9), Err(UnpackFault::Escapes(_))), "{name}");
            assert!(matches!(zip(zip_of(&[name]), &into, 9, |_| {}), Err(UnpackFault::Escapes(_))), "{name}");
        }
        for kind in [EntryType::Symlink, EntryType::Link, EntryType::Fifo, EntryType::Char] {
            let archive = tar_of(&[("a", kind, b"")]);
            assert!(matches!(tgz(archive.as_slice(), &into, 9), Err(UnpackFault::Special(_))), "{kind:?}");
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert_eq!(fs::read_dir(&into).unwrap().count(), 0);
    }

    #[test]
    fn there_is_a_limit_and_no_file_comes_twice() {
        let folder = tempfile::tempdir().unwrap();
        let archive = tar_of(&[("a", EntryType::Regular, b"123"), ("b", EntryType::Regular, b"456")]);
        assert!(matches!(tgz(archive.as_slice(), &folder.path().join("1"), 5), Err(UnpackFault::TooLarge(5))));
        let twice = tar_of(&[("a", EntryType::Regular, b"1"), ("a", EntryType::Regular, b"2")]);
        assert!(matches!(tgz(twice.as_slice(), &folder.path().join("2"), 5), Err(UnpackFault::Io(_))));
        let cut = &archive[..archive.len() / 2];
        assert!(matches!(tgz(cut, &folder.path().join("3"), 50), Err(UnpackFault::Io(_))));
        let link = zip::ZipWriter::new(tempfile::tempfile().unwrap());
        let mut link = link;
        link.add_symlink("l", "/etc/passwd", zip::write::SimpleFileOptions::default()).unwrap();
        let link = link.finish().unwrap();
        assert!(matches!(zip(link, &folder.path().join("4"), 50, |_| {}), Err(UnpackFault::Special(_))));
    }
}

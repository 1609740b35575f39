//! `dataset add`: fetches a known public data set, checks it, and puts it into a data root in one step,
//! so that no agent ever sees half of one. What has come before a cut is kept for the next call.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use super::download::{DownloadFault, Source, download};
use super::known::{Form, KNOWN, Known, Sum};
use super::unpack::{UnpackFault, tgz, zip};
use super::{DatasetFault, cifar};
use crate::cli::{DatasetAdd, Format};
use crate::config::Config;
use crate::fault::Fault;
use crate::output::{Cell, Out, Progress, Table, csv_row};

/// Pause before the first repetition of a request.
const PAUSE: Duration = Duration::from_secs(1);
/// What comes out of an archive is at most so many times as long, and [`SPARE`] more.
const GROWTH: u64 = 20;
/// See [`GROWTH`].
const SPARE: u64 = 64 << 20;

/// Why a data set was not added.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AddFault {
    /// A name that nobody knows.
    #[error("there is no public data set {name:?}{}", nearest.map_or_else(String::new, |near| format!("; did you mean {near}?")))]
    Unknown {
        /// What was asked for.
        name: String,
        /// The most similar one.
        nearest: Option<&'static str>,
    },
    /// It was not said where data sets are.
    #[error("it is not known where data sets are kept; say so with --data DIR")]
    NoRoot,
    /// Another call is at it.
    #[error("another call is fetching into {}", folder.display())]
    Busy {
        /// Its folder.
        folder: PathBuf,
    },
    /// The bytes are not those that are known.
    #[error("{url} has the {} {found}, expected {}: it is damaged or not what it was; it is removed", sum.kind(), sum.hex())]
    Checksum {
        /// Where it came from.
        url: String,
        /// What was expected.
        sum: Sum,
        /// What came.
        found: String,
    },
    /// The archive lacks what it should hold.
    #[error("the archive has no folder {0:?}")]
    Missing(&'static str),
    /// See there.
    #[error(transparent)]
    Download(#[from] DownloadFault),
    /// See there.
    #[error(transparent)]
    Unpack(#[from] UnpackFault),
}

fn refuse(fault: impl Into<AddFault>) -> Fault {
    DatasetFault::Add(fault.into()).into()
}

fn disk(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Fault {
    let path = path.to_path_buf();
    move |source| Fault::Disk { what, path, source }
}

/// Adds a data set, or lists those that are known.
pub(super) fn run(out: &Out, config: &Config, args: &DatasetAdd) -> Result<(), Fault> {
    let Some(name) = &args.name else { return list(out) };
    let known = KNOWN.iter().find(|known| known.name == name).ok_or_else(|| {
        let nearest = sweep_core::nearest::nearest(name, KNOWN.iter().map(|known| known.name));
        refuse(AddFault::Unknown { name: name.clone(), nearest })
    })?;
    let root = args.data.as_ref().or(config.up.data.first()).ok_or_else(|| refuse(AddFault::NoRoot))?;
    let url = args.url.as_deref().unwrap_or(known.url);
    let added = add(out, known, url, root, PAUSE)?;
    let place = root.join(known.name);
    if out.format == Format::Json {
        let path = place.to_string_lossy();
        return out.json(&json!({"name": known.name, "path": path, "added": added}));
    }
    out.print(format!("{}\n", place.display()))?;
    out.note(match added {
        true => "added; agents with this data root find it within a minute",
        false => "it is there already; nothing was done",
    });
    Ok(())
}

fn list(out: &Out) -> Result<(), Fault> {
    match out.format {
        Format::Json => {
            let one = |known: &Known| {
                let sum = json!({"kind": known.sum.kind(), "hex": known.sum.hex()});
                json!({"name": known.name, "url": known.url, "bytes": known.bytes, "sum": sum, "about": known.about})
            };
            out.json(&json!({"known": KNOWN.iter().map(one).collect::<Vec<_>>()}))
        }
        Format::Csv => out.write(|to| {
            csv_row(to, ["name", "bytes", "sum", "url", "about"])?;
            KNOWN.iter().try_for_each(|known| {
                csv_row(to, [known.name, &known.bytes.to_string(), known.sum.hex(), known.url, known.about])
            })
        }),
        Format::Table => {
            let mut table = Table::new(["name", "MB", "checked by", "what"]);
            for known in KNOWN {
                let size = format!("{:.1}", known.bytes as f64 / 1e6);
                let sum = Cell::new(known.sum.kind());
                table.row([Cell::new(known.name), Cell::number(size), sum, Cell::new(known.about)]);
            }
            out.table(&table)?;
            out.note("next: sweepctl dataset add NAME --data DIR");
            Ok(())
        }
    }
}

/// Fetches, checks, unpacks, and moves into place. False if it was there.
fn add(out: &Out, known: &Known, url: &str, root: &Path, pause: Duration) -> Result<bool, Fault> {
    let place = root.join(known.name);
    if place.symlink_metadata().is_ok() {
        return Ok(false);
    }
    // A name with a dot in front is passed over by agents and trainers.
    let work = root.join(format!(".add-{}", known.name));
    fs::create_dir_all(&work).map_err(disk("make the folder", &work))?;
    let lock_path = work.join("lock");
    let lock = File::create(&lock_path).map_err(disk("lock", &lock_path))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => return Err(refuse(AddFault::Busy { folder: work })),
        Err(fs::TryLockError::Error(error)) => return Err(disk("lock", &lock_path)(error)),
    }
    // Another call may have come to its end in the meantime.
    if place.symlink_metadata().is_ok() {
        return Ok(false);
    }
    let part = work.join("archive.part");
    fetch(out, known, url, &part, pause)?;
    let ready = unpacked(out, known, &part, &work)?;
    fs::rename(&ready, &place).map_err(disk("put into place", &place))?;
    File::open(root).and_then(|root| root.sync_all()).map_err(disk("sync", root))?;
    fs::remove_dir_all(&work).map_err(disk("clean up", &work))?;
    Ok(true)
}

fn fetch(out: &Out, known: &Known, url: &str, part: &Path, pause: Duration) -> Result<(), Fault> {
    out.note(format!("fetching {url} ({:.1} MB)", known.bytes as f64 / 1e6));
    let progress = Progress::bytes(known.bytes, out.shows_progress());
    progress.name("fetching");
    let source = Source { url, bytes: known.bytes, pause };
    download(source, part, |have| progress.set(have, known.bytes, String::new())).map_err(refuse)?;
    progress.name("checking");
    let mut hash = known.sum.begin();
    let mut reader = File::open(part).map_err(disk("read", part))?;
    let (mut piece, mut read) = (vec![0; 1 << 18], 0);
    loop {
        let length = reader.read(&mut piece).map_err(disk("read", part))?;
        if length == 0 {
            break;
        }
        hash.update(&piece[..length]);
        read += length as u64;
        progress.set(read, known.bytes, String::new());
    }
    let found = hash.hex();
    if found == known.sum.hex() {
        return Ok(());
    }
    fs::remove_file(part).map_err(disk("remove", part))?;
    Err(refuse(AddFault::Checksum { url: url.to_owned(), sum: known.sum, found }))
}

/// Unpacks the archive; the folder that is the data set.
fn unpacked(out: &Out, known: &Known, archive: &Path, work: &Path) -> Result<PathBuf, Fault> {
    let into = work.join("unpacked");
    clear(&into)?;
    let progress = Progress::bytes(known.bytes, out.shows_progress());
    progress.name("unpacking");
    let file = File::open(archive).map_err(disk("read", archive))?;
    let limit = known.bytes.saturating_mul(GROWTH).saturating_add(SPARE);
    let counted = Counted { file: &file, progress: &progress };
    let top = match known.form {
        Form::Tgz(top) => tgz(counted, &into, limit).map(|()| top),
        Form::Cifar(_) => tgz(counted, &into, limit).map(|()| ""),
        Form::Zip(top) => zip(file, &into, limit, |bytes| progress.advance(bytes)).map(|()| top),
    };
    let top = top.map_err(refuse)?;
    if let Form::Cifar(batches) = known.form {
        let images = work.join("images");
        clear(&images)?;
        let (mut done, total) = (0, 60_000);
        let progress = Progress::new(total, out.shows_progress());
        progress.name("writing images");
        cifar::unfold(batches, &into, &images, |more| {
            done += more;
            progress.set(done, total, String::new());
        })
        .map_err(disk("make images of", archive))?;
        return Ok(images);
    }
    let ready = into.join(top);
    if ready.is_dir() { Ok(ready) } else { Err(refuse(AddFault::Missing(top))) }
}

/// Makes an empty folder.
fn clear(folder: &Path) -> Result<(), Fault> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(disk("clear", folder)(error)),
        _ => {}
    }
    fs::create_dir(folder).map_err(disk("make the folder", folder))
}

/// Moves a bar with what is read.
struct Counted<'a> {
    file: &'a File,
    progress: &'a Progress,
}

impl Read for Counted<'_> {
    fn read(&mut self, piece: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read(piece)?;
        self.progress.advance(length as u64);
        Ok(length)
    }
}

#[cfg(test)]
#[path = "add_tests.rs"]
mod tests;

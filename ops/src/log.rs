//! A log file that does not grow for ever: at a size it is put aside as `PATH.1`, the one before as `PATH.2`, and so on, and the
//! oldest is deleted. Whole lines only, none lost at the change; a disk that is full costs lines, which are counted, and stops
//! nobody. Own code, because the crates that rotate by size keep lines in memory that a kill takes with it (`rolling-file`), panic or fall
//! silent for good when a file cannot be renamed or made (`file-rotate`), or start a thread (`logroller`); `tracing-appender` knows
//! no size.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Megabytes of a log file, and how many older ones are kept, if nothing is said.
pub const SIZE: u32 = 100;
/// See [`SIZE`].
pub const KEEP: u32 = 10;
/// A file that could not be put aside may grow by a so-manieth part before that is tried again.
const AGAIN: u64 = 8;

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the log file {}: {source}; --log-file names another", path.display())]
pub struct LogError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// The file, for [`Write`].
#[derive(Debug)]
pub struct LogFile {
    path: PathBuf,
    file: File,
    /// Its length.
    size: u64,
    /// With how many bytes it is put aside, and with how many that is tried next.
    limit: u64,
    next: u64,
    keep: u32,
    /// What was written last ended a line: only then the file is put aside.
    at_line: bool,
    /// Lines that could not be written since the last one that could, and why.
    lost: Option<(u64, io::ErrorKind)>,
}

impl LogFile {
    /// Opens or makes a file of at most about so many megabytes, with so many older ones beside it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn open(path: &Path, megabytes: u32, keep: u32) -> Result<Self, LogError> {
        Self::with_limit(path, u64::from(megabytes.max(1)) * 1_000_000, keep)
    }

    fn with_limit(path: &Path, limit: u64, keep: u32) -> Result<Self, LogError> {
        let failed = |source| LogError { path: path.to_owned(), source };
        let file = open(path).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        Ok(Self { path: path.to_owned(), file, size, limit, next: limit, keep, at_line: true, lost: None })
    }

    /// Puts the file aside and begins another. What cannot be renamed or made is said in the file, which then goes on.
    fn rotate(&mut self) {
        match self.put_aside() {
            Ok(file) => (self.file, self.size, self.next) = (file, 0, self.limit),
            Err(error) => {
                self.next = self.size + (self.limit / AGAIN).max(1);
                self.append(
                    format!("the log could not be put aside: {error}; it goes on in the same file\n").as_bytes(),
                );
            }
        }
    }

    fn put_aside(&self) -> io::Result<File> {
        if self.keep == 0 {
            fs::remove_file(&self.path)?;
            return open(&self.path);
        }
        for number in (1..self.keep).rev() {
            match fs::rename(self.older(number), self.older(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        fs::rename(&self.path, self.older(1))?;
        open(&self.path).inspect_err(|_| {
            // Nobody looks for what is written into an older one.
            drop(fs::rename(self.older(1), &self.path));
        })
    }

    fn older(&self, number: u32) -> PathBuf {
        let mut name = OsString::from(&self.path);
        name.push(format!(".{number}"));
        name.into()
    }

    /// All or nothing: a line that is cut would run into the next one.
    fn append(&mut self, lines: &[u8]) {
        match self.file.write_all(lines) {
            Ok(()) => self.size += lines.len() as u64,
            Err(error) => {
                let count = lines.iter().filter(|byte| **byte == b'\n').count() as u64;
                let before = self.lost.map_or(0, |(lost, _)| lost);
                self.lost = Some((before + count, error.kind()));
                // What cannot be shortened either ends in half a line.
                drop(self.file.set_len(self.size));
            }
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    File::options().create(true).append(true).mode(0o640).open(path)
}

impl Write for LogFile {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        if self.at_line && self.size > 0 && self.size + lines.len() as u64 > self.next {
            self.rotate();
        }
        self.at_line = lines.ends_with(b"\n");
        if let Some((lost, why)) = self.lost.take() {
            self.append(format!("{lost} lines of the log are lost: {why}\n").as_bytes());
            // There is still no room: those count on, this note about them does not.
            self.lost = self.lost.map(|(_, why)| (lost, why));
        }
        self.append(lines);
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    fn read(path: &Path) -> String {
        fs::read_to_string(path).unwrap()
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn lines_of_many_threads_are_all_there_once_and_no_file_is_too_long() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let log = Arc::new(Mutex::new(LogFile::with_limit(&path, 1000, 1000).unwrap()));
        let writers = (0..4).map(|writer| {
            let log = log.clone();
            std::thread::spawn(move || {
                for number in 0..500 {
                    let line = format!("{writer} {number} {}\n", "x".repeat(number % 80));
                    log.lock().unwrap().write_all(line.as_bytes()).unwrap();
                }
            })
        });
        writers.collect::<Vec<_>>().into_iter().for_each(|writer| writer.join().unwrap());
        let files = names(folder.path());
        assert!(files.len() > 50, "{files:?}");
        let mut found: Vec<(u32, usize)> = Vec::new();
        for name in files {
            let text = read(&folder.path().join(name));
            assert!(text.len() <= 1000 && text.ends_with('\n'), "{text}");
            for line in text.lines() {
                let [writer, number, rest] = line.splitn(3, ' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
                let number: usize = number.parse().unwrap();
                assert_eq!(rest.len(), number % 80);
                found.push((writer.parse().unwrap(), number));
            }
        }
        found.sort_unstable();
        let all: Vec<_> = (0..4).flat_map(|writer| (0..500).map(move |number| (writer, number))).collect();
        assert_eq!(found, all);
    }

    #[test]
    fn the_newest_are_kept_and_a_restart_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        for line in 0..9 {
            // As many starts as lines.
            let mut log = LogFile::with_limit(&path, 12, 2).unwrap();
            log.write_all(format!("line {line}\n").as_bytes()).unwrap();
        }
        assert_eq!(names(folder.path()), ["log", "log.1", "log.2"]);
        let texts = ["log", "log.1", "log.2"].map(|name| read(&folder.path().join(name)));
        assert_eq!(texts, ["line 8\n", "line 7\n", "line 6\n"]);
        let mut none = LogFile::with_limit(&path, 12, 0).unwrap();
        // Its parts come one by one, and stay together.
        let [first, second] = ["the very", "last"];
        writeln!(none, "{first} {second}").unwrap();
        assert_eq!(
            (read(&path).as_str(), read(&folder.path().join("log.1")).as_str()),
            ("the very last\n", "line 7\n")
        );
        let error = LogFile::open(&folder.path().join("no/log"), 1, 1).unwrap_err().to_string();
        assert!(error.contains("no/log") && error.contains("--log-file"), "{error}");
    }

    #[test]
    fn a_full_disk_costs_lines_that_are_counted_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut log = LogFile::with_limit(&path, 1000, 2).unwrap();
        writeln!(log, "before").unwrap();
        let full = File::options().append(true).open("/dev/full").unwrap();
        let file = std::mem::replace(&mut log.file, full);
        (0..3).for_each(|line| log.write_all(format!("lost {line}\n").as_bytes()).unwrap());
        log.file = file;
        writeln!(log, "after").unwrap();
        assert_eq!(read(&path), "before\n3 lines of the log are lost: no storage space\nafter\n");
    }

    #[test]
    fn a_file_that_cannot_be_put_aside_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        // A folder is not replaced by a file.
        fs::create_dir_all(folder.path().join("log.1/full")).unwrap();
        let mut log = LogFile::with_limit(&path, 80, 1).unwrap();
        (0..40).for_each(|line| writeln!(log, "line {line}").unwrap());
        let text = read(&path);
        assert_eq!(text.lines().filter(|line| line.starts_with("line ")).count(), 40);
        assert!(text.contains("the log could not be put aside: "), "{text}");
        fs::remove_dir_all(folder.path().join("log.1")).unwrap();
        (0..9).for_each(|line| writeln!(log, "then {line}").unwrap());
        assert_eq!(names(folder.path()), ["log", "log.1"]);
        let (older, newer) = (read(&folder.path().join("log.1")), read(&path));
        assert_eq!((older + &newer).lines().filter(|line| line.starts_with("then ")).count(), 9);
    }
}

//! Reads the lines of an events file as they come. The file is the spool: nothing else on disk
//! remembers what a trainer said. What the lines mean is left to the outbox.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;

use sweep_core::attempt::Line;

/// Most bytes read by one call, and the longest line.
const MOST: usize = 4 << 20;

/// Why a file cannot be read on.
#[derive(Debug, thiserror::Error)]
pub enum TailError {
    /// The file is there and cannot be read.
    #[error("cannot read the events")]
    Read(#[source] io::Error),
    /// A line in the middle is not one.
    #[error("the line at byte {at} of the events is damaged")]
    Line {
        /// Where the line starts.
        at: u64,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// No end of a line within the limit.
    #[error("the line at byte {at} of the events is too long")]
    Endless {
        /// Where the line starts.
        at: u64,
    },
}

/// The lines among bytes that come bit by bit. Pure: where the bytes come from is left to the caller.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lines {
    /// Everything before it was handed out.
    offset: u64,
}

impl Lines {
    /// Where the bytes that [`Lines::take`] wants begin.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The complete lines of `text`, which is what there is from [`Lines::offset`] on, at most so many bytes as are read at
    /// once. A last line that is not complete, or is not a line, waits for what follows. Says whether there may be more.
    ///
    /// # Errors
    /// When a line is followed by others and is not one, or does not end.
    pub fn take(&mut self, text: &[u8]) -> Result<(Vec<Line>, bool), TailError> {
        let mut lines = Vec::new();
        let mut from = 0;
        while let Some(length) = text[from..].iter().position(|byte| *byte == b'\n') {
            let next = from + length + 1;
            match serde_json::from_slice(&text[from..from + length]) {
                Ok(line) => lines.push(line),
                Err(_) if next == text.len() => break,
                Err(source) => {
                    let at = self.offset + from as u64;
                    return Err(TailError::Line { at, source });
                }
            }
            from = next;
        }
        let full = text.len() >= MOST;
        if from == 0 && full {
            return Err(TailError::Endless { at: self.offset });
        }
        self.offset += from as u64;
        Ok((lines, full))
    }
}

/// A place in an events file.
#[derive(Debug)]
pub struct Tail {
    path: PathBuf,
    file: Option<File>,
    lines: Lines,
}

impl Tail {
    /// The beginning of a file, which need not exist yet.
    pub fn new(path: PathBuf) -> Self {
        Self { path, file: None, lines: Lines::default() }
    }

    /// The complete lines since the last call, as [`Lines::take`] finds them.
    ///
    /// # Errors
    /// When the file cannot be read or a line is followed by others and is not one.
    pub fn read(&mut self) -> Result<Vec<Line>, TailError> {
        Ok(self.chunk()?.0)
    }

    /// All that is left of a file that nobody writes any more; a torn last line is cut.
    ///
    /// # Errors
    /// As [`Tail::read`].
    pub fn finish(&mut self) -> Result<Vec<Line>, TailError> {
        let (mut lines, mut full) = self.chunk()?;
        while full {
            let more;
            (more, full) = self.chunk()?;
            lines.extend(more);
        }
        Ok(lines)
    }

    /// Lines of at most [`MOST`] bytes, and whether there may be more.
    fn chunk(&mut self) -> Result<(Vec<Line>, bool), TailError> {
        let text = self.rest()?;
        self.lines.take(&text)
    }

    fn rest(&mut self) -> Result<Vec<u8>, TailError> {
        let file = match &mut self.file {
            Some(file) => file,
            none => match File::open(&self.path) {
                Ok(file) => none.insert(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
                Err(error) => return Err(TailError::Read(error)),
            },
        };
        let mut text = Vec::new();
        file.seek(SeekFrom::Start(self.lines.offset()))
            .and_then(|_| file.take(MOST as u64).read_to_end(&mut text))
            .map_err(TailError::Read)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Write;

    const ONE: &str = "{\"event\":{\"step\":{\"step\":1,\"loss\":0.5}}}\n";
    const TWO: &str = "{\"event\":{\"step\":{\"step\":2,\"loss\":\"nan\"}}}\n";

    struct Case {
        folder: tempfile::TempDir,
        tail: Tail,
    }

    impl Case {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let tail = Tail::new(folder.path().join("events.jsonl"));
            Self { folder, tail }
        }

        fn append(&self, text: &[u8]) {
            let path = self.folder.path().join("events.jsonl");
            let mut file = fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
            file.write_all(text).unwrap();
        }
    }

    #[test]
    fn a_line_counts_when_its_end_is_there() {
        let mut case = Case::new();
        assert_eq!(case.tail.read().unwrap().len(), 0);
        case.append(ONE.as_bytes());
        case.append(&TWO.as_bytes()[..10]);
        assert_eq!(case.tail.read().unwrap().len(), 1);
        assert_eq!(case.tail.read().unwrap().len(), 0);
        case.append(&TWO.as_bytes()[10..]);
        assert_eq!(case.tail.read().unwrap().len(), 1);
        case.append(&ONE.as_bytes()[..5]);
        assert_eq!(case.tail.finish().unwrap().len(), 0);
    }

    #[test]
    fn garbage_at_the_end_is_cut_and_in_the_middle_it_is_an_error() {
        let mut case = Case::new();
        case.append(ONE.as_bytes());
        case.append(b"garb\x00age\n");
        assert_eq!(case.tail.read().unwrap().len(), 1);
        assert_eq!(case.tail.finish().unwrap().len(), 0);
        case.append(TWO.as_bytes());
        assert!(matches!(case.tail.read(), Err(TailError::Line { at, .. }) if at == ONE.len() as u64));
    }

    #[test]
    fn a_long_file_is_read_to_its_end() {
        let mut case = Case::new();
        let lines = 2 * MOST / ONE.len() + 7;
        case.append(ONE.repeat(lines).as_bytes());
        assert_eq!(case.tail.finish().unwrap().len(), lines);
    }
}

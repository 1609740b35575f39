//! CSV files of a data set: a header, then rows that begin with the path of an image below the data
//! set's folder. Says file and line of whatever is wrong. What the columns mean is left to
//! `manifest` and `labels`.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Component, Path, PathBuf};

use csv::{Reader, ReaderBuilder, StringRecord};

use crate::error::{LabelTrouble, LineTrouble, TrainError};

/// Longest CSV file that is read, bytes: ten million rows of a hundred characters.
const MOST: u64 = 1 << 30;
/// The column of paths.
pub(super) const PATH: &str = "path";

/// An open CSV file whose header has been read.
pub(super) struct Rows {
    file: PathBuf,
    header: StringRecord,
    reader: Reader<BufReader<io::Take<File>>>,
    record: StringRecord,
}

/// One row, and where it stands.
pub(super) struct Row<'a> {
    file: &'a Path,
    line: u64,
    record: &'a StringRecord,
}

impl Rows {
    /// Opens `file` and reads its header. A byte order mark is passed over, lines may end either way.
    pub(super) fn open(file: &Path) -> Result<Self, TrainError> {
        let trouble = |source| TrainError::DataRead { path: file.to_path_buf(), source };
        let about = fs::metadata(file).map_err(trouble)?;
        if !about.is_file() {
            return Err(TrainError::PathNotRegular { path: file.to_path_buf(), why: "is not a regular file" });
        }
        if about.len() > MOST {
            return Err(trouble(io::ErrorKind::FileTooLarge.into()));
        }
        let source = BufReader::new(File::open(file).map_err(trouble)?.take(MOST));
        let mut reader = ReaderBuilder::new().flexible(true).from_reader(source);
        let header = reader.headers().map_err(|error| unreadable(file, error))?.clone();
        Ok(Self { file: file.to_path_buf(), header, reader, record: StringRecord::new() })
    }

    /// Names of the columns.
    pub(super) fn columns(&self) -> impl Iterator<Item = &str> {
        self.header.iter().map(str::trim)
    }

    /// Where the column `name` stands, if there is one.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.columns().position(|column| column == name)
    }

    /// Where the column `name` stands; it must be there.
    pub(super) fn column(&self, name: &'static str) -> Result<usize, TrainError> {
        self.find(name).ok_or_else(|| {
            let have = self.columns().map(str::to_owned).collect();
            let what = LabelTrouble::NoColumn { name: name.to_owned(), have };
            TrainError::LabelsMismatch { path: self.file.clone(), what }
        })
    }

    /// The next row; none at the end.
    pub(super) fn next(&mut self) -> Result<Option<Row<'_>>, TrainError> {
        let more = self.reader.read_record(&mut self.record).map_err(|error| unreadable(&self.file, error))?;
        if !more {
            return Ok(None);
        }
        let line = self.record.position().map_or(0, csv::Position::line);
        let row = Row { file: &self.file, line, record: &self.record };
        let (found, expected) = (self.record.len(), self.header.len());
        if found != expected {
            return Err(row.wrong(LineTrouble::Fields { found, expected }));
        }
        Ok(Some(row))
    }
}

impl Row<'_> {
    /// Its line in the file, from 1.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// The text in a column; it must not be empty.
    pub(super) fn text(&self, column: usize, name: &'static str) -> Result<&str, TrainError> {
        match self.record.get(column).map(str::trim) {
            Some(text) if !text.is_empty() => Ok(text),
            _ => Err(self.wrong(LineTrouble::Empty(name))),
        }
    }

    /// The path in a column, without a leading `./`; it must stay below the data set's folder.
    pub(super) fn path(&self, column: usize) -> Result<PathBuf, TrainError> {
        let text = self.text(column, PATH)?;
        let mut path = PathBuf::new();
        for part in Path::new(text).components() {
            match part {
                Component::Normal(name) => path.push(name),
                Component::CurDir => {}
                _ => return Err(self.wrong(LineTrouble::Escapes(text.to_owned()))),
            }
        }
        if path.as_os_str().is_empty() || text.contains('\0') {
            return Err(self.wrong(LineTrouble::Escapes(text.to_owned())));
        }
        Ok(path)
    }

    /// That this row is wrong.
    pub(super) fn wrong(&self, what: LineTrouble) -> TrainError {
        TrainError::LabelLine { path: self.file.to_path_buf(), line: self.line, what }
    }
}

fn unreadable(file: &Path, error: csv::Error) -> TrainError {
    let path = file.to_path_buf();
    let line = error.position().map_or(1, csv::Position::line);
    match error.into_kind() {
        csv::ErrorKind::Io(source) => TrainError::DataRead { path, source },
        csv::ErrorKind::Utf8 { .. } => TrainError::LabelLine { path, line, what: LineTrouble::NotUtf8 },
        // Rows of any length are taken here, and nothing is deserialized: no other kind is raised.
        _ => TrainError::LabelLine { path, line, what: LineTrouble::NotCsv },
    }
}

//! A data set listed in `manifest.csv`: columns `path` and `label`, and `split` where training and
//! validation images are told apart. Other columns are left to `labels`.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::listing::{Entry, Judge, Layout, Listing, changed_ns, inside};
use super::rows::{PATH, Row, Rows};
use crate::error::{LineTrouble, TrainError};

/// The file's name. A folder that has it is read by it, whatever else lies there.
pub const MANIFEST: &str = "manifest.csv";

/// A row that has been read, before labels are numbered.
struct Read {
    entry: Entry,
    label: String,
    line: u64,
}

/// Lists the images that `manifest.csv` in `root` names. Links must stay inside `roots`; `judge` decides
/// about files and labels that cannot be used.
pub(super) fn read(root: &Path, roots: &[PathBuf], judge: &mut Judge<'_>) -> Result<Listing, TrainError> {
    let file = root.join(MANIFEST);
    let mut rows = Rows::open(&file)?;
    let (path_at, label_at) = (rows.column(PATH)?, rows.column("label")?);
    let split_at = rows.find("split");
    let mut files = Files { root, roots, lines: BTreeMap::new(), parents: HashSet::new() };
    let (mut train, mut val, mut test) = (Vec::new(), Vec::new(), Vec::new());
    while let Some(row) = rows.next()? {
        let side = match split_at.map(|at| row.text(at, "split")).transpose()? {
            None | Some("train") => &mut train,
            Some("val" | "valid" | "validation") => &mut val,
            Some("test") => &mut test,
            Some(other) => return Err(row.wrong(LineTrouble::Split(other.to_owned()))),
        };
        let entry = match files.entry(&row, path_at) {
            Ok(entry) => entry,
            Err(error) => {
                judge(error)?;
                continue;
            }
        };
        let label = row.text(label_at, "label")?.to_owned();
        side.push(Read { entry, label, line: row.line() });
    }
    let mut classes: Vec<String> = train.iter().map(|read| read.label.clone()).collect();
    classes.sort();
    classes.dedup();
    let mut number = |side: Vec<Read>| -> Result<Vec<Entry>, TrainError> {
        let mut entries = Vec::with_capacity(side.len());
        for Read { mut entry, label, line } in side {
            match classes.binary_search(&label) {
                Ok(class) => {
                    entry.class = class as u32;
                    entries.push(entry);
                }
                Err(_) => {
                    let what = LineTrouble::UnknownClass(label);
                    judge(TrainError::LabelLine { path: file.clone(), line, what })?;
                }
            }
        }
        // As folders of classes would have them, so that the order of the rows changes nothing.
        entries.sort_by(|a, b| (a.class, &a.file).cmp(&(b.class, &b.file)));
        Ok(entries)
    };
    let train = number(train)?;
    let val = if val.is_empty() { None } else { Some(number(val)?) };
    let test = number(test)?;
    Ok(Listing { root: root.to_path_buf(), layout: Layout::Manifest, classes, train, val, test })
}

/// The files of the rows that are kept for testing, but for those that [`read`] has complained about.
pub(super) fn test_files(root: &Path, roots: &[PathBuf]) -> Result<Vec<PathBuf>, TrainError> {
    let mut rows = Rows::open(&root.join(MANIFEST))?;
    let path_at = rows.column(PATH)?;
    let Some(split_at) = rows.find("split") else { return Ok(Vec::new()) };
    let mut files = Files { root, roots, lines: BTreeMap::new(), parents: HashSet::new() };
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let entry = files.entry(&row, path_at);
        if row.text(split_at, "split")? == "test" {
            found.extend(entry.ok().map(|entry| entry.file));
        }
    }
    found.sort();
    Ok(found)
}

/// The files that rows name, looked at once each.
struct Files<'a> {
    root: &'a Path,
    roots: &'a [PathBuf],
    /// The line of each path.
    lines: BTreeMap<PathBuf, u64>,
    /// Folders that are known to lie inside the roots.
    parents: HashSet<PathBuf>,
}

impl Files<'_> {
    fn entry(&mut self, row: &Row<'_>, column: usize) -> Result<Entry, TrainError> {
        let file = row.path(column)?;
        let full = self.root.join(&file);
        let absent = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => row.wrong(LineTrouble::Missing(file.clone())),
            _ => TrainError::DataRead { path: full.clone(), source },
        };
        let leaves = || row.wrong(LineTrouble::Escapes(file.to_string_lossy().into_owned()));
        let parent = full.parent().unwrap_or(self.root);
        if !self.parents.contains(parent) {
            if !inside(&parent.canonicalize().map_err(absent)?, self.roots) {
                return Err(leaves());
            }
            self.parents.insert(parent.to_path_buf());
        }
        let mut about = fs::symlink_metadata(&full).map_err(absent)?;
        if about.is_symlink() {
            let real = full.canonicalize().map_err(absent)?;
            if !inside(&real, self.roots) {
                return Err(leaves());
            }
            about = fs::metadata(&real).map_err(absent)?;
        }
        if !about.is_file() {
            return Err(row.wrong(LineTrouble::NotAFile(file)));
        }
        if let Some(first) = self.lines.insert(file.clone(), row.line()) {
            return Err(row.wrong(LineTrouble::Twice(first)));
        }
        Ok(Entry { file, class: 0, bytes: about.len(), changed_ns: changed_ns(&about) })
    }
}

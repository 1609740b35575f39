//! Other labels for the training images than those of their folders: a column of a CSV file in the
//! data set's folder, such as Imagenette's `noisy_imagenette.csv` (`path,noisy_labels_0,
//! noisy_labels_1,noisy_labels_5,...`). Validation images keep their own labels, so that what is
//! measured stays comparable, and the split is made by the true labels.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

use super::listing::Listing;
use super::rows::{PATH, Rows};
use crate::error::{LabelTrouble, LineTrouble, TrainError};

/// For every entry of `listing.train` its label in `column`.
pub fn read(listing: &Listing, column: &str) -> Result<Vec<u32>, TrainError> {
    let List { file: list, mut rows, path_at, label_at } = open(listing, column)?;
    let mut labels = HashMap::new();
    while let Some(row) = rows.next()? {
        let file = row.path(path_at)?;
        let label = row.text(label_at, "label")?;
        let Ok(class) = listing.classes.binary_search_by(|name| name.as_str().cmp(label)) else {
            return Err(row.wrong(LineTrouble::UnknownClass(label.to_owned())));
        };
        if let Some((_, first)) = labels.insert(file, (class as u32, row.line())) {
            return Err(row.wrong(LineTrouble::Twice(first)));
        }
    }
    let unlabelled = |file: &PathBuf| {
        let what = LabelTrouble::Unlabelled(file.clone());
        TrainError::LabelsMismatch { path: list.clone(), what }
    };
    (listing.train.iter())
        .map(|entry| labels.get(&entry.file).map(|(class, _)| *class).ok_or_else(|| unlabelled(&entry.file)))
        .collect()
}

/// A CSV file that has the column.
struct List {
    file: PathBuf,
    rows: Rows,
    path_at: usize,
    label_at: usize,
}

/// The one CSV file in the data set's folder that has the column.
fn open(listing: &Listing, column: &str) -> Result<List, TrainError> {
    let root = &listing.root;
    let trouble = |source| TrainError::DataRead { path: root.clone(), source };
    let mut files = Vec::new();
    for item in fs::read_dir(root).map_err(trouble)? {
        let path = item.map_err(trouble)?.path();
        let hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && path.extension().is_some_and(|end| end.eq_ignore_ascii_case("csv")) {
            files.push(path);
        }
    }
    files.sort();
    let (mut found, mut have) = (None, Vec::new());
    for file in files {
        let rows = Rows::open(&file)?;
        let Some(path_at) = rows.find(PATH) else { continue };
        have.extend(rows.columns().filter(|name| *name != PATH).map(str::to_owned));
        let Some(label_at) = rows.find(column) else { continue };
        if found.replace(List { file, rows, path_at, label_at }).is_some() {
            let what = LabelTrouble::SeveralLists(column.to_owned());
            return Err(TrainError::LabelsMismatch { path: root.clone(), what });
        }
    }
    found.ok_or_else(|| {
        let what = LabelTrouble::NoColumn { name: column.to_owned(), have };
        TrainError::LabelsMismatch { path: root.clone(), what }
    })
}

//! Looks at every image of a data set: what cannot be used, what is there twice, and what stands on
//! both sides of a split. Copies are told by their decoded pixels, so a file that was saved again
//! without loss is found too; a group says whether its files are equal byte for byte.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::Serialize;

use super::listing::{self, Layout, Listing, target};
use super::look::{Looked, Odd, look};
use super::manifest;
use crate::error::TrainError;
use crate::inspect::{Trouble, place};
use crate::progress::Progress;

/// Images looked at between two words about the progress.
const CHUNK: usize = 128;
/// Folders below `test/` that are searched.
const DEPTH: u32 = 3;

/// The side of a split that a file stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Trained on.
    Train,
    /// Measured on after each epoch.
    Val,
    /// Kept apart; each trial looks at it once, at its end.
    Test,
}

/// What `sweep-trainer check` prints.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Checked {
    /// As it was asked for.
    pub path: PathBuf,
    /// The name that a recipe would use.
    pub name: String,
    /// How it lies on disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layout: Option<&'static str>,
    /// Images that were looked at: training, validation and test.
    pub images: [usize; 3],
    /// Images without colours.
    pub gray: usize,
    /// Files for each class.
    pub balance: Vec<Balance>,
    /// What cannot be used.
    pub bad: Vec<Bad>,
    /// What can be used although it is unusual.
    pub odd: Vec<Strange>,
    /// Images that are there more than once.
    pub copies: Vec<Copies>,
    /// Bad files, and groups of copies that leak or disagree about the class.
    pub problems: usize,
    /// Unusual files and all other copies.
    pub warnings: usize,
    /// Why the folder cannot be looked at as a data set at all; counts as a problem.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Trouble>,
}

/// Files of one class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Balance {
    /// Its name.
    pub class: String,
    /// To train on.
    pub train: usize,
    /// In the validation folder.
    pub val: usize,
}

/// Something that cannot be used.
#[derive(Clone, Debug, Serialize)]
pub struct Bad {
    /// Path below the data set; nothing where the message names a folder or line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// A stable word.
    pub reason: &'static str,
    /// For people.
    pub message: String,
}

/// An unusual file.
#[derive(Clone, Debug, Serialize)]
pub struct Strange {
    /// Path below the data set.
    pub file: PathBuf,
    /// A stable word.
    pub what: Odd,
    /// For people.
    pub message: &'static str,
}

/// Files with the same picture.
#[derive(Clone, Debug, Serialize)]
pub struct Copies {
    /// `bytes` if the files are equal, `pixels` if only what they show is.
    pub same: &'static str,
    /// On more than one side of the split.
    pub leak: bool,
    /// In more than one class.
    pub labels_differ: bool,
    /// In the order of sides and names.
    pub files: Vec<Member>,
}

/// One of several equal images.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Member {
    /// Its side.
    pub side: Side,
    /// Its class, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// Path below the data set.
    pub file: PathBuf,
}

struct Candidate<'a> {
    side: Side,
    class: Option<u32>,
    file: &'a Path,
}

/// Looks at the data set in the folder `path`, inside the rayon pool of the caller.
pub fn check(path: &Path) -> Checked {
    let mut checked = Checked { path: path.to_path_buf(), ..Checked::default() };
    if let Err(error) = fill(&mut checked, path) {
        checked.error = Some(Trouble { reason: error.reason(), message: error.to_string() });
        checked.problems += 1;
    }
    checked
}

fn fill(checked: &mut Checked, path: &Path) -> Result<(), TrainError> {
    let (name, roots) = place(path)?;
    checked.name = name;
    let root = listing::resolve(&checked.name, &roots)?;
    let mut bad = Vec::new();
    let mut keep = |error: TrainError| {
        bad.push(told(&root, &error));
        Ok(())
    };
    let listing = listing::scan_with(&root, &roots, &mut keep)?;
    let tests = test_files(&listing, &roots, &mut keep)?;
    // Labelled test images are listed twice: with the others, and with those that have no label.
    let mut told = HashSet::new();
    bad.retain(|bad: &Bad| told.insert(bad.message.clone()));
    checked.bad = bad;
    checked.layout = Some(listing.layout.as_str());
    checked.images = [listing.train.len(), listing.val.as_ref().map_or(0, Vec::len), tests.len()];
    checked.balance = balance(&listing);

    let labelled = |side, entries: &'_ [listing::Entry]| -> Vec<(Side, Option<u32>, PathBuf)> {
        entries.iter().map(|entry| (side, Some(entry.class), entry.file.clone())).collect()
    };
    let mut files = labelled(Side::Train, &listing.train);
    files.extend(labelled(Side::Val, listing.val.as_deref().unwrap_or_default()));
    let labels: HashMap<&Path, u32> = listing.test.iter().map(|entry| (entry.file.as_path(), entry.class)).collect();
    files.extend(tests.into_iter().map(|file| (Side::Test, labels.get(file.as_path()).copied(), file)));
    let candidates: Vec<Candidate<'_>> =
        files.iter().map(|(side, class, file)| Candidate { side: *side, class: *class, file }).collect();

    let mut groups: HashMap<[u8; 32], Vec<(usize, [u8; 32])>> = HashMap::new();
    let mut progress = Progress::new("looking at images", candidates.len());
    for (number, chunk) in candidates.chunks(CHUNK).enumerate() {
        let looked: Vec<Looked> = chunk.par_iter().map(|candidate| look(&root.join(candidate.file))).collect();
        for (place, looked) in looked.into_iter().enumerate() {
            let index = number * CHUNK + place;
            let file = || candidates[index].file.to_path_buf();
            checked.gray += usize::from(looked.gray);
            checked.odd.extend((looked.odd.iter()).map(|&what| Strange { file: file(), what, message: what.words() }));
            match (looked.pixels, looked.bytes) {
                (Ok(pixels), Some(bytes)) => groups.entry(pixels).or_default().push((index, bytes)),
                (Err(error), _) => {
                    checked.bad.push(Bad { file: Some(file()), reason: error.reason(), message: error.to_string() });
                }
                (Ok(_), None) => unreachable!("what was decoded was read"),
            }
        }
        progress.at(number * CHUNK + chunk.len());
    }
    checked.copies = copies(groups, &candidates, &listing.classes);
    let grave = checked.copies.iter().filter(|group| group.leak || group.labels_differ).count();
    checked.problems = checked.bad.len() + grave;
    checked.warnings = checked.odd.len() + checked.copies.len() - grave;
    Ok(())
}

/// Files for each class.
pub(super) fn balance(listing: &Listing) -> Vec<Balance> {
    let named = |class: &String| Balance { class: class.clone(), train: 0, val: 0 };
    let mut balance: Vec<Balance> = listing.classes.iter().map(named).collect();
    for entry in &listing.train {
        balance[entry.class as usize].train += 1;
    }
    for entry in listing.val.iter().flatten() {
        balance[entry.class as usize].val += 1;
    }
    balance
}

fn copies(groups: HashMap<[u8; 32], Vec<(usize, [u8; 32])>>, all: &[Candidate<'_>], classes: &[String]) -> Vec<Copies> {
    let mut several: Vec<_> = groups.into_values().filter(|group| group.len() > 1).collect();
    // Members were added in their order, so the first of a group decides about its place.
    several.sort_unstable_by_key(|group| group[0].0);
    let group = |members: Vec<(usize, [u8; 32])>| {
        let equal = members.iter().all(|(_, bytes)| *bytes == members[0].1);
        let labels: Vec<u32> = members.iter().filter_map(|(index, _)| all[*index].class).collect();
        Copies {
            same: if equal { "bytes" } else { "pixels" },
            leak: members.iter().any(|(index, _)| all[*index].side != all[members[0].0].side),
            labels_differ: labels.iter().any(|label| *label != labels[0]),
            files: (members.iter())
                .map(|&(index, _)| Member {
                    side: all[index].side,
                    class: all[index].class.map(|class| classes[class as usize].clone()),
                    file: all[index].file.to_path_buf(),
                })
                .collect(),
        }
    };
    several.into_iter().map(group).collect()
}

/// A listing error as an entry of the report.
fn told(root: &Path, error: &TrainError) -> Bad {
    let file = match error {
        TrainError::PathNotRegular { path, .. } | TrainError::DataRead { path, .. } => path.strip_prefix(root).ok(),
        _ => None,
    };
    Bad { file: file.map(Path::to_path_buf), reason: error.reason(), message: error.to_string() }
}

/// Files kept for testing, below the data set's folder.
fn test_files(
    listing: &Listing,
    roots: &[PathBuf],
    judge: &mut listing::Judge<'_>,
) -> Result<Vec<PathBuf>, TrainError> {
    if listing.layout == Layout::Manifest {
        // What is wrong with their lines has been told by the listing.
        return manifest::test_files(&listing.root, roots);
    }
    let mut found = Vec::new();
    if listing.root.join("train").is_dir() && listing.root.join("test").is_dir() {
        below(&listing.root, Path::new("test"), roots, DEPTH, judge, &mut found)?;
    }
    found.sort();
    Ok(found)
}

fn below(
    root: &Path,
    folder: &Path,
    roots: &[PathBuf],
    depth: u32,
    judge: &mut listing::Judge<'_>,
    found: &mut Vec<PathBuf>,
) -> Result<(), TrainError> {
    let at = root.join(folder);
    let fail = |source| TrainError::DataRead { path: at.clone(), source };
    for item in std::fs::read_dir(&at).map_err(fail)? {
        let name = item.map_err(fail)?.file_name();
        if name.as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let file = folder.join(name);
        let path = root.join(&file);
        match target(&path, roots) {
            Err(error) => judge(error)?,
            Ok(about) if about.is_dir() => {
                if depth > 0 {
                    below(root, &file, roots, depth - 1, judge, found)?;
                }
            }
            Ok(about) if about.is_file() => found.push(file),
            Ok(_) => judge(TrainError::PathNotRegular { path, why: "is not a regular file" })?,
        }
    }
    Ok(())
}

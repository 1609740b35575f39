//! What a folder holds, told from its listing alone: the agent asks this to know its data sets.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::data::fingerprint::fingerprint;
use crate::data::listing::{resolve, scan};
use crate::error::TrainError;

/// One line of `sweep-trainer inspect`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct About {
    /// As it was asked for.
    pub path: PathBuf,
    /// The name that a recipe would use.
    pub name: String,
    /// `folder`, `tiny-imagenet` or `manifest`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layout: Option<&'static str>,
    /// Tells this copy from others, see [`crate::data::fingerprint`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// Class names in the order of the labels.
    pub classes: Vec<String>,
    /// Files to train on; all files, when there is no validation folder.
    pub train_images: usize,
    /// Files in the validation folder.
    pub val_images: usize,
    /// Whether there is a validation folder.
    pub has_val: bool,
    /// Why the folder is not a data set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Trouble>,
}

/// Why a folder is not a data set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// The stable word that a trial would fail with.
    pub reason: &'static str,
    /// For people.
    pub message: String,
}

/// Looks at `path` as a trial would whose data root is the folder around it. Reads folders and lists of labels only.
pub fn inspect(path: &Path) -> About {
    let mut about = About {
        path: path.to_path_buf(),
        name: String::new(),
        layout: None,
        fingerprint: None,
        classes: Vec::new(),
        train_images: 0,
        val_images: 0,
        has_val: false,
        error: None,
    };
    if let Err(error) = fill(&mut about, path) {
        about.error = Some(Trouble { reason: error.reason(), message: error.to_string() });
    }
    about
}

fn fill(about: &mut About, path: &Path) -> Result<(), TrainError> {
    let (name, roots) = place(path)?;
    about.name = name;
    let root = resolve(&about.name, &roots)?;
    let listing = scan(&root, &roots)?;
    about.layout = Some(listing.layout.as_str());
    about.fingerprint = Some(fingerprint(&listing)?);
    about.train_images = listing.train.len();
    about.val_images = listing.val.as_ref().map_or(0, Vec::len);
    about.has_val = listing.val.is_some();
    about.classes = listing.classes;
    Ok(())
}

/// The name of the data set in `path` and the data root around it.
pub(crate) fn place(path: &Path) -> Result<(String, [PathBuf; 1]), TrainError> {
    let full = std::path::absolute(path).map_err(|source| TrainError::DataRead { path: path.to_path_buf(), source })?;
    let name = full.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Ok((name, [full.parent().unwrap_or(&full).to_path_buf()]))
}

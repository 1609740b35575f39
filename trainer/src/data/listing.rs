//! Finds the images of a data set by looking at folders only: classes, files, their lengths and
//! times. Decodes nothing, so that the agent can ask for it at any time.
//!
//! Layouts: `train/<class>/*` with or without `val/<class>/*`; `<class>/*` directly; and Tiny
//! ImageNet as it is distributed (`wnids.txt`, `train/<class>/images/*`, `val/images/*` with
//! `val/val_annotations.txt`); `manifest.csv` is left to `manifest`. Names that begin with a dot are passed over. Classes and files are
//! in byte order, as torchvision's `ImageFolder` has them.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::manifest::{self, MANIFEST};
use crate::error::{LabelTrouble, TrainError};

/// How a data set lies on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// A folder for each class.
    Folder,
    /// Tiny ImageNet's original layout.
    TinyImagenet,
    /// The images that `manifest.csv` names.
    Manifest,
}

impl Layout {
    /// The word used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Folder => "folder",
            Self::TinyImagenet => "tiny-imagenet",
            Self::Manifest => "manifest",
        }
    }
}

/// One image file that has not been looked into yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Path below [`Listing::root`].
    pub file: PathBuf,
    /// Index into [`Listing::classes`].
    pub class: u32,
    /// Length of the file.
    pub bytes: u64,
    /// Time of the last change, nanoseconds since 1970.
    pub changed_ns: i128,
}

/// The files of a data set.
#[derive(Clone, Debug)]
pub struct Listing {
    /// The folder, canonical.
    pub root: PathBuf,
    /// How it is laid out.
    pub layout: Layout,
    /// Class names; a label is an index into them.
    pub classes: Vec<String>,
    /// Training images (all images, if there is no validation folder).
    pub train: Vec<Entry>,
    /// Validation images; `None` when there is no validation folder.
    pub val: Option<Vec<Entry>>,
    /// Test images; without any there is no test.
    pub test: Vec<Entry>,
}

/// The folder of `dataset`: a plain name below one of `roots`, or an absolute path inside one.
/// Nothing that leaves the roots is accepted, be it by `..` or by a symbolic link.
pub fn resolve(dataset: &str, roots: &[PathBuf]) -> Result<PathBuf, TrainError> {
    let unknown = || TrainError::DatasetUnknown { name: dataset.to_owned(), roots: roots.to_vec() };
    let path = Path::new(dataset);
    let mut candidates = Vec::new();
    if path.is_absolute() {
        candidates.push(path.to_path_buf());
    } else {
        let mut parts = path.components();
        let plain = matches!(
            (parts.next(), parts.next()),
            (Some(Component::Normal(name)), None) if name == OsStr::new(dataset)
        );
        if !plain || dataset.contains('\0') {
            return Err(unknown());
        }
        candidates.extend(roots.iter().map(|root| root.join(path)));
    }
    let found = candidates.into_iter().find(|candidate| candidate.symlink_metadata().is_ok()).ok_or_else(unknown)?;
    let real = found.canonicalize().map_err(|_| unknown())?;
    let fail = |why| TrainError::PathNotRegular { path: found.clone(), why };
    if !inside(&real, roots) {
        return Err(fail(LEADS_OUT));
    }
    if !real.is_dir() {
        return Err(fail("is not a folder"));
    }
    Ok(real)
}

/// What is said of a path that an agent may not give to its trainers, with what to do about it.
pub(crate) const LEADS_OUT: &str =
    "leads out of the data roots of this host; the folder in which it really is may be one, too: `--data` of its agent";

pub(crate) fn inside(real: &Path, roots: &[PathBuf]) -> bool {
    roots.iter().filter_map(|root| root.canonicalize().ok()).any(|root| real.starts_with(root))
}

/// Decides about a file or folder that cannot be used: its error ends the listing, or, if `Ok` comes
/// back, it is left out.
pub type Judge<'a> = dyn FnMut(TrainError) -> Result<(), TrainError> + 'a;

/// Lists the data set in `root` (from [`resolve`]); symbolic links must stay inside `roots`.
pub fn scan(root: &Path, roots: &[PathBuf]) -> Result<Listing, TrainError> {
    scan_with(root, roots, &mut Err)
}

/// As [`scan`], but `judge` decides about what cannot be used.
pub fn scan_with(root: &Path, roots: &[PathBuf], judge: &mut Judge<'_>) -> Result<Listing, TrainError> {
    let train = root.join("train");
    let listed = root.join(MANIFEST).symlink_metadata().is_ok();
    let listing = if listed {
        manifest::read(root, roots, judge)?
    } else if root.join("wnids.txt").is_file() && train.is_dir() {
        Scan { root, roots, judge }.tiny_imagenet()?
    } else if train.is_dir() {
        let val = root.join("val");
        Scan { root, roots, judge }.folders("train", val.is_dir().then_some("val"))?
    } else {
        Scan { root, roots, judge }.folders("", None)?
    };
    if listing.classes.len() < 2 {
        return Err(TrainError::DatasetEmpty {
            folder: if listed || !train.is_dir() { root.into() } else { train },
            why: match (listed, listing.classes.is_empty()) {
                (true, true) => "has a manifest.csv without training images",
                (true, false) => "has a manifest.csv with only one label, at least two are needed",
                (false, true) => "has no class folders (train/<class>/* or <class>/*) and no manifest.csv",
                (false, false) => "has only one class folder, at least two are needed",
            },
        });
    }
    Ok(listing)
}

struct Scan<'a, 'j> {
    root: &'a Path,
    roots: &'a [PathBuf],
    judge: &'a mut Judge<'j>,
}

impl Scan<'_, '_> {
    fn folders(&mut self, train: &str, val: Option<&str>) -> Result<Listing, TrainError> {
        let classes = self.class_names(Path::new(train))?;
        let mut listing = Listing {
            root: self.root.to_path_buf(),
            layout: Layout::Folder,
            train: Vec::new(),
            val: None,
            test: Vec::new(),
            classes,
        };
        for (class, name) in (0..).zip(&listing.classes) {
            let folder = Path::new(train).join(name);
            listing.train.extend(self.images(&folder, class)?);
        }
        if let Some(val) = val {
            listing.val = Some(self.val_folders(Path::new(val), &listing.classes)?);
        }
        if !train.is_empty() {
            listing.test = self.test_folders(&listing.classes)?;
        }
        Ok(listing)
    }

    /// `test/<class>/*`. Test images that nobody has labelled, such as Tiny ImageNet's, are passed over.
    fn test_folders(&mut self, classes: &[String]) -> Result<Vec<Entry>, TrainError> {
        let test = Path::new("test");
        let labelled = classes.iter().any(|name| self.root.join(test).join(name).is_dir());
        if labelled { self.val_folders(test, classes) } else { Ok(Vec::new()) }
    }

    fn val_folders(&mut self, val: &Path, classes: &[String]) -> Result<Vec<Entry>, TrainError> {
        let mut entries = Vec::new();
        for name in self.class_names(val)? {
            match classes.binary_search(&name) {
                Ok(class) => entries.extend(self.images(&val.join(name), class as u32)?),
                Err(_) => {
                    let error = self.mismatch(val, LabelTrouble::UnknownClass(name));
                    (self.judge)(error)?;
                }
            }
        }
        if entries.is_empty() {
            return Err(TrainError::DatasetEmpty { folder: self.root.join(val), why: "has no images" });
        }
        Ok(entries)
    }

    fn tiny_imagenet(&mut self) -> Result<Listing, TrainError> {
        let list = Path::new("wnids.txt");
        let mut classes: Vec<String> = self.text(list)?.split_whitespace().map(str::to_owned).collect();
        classes.sort();
        classes.dedup();
        let mut train = Vec::new();
        for (class, name) in (0..).zip(&classes) {
            let folder = Path::new("train").join(name);
            if !self.root.join(&folder).is_dir() {
                return Err(self.mismatch(list, LabelTrouble::MissingClass(name.clone())));
            }
            let images = folder.join("images");
            let nested = self.root.join(&images).is_dir();
            train.extend(self.images(if nested { &images } else { &folder }, class)?);
        }
        let val = Path::new("val");
        let val = if self.root.join("val/val_annotations.txt").is_file() {
            Some(self.annotated(val, &classes)?)
        } else if self.root.join(val).is_dir() {
            Some(self.val_folders(val, &classes)?)
        } else {
            None
        };
        let test = self.test_folders(&classes)?;
        Ok(Listing { root: self.root.to_path_buf(), layout: Layout::TinyImagenet, classes, train, val, test })
    }

    /// `val/images/*`, labelled by the first two columns of `val/val_annotations.txt`.
    fn annotated(&mut self, val: &Path, classes: &[String]) -> Result<Vec<Entry>, TrainError> {
        let list = val.join("val_annotations.txt");
        let mut labels = BTreeMap::new();
        for (number, line) in (1..).zip(self.text(&list)?.lines()) {
            let mut columns = line.split('\t');
            let (Some(file), Some(class)) = (columns.next(), columns.next()) else {
                if line.trim().is_empty() {
                    continue;
                }
                return Err(self.mismatch(&list, LabelTrouble::Line(number)));
            };
            let index = classes.binary_search_by(|name| name.as_str().cmp(class));
            let index = index.map_err(|_| self.mismatch(&list, LabelTrouble::UnknownClass(class.to_owned())))?;
            labels.insert(file.as_bytes().to_vec(), index as u32);
        }
        let mut entries = Vec::new();
        for mut entry in self.images(&val.join("images"), 0)? {
            let name = entry.file.file_name().unwrap_or_default();
            match labels.get(name.as_bytes()) {
                Some(class) => {
                    entry.class = *class;
                    entries.push(entry);
                }
                None => {
                    let error = self.mismatch(&list, LabelTrouble::Unlabelled(PathBuf::from(name)));
                    (self.judge)(error)?;
                }
            }
        }
        Ok(entries)
    }

    fn mismatch(&self, path: &Path, what: LabelTrouble) -> TrainError {
        TrainError::LabelsMismatch { path: self.root.join(path), what }
    }

    fn text(&self, file: &Path) -> Result<String, TrainError> {
        let path = self.root.join(file);
        fs::read_to_string(&path).map_err(|source| TrainError::DataRead { path, source })
    }

    /// Names of the folders in `folder`, sorted.
    fn class_names(&mut self, folder: &Path) -> Result<Vec<String>, TrainError> {
        let mut names = Vec::new();
        for (name, about) in self.visible(folder)? {
            if about.is_dir() {
                let utf8 = name
                    .into_os_string()
                    .into_string()
                    .map_err(|name| self.mismatch(folder, LabelTrouble::NotUtf8(PathBuf::from(name))))?;
                names.push(utf8);
            }
        }
        names.sort();
        Ok(names)
    }

    /// The files in `folder`, sorted by name; at least one.
    fn images(&mut self, folder: &Path, class: u32) -> Result<Vec<Entry>, TrainError> {
        let mut entries = Vec::new();
        for (name, about) in self.visible(folder)? {
            if about.is_dir() {
                continue;
            }
            if !about.is_file() {
                let path = self.root.join(folder).join(name);
                (self.judge)(TrainError::PathNotRegular { path, why: "is not a regular file" })?;
                continue;
            }
            entries.push(Entry { file: folder.join(name), class, bytes: about.len(), changed_ns: changed_ns(&about) });
        }
        if entries.is_empty() {
            (self.judge)(TrainError::DatasetEmpty {
                folder: self.root.join(folder),
                why: "is a class folder without images (folders inside it are not searched)",
            })?;
        }
        entries.sort_by(|a, b| a.file.cmp(&b.file));
        Ok(entries)
    }

    /// Names in `folder` that do not begin with a dot, with what they lead to.
    fn visible(&mut self, folder: &Path) -> Result<Vec<(PathBuf, Metadata)>, TrainError> {
        let at = self.root.join(folder);
        let fail = |path: &Path| {
            let path = path.to_path_buf();
            move |source: io::Error| TrainError::DataRead { path, source }
        };
        let mut found = Vec::new();
        for item in fs::read_dir(&at).map_err(fail(&at))? {
            let item = item.map_err(fail(&at))?;
            let name = item.file_name();
            if name.as_bytes().starts_with(b".") {
                continue;
            }
            match target(&item.path(), self.roots) {
                Ok(about) => found.push((PathBuf::from(name), about)),
                Err(error) => (self.judge)(error)?,
            }
        }
        Ok(found)
    }
}

/// What `path` is, or leads to if it is a link that stays inside `roots`.
pub(super) fn target(path: &Path, roots: &[PathBuf]) -> Result<Metadata, TrainError> {
    let fail = |source| TrainError::DataRead { path: path.to_path_buf(), source };
    let about = fs::symlink_metadata(path).map_err(fail)?;
    if !about.is_symlink() {
        return Ok(about);
    }
    let real = path.canonicalize().map_err(fail)?;
    if !inside(&real, roots) {
        return Err(TrainError::PathNotRegular { path: path.to_path_buf(), why: LEADS_OUT });
    }
    real.metadata().map_err(fail)
}

pub(super) fn changed_ns(about: &Metadata) -> i128 {
    let Ok(time) = about.modified() else { return 0 };
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => after.as_nanos() as i128,
        Err(before) => -(before.duration().as_nanos() as i128),
    }
}

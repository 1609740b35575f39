//! Data sets: found, decoded once per host, split and checked against the recipe. What is done to
//! an image for training is left to `augment`, putting batches together to [`batches`].

pub mod batches;
mod build;
pub mod cache;
pub mod check;
pub mod decode;
pub mod fingerprint;
pub mod labels;
pub mod listing;
pub mod look;
pub mod manifest;
pub mod memory;
mod rows;
mod settle;
mod site;
pub mod split;
pub mod stats;
pub mod verified;

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use sweep_core::recipe::{DataOptions, Recipe};

use cache::{Cache, hex};
use decode::Form;
use listing::{Entry, Listing};

use crate::augment::whole_form;
use crate::error::TrainError;
use crate::link::Stop;
use crate::log::say;

/// How many unreadable images a failure's message names.
const NAMED: usize = 5;

/// A data set that is ready to train on.
#[derive(Debug)]
pub struct Dataset {
    /// Class names; a label is an index into them.
    pub classes: Vec<String>,
    /// Training images.
    pub train: Vec<Item>,
    /// Validation images.
    pub val: Vec<Item>,
    /// Test images; none, if the data set has none.
    pub test: Vec<Item>,
    /// All images cut to squares of the recipe's size.
    pub square: Cache,
    /// Training images as wholes, when the augmentation chooses its own window.
    pub whole: Option<Cache>,
    /// SHA-256 of class names, labels, pixels and split: what was trained on.
    pub digest: String,
    /// Tells this copy from others, see [`fingerprint`].
    pub fingerprint: String,
}

/// One image of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// Place in the caches.
    pub image: usize,
    /// Label.
    pub class: u32,
}

/// Finds, decodes (or maps) and splits the recipe's data set. Call inside the rayon pool that
/// decoding may use.
pub fn open(recipe: &Recipe, roots: &[PathBuf], cache_dir: &Path, stop: &Stop) -> Result<Dataset, TrainError> {
    prepare(list(recipe, roots)?, recipe, cache_dir, stop)
}

/// Finds the recipe's data set.
pub fn list(recipe: &Recipe, roots: &[PathBuf]) -> Result<Listing, TrainError> {
    listing::scan(&listing::resolve(&recipe.dataset, roots)?, roots)
}

/// Decodes (or maps) and splits what was found, as [`open`].
pub fn prepare(listing: Listing, recipe: &Recipe, cache_dir: &Path, stop: &Stop) -> Result<Dataset, TrainError> {
    let root = listing.root.clone();
    let train_files = listing.train.len();
    let all: Vec<&Entry> = (listing.train.iter()).chain(listing.val.iter().flatten()).chain(&listing.test).collect();
    let forms =
        [Some((all.len(), Form::Square(recipe.image_size))), whole_form(recipe).map(|form| (train_files, form))];
    let forms: Vec<_> = forms.into_iter().flatten().collect();
    let mut caches = Cache::open_or_build_all(cache_dir, &root, &all, &forms, stop)?.into_iter();
    let square = caches.next().expect("the square form is always asked for");
    let whole = caches.next();
    check_bad(&listing, &all, &square, recipe.data.skip_bad)?;

    let (train, val, test) = admitted(&listing, &square, recipe);
    let (train, val) = match &listing.val {
        Some(_) => (train, val),
        None => held_out(&all, &train, listing.classes.len(), &recipe.data),
    };
    // Only after the split: it goes by the true labels, and validation keeps them.
    let labels = recipe.data.labels.as_deref().map(|column| labels::read(&listing, column)).transpose()?;
    let good = |indices: Vec<usize>, labels: Option<&Vec<u32>>| -> Vec<Item> {
        let class = |image: usize| labels.map_or(all[image].class, |labels| labels[image]);
        let readable = indices.into_iter().filter(|&image| square.picture(image).is_some());
        readable.map(|image| Item { image, class: class(image) }).collect()
    };
    let (train, val, test) = (good(train, labels.as_ref()), good(val, None), good(test, None));
    check_counts(&listing, &train, &val, recipe)?;
    Ok(Dataset {
        fingerprint: fingerprint::fingerprint(&listing)?,
        digest: digest(&listing, &square, whole.as_ref(), &train, &val),
        classes: listing.classes,
        train,
        val,
        test,
        square,
        whole,
    })
}

/// Images for training, of the validation folder and for the test, without the ones of a size that is not wanted.
fn admitted(listing: &Listing, square: &Cache, recipe: &Recipe) -> (Vec<usize>, Vec<usize>, Vec<usize>) {
    let train_files = listing.train.len();
    let val_files = listing.val.as_ref().map_or(0, Vec::len);
    let test_files = listing.test.len();
    let fits = |image: &usize| match square.source_size(*image) {
        Some((width, height)) => recipe.data.admits(width, height),
        // Unreadable: that is told elsewhere.
        None => true,
    };
    let train: Vec<usize> = (0..train_files).filter(fits).collect();
    let val: Vec<usize> = (train_files..train_files + val_files).filter(fits).collect();
    let test: Vec<usize> = (train_files + val_files..train_files + val_files + test_files).filter(fits).collect();
    let left_out = [train_files - train.len(), val_files - val.len(), test_files - test.len()];
    if left_out != [0; 3] {
        let [train, val, test] = left_out;
        say(format_args!(
            "left out by data.size or data.min_side: {train} of {train_files} training images, {val} of {val_files} \
             validation images, {test} of {test_files} test images"
        ));
    }
    (train, val, test)
}

/// Splits `images` where there is no validation folder.
fn held_out(all: &[&Entry], images: &[usize], classes: usize, options: &DataOptions) -> (Vec<usize>, Vec<usize>) {
    let entries: Vec<&Entry> = images.iter().map(|&image| all[image]).collect();
    let (train, val) = split::split(&entries, classes, options.val_fraction, options.split_seed);
    let back = |places: Vec<usize>| places.into_iter().map(|place| images[place]).collect();
    (back(train), back(val))
}

fn check_bad(listing: &Listing, all: &[&Entry], cache: &Cache, allowed: u32) -> Result<(), TrainError> {
    let bad = cache.bad();
    let name = |(image, cause): &(u32, String)| {
        let file = listing.root.join(&all[*image as usize].file);
        format!("{} {cause}", file.display())
    };
    if bad.len() > allowed as usize {
        let mut first: Vec<_> = bad.iter().take(NAMED).map(name).collect();
        if bad.len() > NAMED {
            first.push(format!("and {} more", bad.len() - NAMED));
        }
        return Err(TrainError::BadImages { bad: bad.len(), allowed, first: first.join("; ") });
    }
    for one in bad {
        say(format_args!("warning: left out: {}", name(one)));
    }
    Ok(())
}

fn check_counts(listing: &Listing, train: &[Item], val: &[Item], recipe: &Recipe) -> Result<(), TrainError> {
    let empty = |folder: PathBuf, why| Err(TrainError::DatasetEmpty { folder, why });
    let mut counts = vec![0usize; listing.classes.len()];
    for item in train {
        counts[item.class as usize] += 1;
    }
    if let Some(class) = counts.iter().position(|&count| count == 0) {
        let folder = (listing.train.iter())
            .find(|entry| entry.class as usize == class)
            .and_then(|entry| entry.file.parent())
            .unwrap_or(Path::new(""));
        return empty(listing.root.join(folder), "has no usable image left for training");
    }
    if val.is_empty() {
        return empty(
            listing.root.clone(),
            "has no image left for validation (no val folder, and too few images to hold some out)",
        );
    }
    let train_images = train.len() * recipe.copies.len().max(1);
    if recipe.batch_size as usize > train_images {
        return Err(TrainError::BatchTooLarge { batch_size: recipe.batch_size, train_images });
    }
    Ok(())
}

impl Dataset {
    /// Whether the caches behind it can still be relied on.
    ///
    /// # Errors
    /// [`TrainError::Cache`], see [`Cache::check`].
    pub fn check(&self) -> Result<(), TrainError> {
        self.square.check()?;
        self.whole.as_ref().map_or(Ok(()), Cache::check)
    }
}

fn digest(listing: &Listing, square: &Cache, whole: Option<&Cache>, train: &[Item], val: &[Item]) -> String {
    let mut hash = Sha256::new();
    for class in &listing.classes {
        hash.update((class.len() as u64).to_le_bytes());
        hash.update(class);
    }
    for part in [train, val] {
        hash.update((part.len() as u64).to_le_bytes());
        for item in part {
            hash.update(item.class.to_le_bytes());
            hash.update(square.digest(item.image));
            if let Some(whole) = whole {
                hash.update(whole.digest(item.image));
            }
        }
    }
    hex(&hash.finalize())
}

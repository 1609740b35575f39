//! Data sets: found, decoded once per host, split and checked against the recipe. What is done to
//! an image for training is left to `augment`, putting batches together to [`batches`].

pub mod batches;
pub mod cache;
pub mod decode;
pub mod listing;
pub mod mapped;
pub mod split;

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use sweep_core::recipe::Recipe;

use cache::{Cache, hex};
use decode::Form;
use listing::{Entry, Listing};

use crate::augment::needs_whole;
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
    /// All images cut to squares of the recipe's size.
    pub square: Cache,
    /// Training images as wholes, when the augmentation chooses its own window.
    pub whole: Option<Cache>,
    /// SHA-256 of class names, labels, pixels and split: what was trained on.
    pub digest: String,
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
    let root = listing::resolve(&recipe.dataset, roots)?;
    let listing = listing::scan(&root, roots)?;
    let train_files = listing.train.len();
    let all: Vec<&Entry> = (listing.train.iter()).chain(listing.val.iter().flatten()).collect();
    let square = Cache::open_or_build(cache_dir, &root, &all, Form::Square(recipe.image_size), stop)?;
    check_bad(&listing, &all, &square, recipe.data.skip_bad)?;
    let whole = if needs_whole(&recipe.augmentation) {
        let form = Form::whole_for(recipe.image_size);
        let train = &all[..train_files];
        Some(Cache::open_or_build(cache_dir, &root, train, form, stop)?)
    } else {
        None
    };

    let (train, val) = match &listing.val {
        Some(_) => ((0..train_files).collect(), (train_files..all.len()).collect()),
        None => split::split(&listing.train, listing.classes.len(), recipe.data.val_fraction, recipe.data.split_seed),
    };
    let good = |indices: Vec<usize>| -> Vec<Item> {
        indices
            .into_iter()
            .filter(|&image| square.picture(image).is_some())
            .map(|image| Item { image, class: all[image].class })
            .collect()
    };
    let (train, val) = (good(train), good(val));
    check_counts(&listing, &train, &val, recipe)?;
    Ok(Dataset {
        digest: digest(&listing, &square, whole.as_ref(), &train, &val),
        classes: listing.classes,
        train,
        val,
        square,
        whole,
    })
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
        return empty(listing.root.join(folder), "has no readable image left for training");
    }
    if val.is_empty() {
        return empty(
            listing.root.clone(),
            "has no image left for validation (no val folder, and too few images to hold some out)",
        );
    }
    if recipe.batch_size as usize > train.len() {
        return Err(TrainError::BatchTooLarge { batch_size: recipe.batch_size, train_images: train.len() });
    }
    Ok(())
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

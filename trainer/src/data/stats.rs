//! Numbers about a data set: files, sizes, and mean and standard deviation of its training images,
//! measured once and kept in the cache folder until a file changes. Every pixel of every readable
//! training image counts once, as it is in its file; sums are of integers, so that neither order nor
//! threads change the last digit.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::cache::{key, stem};
use super::check::{Balance, balance};
use super::decode::{Pixels, decode};
use super::listing::{self, Entry};
use crate::error::TrainError;
use crate::inspect::{Trouble, place};
use crate::progress::Progress;

/// Part of the key: grows when something else is measured.
const LABEL: &str = "stats1";
/// Images measured between two words about the progress.
const CHUNK: usize = 128;
/// Sizes that are named.
const COMMON: usize = 5;

/// What `sweep-trainer stats` prints.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Stats {
    /// As it was asked for.
    pub path: PathBuf,
    /// The name that a recipe would use.
    pub name: String,
    /// How it lies on disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layout: Option<&'static str>,
    /// Files to train on; all files, when there is no validation folder.
    pub train_images: usize,
    /// Files in the validation folder.
    pub val_images: usize,
    /// Length of all these files together.
    pub bytes: u64,
    /// Files for each class.
    pub balance: Vec<Balance>,
    /// What was measured on the training images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured: Option<Measured>,
    /// Whether it was measured before.
    pub cached: bool,
    /// Why the folder is not a data set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Trouble>,
}

/// What only decoding tells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Training images that were decoded.
    pub images: usize,
    /// Training images that could not be.
    pub unreadable: usize,
    /// Pixels of those that were.
    pub pixels: u64,
    /// Mean of red, green and blue, 0 to 1.
    pub mean: [f64; 3],
    /// Standard deviation (of the population) of red, green and blue.
    pub std: [f64; 3],
    /// Widths of the files.
    pub width: Spread,
    /// Heights of the files.
    pub height: Spread,
    /// The shorter of the two.
    pub short_side: Spread,
    /// The most common sizes: width, height, images.
    pub common: Vec<(u32, u32, usize)>,
}

/// Smallest, middle and largest of some lengths in pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spread {
    /// The smallest.
    pub min: u32,
    /// The lower of the two in the middle, if there are two.
    pub median: u32,
    /// The largest.
    pub max: u32,
}

/// Measures the data set in the folder `path`, or finds in `cache` what was measured before. Call
/// inside the rayon pool that decoding may use.
pub fn stats(path: &Path, cache: &Path) -> Stats {
    let mut stats = Stats { path: path.to_path_buf(), ..Stats::default() };
    if let Err(error) = fill(&mut stats, path, cache) {
        stats.error = Some(Trouble { reason: error.reason(), message: error.to_string() });
    }
    stats
}

fn fill(stats: &mut Stats, path: &Path, cache: &Path) -> Result<(), TrainError> {
    let (name, roots) = place(path)?;
    stats.name = name;
    let root = listing::resolve(&stats.name, &roots)?;
    let listing = listing::scan(&root, &roots)?;
    stats.layout = Some(listing.layout.as_str());
    stats.train_images = listing.train.len();
    stats.val_images = listing.val.as_ref().map_or(0, Vec::len);
    stats.bytes = listing.train.iter().chain(listing.val.iter().flatten()).map(|entry| entry.bytes).sum();
    stats.balance = balance(&listing);

    let train: Vec<&Entry> = listing.train.iter().collect();
    let file = cache.join(format!("{}.json", stem(&root, LABEL)));
    let key = key(&root, &train, LABEL);
    if let Some(kept) = kept(&file, &key) {
        stats.measured = Some(kept);
        stats.cached = true;
        return Ok(());
    }
    let measured = measure(&root, &train);
    keep(cache, &file, &Kept { key, measured: measured.clone() })?;
    stats.measured = Some(measured);
    Ok(())
}

/// The file that keeps what was measured.
#[derive(Serialize, Deserialize)]
struct Kept {
    key: String,
    measured: Measured,
}

/// What was measured on these very files; a file that makes no sense is as good as none.
fn kept(file: &Path, key: &str) -> Option<Measured> {
    let kept: Kept = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
    (kept.key == key).then_some(kept.measured)
}

fn keep(folder: &Path, file: &Path, kept: &Kept) -> Result<(), TrainError> {
    let trouble = |source| TrainError::Cache { what: "write", path: file.to_path_buf(), source };
    fs::create_dir_all(folder).map_err(trouble)?;
    // A name of its own: two may measure at the same time.
    let temporary = file.with_extension(format!("{}.tmp", std::process::id()));
    let written = fs::File::create(&temporary).and_then(|mut out| {
        out.write_all(&serde_json::to_vec(kept)?)?;
        out.sync_all()?;
        fs::rename(&temporary, file)
    });
    if written.is_err() {
        fs::remove_file(&temporary).ok();
    }
    written.map_err(trouble)
}

/// Sums over one image; of several they add up.
#[derive(Clone, Copy, Default)]
struct Sums {
    sum: [u64; 3],
    squares: [u64; 3],
}

impl Sums {
    fn add(&mut self, other: &Self) {
        self.sum.iter_mut().zip(other.sum).for_each(|(mine, theirs)| *mine += theirs);
        self.squares.iter_mut().zip(other.squares).for_each(|(mine, theirs)| *mine += theirs);
    }
}

fn sums(image: &Pixels) -> Sums {
    let mut sums = Sums::default();
    for pixel in image.rgb.chunks_exact(3) {
        for (channel, value) in pixel.iter().enumerate() {
            let value = u64::from(*value);
            sums.sum[channel] += value;
            sums.squares[channel] += value * value;
        }
    }
    sums
}

fn measure(root: &Path, entries: &[&Entry]) -> Measured {
    let mut total = Sums::default();
    let mut sizes = Vec::with_capacity(entries.len());
    let mut progress = Progress::new("measuring training images", entries.len());
    for (number, chunk) in entries.chunks(CHUNK).enumerate() {
        let one = |entry: &&Entry| {
            let image = decode(&root.join(&entry.file)).ok()?;
            Some(((image.width, image.height), sums(&image)))
        };
        let looked: Vec<_> = chunk.par_iter().map(one).collect();
        for (size, sums) in looked.into_iter().flatten() {
            sizes.push(size);
            total.add(&sums);
        }
        progress.at(number * CHUNK + chunk.len());
    }
    summary(entries.len(), &sizes, &total)
}

fn summary(files: usize, sizes: &[(u32, u32)], total: &Sums) -> Measured {
    let pixels: u64 = sizes.iter().map(|&(width, height)| u64::from(width) * u64::from(height)).sum();
    let n = u128::from(pixels);
    let count = pixels.max(1) as f64;
    // n^2 times the variance is n * squares - sum^2, exactly.
    let std = |channel: usize| {
        let sum = u128::from(total.sum[channel]);
        ((n * u128::from(total.squares[channel]) - sum * sum) as f64).sqrt() / count / 255.0
    };
    let mut by_size = BTreeMap::new();
    for size in sizes {
        *by_size.entry(*size).or_insert(0usize) += 1;
    }
    let mut common: Vec<_> = by_size.into_iter().map(|((width, height), images)| (width, height, images)).collect();
    // Stable: of equally common sizes the smaller comes first.
    common.sort_by_key(|&(_, _, images)| std::cmp::Reverse(images));
    common.truncate(COMMON);
    let spread = |length: fn(&(u32, u32)) -> u32| {
        let mut lengths: Vec<u32> = sizes.iter().map(length).collect();
        lengths.sort_unstable();
        let at = |place: usize| lengths.get(place).copied().unwrap_or_default();
        Spread { min: at(0), median: at(lengths.len().saturating_sub(1) / 2), max: at(lengths.len().saturating_sub(1)) }
    };
    Measured {
        images: sizes.len(),
        unreadable: files - sizes.len(),
        pixels,
        mean: [0, 1, 2].map(|channel| total.sum[channel] as f64 / count / 255.0),
        std: [0, 1, 2].map(std),
        width: spread(|size| size.0),
        height: spread(|size| size.1),
        short_side: spread(|size| size.0.min(size.1)),
        common,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_and_deviation_are_those_of_all_pixels() {
        let image = |width, height, rgb: &[u8]| Pixels { width, height, rgb: rgb.to_vec() };
        // Red: 0, 255, 255, 255; green always 51; blue 10, 20, 30, 40.
        let images = [image(1, 1, &[0, 51, 10]), image(3, 1, &[255, 51, 20, 255, 51, 30, 255, 51, 40])];
        let mut total = Sums::default();
        for image in &images {
            total.add(&sums(image));
        }
        let found = summary(3, &[(1, 1), (3, 1)], &total);
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-15, "{a} {b}");
        close(found.mean[0], 0.75);
        close(found.std[0], 0.1875_f64.sqrt());
        close(found.mean[1], 0.2);
        close(found.std[1], 0.0);
        close(found.mean[2], 25.0 / 255.0);
        close(found.std[2], 125.0_f64.sqrt() / 255.0);
        assert_eq!((found.images, found.unreadable, found.pixels), (2, 1, 4));
        assert_eq!(found.width, Spread { min: 1, median: 1, max: 3 });
        assert_eq!(summary(0, &[], &Sums::default()).mean, [0.0; 3]);
    }
}

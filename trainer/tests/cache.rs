//! How much memory building the cache takes: a few chunks of images, however many there are. A program of its own, since
//! it looks at the memory of the whole process.

#![expect(clippy::unwrap_used, reason = "what a test or its helper cannot do fails the test")]

use std::fs;
use std::path::{Path, PathBuf};

use sweep_trainer::data::cache::Cache;
use sweep_trainer::data::decode::Form;
use sweep_trainer::data::listing::Entry;
use sweep_trainer::link::Stop;

/// Pixels of a side.
const SIDE: u32 = 384;
/// Images: all of them together are 442 MB, the two chunks that may be in memory 113 MB.
const IMAGES: usize = 1000;

/// A line of `/proc/self/status`, bytes.
fn memory(line: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|text| text.strip_prefix(line)).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

fn build(folder: &Path, entries: &[&Entry]) -> Cache {
    Cache::open_or_build(&folder.join("cache"), folder, entries, Form::Whole(SIDE), &Stop::default()).unwrap()
}

#[test]
fn building_the_cache_takes_the_memory_of_a_few_chunks() {
    let folder = tempfile::tempdir().unwrap();
    let first = folder.path().join("0.png");
    image::RgbImage::from_fn(SIDE, SIDE, |x, y| image::Rgb([x as u8, y as u8, 0])).save(&first).unwrap();
    let entry = |image: usize| {
        let file = PathBuf::from(format!("{image}.png"));
        if image > 0 {
            fs::hard_link(&first, folder.path().join(&file)).unwrap();
        }
        Entry { file, class: 0, bytes: 0, changed_ns: 0 }
    };
    let entries: Vec<Entry> = (0..IMAGES).map(entry).collect();
    let entries: Vec<&Entry> = entries.iter().collect();
    let before = memory("VmRSS:");
    let cache = build(folder.path(), &entries);
    let most = memory("VmHWM:") - before;
    let all = IMAGES as u64 * 3 * u64::from(SIDE * SIDE);
    assert!(cache.was_built() && cache.picture(IMAGES - 1).is_some());
    assert!(most < all / 2, "{} of {} MiB", most >> 20, all >> 20);
    assert!(!build(folder.path(), &entries).was_built(), "decoded again");
}

//! Holds out images for validation when a data set has no validation folder: the same share of
//! every class, chosen by a seed and the file's name. A file that is added later moves few others.

use std::os::unix::ffi::OsStrExt;

use super::listing::Entry;
use crate::seed::{Purpose, stream, text_key};

/// Splits indices of `entries` (in `classes` classes) into (training, validation), both ascending.
/// Of a class with n images, `round(n * fraction)` are held out, at least one and at most n - 1;
/// a class with one image only trains.
pub fn split(entries: &[&Entry], classes: usize, fraction: f64, seed: u64) -> (Vec<usize>, Vec<usize>) {
    let mut by_class = vec![Vec::new(); classes];
    for (index, entry) in entries.iter().enumerate() {
        let name = text_key(entry.file.as_os_str().as_bytes());
        let rank = stream(seed, Purpose::Split, &[u64::from(entry.class), name]).bits();
        by_class[entry.class as usize].push((rank, index));
    }
    let (mut train, mut val) = (Vec::new(), Vec::new());
    for mut members in by_class {
        members.sort_unstable();
        let most = members.len().saturating_sub(1);
        let held = ((members.len() as f64 * fraction).round() as usize).max(1).min(most);
        let indices = members.into_iter().map(|(_, index)| index);
        for (place, index) in indices.enumerate() {
            if place < held { &mut val } else { &mut train }.push(index);
        }
    }
    train.sort_unstable();
    val.sort_unstable();
    (train, val)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(counts: &[usize]) -> Vec<Entry> {
        let one = |class: usize, n: usize| Entry {
            file: format!("c{class}/{n}.jpg").into(),
            class: class as u32,
            bytes: 1,
            changed_ns: 0,
        };
        (counts.iter().enumerate()).flat_map(|(class, &many)| (0..many).map(move |n| one(class, n))).collect()
    }

    fn refs(entries: &[Entry]) -> Vec<&Entry> {
        entries.iter().collect()
    }

    #[test]
    fn every_class_gives_its_share_and_no_image_is_on_both_sides() {
        let all = entries(&[10, 25, 1, 2]);
        let (train, val) = split(&refs(&all), 4, 0.2, 5);
        let count = |side: &[usize], class| side.iter().filter(|&&i| all[i].class == class).count();
        let held: Vec<_> = (0..4).map(|class| count(&val, class)).collect();
        assert_eq!(held, [2, 5, 0, 1]);
        let mut both = [train, val].concat();
        both.sort_unstable();
        assert_eq!(both, (0..all.len()).collect::<Vec<_>>());
    }

    #[test]
    fn the_seed_decides_and_an_added_file_moves_few() {
        let all = entries(&[200, 200]);
        let (_, val) = split(&refs(&all), 2, 0.25, 1);
        assert_eq!(split(&refs(&all), 2, 0.25, 1).1, val);
        assert_ne!(split(&refs(&all), 2, 0.25, 2).1, val);
        let mut more = all.clone();
        more.push(Entry { file: "c1/new.jpg".into(), ..all[399].clone() });
        let (_, after) = split(&refs(&more), 2, 0.25, 1);
        let moved = val.iter().filter(|i| !after.contains(i)).count();
        assert!(moved <= 1, "{moved}");
    }
}

//! What a network makes of a whole set of images: loss, accuracy, and which class it takes for which.
//! Kept in the header of every checkpoint; of a completed trial the [`Score`] on the test images is in the
//! journal too.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::num::Num;

/// The metadata key of a checkpoint under which its header is.
pub const HEADER_KEY: &str = "sweep";

/// One number of each kind for a set of images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Score {
    /// The epoch whose weights were looked at.
    pub epoch: u32,
    /// How many images.
    pub images: u64,
    /// Mean cross entropy, nats.
    pub loss: Num,
    /// Share classified right, 0 to 1.
    pub accuracy: Num,
    /// Share with the class among the five likeliest; absent with five classes or fewer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top5: Option<Num>,
}

/// A score and what is behind it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluation {
    /// The numbers.
    pub score: Score,
    /// Which class was taken for which.
    pub confusion: Confusion,
}

/// What a checkpoint's header has under `evaluations`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluations {
    /// The validation images after the checkpoint's epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Evaluation>,
    /// The validation images after the epoch with the highest validation accuracy so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best: Option<Evaluation>,
    /// The test images, once, after the last epoch of all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<Evaluation>,
}

impl Evaluations {
    /// None of them.
    pub fn is_empty(&self) -> bool {
        self.last.is_none() && self.best.is_none() && self.test.is_none()
    }
}

/// Images by class and by the class with the highest logit: `(class, taken for, images)`, ascending,
/// without zeros. With 200 classes the square of all of them would be mostly zeros.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Confusion {
    cells: Vec<(u32, u32, u64)>,
}

/// One class of a [`Confusion`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClassScore {
    /// Its images.
    pub images: u64,
    /// Those classified right.
    pub right: u64,
    /// The class it is most often taken for wrongly, and how often; the first of equals.
    pub taken_for: Option<(u32, u64)>,
}

impl ClassScore {
    /// Share classified right; absent without images.
    pub fn accuracy(&self) -> Option<f64> {
        (self.images > 0).then(|| self.right as f64 / self.images as f64)
    }
}

impl Confusion {
    /// Counts pairs of (class, taken for).
    pub fn count(pairs: impl IntoIterator<Item = (u32, u32)>) -> Self {
        let mut counts = BTreeMap::new();
        for pair in pairs {
            *counts.entry(pair).or_insert(0u64) += 1;
        }
        Self::of_counts(counts)
    }

    /// From counts by (class, taken for), those of several runs added up, say.
    pub fn of_counts(counts: BTreeMap<(u32, u32), u64>) -> Self {
        Self { cells: counts.into_iter().map(|((class, taken_for), images)| (class, taken_for, images)).collect() }
    }

    /// The cells that are not zero: `(class, taken for, images)`.
    pub fn cells(&self) -> &[(u32, u32, u64)] {
        &self.cells
    }

    /// Every class by itself. Cells of a class beyond `classes` are passed over.
    pub fn per_class(&self, classes: usize) -> Vec<ClassScore> {
        let mut scores = vec![ClassScore::default(); classes];
        for &(class, taken_for, images) in &self.cells {
            let Some(score) = scores.get_mut(class as usize) else { continue };
            score.images += images;
            if class == taken_for {
                score.right += images;
            } else if score.taken_for.is_none_or(|(_, most)| images > most) {
                score.taken_for = Some((taken_for, images));
            }
        }
        scores
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_image_is_in_its_row(pairs in prop::collection::vec((0u32..7, 0u32..7), 0..200)) {
            let confusion = Confusion::count(pairs.iter().copied());
            let scores = confusion.per_class(7);
            for (class, score) in (0u32..).zip(&scores) {
                let mine = || pairs.iter().filter(|(true_class, _)| *true_class == class);
                prop_assert_eq!(score.images, mine().count() as u64);
                prop_assert_eq!(score.right, mine().filter(|(_, taken_for)| *taken_for == class).count() as u64);
                let taken = |other: u32| mine().filter(|(_, taken_for)| *taken_for == other).count() as u64;
                let most = (0..7).filter(|other| *other != class).map(taken).max().unwrap_or(0);
                prop_assert_eq!(score.taken_for.map_or(0, |(_, images)| images), most);
            }
            prop_assert!(confusion.cells().is_sorted());
            let text = serde_json::to_string(&confusion).unwrap();
            prop_assert_eq!(serde_json::from_str::<Confusion>(&text).unwrap(), confusion);
        }
    }

    #[test]
    fn a_class_without_images_has_no_accuracy() {
        let confusion = Confusion::count([(0, 0), (0, 2), (2, 2)]);
        assert_eq!(serde_json::to_string(&confusion).unwrap(), "[[0,0,1],[0,2,1],[2,2,1]]");
        let accuracies: Vec<_> = confusion.per_class(3).iter().map(ClassScore::accuracy).collect();
        assert_eq!(accuracies, [Some(0.5), None, Some(1.0)]);
        assert_eq!(confusion.per_class(1).len(), 1);
    }
}

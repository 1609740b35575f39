//! How the batches of an epoch make steps of the optimizer: `accumulate` batches each, and what is
//! left over at the end of the epoch makes the last, smaller step.

use sweep_core::recipe::Recipe;

/// The division of one epoch; every epoch has the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Steps {
    images: u64,
    batch: u64,
    accumulate: u64,
}

impl Steps {
    /// For so many training images.
    pub fn new(recipe: &Recipe, images: usize) -> Self {
        Self { images: images as u64, batch: recipe.batch_size.into(), accumulate: recipe.accumulate.into() }
    }

    /// Batches in an epoch.
    pub fn batches(self) -> u64 {
        self.images.div_ceil(self.batch)
    }

    /// Steps in an epoch.
    pub fn steps(self) -> u64 {
        self.batches().div_ceil(self.accumulate)
    }

    /// Images in the first `batches` batches.
    pub fn images(self, batches: u64) -> u64 {
        (batches * self.batch).min(self.images)
    }

    /// Share of batch `at` (from 0) among the images of its step.
    pub fn share(self, at: u64) -> f64 {
        let first = at - at % self.accumulate;
        let (own, all) = (at..at + 1, first..first + self.accumulate);
        let count = |range: std::ops::Range<u64>| (self.images(range.end) - self.images(range.start)) as f64;
        count(own) / count(all)
    }

    /// Whether a step ends with batch `at` (from 0).
    pub fn ends(self, at: u64) -> bool {
        (at + 1).is_multiple_of(self.accumulate) || at + 1 == self.batches()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_image_counts_the_same_within_its_step() {
        let steps = Steps { images: 23, batch: 4, accumulate: 4 };
        assert_eq!((steps.batches(), steps.steps(), steps.images(5), steps.images(6)), (6, 2, 20, 23));
        let shares: Vec<_> = (0..6).map(|at| steps.share(at)).collect();
        assert_eq!(shares, [0.25, 0.25, 0.25, 0.25, 4.0 / 7.0, 3.0 / 7.0]);
        let ends: Vec<_> = (0..6).filter(|at| steps.ends(*at)).collect();
        assert_eq!(ends, [3, 5]);

        let plain = Steps { images: 9, batch: 4, accumulate: 1 };
        assert_eq!((plain.steps(), plain.share(2)), (3, 1.0));
        assert!((0..3).all(|at| plain.ends(at)));
    }
}

//! A pass over the training images: what is told of it, and what ends it before its last batch. Training itself is left to `trial`.

use std::time::Duration;

use sweep_core::attempt::CheckpointLine;
use tch::Tensor;

use crate::error::TrainError;

/// When a probe has seen enough of an epoch.
#[derive(Clone, Copy, Debug)]
pub struct Enough {
    /// After so many steps,
    pub steps: u64,
    /// if they took so long,
    pub least: Duration,
    /// and whatever they were once they took so long.
    pub most: Duration,
    /// Of the validation images, so many batches.
    pub val_batches: usize,
}

impl Enough {
    pub(crate) fn is(self, steps: u64, took: Duration) -> bool {
        (steps >= self.steps && took >= self.least) || took >= self.most
    }
}

/// What happens within an epoch.
#[derive(Debug)]
pub enum Look<'a> {
    /// A step ended: how many have so far, and the loss of its last batch.
    Step(u64, &'a Tensor),
    /// A checkpoint is complete on disk.
    Kept(CheckpointLine),
}

/// Why an epoch ended before its last batch.
pub(crate) enum Halt {
    Diverged,
    Enough,
    Error(TrainError),
}

impl<E: Into<TrainError>> From<E> for Halt {
    fn from(error: E) -> Self {
        Self::Error(error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enough_is_so_many_steps_and_so_long_but_no_longer() {
        let seconds = Duration::from_secs;
        let enough = Enough { steps: 20, least: seconds(5), most: seconds(60), val_batches: 1 };
        assert!(!enough.is(19, seconds(6)) && !enough.is(500, seconds(4)));
        assert!(enough.is(20, seconds(5)) && enough.is(1, seconds(60)));
    }
}

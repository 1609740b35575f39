//! Which of a trial's evaluations is meant.

use clap::ValueEnum;

/// A set of images and the weights that looked at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Which {
    /// Validation images, epoch with the highest validation accuracy so far.
    Best,
    /// Validation images, newest epoch with a checkpoint.
    Last,
    /// Test images, once, at the end of a completed trial.
    Test,
}

impl Which {
    /// The word.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Best => "best",
            Self::Last => "last",
            Self::Test => "test",
        }
    }
}

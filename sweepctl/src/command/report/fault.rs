//! What can be asked for that a report does not have.

use std::path::PathBuf;

use sweep_core::report::analysis::UnknownFactor;

use crate::cli::Chosen;

/// Why a report cannot be written as it was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReportFault {
    /// See there.
    #[error("--factor: {0}")]
    Factor(UnknownFactor),
    /// It is drawn over all points.
    #[error("--factor has no part in this figure: it is one of all points; leave it out")]
    NoFactor,
    /// Figures have two forms.
    #[error("{}: figures are written as SVG or PNG, name a file that ends in .svg or .png", path.display())]
    NoFigure {
        /// What was asked for.
        path: PathBuf,
    },
    /// An SVG has no pixels, and looks right on light and dark pages.
    #[error(
        "{option} is for PNG: an SVG has any size and suits light and dark pages; leave it out, or name a file that ends in .png"
    )]
    OnlyPng {
        /// What was given.
        option: &'static str,
    },
    /// The program that makes pixels of it does not take it.
    #[error("cannot make a PNG of the figure")]
    Pixels(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The sweep has no such figure.
    #[error("there is nothing to draw: {why}")]
    NothingToDraw {
        /// What it lacks.
        why: String,
    },
    /// No point is called that.
    #[error("{option}: {}", no_point(asked, *points))]
    Point {
        /// Where it was asked for.
        option: &'static str,
        /// What was asked for.
        asked: Chosen,
        /// How many points there are.
        points: usize,
    },
}

/// All of it is in the message: no source that would say it again.
impl From<UnknownFactor> for ReportFault {
    fn from(unknown: UnknownFactor) -> Self {
        Self::Factor(unknown)
    }
}

fn no_point(asked: &Chosen, points: usize) -> String {
    match asked {
        Chosen::Best => "no point has a result yet, so none is the best".to_owned(),
        Chosen::Baseline => "this sweep has no baseline (random samples have none)".to_owned(),
        Chosen::Number(number) => format!("no point {number}; the points are 0 to {}", points.saturating_sub(1)),
    }
}

//! What can be asked for that a report does not have.

use std::path::PathBuf;

use sweep_core::report::analysis::UnknownFactor;

use crate::cli::Chosen;

/// Why a report cannot be written as it was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReportFault {
    /// See there.
    #[error("--factor: {0}")]
    Factor(#[from] UnknownFactor),
    /// Figures are drawn in one form.
    #[error("{}: figures are SVG, name a file that ends in .svg (a browser or rsvg-convert makes PNG of it)", path.display())]
    NotSvg {
        /// What was asked for.
        path: PathBuf,
    },
    /// The sweep has no such figure.
    #[error(
        "there is nothing to draw: it takes results, curves two epochs, effects and interactions points that differ in one factor alone"
    )]
    NothingToDraw,
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

fn no_point(asked: &Chosen, points: usize) -> String {
    match asked {
        Chosen::Best => "no point has a result yet, so none is the best".to_owned(),
        Chosen::Baseline => "this sweep has no baseline (random samples have none)".to_owned(),
        Chosen::Number(number) => format!("no point {number}; the points are 0 to {}", points.saturating_sub(1)),
    }
}

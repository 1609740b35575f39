//! `dataset`: data sets on this machine. Reading images is left to `sweep-trainer`, whose JSON is
//! shown here.

mod check;
mod local;
mod stats;

use crate::cli::Dataset;
use crate::config::Config;
use crate::fault::Fault;
use crate::output::Out;

/// Runs what needs no coordinator.
pub(crate) fn run(out: &Out, config: &Config, command: &Dataset) -> Result<(), Fault> {
    match command {
        Dataset::Check(args) => check::run(out, config, args),
        Dataset::Stats(args) => stats::run(out, config, args),
    }
}

/// Why a data set cannot be reported on, or what is wrong with it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DatasetFault {
    /// No such folder.
    #[error("there is no data set {what:?}{}", looked_in(roots))]
    Unknown {
        /// What was asked for.
        what: std::path::PathBuf,
        /// Where it was looked for.
        roots: Vec<std::path::PathBuf>,
    },
    /// The trainer said something else than what this release understands.
    #[error("the trainer's answer about {what:?} cannot be understood; is it of another release?")]
    Answer {
        /// What was asked for.
        what: std::path::PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// The trainer ended early.
    #[error("sweep-trainer ended early ({how})")]
    Ended {
        /// Its exit status in words.
        how: String,
    },
    /// It is no data set.
    #[error("{message} [{reason}]")]
    NotOne {
        /// The stable word.
        reason: String,
        /// What the trainer said.
        message: String,
    },
    /// Something must be mended; it has been printed.
    #[error("{} with the data set {name}", crate::fault::count(*problems, "problem"))]
    Problems {
        /// Its name.
        name: String,
        /// How many.
        problems: u64,
    },
}

fn looked_in(roots: &[std::path::PathBuf]) -> String {
    match roots {
        [] => "; name its folder, or say with --data where data sets are".to_owned(),
        _ => {
            let roots: Vec<_> = roots.iter().map(|root| root.display().to_string()).collect();
            format!(" here or in {}", roots.join(", "))
        }
    }
}

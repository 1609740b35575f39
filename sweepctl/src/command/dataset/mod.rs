//! `dataset`: data sets on this machine, those of the agents, and public ones. Reading images is left to
//! `sweep-trainer`, whose JSON is shown here.

mod add;
mod check;
mod cifar;
mod download;
mod known;
pub(crate) mod list;
mod local;
mod stats;
mod unpack;

use crate::cli::Dataset;
use crate::config::Config;
use crate::fault::Fault;
use crate::output::Out;

/// Runs what needs no coordinator; nothing for what needs one, which is `list`.
pub(crate) fn run(out: &Out, config: &Config, command: &Dataset) -> Option<Result<(), Fault>> {
    match command {
        Dataset::Check(args) => Some(check::run(out, config, args)),
        Dataset::Stats(args) => Some(stats::run(out, config, args)),
        Dataset::Add(args) => Some(add::run(out, config, args)),
        Dataset::List(_) => None,
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
    /// See there.
    #[error(transparent)]
    Add(#[from] add::AddFault),
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

impl DatasetFault {
    /// There is no such data set.
    pub(crate) fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown { .. } | Self::Add(add::AddFault::Unknown { .. }))
    }

    /// Something was not said.
    pub(crate) fn is_usage(&self) -> bool {
        matches!(self, Self::Add(add::AddFault::NoRoot))
    }
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

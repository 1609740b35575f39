//! The arguments of `dataset`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Shape;

/// What can be done with data sets.
#[derive(Debug, Subcommand)]
pub(crate) enum Dataset {
    /// Look at every image: bad files, copies, and images on both sides of a split
    #[command(
        after_help = "Copies are found by their decoded pixels; the report says whether the files are equal too.\n\
            Ends with 1 if something must be mended: a bad file, a copy on another side of the split, or copies in\n\
            different classes. Other copies and unusual files are warnings.\n\n\
            Examples:\n  sweepctl dataset check ~/datasets/imagenette\n  sweepctl dataset check imagenette --data ~/datasets --json"
    )]
    Check(DatasetOne),
    /// Count images and measure sizes, mean and standard deviation of the training images
    #[command(after_help = "What was measured is kept in ~/.cache/sweep/datasets until a file changes.\n\n\
            Examples:\n  sweepctl dataset stats ~/datasets/imagenette\n  sweepctl dataset stats imagenette --data ~/datasets --json")]
    Stats(DatasetOne),
    /// List the data sets that agents offer
    #[command(after_help = "Examples:\n  sweepctl dataset list\n  sweepctl dataset list --json")]
    List(DatasetList),
    /// Fetch a public data set by its name; without a name, list those that are known
    #[command(
        after_help = "What has come before a cut is kept: the same command goes on there. Nothing is in place before\n\
            all of it is there and its checksum is right.\n\n\
            Examples:\n  sweepctl dataset add\n  sweepctl dataset add imagenette2-160 --data ~/datasets"
    )]
    Add(DatasetAdd),
}

/// Arguments of `dataset list`.
#[derive(Debug, Args)]
pub(crate) struct DatasetList {
    #[command(flatten)]
    pub(crate) shape: Shape,
}

/// Arguments of `dataset add`.
#[derive(Debug, Args)]
pub(crate) struct DatasetAdd {
    /// Its name
    pub(crate) name: Option<String>,
    /// The data root to put it in [default: the first of `up` in the configuration file]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Fetch the archive from here instead; its checksum must be the same
    #[arg(long, value_name = "URL", requires = "name")]
    pub(crate) url: Option<String>,
    #[command(flatten)]
    pub(crate) shape: Shape,
}

/// Arguments of commands about one data set on this machine.
#[derive(Debug, Args)]
pub(crate) struct DatasetOne {
    /// A folder, or the name of one in a data root
    #[arg(value_name = "DIR|NAME")]
    pub(crate) what: PathBuf,
    /// A folder with data sets to look for the name in; may be repeated [default: those of `up` in the configuration file]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) shape: Shape,
}

impl Dataset {
    /// The flags about the output.
    pub(crate) fn shape(&self) -> &Shape {
        match self {
            Self::Check(args) | Self::Stats(args) => &args.shape,
            Self::List(args) => &args.shape,
            Self::Add(args) => &args.shape,
        }
    }
}

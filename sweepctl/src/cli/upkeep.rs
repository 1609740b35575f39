//! The arguments of `admin backup`, `admin restore` and `admin fsck`.

use std::path::PathBuf;

use clap::Args;

use super::Shape;

/// Arguments of `admin backup`.
#[derive(Debug, Args)]
pub(crate) struct Backup {
    /// A new folder on the coordinator's host: an absolute path, or a name in `backups/` of its data [default: the time]
    #[arg(value_name = "DIR")]
    pub(crate) target: Option<String>,
    /// With the checkpoints that trials refer to: as second names of the files where the disk is the same, else as copies
    #[arg(long)]
    pub(crate) with_blobs: bool,
    #[command(flatten)]
    pub(crate) shape: Shape,
}

/// Arguments of `admin restore`.
#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// The coordinator's data folder [default: ~/.local/state/sweep/coordinator]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// The folder that `admin backup` made, or a copy of sweep.db
    pub(crate) backup: PathBuf,
}

/// Arguments of `admin fsck`.
#[derive(Debug, Args)]
pub(crate) struct Fsck {
    /// Look for checkpoints, but do not read them
    #[arg(long)]
    pub(crate) quick: bool,
    #[command(flatten)]
    pub(crate) shape: Shape,
}

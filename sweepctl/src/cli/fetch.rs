//! The arguments of `fetch`.

use std::path::PathBuf;

use clap::Args;

/// Arguments of `fetch`.
#[derive(Debug, Args)]
pub(crate) struct Fetch {
    /// A trial by its id, or a sweep: its best trial
    #[arg(value_name = "TRIAL|SWEEP")]
    pub(crate) what: String,
    /// The state with the best validation accuracy (this is the default)
    #[arg(long, conflicts_with = "last")]
    pub(crate) best: bool,
    /// The newest state
    #[arg(long)]
    pub(crate) last: bool,
    /// The checkpoint as it is, or a state dict with nothing but the network, for `load_state_dict`
    #[arg(long, value_enum, default_value = "safetensors")]
    pub(crate) format: StateFormat,
    /// Folder to put it in; made if it is not there
    #[arg(short, long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Replace a different file of the same name
    #[arg(long)]
    pub(crate) force: bool,
    /// Print what was fetched as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// What `fetch` leaves in the folder; both are safetensors files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum StateFormat {
    /// The checkpoint as the trainer wrote it
    Safetensors,
    /// Beside it, its network alone, under torchvision's names
    Torchvision,
}

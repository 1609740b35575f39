//! The arguments of `why`.

use clap::Args;

use super::Shape;

/// Arguments of `why`.
#[derive(Debug, Args)]
pub(crate) struct Why {
    /// What to tell about
    #[arg(value_name = "TRIAL|HOST:SLOT|HOST|SWEEP")]
    pub(crate) what: String,
    #[command(flatten)]
    pub(crate) shape: Shape,
}

//! The arguments of `watch`.

use clap::Args;

use super::{Shape, duration};

/// Arguments of `watch`.
#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// Name, id or prefix
    pub(crate) sweep: String,
    /// Give up after so long, e.g. `90s`, `2h 30m`, `1d`
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) timeout: Option<std::time::Duration>,
    #[command(flatten)]
    pub(crate) shape: Shape,
}

//! The arguments of `verify-resume`.

use std::path::PathBuf;

use clap::Args;

use super::Shape;

/// Arguments of `verify-resume`.
#[derive(Debug, Args)]
pub(crate) struct VerifyResume {
    /// The sweep file; `-` is standard input
    pub(crate) file: PathBuf,
    /// A folder with data sets; may be repeated
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Vec<PathBuf>,
    /// Which trial, by its place in `sweepctl plan`
    #[arg(long, value_name = "INDEX", default_value_t = 0)]
    pub(crate) trial: u32,
    /// How often the second run is killed
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) kills: u32,
    /// Seed of the moments at which it is killed
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// `cpu` or `cuda:<index>`
    #[arg(long, default_value = "cpu")]
    pub(crate) device: String,
    /// Threads of the trainer
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) threads: u32,
    #[command(flatten)]
    pub(crate) shape: Shape,
}

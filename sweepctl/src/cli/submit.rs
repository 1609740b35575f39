//! The arguments of `submit`.

use std::path::PathBuf;

use clap::{ArgGroup, Args};

use super::Shape;

/// Arguments of `submit`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("follows").args(["watch", "report"]).multiple(true)))]
pub(crate) struct Submit {
    /// The sweep file; `-` is standard input
    pub(crate) file: PathBuf,
    /// Follow it until it is over
    #[arg(long, short, conflicts_with = "dry_run")]
    pub(crate) watch: bool,
    /// Follow it until it is over, then write its report into this folder: report.html, report.tex, report.json, trials.parquet
    #[arg(long, value_name = "DIR", conflicts_with = "dry_run")]
    pub(crate) report: Option<PathBuf>,
    /// With --report: replace files that exist
    #[arg(long, requires = "report")]
    pub(crate) force: bool,
    /// Repeat a sweep on purpose: the same file under another label is another sweep
    #[arg(long, value_name = "LABEL", default_value = "", hide_default_value = true)]
    pub(crate) run: String,
    /// The project whose share it counts on [env: SWEEP_PROJECT; default: default]
    #[arg(long, value_name = "NAME")]
    pub(crate) project: Option<String>,
    /// In a lab: the project may be one that nobody is in yet, for admins
    #[arg(long)]
    pub(crate) new_project: bool,
    /// 0 to 100, in place of the file's; the higher goes first among your own sweeps [default: 50]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=100))]
    pub(crate) priority: Option<u32>,
    /// At most so many of its trials at once, in place of the file's
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) max_parallel: Option<u32>,
    /// Accept it even if no agent has the data set now
    #[arg(long)]
    pub(crate) queue_anyway: bool,
    /// Take the results of identical trials of earlier sweeps (same recipe with seed, code and data) in place of training them again
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) reuse: bool,
    /// Say what would be submitted and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// With --watch or --report: give up watching after so long, e.g. `90s`, `2h 30m`
    #[arg(long, value_name = "TIME", value_parser = super::duration, requires = "follows")]
    pub(crate) timeout: Option<std::time::Duration>,
    #[command(flatten)]
    pub(crate) shape: Shape,
}

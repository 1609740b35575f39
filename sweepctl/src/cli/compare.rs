//! The arguments of `compare`, `plot` and `export`.

use std::path::PathBuf;

use clap::{ArgGroup, Args, ValueEnum};

use super::{Interval, Shape};

/// Arguments of `compare`.
#[derive(Debug, Args)]
pub(crate) struct Compare {
    /// A sweep by its name, id or prefix; or a trial by its id or prefix, then the other is a trial, too
    pub(crate) a: String,
    /// Another one; differences are its results minus those of the first
    pub(crate) b: String,
    /// How intervals are made
    #[arg(long, value_name = "METHOD", default_value = "t")]
    pub(crate) interval: Interval,
    #[command(flatten)]
    pub(crate) shape: Shape,
}

/// Arguments of `plot`.
#[derive(Debug, Args)]
pub(crate) struct Plot {
    /// Name, id or prefix
    pub(crate) sweep: String,
    /// What to draw
    #[arg(long, value_name = "WHAT")]
    pub(crate) figure: Drawing,
    /// The factor whose values are the lines of curves, or the only one of main effects; two with a comma between for an interaction
    #[arg(long, value_name = "PATH")]
    pub(crate) factor: Option<String>,
    /// The file to write, .svg or .png
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// PNG: pixels for each pixel of the SVG; 2 is right for screens of 192 dpi, 3 for print [default: 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=6))]
    pub(crate) scale: Option<u8>,
    /// PNG: for a dark page
    #[arg(long)]
    pub(crate) dark: bool,
    /// Replace a file that exists
    #[arg(long)]
    pub(crate) force: bool,
}

/// The figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Drawing {
    /// Main effects with intervals
    Effects,
    /// Learning curves with bands over seeds
    Curves,
    /// Two factors together
    Interaction,
    /// Accuracy against time
    Time,
    /// Accuracy against energy
    Energy,
    /// Accuracy against memory
    Memory,
    /// Accuracy against the size of the network
    Parameters,
}

/// Arguments of `export`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("into").args(["tensorboard", "mlflow"]).required(true).multiple(true)))]
pub(crate) struct Export {
    /// Name, id or prefix
    pub(crate) sweep: String,
    /// Write event files for TensorBoard into this folder, one folder below for each trial
    #[arg(long, value_name = "DIR")]
    pub(crate) tensorboard: Option<PathBuf>,
    /// Write a run for each trial into this MLflow server; what it has already stays as it is
    #[arg(long, value_name = "URL")]
    pub(crate) mlflow: Option<String>,
    /// Replace files that exist
    #[arg(long)]
    pub(crate) force: bool,
}

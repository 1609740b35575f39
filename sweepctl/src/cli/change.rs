//! The arguments of `cancel`, `retry`, `extend`, `set` and `move`: what runs of a sweep.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Shape;
use super::sharing::{Quota, quota};

/// What can be changed about a sweep.
#[derive(Debug, Subcommand)]
pub(crate) enum Changing {
    /// End the open trials of a sweep, or one of them
    #[command(
        after_help = "Examples:\n  sweepctl cancel imagenette-first\n  sweepctl cancel imagenette-first --trial 3f9a01c2"
    )]
    Cancel(Cancel),
    /// Run the failed trials of a sweep again
    #[command(
        after_help = "Examples:\n  sweepctl retry imagenette-first\n  sweepctl retry imagenette-first --cancelled"
    )]
    Retry(Retry),
    /// Add seeds, values or epochs to a sweep and run only what is new
    #[command(
        after_help = "FILE is the sweep's file with more in it: values, axes, points, samples, seeds. What the sweep has must still be there.\n\
            A sweep that stops early or searches takes what changes nothing that was decided; the rest is refused with the way out.\n\
            More epochs are points of their own; what there is stays as it is. A longer trial goes on from the last checkpoint of a completed\n\
            one that is equal in all else, where that gives the same numbers. It begins at the beginning where the rate follows the number\n\
            of epochs (cosine over all of them, one-cycle), because its first epochs are others, and in a sweep that stops early, which is\n\
            judged by every epoch. --dry-run says how many do what.\n\n\
            Examples:\n  sweepctl extend imagenette-first --seeds 5\n  sweepctl extend imagenette-first grid.toml --dry-run\n  \
            sweepctl extend imagenette-first --epochs 90"
    )]
    Extend(Extend),
    /// Change the priority of a sweep, or how many of its trials run at once
    #[command(
        after_help = "What is not given stays as it is. Nothing that runs is stopped: with more trials running than a new limit allows,\n\
            the next one starts when fewer run.\n\n\
            Examples:\n  sweepctl set imagenette-first --priority 80\n  sweepctl set imagenette-first --max-parallel 4\n  \
            sweepctl set imagenette-first --max-parallel none"
    )]
    Set(SetSweep),
    /// Let a sweep count on the share and the quotas of another project
    #[command(
        after_help = "You need rights in both projects. What it used so far stays with the project before; nothing that runs is stopped.\n\n\
            Examples:\n  sweepctl move imagenette-first --project vision"
    )]
    Move(MoveSweep),
}

impl Changing {
    /// The shape of its output.
    pub(crate) fn shape(&self) -> &Shape {
        match self {
            Self::Cancel(args) => &args.shape,
            Self::Retry(args) => &args.shape,
            Self::Extend(args) => &args.shape,
            Self::Set(args) => &args.shape,
            Self::Move(args) => &args.shape,
        }
    }
}

/// Arguments of `cancel`.
#[derive(Debug, Args)]
pub(crate) struct Cancel {
    /// Name, id or prefix
    pub(crate) sweep: String,
    /// Only this trial of it
    #[arg(long, value_name = "TRIAL")]
    pub(crate) trial: Option<String>,
    #[command(flatten)]
    pub(crate) shape: Shape,
}

/// Arguments of `retry`.
#[derive(Debug, Args)]
pub(crate) struct Retry {
    /// Name, id or prefix
    pub(crate) sweep: String,
    /// Cancelled trials too
    #[arg(long)]
    pub(crate) cancelled: bool,
    #[command(flatten)]
    pub(crate) shape: Shape,
}

/// Arguments of `extend`.
#[derive(Debug, Args)]
pub(crate) struct Extend {
    /// Name, id or prefix
    pub(crate) sweep: String,
    /// The sweep's file with more in it; `-` is standard input
    #[arg(required_unless_present_any = ["seeds", "epochs"])]
    pub(crate) file: Option<PathBuf>,
    /// Run every point with these seeds, too: a number as in a file (`5` means 0 to 4), or a list (`11,22`)
    #[arg(long, value_name = "N|LIST", value_parser = seeds)]
    pub(crate) seeds: Option<Seeds>,
    /// Train every point that has fewer epochs also with so many
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) epochs: Option<u32>,
    /// Accept it even if no agent has the data set now
    #[arg(long)]
    pub(crate) queue_anyway: bool,
    /// Take the results of identical trials of earlier sweeps in place of training them again
    #[arg(long)]
    pub(crate) reuse: bool,
    /// Say what would be added and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) shape: Shape,
}

/// Arguments of `set`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("values").multiple(true).required(true).args(["priority", "max_parallel"]))]
pub(crate) struct SetSweep {
    /// Name, id or prefix
    pub(crate) sweep: String,
    /// Its place among your sweeps in the project, 0 to 100: the higher goes first
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=100))]
    pub(crate) priority: Option<u32>,
    /// At most so many of its trials at once, or `none`
    #[arg(long, value_name = "N", value_parser = quota)]
    pub(crate) max_parallel: Option<Quota>,
    #[command(flatten)]
    pub(crate) shape: Shape,
}

/// Arguments of `move`.
#[derive(Debug, Args)]
pub(crate) struct MoveSweep {
    /// Name, id or prefix
    pub(crate) sweep: String,
    /// Where to
    #[arg(long, value_name = "NAME")]
    pub(crate) project: String,
    /// In a lab: it may be one that nobody is in yet, for admins
    #[arg(long)]
    pub(crate) new_project: bool,
    #[command(flatten)]
    pub(crate) shape: Shape,
}

/// Seeds, as a file gives them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seeds(pub(crate) Vec<u64>);

fn seeds(text: &str) -> Result<Seeds, String> {
    let fix = "a number of seeds from 1 to 10000, or seeds with commas between them, e.g. `11,22`";
    let number = |text: &str| text.trim().parse::<u64>().ok().filter(|seed| i64::try_from(*seed).is_ok());
    let found = match text.split_once(',') {
        None => number(text).filter(|many| (1..=10_000).contains(many)).map(|many| (0..many).collect()),
        Some(_) => text.trim_end_matches(',').split(',').map(number).collect(),
    };
    found.map(Seeds).ok_or_else(|| fix.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_given_as_in_a_file() {
        assert_eq!(seeds("3"), Ok(Seeds(vec![0, 1, 2])));
        assert_eq!(seeds("11, 22"), Ok(Seeds(vec![11, 22])));
        assert_eq!(seeds("11,"), Ok(Seeds(vec![11])));
        for wrong in ["", "0", "-1", "a", "1,,2", "1,x", "10001", "9223372036854775808,1"] {
            assert!(seeds(wrong).is_err(), "{wrong}");
        }
    }
}

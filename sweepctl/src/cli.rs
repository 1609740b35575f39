//! The command line: every command, flag and example. What they do is in `command/`.

mod change;
mod compare;
mod dataset;
mod fetch;
mod hold;
mod login;
mod notify;
mod report;
mod shape;
mod sharing;
mod submit;
mod time;
mod top;
mod upkeep;
mod verify;
mod watch;
mod which;
mod why;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::exit::EXIT_CODES;

pub(crate) use change::{Cancel, Changing, Extend, MoveSweep, Retry, SetSweep};
pub(crate) use compare::{Compare, Drawing, Export, Plot};
pub(crate) use dataset::{Dataset, DatasetAdd, DatasetOne};
pub(crate) use fetch::{Fetch, StateFormat};
pub(crate) use hold::{Holding, Maintenance, Place};
pub(crate) use login::{Admin, Agent, AuditLog, Init, Login, Logout, Role, ShowLog, Token, User};
pub(crate) use notify::Notify;
pub(crate) use report::{Chosen, Form, Interval, Report, Rows, Target};
pub(crate) use shape::{Color, Format, Shape};
pub(crate) use sharing::{After, Queue, Quota, Release, Reserve, Shares, SharesSet};
pub(crate) use submit::Submit;
pub(crate) use time::When;
use time::{duration, time, when};
pub(crate) use top::Top;
pub(crate) use upkeep::{Backup, Fsck, Restore};
pub(crate) use verify::VerifyResume;
pub(crate) use watch::Watch;
pub(crate) use which::Which;
pub(crate) use why::Why;

const AFTER: &str = "\
Examples:
  sweepctl up --data ~/datasets          # a coordinator and an agent on this machine
  sweepctl check grid.toml               # every error at once
  sweepctl submit grid.toml --watch      # run it and follow
  sweepctl report imagenette-first       # what came out

Sweeps and trials are named by their name, their id or any unique prefix of it (4 digits or more).
Environment: SWEEP_SERVER, SWEEP_OUTPUT, SWEEP_CONFIG (a file; default ~/.config/sweep/config.toml),
SWEEP_CREDENTIALS (a file; default ~/.config/sweep/credentials.toml), SWEEP_TOKEN_FILE, SWEEP_LOG (passed on to
the programs that `up` starts), NO_COLOR.
A flag wins over the environment, the environment over the configuration file.
`sweepctl help exit-codes` lists the exit codes.";

/// Runs grids of trainings: submit a sweep file, watch it, read the report.
#[derive(Debug, Parser)]
#[command(name = "sweepctl", version, after_help = AFTER, max_term_width = 110, subcommand_required = true)]
#[command(arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Address of the coordinator [env: SWEEP_SERVER; default: the one logged in to, else the one `up` started, else http://127.0.0.1:7070]
    #[arg(long, global = true, value_name = "URL", help_heading = "Everywhere")]
    pub(crate) server: Option<String>,
    /// When to use colour: auto, always or never
    #[arg(long, alias = "colour", global = true, value_name = "WHEN", hide_possible_values = true)]
    #[arg(help_heading = "Everywhere")]
    pub(crate) color: Option<Color>,
    /// Say nothing but data and errors
    #[arg(short, long, global = true, help_heading = "Everywhere")]
    pub(crate) quiet: bool,
}

/// Everything that can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start a coordinator and an agent on this machine and keep them running
    #[command(after_help = "Examples:\n  sweepctl up\n  sweepctl up --data ~/datasets --slots 2")]
    Up(Up),
    /// Read sweep files and show everything that is wrong with them
    #[command(after_help = "Examples:\n  sweepctl check grid.toml\n  sweepctl check sweeps/*.toml --json")]
    Check(Check),
    /// Show the exact trials of a sweep file, in the order in which they would run
    #[command(
        after_help = "A coordinator that is known (--server, SWEEP_SERVER, login, `up`) and answers within a second is asked what `submit --reuse`\n\
        would take; without one the plan is the same.\n\n\
        Examples:\n  sweepctl plan grid.toml\n  sweepctl plan grid.toml --json | jq .trials\n  sweepctl plan grid.toml --reuse"
    )]
    Plan(Plan),
    /// Run a sweep file
    #[command(after_help = "Examples:\n  sweepctl submit grid.toml --watch\n  sweepctl submit grid.toml --run second")]
    Submit(Submit),
    /// List sweeps, newest first
    #[command(visible_alias = "ls", after_help = "Examples:\n  sweepctl list\n  sweepctl list --limit 5 --json")]
    List(List),
    /// Show a sweep with its trials, or a trial with its curve
    #[command(
        after_help = "Examples:\n  sweepctl show imagenette-first --phase running\n  sweepctl show 3f9a01c2 --json"
    )]
    Show(Show),
    /// Follow a sweep until it is over
    #[command(after_help = "Examples:\n  sweepctl watch imagenette-first\n  sweepctl watch 015ac00b --timeout 2h")]
    Watch(Watch),
    /// Print what a trial's trainer wrote
    #[command(after_help = "Examples:\n  sweepctl logs 3f9a01c2\n  sweepctl logs 3f9a01c2 -f --attempt 2")]
    Logs(Logs),
    #[command(flatten)]
    Changing(Changing),
    /// Rank the points of a sweep and say which differences are real, over the seeds
    #[command(
        after_help = "Examples:\n  sweepctl report imagenette-first\n  sweepctl report imagenette-first -o report.md --test best"
    )]
    Report(Report),
    /// Draw one figure of the report as SVG or PNG
    #[command(
        after_help = "Examples:\n  sweepctl plot imagenette-first --figure curves --factor lr -o curves.svg\n  sweepctl plot imagenette-first --figure effects -o effects.png --scale 3"
    )]
    Plot(Plot),
    /// Compare two sweeps point by point, paired by seed, or two trials
    #[command(after_help = "Examples:\n  sweepctl compare imagenette-first imagenette-second")]
    Compare(Compare),
    /// Write the curves of a sweep for TensorBoard, or into an MLflow server
    #[command(
        after_help = "Examples:\n  sweepctl export imagenette-first --tensorboard runs/\n  sweepctl export imagenette-first --mlflow http://127.0.0.1:5000"
    )]
    Export(Export),
    /// Download a checkpoint, verified
    #[command(
        after_help = "Examples:\n  sweepctl fetch 3f9a01c2 -o weights/\n  sweepctl fetch imagenette-first -o weights/"
    )]
    Fetch(Fetch),
    /// List hosts, their slots, and what runs where
    #[command(after_help = "Examples:\n  sweepctl agents\n  sweepctl agents --devices\n  sweepctl agents gpu-7 --json")]
    Agents(Agents),
    #[command(flatten)]
    Holding(Holding),
    /// Show what waits, why, and when it may start
    #[command(after_help = "Examples:\n  sweepctl queue\n  sweepctl queue --json | jq '.waiting[].why'")]
    Queue(Queue),
    /// Prove from the journal that every trial ran exactly once
    #[command(after_help = "Examples:\n  sweepctl audit imagenette-first\n  sweepctl audit imagenette-first --json")]
    Audit(OneSweep),
    /// Tell what happened to a trial, a slot, a host or a sweep, and why, in plain words
    #[command(
        after_help = "Examples:\n  sweepctl why 3f9a01c2\n  sweepctl why gpu-7:0\n  sweepctl why imagenette-first --json"
    )]
    Why(Why),
    /// Log in to a coordinator; the token is asked for, or read from a pipe or a file
    #[command(
        after_help = "Examples:\n  sweepctl login lab.example.org\n  sweepctl login lab:7443 --token-file token\n  sweepctl login --renew"
    )]
    Login(Login),
    /// End the login: the token is revoked and forgotten
    #[command(after_help = "Examples:\n  sweepctl logout")]
    Logout(Logout),
    /// Say who the coordinator takes us for
    #[command(after_help = "Examples:\n  sweepctl whoami --json")]
    Whoami {
        #[command(flatten)]
        shape: Shape,
    },
    /// Let people and machines in, and out; who gets how much
    #[command(
        subcommand,
        after_help = "Examples:\n  sweepctl admin init --host lab.example.org\n  sweepctl admin shares set --user ann --share 2"
    )]
    Admin(Admin),
    /// Print completions for a shell
    #[command(
        after_help = "Examples:\n  sweepctl completions bash > ~/.local/share/bash-completion/completions/sweepctl"
    )]
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Hosts, devices and users, live; Ctrl-C ends it
    #[command(after_help = "Examples:\n  sweepctl top\n  sweepctl top --once --json")]
    Top(Top),
    /// Look at this machine and the way to the coordinator, and say how to put right what is wrong
    #[command(
        after_help = "Examples:\n  sweepctl doctor\n  sweepctl doctor --json | jq '.findings[] | select(.level != \"ok\")'"
    )]
    Doctor {
        #[command(flatten)]
        shape: Shape,
    },
    /// Print the releases of sweepctl and of the coordinator
    #[command(after_help = "Examples:\n  sweepctl version\n  sweepctl version --json")]
    Version {
        #[command(flatten)]
        shape: Shape,
    },
    /// Train one trial of a file twice, once with kills at random moments, and compare every bit
    #[command(
        after_help = "Examples:\n  sweepctl verify-resume grid.toml --data ~/datasets\n  sweepctl verify-resume grid.toml --data ~/datasets --trial 3 --kills 20"
    )]
    VerifyResume(VerifyResume),
    /// Look at data sets, fetch public ones, list those of the agents
    #[command(subcommand, after_help = "Examples:\n  sweepctl dataset check ~/datasets/imagenette")]
    Dataset(Dataset),
    /// Measure, with the program `sweep-bench`
    #[command(after_help = "Examples:\n  sweepctl bench dispatch --trials 10000 --agents 16 --slots 2")]
    Bench {
        /// Passed on as they are
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        arguments: Vec<std::ffi::OsString>,
    },
    /// The exit codes
    #[command(name = "exit-codes", hide = true, about = EXIT_CODES, help_template = "{about}\n")]
    ExitCodes,
}

/// Arguments of `up`.
#[derive(Debug, Args)]
pub(crate) struct Up {
    /// A folder with data sets; may be repeated
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Vec<PathBuf>,
    /// Where everything is kept [default: ~/.local/state/sweep]
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// Trials at once [default: up to four per GPU, at most one per core; without GPUs one per core, at most one per 2 GiB of memory]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) slots: Option<u32>,
    /// Address to listen on [default: 127.0.0.1:7070]
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<std::net::SocketAddr>,
}

/// Arguments of `check`.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Sweep files; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) shape: Shape,
}

/// Arguments of `plan`.
#[derive(Debug, Args)]
pub(crate) struct Plan {
    /// The sweep file; `-` is standard input
    pub(crate) file: PathBuf,
    /// Show only the first trials
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u32>,
    /// Ask the coordinator which trials were trained before, so that `submit --reuse` would take their results
    #[arg(long, conflicts_with = "estimate")]
    pub(crate) reuse: bool,
    /// What it will take, by what trials of the same shape took on this coordinator
    #[arg(long)]
    pub(crate) estimate: bool,
    /// Train a few steps of each shape that was never trained first; refused while trials wait for slots
    #[arg(long, requires = "estimate")]
    pub(crate) probe: bool,
    #[command(flatten)]
    pub(crate) shape: Shape,
}

/// Arguments of `list`.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
    #[command(flatten)]
    pub(crate) shape: Shape,
}

/// Arguments of `show`.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// A sweep, or a trial by its id
    #[arg(value_name = "SWEEP|TRIAL")]
    pub(crate) what: String,
    /// Show every trial
    #[arg(long, conflicts_with = "limit")]
    pub(crate) trials: bool,
    /// Show at most so many trials [default: 20]
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
    /// Only trials in this phase; may be repeated
    #[arg(long, value_name = "PHASE")]
    pub(crate) phase: Vec<Phase>,
    /// Show each class of a trial, and which is taken for which [default: best]
    #[arg(long, value_name = "WHICH", num_args = 0..=1, require_equals = true, default_missing_value = "best")]
    pub(crate) confusion: Option<Which>,
    /// Show what trials make of the test images, too: once everything is decided
    #[arg(long, conflicts_with = "confusion")]
    pub(crate) test: bool,
    #[command(flatten)]
    pub(crate) shape: Shape,
}

/// Where a trial stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Phase {
    /// Not started.
    Waiting,
    /// On a slot.
    Running,
    /// Failed, will be tried again.
    Backoff,
    /// Has a result.
    Completed,
    /// Failed for good.
    Failed,
    /// Ended by a user.
    Cancelled,
    /// Waits at a rung.
    Paused,
    /// Not worth going on with.
    Stopped,
}

impl Phase {
    /// The word on the wire.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Backoff => "backoff",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        }
    }
}

/// Arguments of `logs`.
#[derive(Debug, Args)]
pub(crate) struct Logs {
    /// The trial's id or a prefix of it
    pub(crate) trial: String,
    /// Go on until the trial is over
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Only this attempt, counted from 1
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) attempt: Option<u32>,
}

/// Arguments of commands about one sweep.
#[derive(Debug, Args)]
pub(crate) struct OneSweep {
    /// Name, id or prefix
    pub(crate) sweep: String,
    #[command(flatten)]
    pub(crate) shape: Shape,
}

/// Arguments of `agents`.
#[derive(Debug, Args)]
pub(crate) struct Agents {
    /// Only this host
    pub(crate) host: Option<String>,
    /// Show GPUs and what is on them
    #[arg(long)]
    pub(crate) devices: bool,
    #[command(flatten)]
    pub(crate) shape: Shape,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent_and_every_command_has_an_example() {
        Cli::command().debug_assert();
        for command in Cli::command().get_subcommands().filter(|command| !command.is_hide_set()) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains(&format!("sweepctl {}", command.get_name())), "{}", command.get_name());
        }
    }
}

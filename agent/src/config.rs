//! The command line and what follows from it. Where flags and the environment say nothing, the
//! usual places of this user (XDG) are used.

use std::env;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Parser;
use sweep_core::device;
use sweep_ops::log;

use crate::devices::hours::GuestHours;
use crate::energy::rapl::POWERCAP;
use crate::hardware::Wanted;
use crate::sandbox::Mode;

/// What `sweep-agent` was asked to do.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "sweep-agent",
    version,
    about = "Runs trainings on this machine for a sweep coordinator",
    long_about = "Runs trainings on this machine for a sweep coordinator: one trainer process per slot, \
        its numbers and checkpoints shipped until the coordinator has them.\n\n\
        SIGTERM and SIGINT make the agent leave at once; its trainers go on, and the next agent on the \
        same state folder takes them over. To end trainings, cancel them (sweepctl cancel).",
    after_help = "Example:\n  sweep-agent --coordinator http://127.0.0.1:7070 --data ~/datasets --slots 2\n\n\
        Exit codes: 0 asked to leave, 1 failed, 2 wrong use, 3 another agent has the state folder."
)]
pub struct Cli {
    /// Look at this host instead of working; takes the flags of a start before it
    #[command(subcommand)]
    pub command: Option<Other>,
    /// Address of the coordinator: https://HOST:7443, or http:// on this machine
    #[arg(long, env = "SWEEP_SERVER", default_value = "http://127.0.0.1:7070", value_name = "URL")]
    pub coordinator: String,
    /// A join token (`sweepctl admin agent-token`), for the first start; not looked at once the agent has joined
    #[arg(long, env = "SWEEP_AGENT_JOIN", value_name = "FILE")]
    pub join_file: Option<PathBuf>,
    /// The token of a coordinator that serves one person on this machine
    #[arg(long, env = "SWEEP_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Where the agent keeps its id and the running attempts [default: $XDG_STATE_HOME/sweep/agent]
    #[arg(long, env = "SWEEP_AGENT_STATE", value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Trainers at once, wherever there is a slot [default: see --share; without GPUs one per core, at most one per 2 GiB of memory]
    #[arg(long, env = "SWEEP_AGENT_SLOTS", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub slots: Option<u32>,
    /// Most trials on one GPU at once, as far as measured memory and speed allow; 1: never more than one [default: 4, at most one per core]
    #[arg(long, env = "SWEEP_AGENT_SHARE", value_name = "N", conflicts_with = "slots")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=16))]
    pub share: Option<u32>,
    /// Cores that trials of this host may have together; the others are left to other people [default: all]
    #[arg(long, env = "SWEEP_AGENT_CORES", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub cores: Option<u32>,
    /// Memory of this host that trials may have together, e.g. `64GB` or `64GiB` [default: all]
    #[arg(long, env = "SWEEP_AGENT_MEMORY", value_name = "SIZE", value_parser = size)]
    pub memory: Option<u64>,
    /// Folder whose sub-folders are data sets; may be repeated (in the environment: separated by colons)
    #[arg(long, env = "SWEEP_AGENT_DATA", value_name = "DIR", value_delimiter = ':')]
    pub data: Vec<PathBuf>,
    /// Folder for decoded images [default: $XDG_CACHE_HOME/sweep/datasets]
    #[arg(long, env = "SWEEP_AGENT_CACHE", value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// The trainer program [default: sweep-trainer beside this program, else in PATH]
    #[arg(long, env = "SWEEP_AGENT_TRAINER", value_name = "FILE")]
    pub trainer: Option<PathBuf>,
    /// Seconds between asking a trainer to stop and killing it
    #[arg(long, env = "SWEEP_AGENT_GRACE", value_name = "SECONDS", default_value_t = 10)]
    pub grace: u64,
    /// Seconds that trainers go on without an agent before they save and leave
    #[arg(long, env = "SWEEP_AGENT_ORPHANS", value_name = "SECONDS", default_value_t = 900)]
    pub orphan_limit: u64,
    /// Seconds that a trainer may show no progress before it is taken to hang and is killed; 0: for ever
    #[arg(long, env = "SWEEP_AGENT_STALLS", value_name = "SECONDS", default_value_t = 1800)]
    pub stall_limit: u64,
    /// Let sweeps run TorchScript modules that lie in the data folders: programs that can read and write what this user can
    #[arg(long, env = "SWEEP_AGENT_ALLOW_TORCHSCRIPT")]
    pub allow_torchscript: bool,
    /// Where the energy counters of the processors are
    #[arg(long, env = "SWEEP_AGENT_POWERCAP", value_name = "DIR", default_value = POWERCAP)]
    pub powercap: PathBuf,
    /// Confine trainers: they read the data roots and write their own folder, and nothing else of this user's
    #[arg(long, env = "SWEEP_AGENT_SANDBOX", value_enum, default_value_t = Mode::Auto)]
    pub sandbox: Mode,
    /// Serve numbers for Prometheus at http://ADDRESS/metrics; loopback only, for everybody on this host
    #[arg(long, env = "SWEEP_AGENT_METRICS", value_name = "ADDRESS")]
    pub metrics: Option<SocketAddr>,
    /// Send spans of what is done for trials (OpenTelemetry) to the collector at this base address, e.g. http://127.0.0.1:4318
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "URL")]
    pub otlp: Option<String>,
    /// Log into this file instead of to standard error; it is put aside as PATH.1, PATH.2, ... when it is too long
    #[arg(long, env = "SWEEP_AGENT_LOG_FILE", value_name = "PATH")]
    pub log_file: Option<PathBuf>,
    /// Megabytes of the log file before it is put aside
    #[arg(long, env = "SWEEP_AGENT_LOG_SIZE", value_name = "MB", default_value_t = log::SIZE)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub log_size: u32,
    /// How many older log files are kept
    #[arg(long, env = "SWEEP_AGENT_LOG_KEEP", value_name = "N", default_value_t = log::KEEP)]
    #[arg(value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub log_keep: u32,
    /// Pretend that this host has the GPUs that a file lists (docs/operations.md); trials on them compute on the processors
    #[arg(long, env = "SWEEP_AGENT_DEVICES", value_name = "FILE")]
    pub devices: Option<PathBuf>,
    /// What sweeps can ask for by name, e.g. site=lab2; may be repeated (in the environment: separated by commas)
    #[arg(long, env = "SWEEP_AGENT_LABELS", value_name = "KEY=VALUE", value_delimiter = ',', value_parser = label)]
    pub label: Vec<(String, String)>,
    /// Use this host only then, in its local time, e.g. "Mon-Fri 18:00-08:00, Sat-Sun"; trials leave when they end
    #[arg(long, env = "SWEEP_AGENT_GUEST_HOURS", value_name = "HOURS")]
    pub guest_hours: Option<GuestHours>,
    /// Seconds without processes of others until a GPU that they used gets trials again
    #[arg(long, env = "SWEEP_AGENT_FREE_AFTER", value_name = "SECONDS", default_value_t = 60)]
    #[arg(value_parser = clap::value_parser!(u64).range(0..=86_400))]
    pub free_after: u64,
    /// Seconds in which a GPU has to give its memory back after a trial, or it is not used any more
    #[arg(long, env = "SWEEP_AGENT_RELEASE", value_name = "SECONDS", default_value_t = 30)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub release_timeout: u64,
    /// Run this many pretend agents, which need no data, in one process (for benchmarks and tests)
    #[arg(long, hide = true, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    pub pretend: Option<u32>,
    /// Pretend agents start no processes: every trial reports one epoch and ends
    #[arg(long, hide = true, requires = "pretend")]
    pub in_process: bool,
}

/// What else it can do.
#[derive(Clone, Copy, Debug, clap::Subcommand)]
pub enum Other {
    /// Join a lab with the token of --join-file, and end; the agent must not run meanwhile
    Join {
        /// Also if it has joined before: after it was revoked (`sweepctl admin agent revoke`), or its certificate has ended
        #[arg(long)]
        again: bool,
    },
    /// Look at this host before something fails, and say how to put right what is wrong (exit code 1: something is broken)
    Doctor {
        /// Form of the output
        #[arg(short, long, value_enum, default_value = "table", value_name = "FORM")]
        output: Output,
    },
}

/// Forms of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// Neither a flag nor the environment says where something goes.
#[derive(Debug, thiserror::Error)]
#[error("no home folder to put the {what} in; say where with {flag}")]
pub struct NoHome {
    what: &'static str,
    flag: &'static str,
}

impl Cli {
    /// The state folder.
    ///
    /// # Errors
    /// When nothing says where it is.
    pub fn state(&self) -> Result<PathBuf, NoHome> {
        let usual = || below("XDG_STATE_HOME", ".local/state", "sweep/agent");
        self.state.clone().or_else(usual).ok_or(NoHome { what: "state", flag: "--state" })
    }

    /// The folder for decoded images.
    ///
    /// # Errors
    /// When nothing says where it is.
    pub fn cache(&self) -> Result<PathBuf, NoHome> {
        let usual = || below("XDG_CACHE_HOME", ".cache", "sweep/datasets");
        self.cache.clone().or_else(usual).ok_or(NoHome { what: "cache", flag: "--cache" })
    }

    /// The trainer program.
    pub fn trainer(&self) -> PathBuf {
        if let Some(trainer) = &self.trainer {
            return trainer.clone();
        }
        let beside = env::current_exe().ok().map(|own| own.with_file_name("sweep-trainer"));
        let in_path = || {
            let path = env::var_os("PATH")?;
            env::split_paths(&path).map(|folder| folder.join("sweep-trainer")).find(|file| file.is_file())
        };
        beside
            .clone()
            .filter(|file| file.is_file())
            .or_else(in_path)
            .or(beside)
            .unwrap_or_else(|| "sweep-trainer".into())
    }

    /// How many trainers there may be.
    pub fn wanted(&self) -> Wanted {
        Wanted { slots: self.slots, share: self.share, cores: self.cores, memory: self.memory }
    }

    /// The data roots that are there, absolute.
    pub fn data_roots(&self) -> Vec<PathBuf> {
        let given = self.data.iter().filter(|root| !root.as_os_str().is_empty());
        let roots = given.filter_map(|root| {
            root.canonicalize()
                .inspect_err(|error| tracing::warn!(root = %root.display(), %error, "a data root cannot be used"))
                .ok()
        });
        roots.collect()
    }
}

/// An amount of memory.
fn size(text: &str) -> Result<u64, String> {
    let bytes = device::memory(text).filter(|bytes| *bytes > 0);
    bytes.ok_or_else(|| "write a number and MB, GB, TB, MiB, GiB or TiB, e.g. `64GB`".to_owned())
}

/// A label.
fn label(text: &str) -> Result<(String, String), String> {
    let word = |text: &str, more: &str| {
        let fits = |letter: char| letter.is_ascii_alphanumeric() || more.contains(letter);
        !text.is_empty() && text.len() <= 64 && text.chars().all(fits)
    };
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    if !word(key, "-_.") || !word(value, "-_. ") {
        return Err("write KEY=VALUE, each of letters, digits, `-`, `_` and `.`, at most 64".to_owned());
    }
    if key == "gpu" || key == "host" {
        return Err(format!("`{key}` is known of every host: choose another word"));
    }
    Ok((key.to_owned(), value.to_owned()))
}

/// `rest` below the folder that `variable` names, or below `usual` in the home folder.
fn below(variable: &str, usual: &str, rest: &str) -> Option<PathBuf> {
    let absolute = |path: PathBuf| Some(path).filter(|path| path.is_absolute());
    let named = env::var_os(variable).and_then(|path| absolute(path.into()));
    let home = || absolute(PathBuf::from(env::var_os("HOME")?)).map(|home| home.join(usual));
    named.or_else(home).map(|base: PathBuf| Path::join(&base, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
        let cli = Cli::parse_from(["sweep-agent", "--data", "/a:/b", "--data", "/c", "--slots", "3"]);
        assert_eq!(cli.data, ["/a", "/b", "/c"].map(PathBuf::from));
        assert!(Cli::try_parse_from(["sweep-agent", "--slots", "0"]).is_err());
        assert!(Cli::try_parse_from(["sweep-agent", "--in-process"]).is_err());
        let labels =
            Cli::parse_from(["sweep-agent", "--label", "site=lab2,owner=ann", "--guest-hours", "Sat-Sun"]).label;
        assert_eq!(labels, [("site", "lab2"), ("owner", "ann")].map(|(key, value)| (key.to_owned(), value.to_owned())));
        for wrong in [["--label", "site"], ["--label", "gpu=a100"], ["--guest-hours", "never"]] {
            assert!(Cli::try_parse_from(["sweep-agent"].into_iter().chain(wrong)).is_err(), "{wrong:?}");
        }
    }
}

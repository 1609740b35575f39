//! What can go wrong in `sweepctl`, what the shell is told about it, and what to do next.

mod status;

use std::io;
use std::path::PathBuf;

use sweep_identity::dial::DialError;

use crate::command::dataset::DatasetFault;
use crate::command::export::MlflowFault;
use crate::command::report::ReportFault;
use crate::command::show::confusion::Nothing;
use crate::command::verify_resume::Verdict;
use crate::config::ConfigFault;
use crate::exit::Exit;
use crate::login::LoginFault;

pub(crate) use status::is_transient;
use status::{of_code, said};

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// Whoever read our output has left; nothing is wrong.
    #[error("standard output is closed")]
    Closed,
    /// The output could not be written.
    #[error("cannot write the output")]
    Output(#[source] io::Error),
    /// A sweep file could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Sweep files could not be read; which and why has been printed.
    #[error("{} could not be read", count(*files, "file"))]
    Unread {
        /// How many.
        files: usize,
    },
    /// Sweep files are not valid; the diagnostics have been printed.
    #[error("{} in {}", count(*errors, "error"), count(*files, "file"))]
    Invalid {
        /// How many errors.
        errors: usize,
        /// In how many files.
        files: usize,
    },
    /// `doctor` found something broken; what has been printed.
    #[error("something is broken")]
    Unwell,
    /// The configuration file could not be used.
    #[error("cannot use the configuration file {}", path.display())]
    Config {
        /// Which.
        path: PathBuf,
        /// Why.
        source: ConfigFault,
    },
    /// An environment variable has a value that means nothing.
    #[error("{variable}={value:?} is not one of: {expected}")]
    Variable {
        /// Its name.
        variable: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        expected: &'static str,
    },
    /// The folder for state cannot be known.
    #[error("there is no home folder to keep state in; name one with --state")]
    NoHome,
    /// See there.
    #[error(transparent)]
    Login(#[from] LoginFault),
    /// Another program of this release failed, and has said why.
    #[error("{program} failed")]
    Child {
        /// Which.
        program: &'static str,
    },
    /// `up` is for one person.
    #[error(
        "{} is a lab's since `sweepctl admin init`: start sweep-coordinator and sweep-agent themselves, \
         or give `up` another --state", path.display()
    )]
    IsLab {
        /// The folder.
        path: PathBuf,
    },
    /// See there.
    #[error("the audit log was changed")]
    AuditLog(#[source] sweep_identity::chain::Broken),
    /// The noted hash is not in it.
    #[error("the audit log was cut: {head} is not in it any more")]
    AuditLogCut {
        /// What was noted.
        head: String,
    },
    /// No connection.
    #[error("the coordinator at {server} does not answer")]
    Unreachable {
        /// Where it was looked for.
        server: String,
        /// What the network said.
        source: tonic::transport::Error,
    },
    /// No connection, why, and what to do.
    #[error("{0}")]
    NoWay(String),
    /// The coordinator said no, or the connection broke.
    #[error("{}", said(server, status))]
    Status {
        /// Where it is.
        server: String,
        /// The stable word, e.g. `dataset_unknown`.
        reason: Option<String>,
        /// What it said.
        status: Box<tonic::Status>,
    },
    /// The coordinator's answer makes no sense to this release.
    #[error("the coordinator's {what} cannot be understood; is it another release? (`sweepctl version`)")]
    Answer {
        /// Which answer.
        what: &'static str,
        /// Why.
        source: serde_json::Error,
    },
    /// A trial has no checkpoint of the kind that was asked for.
    #[error("trial {trial} has no {kind} checkpoint yet")]
    NoCheckpoint {
        /// Its id.
        trial: String,
        /// `best` or `last`.
        kind: &'static str,
    },
    /// No agent is on a host of that name.
    #[error("no agent is on a host called {host}")]
    NoHost {
        /// What was typed.
        host: String,
    },
    /// A sweep has no trial with a result.
    #[error("sweep {sweep} has no completed trial yet, so none is the best")]
    NoBest {
        /// Its name.
        sweep: String,
    },
    /// The bytes that came are not the bytes that were promised.
    #[error("the download is damaged: its SHA-256 is {actual}, expected {expected}")]
    Damaged {
        /// What the journal says.
        expected: String,
        /// What came.
        actual: String,
    },
    /// A different file is in the way.
    #[error("{} exists and is another file; --force replaces it", path.display())]
    Exists {
        /// Which.
        path: PathBuf,
    },
    /// Something on this machine's disk failed.
    #[error("cannot {what} {}", path.display())]
    Disk {
        /// What was attempted.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A program of this release is not where it should be.
    #[error("`{program}` is neither beside sweepctl nor in PATH; build or install it")]
    ProgramMissing {
        /// Its name.
        program: &'static str,
    },
    /// See there.
    #[error(transparent)]
    Verify(#[from] Verdict),
    /// See there.
    #[error(transparent)]
    Dataset(#[from] DatasetFault),
    /// See there.
    #[error(transparent)]
    Report(#[from] ReportFault),
    /// See there.
    #[error(transparent)]
    Mlflow(#[from] MlflowFault),
    /// See there.
    #[error(transparent)]
    Confusion(#[from] Nothing),
    /// A program could not be started or waited for.
    #[error("cannot run {}", path.display())]
    Program {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A program did not become ready.
    #[error("{program} is not ready after {seconds} s; its log is {}", log.display())]
    NotReady {
        /// Which.
        program: &'static str,
        /// How long it was waited for.
        seconds: u64,
        /// Where its words are.
        log: PathBuf,
    },
    /// A program ended while it was waited for.
    #[error("{program} ended at once ({how}); its log, {}, ends with:\n  {}", log.display(), words.join("\n  "))]
    Ended {
        /// Which.
        program: &'static str,
        /// Its exit status in words.
        how: String,
        /// Where its words are.
        log: PathBuf,
        /// The last of them.
        words: Vec<String>,
    },
    /// A system call about signals or tasks failed.
    #[error("cannot set up this process")]
    Process(#[source] io::Error),
    /// The sweep is over without a result for every trial; details have been printed.
    #[error("{}", incomplete(*failed, *cancelled, *open))]
    Incomplete {
        /// Trials that failed.
        failed: u64,
        /// Trials that were cancelled.
        cancelled: u64,
        /// Trials that are not over.
        open: u64,
    },
    /// The journal breaks a rule; details have been printed.
    #[error("the journal breaks {}", count(*violations, "rule"))]
    Illegal {
        /// How many.
        violations: usize,
    },
    /// `--timeout` expired.
    #[error("the time given with --timeout is over")]
    TimedOut,
    /// Ctrl-C.
    #[error("interrupted")]
    Interrupted,
}

impl Fault {
    /// Sorts an error of writing to standard output.
    pub(crate) fn output(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Output(error),
        }
    }

    /// What the shell is told.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Closed => Exit::Done,
            Self::Read { .. }
            | Self::Unread { .. }
            | Self::Invalid { .. }
            | Self::Config { .. }
            | Self::Variable { .. }
            | Self::NoHome
            | Self::Verify(Verdict::NoSuchTrial { .. }) => Exit::Usage,
            Self::Login(
                LoginFault::NotLoggedIn { .. }
                | LoginFault::NotTaken { .. }
                | LoginFault::Dial(DialError::Stranger { .. }),
            ) => Exit::Login,
            Self::Login(_) | Self::Report(_) => Exit::Usage,
            Self::Dataset(fault) if fault.is_usage() => Exit::Usage,
            Self::Dataset(fault) if fault.is_unknown() => Exit::NotFound,
            Self::Confusion(Nothing::NotKept { .. })
            | Self::NoCheckpoint { .. }
            | Self::NoBest { .. }
            | Self::NoHost { .. } => Exit::NotFound,
            Self::Unreachable { .. } | Self::NoWay(_) => Exit::Unreachable,
            Self::Incomplete { .. } => Exit::Incomplete,
            Self::Exists { .. } | Self::IsLab { .. } => Exit::Refused,
            Self::TimedOut => Exit::TimedOut,
            Self::Interrupted => Exit::Interrupted,
            Self::Status { status, .. } => of_code(status),
            Self::Output(_)
            | Self::Answer { .. }
            | Self::Damaged { .. }
            | Self::Disk { .. }
            | Self::ProgramMissing { .. }
            | Self::Verify(_)
            | Self::Dataset(_)
            | Self::Mlflow(_)
            | Self::Confusion(_)
            | Self::Program { .. }
            | Self::NotReady { .. }
            | Self::Ended { .. }
            | Self::Process(_)
            | Self::Child { .. }
            | Self::AuditLog(_)
            | Self::AuditLogCut { .. }
            | Self::Unwell
            | Self::Illegal { .. } => Exit::Failed,
        }
    }

    /// What to do next, if that can be said.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Unreachable { .. } => Some(NEXT_UP.to_owned()),
            Self::Status { status, .. } if is_transient(status) => Some(NEXT_UP.to_owned()),
            Self::Status { reason: Some(reason), .. } if reason == "dataset_unknown" => {
                Some("give the agent its folder (`sweepctl up --data DIR`), or submit with --queue-anyway".to_owned())
            }
            Self::Status { reason: Some(reason), .. } if reason == "method_unknown" => Some(
                "the coordinator is of an earlier release: `sweepctl version` tells; upgrade it, or use its release of sweepctl"
                    .to_owned(),
            ),
            Self::Status { reason: Some(reason), .. } if matches!(reason.as_str(), "host_unknown" | "slot_unknown" | "agent_unknown") => {
                Some("`sweepctl agents` shows hosts, agents and slots".to_owned())
            }
            Self::Status { reason: Some(reason), .. } if matches!(reason.as_str(), "sweep_unknown" | "trial_unknown") => {
                Some("`sweepctl list` shows the sweeps, `sweepctl show SWEEP` its trials; a prefix of an id has 4 digits or more".to_owned())
            }
            Self::NoHost { .. } => Some("`sweepctl agents` shows hosts, agents and slots".to_owned()),
            Self::NoBest { .. } => Some("name one of its trials, with --last".to_owned()),
            _ => None,
        }
    }

    /// Nothing is left to say: it was said where it was found, or there is nobody to say it to.
    pub(crate) fn is_silent(&self) -> bool {
        matches!(self, Self::Closed)
    }

    /// The connection broke; asking again may help.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Status { status, .. } => is_transient(status),
            Self::Unreachable { .. } | Self::NoWay(_) => true,
            _ => false,
        }
    }

    /// The coordinator does not know the token that came.
    pub(crate) fn is_unauthenticated(&self) -> bool {
        matches!(self, Self::Status { status, .. } if status.code() == tonic::Code::Unauthenticated)
    }

    /// The coordinator waits for room on its disk and goes on by itself then.
    pub(crate) fn is_disk_full(&self) -> bool {
        matches!(self, Self::Status { status, .. } if sweep_proto::status::reason_of(status).as_deref() == Some("disk_full"))
    }

    /// What was asked for is not even written like one.
    pub(crate) fn is_malformed(&self) -> bool {
        matches!(self, Self::Status { status, .. } if status.code() == tonic::Code::InvalidArgument)
    }

    /// There is no such thing.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Status { status, .. } if status.code() == tonic::Code::NotFound)
    }
}

const NEXT_UP: &str = "`sweepctl up` starts one here; --server or SWEEP_SERVER names another, https:// in a lab";

/// `1 error`, `2 errors`.
pub(crate) fn count(number: impl TryInto<u64>, noun: &str) -> String {
    let number = number.try_into().unwrap_or(u64::MAX);
    match number {
        1 => format!("1 {noun}"),
        _ => format!("{number} {noun}s"),
    }
}

fn incomplete(failed: u64, cancelled: u64, open: u64) -> String {
    let parts = [(failed, "failed"), (cancelled, "cancelled"), (open, "not over")];
    let parts: Vec<String> = (parts.into_iter().filter(|(number, _)| *number > 0))
        .map(|(number, what)| format!("{} {what}", count(number, "trial")))
        .collect();
    if parts.is_empty() { "the sweep did not complete".to_owned() } else { parts.join(", ") }
}

#[cfg(test)]
mod tests;

//! The arguments of `login`, `logout` and `admin`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{Backup, Fsck, Maintenance, Notify, Restore, Shape, Shares, When, when};

/// Arguments of `login`.
#[derive(Debug, Args)]
pub(crate) struct Login {
    /// The coordinator: a name, `name:port`, or https://name:port [default port: 7443]
    #[arg(required_unless_present = "renew")]
    pub(crate) host: Option<String>,
    /// Make a new token in place of the one that is kept, before it ends; that one dies
    #[arg(long, conflicts_with_all = ["host", "token_file", "fingerprint"])]
    pub(crate) renew: bool,
    /// Read the token from a file that only you can read, instead of asking
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Fingerprint of the coordinator's CA, where the token does not carry it
    #[arg(long, value_name = "SHA256")]
    pub(crate) fingerprint: Option<String>,
}

/// Arguments of `logout`.
#[derive(Debug, Args)]
pub(crate) struct Logout {
    /// Forget the token here, but leave it good
    #[arg(long)]
    pub(crate) keep_token: bool,
}

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// Looks at what is in the projects
    Viewer,
    /// Also submits, and changes what it submitted
    User,
    /// Also changes what others submitted to the projects
    ProjectAdmin,
    /// Everything
    Admin,
}

impl Role {
    /// The word on the wire.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::User => "user",
            Self::ProjectAdmin => "project-admin",
            Self::Admin => "admin",
        }
    }
}

/// What whoever runs the machines can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Admin {
    /// Make certificates and a first login, on the coordinator's host, while it does not run
    #[command(
        after_help = "Prints a token of `admin` that is good for one day. Run again, it makes another token, and adds\n\
            names that are new to the coordinator's certificate.\n\nExamples:\n  sweepctl admin init --host lab.example.org --host 10.0.0.5 > admin-token"
    )]
    Init(Init),
    /// Users: add, set, list, remove
    #[command(subcommand)]
    User(User),
    /// Their tokens: create, list, revoke
    #[command(subcommand)]
    Token(Token),
    /// Make a token with which one agent may join
    #[command(after_help = "Examples:\n  sweepctl admin agent-token --note gpu7 > join; scp join gpu7:")]
    AgentToken(AgentToken),
    /// Agents that have joined: list, revoke
    #[command(subcommand)]
    Agent(Agent),
    /// The log of who did what: show, verify
    #[command(subcommand)]
    AuditLog(AuditLog),
    /// Who gets how much of the machines
    #[command(
        subcommand,
        after_help = "Examples:\n  sweepctl admin shares show\n  sweepctl admin shares set --user ann --share 2"
    )]
    Shares(Shares),
    /// Maintenance planned ahead: plan it, call it off, list it
    #[command(
        after_help = "Nothing is started that would not come to a checkpoint before it begins; what still runs then leaves and goes on\n\
            elsewhere. `all` are the hosts known now. Without a host, what is planned is listed.\n\n\
            Examples:\n  sweepctl admin maintenance gpu-7 --from 2026-12-01T18:00:00Z --for 4h --reason 'new driver'\n  \
            sweepctl admin maintenance all --from 2h --for 90m\n  sweepctl admin maintenance gpu-7 --cancel"
    )]
    Maintenance(Maintenance),
    /// Webhooks: test them, list them
    #[command(subcommand, after_help = "Examples:\n  sweepctl admin notify test\n  sweepctl admin notify list --json")]
    Notify(Notify),
    /// Copy the journal to a new folder on the coordinator's host, while everything goes on
    #[command(
        after_help = "The copy is read back before it gets its name, and nothing is ever written over.\n\nExamples:\n  \
            sweepctl admin backup\n  sweepctl admin backup /mnt/safe/monday --with-blobs"
    )]
    Backup(Backup),
    /// Put a backup in place of the journal, on the coordinator's host, while it does not run
    #[command(
        after_help = "The journal that was there stays beside it.\n\nExamples:\n  sweepctl admin restore /mnt/safe/monday"
    )]
    Restore(Restore),
    /// Go on after the end of the journal was lost: what agents did since is kept on their hosts, and done again
    #[command(after_help = "Examples:\n  sweepctl doctor\n  sweepctl admin accept-rollback")]
    AcceptRollback,
    /// Check the journal and the checkpoints, and change nothing
    #[command(after_help = "Examples:\n  sweepctl admin fsck\n  sweepctl admin fsck --quick --json")]
    Fsck(Fsck),
}

/// Arguments of `admin init`.
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// The coordinator's data folder [default: ~/.local/state/sweep/coordinator]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// A name or address under which others reach this host; may be repeated
    #[arg(long, value_name = "NAME", required = true)]
    pub(crate) host: Vec<String>,
}

/// What can be done with users.
#[derive(Debug, Subcommand)]
pub(crate) enum User {
    /// Add a user
    #[command(
        after_help = "The name of somebody who left, and a name that sweeps of before there were logins have, is refused: what was submitted belongs to\n\
            the name. With --take-over whoever gets it gets all of that.\n\n\
            Examples:\n  sweepctl admin user add ada --project vision --new-project\n  sweepctl admin user add bob --role viewer\n  \
            sweepctl admin user add ada --take-over"
    )]
    Add {
        /// a-z, 0-9, `.`, `_` and `-`
        name: String,
        /// What they may do
        #[arg(long, value_enum, default_value = "user")]
        role: Role,
        /// Where; may be repeated
        #[arg(long, value_name = "NAME", default_value = "default")]
        project: Vec<String>,
        /// The same person comes back, or is to have the sweeps, shares and use of whoever was called so
        #[arg(long)]
        take_over: bool,
        /// A project may be one that nobody is in yet
        #[arg(long)]
        new_project: bool,
    },
    /// Give a user another role or other projects; what is not said stays
    #[command(
        after_help = "Projects take the place of those before.\n\nExamples:\n  sweepctl admin user set ada --role project-admin\n  \
            sweepctl admin user set ada --project vision --project audio"
    )]
    Set {
        /// Who
        name: String,
        /// What they may do from now on
        #[arg(long, value_enum, required_unless_present = "project")]
        role: Option<Role>,
        /// Where, from now on; may be repeated
        #[arg(long, value_name = "NAME")]
        project: Vec<String>,
        /// A project may be one that nobody is in yet
        #[arg(long, requires = "project")]
        new_project: bool,
    },
    /// List users
    List {
        #[command(flatten)]
        shape: Shape,
    },
    /// Let a user leave; all their tokens end at once
    Remove {
        /// Who
        name: String,
    },
}

/// What can be done with tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Make a token; it is shown once
    #[command(
        after_help = "Examples:\n  sweepctl admin token create ada --note laptop\n  sweepctl admin token create ci --role viewer --days 30"
    )]
    Create {
        /// Whose
        user: String,
        /// Less than the user may do
        #[arg(long, value_enum)]
        role: Option<Role>,
        /// Good for so long
        #[arg(long, value_name = "N", default_value_t = 90, value_parser = clap::value_parser!(u64).range(1..=366))]
        days: u64,
        /// For people, e.g. where it is used
        #[arg(long, value_name = "TEXT", default_value = "")]
        note: String,
    },
    /// List tokens that are good
    List {
        /// Only of this user
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
        /// Also those that have ended
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        shape: Shape,
    },
    /// End a token at once, and what it is doing
    Revoke {
        /// Its id, as the list shows it
        id: String,
    },
}

/// Arguments of `admin agent-token`.
#[derive(Debug, Args)]
pub(crate) struct AgentToken {
    /// May be used for so long
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=168))]
    pub(crate) hours: u64,
    /// For people, e.g. the host
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) note: String,
}

/// What can be done with agents.
#[derive(Debug, Subcommand)]
pub(crate) enum Agent {
    /// List agents that have joined, and until when their certificates are good
    List {
        #[command(flatten)]
        shape: Shape,
    },
    /// Put an agent out at once, and forget its host; it needs a new join token to come back
    #[command(
        after_help = "Also of a host that was reinstalled or is no more: nothing counts it any more, and its name is free. The history stays.\n\n\
            Examples:\n  sweepctl admin agent revoke gpu-7\n  sweepctl admin agent revoke 3f9a01c2"
    )]
    Revoke {
        /// Its host, its id, or the beginning of that
        agent: String,
    },
}

/// What can be done with the log.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditLog {
    /// Print it, oldest first, a JSON document a line
    #[command(after_help = "Examples:\n  sweepctl admin audit-log show --user ada --since 7d\n  \
            sweepctl admin audit-log show --method PutUser | jq -r .about")]
    Show(ShowLog),
    /// Check that nothing in it was changed, left out or put in
    #[command(
        after_help = "Prints the newest hash. Keep it somewhere else: with --head, a later run also proves that the end\n\
            was not cut off.\n\nExamples:\n  sweepctl admin audit-log verify --head 3f9a01c2..."
    )]
    Verify {
        /// A hash that an earlier run printed
        #[arg(long, value_name = "HASH")]
        head: Option<String>,
    },
}

/// What of the log is printed: what all of these hold for.
#[derive(Debug, Args)]
pub(crate) struct ShowLog {
    /// Only what this user did, `agent ID` or `unknown`
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// Only from then on: a time such as `2026-12-01T18:00:00Z`, or how long ago, e.g. `2h`
    #[arg(long, value_name = "WHEN", value_parser = when)]
    pub(crate) since: Option<When>,
    /// Only calls with this in the name of the method, capitals or not, e.g. `PutUser` or `sweeps.`
    #[arg(long, value_name = "TEXT")]
    pub(crate) method: Option<String>,
}

impl Admin {
    /// The output flags, if there are some.
    pub(crate) fn shape(&self) -> Option<&Shape> {
        match self {
            Self::User(User::List { shape })
            | Self::Token(Token::List { shape, .. })
            | Self::Agent(Agent::List { shape }) => Some(shape),
            Self::Maintenance(args) => Some(&args.shape),
            Self::Backup(args) => Some(&args.shape),
            Self::Fsck(args) => Some(&args.shape),
            Self::Notify(command) => Some(command.shape()),
            Self::Shares(Shares::Show(args)) => Some(&args.shape),
            Self::Shares(Shares::Set(args)) => Some(&args.shape),
            Self::Shares(Shares::Reserve(args)) => Some(&args.shape),
            Self::Shares(Shares::Release(args)) => Some(&args.shape),
            _ => None,
        }
    }
}

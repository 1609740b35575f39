//! Why the book is not changed: for people, and as a stable word.

use sweep_core::access::Role;
use sweep_core::id::AgentId;
use sweep_core::time::Span;

use super::book::{DAY, LONGEST, PROJECTS, RECORDS, User};

/// Why it was not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// A name that nobody can have.
    #[error("`{0}` cannot be a name: 1 to {LONGEST} of a-z, 0-9, `.`, `_` and `-`, beginning with a letter or digit")]
    Name(String),
    /// Too long a note, or one with control characters.
    #[error("a note has at most {LONGEST} letters and no control characters")]
    Note,
    /// Nobody is called so.
    #[error("there is no user `{0}`; `sweepctl admin user add {0}` makes one")]
    UserUnknown(String),
    /// They are here already, and stay as they are.
    #[error(
        "there is a user `{}` already, {}; `sweepctl admin user set {}` gives one another role or other projects",
        .0.name, .0.words(), .0.name
    )]
    UserKnown(Box<User>),
    /// Somebody else was called so, and what they left behind belongs to the name.
    #[error(
        "`{0}` was the name of somebody before: their sweeps, shares and use belong to whoever is called so; choose another name, or, \
         if the same person comes back or somebody is to have all of that, `sweepctl admin user add {0} --take-over`"
    )]
    UserLeft(String),
    /// There would be nobody to let anybody in.
    #[error("`{0}` is the last admin: make another one first")]
    LastAdmin(String),
    /// A token cannot do more than its user.
    #[error("`{user}` is {role}: a token cannot be more")]
    RoleTooGreat {
        /// Who.
        user: String,
        /// What they are.
        role: Role,
    },
    /// Longer than is good.
    #[error("a token of this kind is good for {} days at most", .0.0 / DAY.0)]
    LifeTooLong(Span),
    /// An admin has to say again that they may come in.
    #[error(
        "this token cannot be renewed further: a year has passed since an admin made the first; ask one for a new token"
    )]
    TokenOld,
    /// No such token.
    #[error("there is no token `{0}`; `sweepctl admin token list` shows them")]
    TokenUnknown(String),
    /// No such agent.
    #[error("agent {0} has not enrolled")]
    AgentUnknown(AgentId),
    /// It is a member: its place is not given away.
    #[error(
        "agent {0} has enrolled already; if it has lost its key, revoke it first (`sweepctl admin agent revoke {0}`)"
    )]
    AgentKnown(AgentId),
    /// More than fits.
    #[error("there are too many: {RECORDS} of a kind, {PROJECTS} projects of a user")]
    TooMany,
}

impl Denied {
    /// The stable word.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Name(_) | Self::Note => "name_invalid",
            Self::UserUnknown(_) => "user_unknown",
            Self::UserKnown(_) => "user_known",
            Self::UserLeft(_) => "user_left",
            Self::LastAdmin(_) => "last_admin",
            Self::RoleTooGreat { .. } => "role_too_great",
            Self::LifeTooLong(_) => "life_too_long",
            Self::TokenOld => "token_old",
            Self::TokenUnknown(_) => "token_unknown",
            Self::AgentUnknown(_) => "agent_not_enrolled",
            Self::AgentKnown(_) => "agent_enrolled",
            Self::TooMany => "too_many",
        }
    }
}

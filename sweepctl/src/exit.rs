//! The exit codes, which scripts rely on, and the page that explains them.

/// How `sweepctl` ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It did what was asked.
    Done,
    /// It failed.
    Failed,
    /// Wrong usage, or a sweep file that is not valid.
    Usage,
    /// No such sweep, trial or checkpoint.
    NotFound,
    /// Not logged in, or no longer.
    Login,
    /// The coordinator does not answer.
    Unreachable,
    /// The sweep is over, or as far as it can be, and not every trial has a result.
    Incomplete,
    /// The coordinator understood and refused.
    Refused,
    /// `--timeout` expired.
    TimedOut,
    /// Ctrl-C.
    Interrupted,
}

impl Exit {
    /// The number that the shell sees.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Login => 4,
            Self::Unreachable => 5,
            Self::Incomplete => 6,
            Self::Refused => 7,
            Self::TimedOut => 124,
            Self::Interrupted => 130,
        }
    }
}

/// `sweepctl help exit-codes`.
pub(crate) const EXIT_CODES: &str = "\
Exit codes of sweepctl:

    0  done
    1  failed: an error here or in the coordinator, or `audit` found a broken rule, or `dataset check` a problem
    2  wrong usage, or a sweep file that is missing, unreadable, not valid, or asks for a data set that no agent has
    3  no such sweep, trial, checkpoint or data set
    4  not logged in, or the token has expired or was revoked
    5  the coordinator does not answer
    6  trials failed or were cancelled (`watch`, `submit --watch`), or have no result (`audit`)
    7  the coordinator understood and refused
  124  --timeout expired
  130  interrupted with Ctrl-C

A closed pipe (`sweepctl plan grid.toml | head`) ends quietly with 0.";

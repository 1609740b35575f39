//! The arguments of `queue` and `admin shares`.

use clap::{Args, Subcommand};

use super::{Shape, When, time, when};

/// Arguments of `queue`.
#[derive(Debug, Args)]
pub(crate) struct Queue {
    #[command(flatten)]
    pub(crate) shape: Shape,
}

/// What can be done with shares.
#[derive(Debug, Subcommand)]
pub(crate) enum Shares {
    /// Show shares, quotas, and what was used
    #[command(after_help = "Examples:\n  sweepctl admin shares show\n  sweepctl admin shares show --all --json")]
    Show(SharesShow),
    /// Set the share or the quotas of a project or a user, slots of a host that nobody has to give up, or what
    /// holds for the whole lab
    #[command(after_help = "What is not given stays as it is. Nothing that runs is stopped by a quota.\n\n\
            Examples:\n  sweepctl admin shares set --project vision --share 2\n  \
            sweepctl admin shares set --user ann --slots 8 --device-hours 200\n  \
            sweepctl admin shares set --user ann --slots none\n  \
            sweepctl admin shares set --host gpu-7 --protected 2\n  \
            sweepctl admin shares set --half-life 7d --preempt-after 30m")]
    Set(SharesSet),
    /// Promise slots to a project for a time, e.g. before a deadline
    #[command(
        after_help = "While it lasts and the project has work, it comes before all others until it has so many slots;\n\
            others give way to it, with a checkpoint. What it does not use, others may. Quotas hold all the same.\n\n\
            Examples:\n  sweepctl admin shares reserve neurips --project vision --slots 6 --for 7d\n  \
            sweepctl admin shares reserve demo --project text --slots 2 --from 2026-12-01T18:00:00Z --for 12h --reason \"demo day\""
    )]
    Reserve(Reserve),
    /// Take a promise back
    #[command(after_help = "Examples:\n  sweepctl admin shares release neurips")]
    Release(Release),
}

/// Arguments of `admin shares reserve`.
#[derive(Debug, Args)]
pub(crate) struct Reserve {
    /// What it is called; one of the same name is replaced
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// Whose
    #[arg(long, value_name = "NAME")]
    pub(crate) project: String,
    /// How many slots at once
    #[arg(long, value_name = "N")]
    pub(crate) slots: u32,
    /// From when on: a time such as `2026-12-01T18:00:00Z`, or in how long, e.g. `2h` [default: now]
    #[arg(long, value_name = "WHEN", value_parser = when)]
    pub(crate) from: Option<When>,
    /// For how long, e.g. `12h` or `7d`
    #[arg(long = "for", value_name = "TIME", value_parser = time)]
    pub(crate) length: i64,
    /// What for
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(crate) reason: String,
    /// Also for a project that nobody is in yet, or more slots than the lab has
    #[arg(long)]
    pub(crate) new: bool,
    #[command(flatten)]
    pub(crate) shape: Shape,
}

/// Arguments of `admin shares release`.
#[derive(Debug, Args)]
pub(crate) struct Release {
    /// What it is called
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) shape: Shape,
}

/// Arguments of `admin shares show`.
#[derive(Debug, Args)]
pub(crate) struct SharesShow {
    /// Also reservations that have ended
    #[arg(long)]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) shape: Shape,
}

/// Arguments of `admin shares set`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("values").multiple(true).required(true)
    .args(["share", "slots", "device_hours", "storage", "open_trials", "protected", "half_life", "preempt_after"]))]
#[command(group = clap::ArgGroup::new("whose").args(["project", "user", "host"]))]
pub(crate) struct SharesSet {
    /// Of this project
    #[arg(long, value_name = "NAME", conflicts_with_all = ["user", "host"])]
    pub(crate) project: Option<String>,
    /// Of this user, in all projects
    #[arg(long, value_name = "NAME", conflicts_with = "host")]
    pub(crate) user: Option<String>,
    /// Of this host
    #[arg(long, value_name = "NAME", requires = "protected")]
    pub(crate) host: Option<String>,
    /// Its weight among others, 0 to 1000, e.g. 2 or 0.5; 0 gets only what nobody else can use [default: 1]
    #[arg(long, value_name = "WEIGHT", value_parser = share, conflicts_with = "host", requires = "whose")]
    pub(crate) share: Option<u32>,
    /// Most slots at once, or `none` [default: none]
    #[arg(long, value_name = "N", value_parser = quota, conflicts_with = "host", requires = "whose")]
    pub(crate) slots: Option<Quota>,
    /// Most device-hours in any seven days, or `none` [default: none]
    #[arg(long, value_name = "N", value_parser = quota, conflicts_with = "host", requires = "whose")]
    pub(crate) device_hours: Option<Quota>,
    /// Most checkpoints in the store, e.g. `500GB`, or `none` [default: none]; when there are as many, nothing new starts
    #[arg(long, value_name = "SIZE", value_parser = storage, conflicts_with = "host", requires = "whose")]
    pub(crate) storage: Option<Quota>,
    /// Most trials of a user that are not over, waiting ones included, or `none` for as many as anybody [default: 200000]; more are not taken
    #[arg(long, value_name = "N", value_parser = quota, conflicts_with_all = ["host", "project"], requires = "whose")]
    pub(crate) open_trials: Option<Quota>,
    /// Trials on so many of the host's first slots never have to give way [default: 0]
    #[arg(long, value_name = "N", requires = "host")]
    pub(crate) protected: Option<u32>,
    /// After so long, use counts half, e.g. `24h`, `7d` [default: 24h]
    #[arg(long, value_name = "TIME", value_parser = time, conflicts_with_all = ["project", "user", "host"])]
    pub(crate) half_life: Option<i64>,
    /// An attempt runs at least so long before it may have to give way, or `never` [default: 10m]
    #[arg(long, value_name = "TIME", value_parser = after, conflicts_with_all = ["project", "user", "host"])]
    pub(crate) preempt_after: Option<After>,
    /// Also of a project, a user or a host that the lab does not know yet
    #[arg(long, requires = "whose")]
    pub(crate) new: bool,
    #[command(flatten)]
    pub(crate) shape: Shape,
}

/// A number, or no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quota(pub(crate) Option<u32>);

/// Microseconds, or never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct After(pub(crate) Option<i64>);

/// `2`, `0.5` in thousandths.
fn share(text: &str) -> Result<u32, String> {
    let wrong = || "a share is 0 to 1000 with at most three decimals, e.g. 2 or 0.5".to_owned();
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || whole.len() > 4 || part.len() > 3 || !digits(whole) || !digits(part) {
        return Err(wrong());
    }
    format!("{whole}{part:0<3}").parse().map_err(|_| wrong())
}

pub(super) fn quota(text: &str) -> Result<Quota, String> {
    match text {
        "none" => Ok(Quota(None)),
        _ => text.parse().map(|most| Quota(Some(most))).map_err(|_| "a whole number, or `none`".to_owned()),
    }
}

/// Megabytes.
fn storage(text: &str) -> Result<Quota, String> {
    let bytes = sweep_core::device::memory(text).and_then(|bytes| u32::try_from(bytes / 1_000_000).ok());
    match (text, bytes) {
        ("none", _) => Ok(Quota(None)),
        (_, Some(megabytes)) => Ok(Quota(Some(megabytes))),
        (_, None) => Err("an amount such as `500GB` or `2TB`, or `none`".to_owned()),
    }
}

fn after(text: &str) -> Result<After, String> {
    match text {
        "never" => Ok(After(None)),
        _ => time(text).map(|time| After(Some(time))).map_err(|wrong| format!("{wrong}, or `never`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_people_do() {
        assert_eq!(["2", "0.5", "1.25", "0"].map(|text| share(text).unwrap()), [2000, 500, 1250, 0]);
        for text in ["", ".5", "-1", "1.2345", "12345", "x"] {
            assert!(share(text).is_err(), "{text}");
        }
        assert_eq!((storage("none"), storage("2TB")), (Ok(Quota(None)), Ok(Quota(Some(2_000_000)))));
        assert!(storage("2").is_err() && storage("much").is_err());
        assert_eq!((quota("none"), quota("8")), (Ok(Quota(None)), Ok(Quota(Some(8)))));
        assert_eq!((after("never"), after("90s")), (Ok(After(None)), Ok(After(Some(90_000_000)))));
        assert!(quota("-1").is_err() && after("soon").unwrap_err().contains("`2d`"));
    }
}

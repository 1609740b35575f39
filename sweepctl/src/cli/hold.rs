//! The arguments of `cordon`, `drain`, `quarantine`, `undrain` and `yield`: who keeps trials from slots and hosts.

use std::str::FromStr;

use clap::{Args, Subcommand};

use super::{Shape, When, duration, time, when};

/// What can be done with slots and hosts.
#[derive(Debug, Subcommand)]
pub(crate) enum Holding {
    /// Start nothing new on a slot or a host; what runs there runs to its end
    #[command(
        after_help = "Examples:\n  sweepctl cordon gpu-7 --reason 'driver update tonight'\n  sweepctl cordon gpu-7:2"
    )]
    Cordon(Hold),
    /// Empty a slot or a host: what runs there leaves and goes on elsewhere from its last checkpoint, uncharged
    #[command(after_help = "Examples:\n  sweepctl drain gpu-7 --reason 'new driver'\n  sweepctl drain gpu-7:2")]
    Drain(Hold),
    /// Trust a slot or a host no more: nothing new is started there
    #[command(after_help = "Examples:\n  sweepctl quarantine gpu-7:2 --reason 'ECC errors'")]
    Quarantine(Hold),
    /// Give a slot back to whoever the machine is for (admins only): its trial leaves at once, uncharged
    #[command(after_help = "Examples:\n  sweepctl yield desk-3:0\n  sweepctl yield desk-3:0 --for 2h")]
    Yield(Yield),
    /// Open a slot or a host again, however it was closed
    #[command(visible_aliases = ["uncordon", "unquarantine"])]
    #[command(
        after_help = "Lifts what cordon, drain, quarantine and yield have set; of a host, also on each of its slots.\n\n\
            Examples:\n  sweepctl undrain gpu-7\n  sweepctl undrain gpu-7:2"
    )]
    Undrain(Undrain),
}

impl Holding {
    /// The shape of its output.
    pub(crate) fn shape(&self) -> &Shape {
        match self {
            Self::Cordon(args) | Self::Drain(args) | Self::Quarantine(args) => &args.shape,
            Self::Yield(args) => &args.shape,
            Self::Undrain(args) => &args.shape,
        }
    }
}

/// Arguments of `cordon`, `drain` and `quarantine`.
#[derive(Debug, Args)]
pub(crate) struct Hold {
    /// A host, or one of its slots
    #[arg(value_name = "HOST[:SLOT]")]
    pub(crate) target: Place,
    /// Why, for everybody who waits
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) shape: Shape,
}

/// Arguments of `yield`.
#[derive(Debug, Args)]
pub(crate) struct Yield {
    /// A slot of a host, or the whole host
    #[arg(value_name = "HOST[:SLOT]")]
    pub(crate) target: Place,
    /// For so long, e.g. `90m`, `8h`, `2d`
    #[arg(long = "for", value_name = "TIME", default_value = "8h", value_parser = duration)]
    pub(crate) span: std::time::Duration,
    /// Why, for everybody who waits
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) shape: Shape,
}

/// Arguments of `undrain`.
#[derive(Debug, Args)]
pub(crate) struct Undrain {
    /// A host, or one of its slots
    #[arg(value_name = "HOST[:SLOT]")]
    pub(crate) target: Place,
    #[command(flatten)]
    pub(crate) shape: Shape,
}

/// Arguments of `admin maintenance`.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("what").args(["length", "cancel"])))]
pub(crate) struct Maintenance {
    /// A host, one of its slots, or `all`; without it, what is planned is listed
    #[arg(value_name = "HOST[:SLOT]|all", requires = "what")]
    pub(crate) target: Option<Place>,
    /// When it begins: a time such as `2026-12-01T18:00:00Z`, or in how long, e.g. `2h` [default: now]
    #[arg(long, value_name = "WHEN", value_parser = when, requires = "what")]
    pub(crate) from: Option<When>,
    /// For how long, e.g. `90m` or `2d`, at most 30 days
    #[arg(long = "for", value_name = "TIME", value_parser = time, requires = "target")]
    pub(crate) length: Option<i64>,
    /// Why, for everybody who waits
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) reason: String,
    /// Call all of it off, or end it before its time; with --from only the window that begins then, as the list shows it
    #[arg(long, requires = "target")]
    pub(crate) cancel: bool,
    #[command(flatten)]
    pub(crate) shape: Shape,
}

/// A host, or a slot of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) host: String,
    pub(crate) slot: Option<u32>,
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (host, slot) = match text.rsplit_once(':') {
            Some((host, slot)) => (host, Some(slot)),
            None => (text, None),
        };
        let number = slot.map(str::parse).transpose();
        match number {
            Ok(slot) if !host.is_empty() => Ok(Self { host: host.to_owned(), slot }),
            _ => Err("write HOST or HOST:SLOT, e.g. gpu-7 or gpu-7:2 (`sweepctl agents` lists them)".to_owned()),
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.slot {
            Some(slot) => write!(out, "{}:{slot}", self.host),
            None => write!(out, "{}", self.host),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_host_or_a_slot_of_it() {
        for text in ["gpu-7", "gpu-7:2"] {
            assert_eq!(text.parse::<Place>().unwrap().to_string(), text);
        }
        for wrong in ["", ":2", "gpu-7:two", "gpu-7:"] {
            assert!(wrong.parse::<Place>().is_err(), "{wrong}");
        }
    }
}

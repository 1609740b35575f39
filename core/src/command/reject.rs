//! Why the core refuses a command: the words for scripts and for people.

use crate::id::{AgentId, SweepId, TrialId};

/// Why the core refuses a command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reject {
    /// No sweep with that id.
    #[error("no sweep {0}")]
    SweepUnknown(SweepId),
    /// No trial with that id.
    #[error("no trial {0}")]
    TrialUnknown(TrialId),
    /// The plan has changed since it was worked out what is new.
    #[error("sweep {0} was extended meanwhile: ask again")]
    ExtendedMeanwhile(String),
    /// Nothing is left to be searched, or nobody wants it any more.
    #[error(
        "the search of sweep {0} is over: every point that can be tried was proposed, or the sweep was cancelled; submit another sweep"
    )]
    SearchOver(String),
    /// An agent must say hello before anything else.
    #[error("agent {0} has not said hello to this coordinator")]
    AgentUnknown(AgentId),
    /// The end of the journal was lost, and nobody has said how to go on.
    #[error("{0}")]
    SafeMode(String),
    /// No agent has what the sweep asks of a host or a device.
    #[error("{what} (--queue-anyway waits for one)")]
    NoPlace {
        /// What is missing, and what there is.
        what: String,
    },
    /// No agent on such a host.
    #[error("no host is called `{name}`{}{}", hosts_text(.known), nearest_text(.nearest))]
    HostUnknown {
        /// What was asked for.
        name: String,
        /// Those that there are.
        known: Vec<String>,
        /// The most similar of them.
        nearest: Option<String>,
    },
    /// Several agents on hosts of that name, or with an id that begins like that.
    #[error(
        "several agents are on hosts called `{name}` or have ids that begin like that: name one by its id: {}; in a lab, `sweepctl admin agent revoke ID` forgets one that is gone",
        .agents.join(", ")
    )]
    HostAmbiguous {
        /// The name.
        name: String,
        /// Their ids.
        agents: Vec<String>,
    },
    /// A host has no such slot.
    #[error("`{host}` has no slot {slot}: its slots are 0 to {last}")]
    SlotUnknown {
        /// Which host.
        host: String,
        /// What was asked for.
        slot: u32,
        /// The highest there is.
        last: u32,
    },
    /// The slot is held with its whole host.
    #[error("slot {slot} of `{host}` is held with the whole host, {what}: lift that with `sweepctl undrain {host}`")]
    HeldWhole {
        /// Which host.
        host: String,
        /// Which slot.
        slot: u32,
        /// How the host is held.
        what: String,
    },
    /// A project, a share, a quota or a limit that cannot be.
    #[error("{what} = {value} is not allowed: {fix}")]
    SettingInvalid {
        /// Which.
        what: &'static str,
        /// As it was given.
        value: String,
        /// What would be.
        fix: String,
    },
    /// A user has as many trials that are not over as one may have.
    #[error(
        "{user} has {open} trials that are not over, and {more} more would be over the {most} that one user may have: wait, cancel what is not \
         needed, or submit fewer; an admin sets more with `sweepctl admin shares set --user {user} --open-trials N`"
    )]
    TooManyOpen {
        /// Who.
        user: String,
        /// How many there are.
        open: u64,
        /// How many would come.
        more: u64,
        /// How many there may be.
        most: u32,
    },
    /// No connected agent has the data set.
    #[error("no agent has the data set `{name}`{}{}", known_text(.known), nearest_text(.nearest))]
    DatasetUnknown {
        /// What the sweep asks for.
        name: String,
        /// What the agents have.
        known: Vec<String>,
        /// The most similar of them.
        nearest: Option<String>,
    },
    /// An agent has the data set, but it cannot be used.
    #[error("data set `{name}` cannot be used: {problem}")]
    DatasetBroken {
        /// Which.
        name: String,
        /// Why, with the place to mend.
        problem: String,
    },
    /// A budget that no trial could use up on the data that there are.
    #[error(
        "stop.max_steps = {max_steps} is never used up: {images} training images of `{dataset}` are at most {steps} steps; lower it, or leave it out"
    )]
    StepsUseless {
        /// The value.
        max_steps: u64,
        /// Images there are at most.
        images: u64,
        /// Of which data set.
        dataset: String,
        /// Most steps of a trial.
        steps: u64,
    },
    /// A budget that ends every trial before its rule has compared anything.
    #[error(
        "stop.max_steps = {max_steps} ends every trial on `{dataset}` before `{rule}` compares anything: that is after epoch {epoch}, of {steps} steps at the least; raise it above {steps}, or use `rule = \"budget\"`"
    )]
    StepsTooFew {
        /// The value.
        max_steps: u64,
        /// On which data set.
        dataset: String,
        /// Every trial has taken so many by then.
        steps: u64,
        /// The rule.
        rule: &'static str,
        /// When it first compares.
        epoch: u32,
    },
    /// A batch would not fit into the data.
    #[error(
        "batch_size = {batch_size} is larger than the {images} training images of `{dataset}`; use at most {images}"
    )]
    BatchTooLarge {
        /// The value.
        batch_size: u64,
        /// Images there are.
        images: u64,
        /// Of which data set.
        dataset: String,
    },
}

impl Reject {
    /// The stable word for scripts.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::SweepUnknown(_) => "sweep_unknown",
            Self::TrialUnknown(_) => "trial_unknown",
            Self::ExtendedMeanwhile(_) => "extended_meanwhile",
            Self::SearchOver(_) => "extend_refused",
            Self::AgentUnknown(_) => "agent_unknown",
            Self::DatasetUnknown { .. } => "dataset_unknown",
            Self::DatasetBroken { .. } => "dataset_broken",
            Self::StepsUseless { .. } | Self::StepsTooFew { .. } => "stop_useless",
            Self::BatchTooLarge { .. } => "value_out_of_range",
            Self::SettingInvalid { .. } => "setting_invalid",
            Self::TooManyOpen { .. } => "quota_open_trials",
            Self::SafeMode(_) => "safe_mode",
            Self::NoPlace { .. } => "no_place",
            Self::HostUnknown { .. } => "host_unknown",
            Self::HostAmbiguous { .. } => "host_ambiguous",
            Self::SlotUnknown { .. } => "slot_unknown",
            Self::HeldWhole { .. } => "held_whole",
        }
    }
}

fn hosts_text(known: &[String]) -> String {
    match known {
        [] => "; no agent has called yet".to_owned(),
        some => format!("; there are: {}", some.join(", ")),
    }
}

fn known_text(known: &[String]) -> String {
    match known {
        [] => "; they have none".to_owned(),
        some => format!("; they have: {}", some.join(", ")),
    }
}

fn nearest_text(nearest: &Option<String>) -> String {
    nearest.as_ref().map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
}

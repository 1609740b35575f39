//! Everything anyone may ask of the core, and what it answers.

use std::sync::Arc;

use crate::attempt::EpochMetrics;
use crate::device::{HoldChange, Sighting};
use crate::evaluation::Score;
use crate::event::{AgentFacts, Checkpoint, Failure};
use crate::id::{AgentId, Lease, SweepId, TrialId};
use crate::origin::Origin;
use crate::plan::{Growth, Plan};
use crate::recipe::Numerics;
use crate::shares::{Change, Setting};

/// A wish that may change the state. Every one can be repeated without harm.
#[derive(Clone, Debug)]
pub enum Command {
    /// Run a plan.
    Submit(Submit),
    /// End every open trial of a sweep.
    CancelSweep {
        /// Which.
        sweep: SweepId,
        /// Who asks.
        user: String,
    },
    /// End one trial.
    CancelTrial {
        /// Which.
        trial: TrialId,
        /// Who asks.
        user: String,
    },
    /// Run failed trials again.
    RetrySweep {
        /// Which.
        sweep: SweepId,
        /// Who asks.
        user: String,
        /// Cancelled trials too.
        cancelled: bool,
    },
    /// Run more points, seeds or epochs of a sweep.
    Extend {
        /// Which.
        sweep: SweepId,
        /// Who asks.
        user: String,
        /// What is new.
        growth: Growth,
        /// Points of the plan that this was worked out for.
        points: u32,
        /// Seeds of it.
        seeds: u32,
    },
    /// Set shares or quotas.
    SetShares {
        /// Who asks.
        user: String,
        /// What is to be different.
        change: Change,
    },
    /// Keep trials from a slot or a host, or let them on it again.
    Hold {
        /// Who asks.
        user: String,
        /// Name of the host, or id of its agent.
        host: String,
        /// Which slot; all of them if it is absent.
        slot: Option<u32>,
        /// What is to be different.
        change: HoldChange,
    },
    /// What an agent sees on its devices. Only what follows from it is durable.
    Observe {
        /// Who.
        agent: AgentId,
        /// What.
        sighting: Sighting,
    },
    /// An agent starts or reconnects: what it is and which attempts it still holds.
    Hello {
        /// What it is.
        facts: AgentFacts,
        /// Attempts whose folders it has, running or ended but not yet acknowledged.
        held: Vec<Lease>,
    },
    /// An agent is alive. Changes nothing durable, except that a lease which it should know
    /// and does not is over.
    Heartbeat {
        /// Who.
        agent: AgentId,
        /// The leases it knows: running, or ended and not yet acknowledged.
        known: Vec<Lease>,
    },
    /// What happened to attempts of an agent, in order.
    Report {
        /// Who reports.
        agent: AgentId,
        /// What happened.
        effects: Vec<Effect>,
    },
}

/// Contents of [`Command::Submit`].
#[derive(Clone, Debug)]
pub struct Submit {
    /// Derived from the spec.
    pub sweep: SweepId,
    /// Who submits.
    pub user: String,
    /// What for.
    pub project: String,
    /// Every trial.
    pub plan: Arc<Plan>,
    /// Accept even if no agent knows the data set.
    pub queue_anyway: bool,
}

/// One thing that happened to an attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct Effect {
    /// Which attempt.
    pub lease: Lease,
    /// What.
    pub what: EffectKind,
}

/// What happened to an attempt.
#[derive(Clone, Debug, PartialEq)]
pub enum EffectKind {
    /// The trainer has chosen what to compute with, where its recipe left that open.
    Chosen(Numerics),
    /// The trainer got under way.
    Started(Box<Origin>),
    /// Epochs ended, in order of `seq`.
    Metrics(Vec<EpochMetrics>),
    /// A checkpoint was uploaded; the caller has verified that the blob is in the store.
    Checkpoint(Checkpoint),
    /// The attempt is over.
    Ended {
        /// Number of epoch lines the trainer wrote; must all be accepted before.
        final_seq: u64,
        /// How.
        how: Ending,
    },
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Ending {
    /// Trained to its end.
    Done {
        /// By patience, before the last epoch.
        early: bool,
        /// Hash of the final weights.
        weights: String,
        /// The test images, if there are any.
        test: Option<Box<Score>>,
    },
    /// Left because it was asked to or orphaned; goes on elsewhere unless cancelled.
    Stopped,
    /// Failed.
    Failed(Failure),
}

/// What the core answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// The sweep is in the journal under this name.
    Submitted {
        /// Its id.
        sweep: SweepId,
        /// Its unique name.
        name: String,
        /// It had been submitted before; nothing was changed.
        existing: bool,
    },
    /// The setting as it is now.
    Set(Setting),
    /// Done; how many trials it touched.
    Changed(u32),
    /// One verdict per attempt that the agent held.
    Welcome(Vec<Verdict>),
    /// One result per effect.
    Effects(Vec<EffectResult>),
    /// Noted.
    Noted,
    /// Refused; nothing was changed.
    Rejected(Reject),
}

/// What an agent should do with an attempt it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Its lease is alive: go on, report from here.
    Continue {
        /// Epoch reports accepted so far.
        acked_seq: u64,
    },
    /// Its lease is over: stop the trainer if it runs; nothing of it will be accepted.
    Fenced,
    /// The coordinator has never heard of it: stop it and keep all of its data.
    Unknown,
}

/// What became of one effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EffectResult {
    /// It is in the journal, now or from an earlier time it was sent.
    Accepted {
        /// Epoch reports accepted so far.
        acked_seq: u64,
    },
    /// Something before it is missing: send again from `acked_seq + 1`.
    Gap {
        /// Epoch reports accepted so far.
        acked_seq: u64,
    },
    /// The lease is over; drop it.
    Fenced,
}

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
    /// An agent must say hello before anything else.
    #[error("agent {0} has not said hello to this coordinator")]
    AgentUnknown(AgentId),
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
    /// Several agents on hosts of that name.
    #[error("several agents are on hosts called `{name}`: name one by its id: {}", .agents.join(", "))]
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
            Self::AgentUnknown(_) => "agent_unknown",
            Self::DatasetUnknown { .. } => "dataset_unknown",
            Self::DatasetBroken { .. } => "dataset_broken",
            Self::BatchTooLarge { .. } => "value_out_of_range",
            Self::SettingInvalid { .. } => "setting_invalid",
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

//! Everything anyone may ask of the core, and what it answers.

mod reject;

use std::sync::Arc;

use crate::attempt::EpochMetrics;
use crate::device::{HoldChange, Sighting};
use crate::evaluation::Score;
use crate::event::{AgentFacts, Checkpoint, Failure};
use crate::id::{AgentId, Lease, SweepId, TrialId};
use crate::lineage::Position;
use crate::origin::Origin;
use crate::plan::{Growth, Plan};
use crate::recipe::Numerics;
use crate::shares::{Change, Setting};
use crate::tuning::{Tuning, TuningPatch};

pub use reject::Reject;

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
        /// As of [`Submit`].
        queue_anyway: bool,
        /// As of [`Submit`].
        reuse: Vec<(u32, TrialId)>,
    },
    /// Change what decides how much a sweep gets.
    SetSweep {
        /// Which.
        sweep: SweepId,
        /// Who asks.
        user: String,
        /// What is to be different.
        patch: TuningPatch,
    },
    /// Let a sweep count on the share of another project from now on.
    MoveSweep {
        /// Which.
        sweep: SweepId,
        /// Who asks.
        user: String,
        /// Where to.
        project: String,
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
    /// An agent that may not come back: its trials are others', and it gets none until somebody trusts it again.
    Dismiss {
        /// Who asks.
        user: String,
        /// Which.
        agent: AgentId,
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
    /// A call of an agent that says how far it has seen the journal.
    Seen {
        /// How far.
        position: Position,
        /// What it says.
        command: Box<Command>,
    },
    /// A coordinator process begins to work; the first command of each.
    Start {
        /// Its version.
        build: String,
    },
    /// Go on without the end of the journal, which was lost.
    AcceptRollback {
        /// Who asks.
        user: String,
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
    /// Trials by their places in the plan that are not to be trained, with whose results they are to have.
    pub reuse: Vec<(u32, TrialId)>,
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
    /// What decides how much a sweep gets, as it is now.
    Tuned {
        /// All of it.
        tuning: Tuning,
        /// It was something else before.
        changed: bool,
    },
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
    /// Nothing is decided now: leave everything as it is.
    Hold,
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

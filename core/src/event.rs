//! Everything that ever happened. The journal is a list of these and the state is nothing but their
//! fold. Written as JSON; a field may be added with a default, never renamed or removed.

mod facts;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::attempt::{CheckpointKind, EpochMetrics, FailureClass};
use crate::device::{Closed, Hold, HoldKind, Occupant};
use crate::evaluation::Score;
use crate::id::{AgentId, Lease, SweepId, TrialId};
use crate::lineage::{Acceptance, Suspicion};
use crate::origin::Origin;
use crate::plan::{Growth, Plan};
use crate::recipe::Numerics;
use crate::search;
use crate::shares::{DEFAULT_PROJECT, DEVICE, Setting};
use crate::stopping::Judgement;
use crate::time::Timestamp;
use crate::tuning::Tuning;

pub use facts::{AgentFacts, DatasetFacts};

/// Version of the event format, kept in the journal's header.
pub const EVENT_VERSION: u32 = 1;

/// One fact. Everything about a running trial carries its lease.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Event {
    /// A user submitted a sweep; all its trials wait from now on.
    SweepSubmitted {
        /// Derived from the spec, see [`SweepId::derive`].
        sweep: SweepId,
        /// The unique name it goes by.
        name: String,
        /// Who submitted it.
        user: String,
        /// What for. Sweeps of before there were projects are in the default one.
        #[serde(default = "default_project")]
        project: String,
        /// Every trial, immutable from here on.
        #[serde(with = "shared_plan")]
        plan: Arc<Plan>,
    },
    /// A user wanted more of a sweep: what is new waits from now on.
    SweepExtended {
        /// Which.
        sweep: SweepId,
        /// Who asked.
        user: String,
        /// What is new.
        growth: Growth,
    },
    /// A user changed what decides how much a sweep gets. Nothing that runs is stopped by it.
    SweepSet {
        /// Which.
        sweep: SweepId,
        /// Who asked.
        user: String,
        /// All of what it is from now on.
        tuning: Tuning,
    },
    /// A user moved a sweep to another project. What it used so far stays with the one before; nothing that runs is stopped.
    SweepMoved {
        /// Which.
        sweep: SweepId,
        /// Who asked.
        user: String,
        /// Whose share and quotas it counts on from now on.
        project: String,
    },
    /// An agent process started, or came back with other slots or data.
    AgentJoined(AgentFacts),
    /// A trial was given to a slot.
    LeaseGranted {
        /// Trial and attempt; the attempt is one more than the trial's last.
        lease: Lease,
        /// Who runs it.
        agent: AgentId,
        /// Which of the agent's slots.
        slot: u32,
        /// The epoch of the checkpoint it goes on from; 0 means from the beginning.
        resume_epoch: u32,
        /// Fingerprint of the agent's copy of the data set, if the agent knows it. The first one of a
        /// sweep and data set decides: other copies get no trials of that sweep.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fingerprint: Option<String>,
        /// How much of the device it is given, in thousandths: less than all of it where trials share it.
        #[serde(default = "whole", skip_serializing_if = "is_whole")]
        share: u32,
    },
    /// An epoch's numbers were accepted.
    EpochReported {
        /// Under which lease.
        lease: Lease,
        /// The numbers; `seq` follows the last accepted one without a gap.
        metrics: EpochMetrics,
    },
    /// What a trial computes with, where its sweep leaves precision or layout open. It binds all trials of the
    /// sweep with the same [`crate::alike::key`].
    NumericsChosen {
        /// Whose probe it was.
        lease: Lease,
        /// What it found to be the fastest.
        numerics: Numerics,
    },
    /// A trainer got under way, and said something of itself, the images or the network that its sweep did not know.
    TrainerStarted {
        /// Which attempt.
        lease: Lease,
        /// What it said.
        origin: Box<Origin>,
    },
    /// A checkpoint is in the blob store and belongs to the trial.
    CheckpointKept {
        /// Under which lease.
        lease: Lease,
        /// What it is.
        checkpoint: Checkpoint,
    },
    /// The trial is finished.
    TrialCompleted {
        /// Under which lease.
        lease: Lease,
        /// Number of epoch reports of this attempt; all of them are in the journal.
        final_seq: u64,
        /// Ended by the recipe's patience.
        early: bool,
        /// Hash of the final weights.
        weights: String,
        /// The test images, if there are any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        test: Option<Box<Score>>,
    },
    /// A trial was not trained: an earlier sweep has the result of an identical one, and a user wanted that.
    TrialReused {
        /// Which.
        trial: TrialId,
        /// The one that was trained.
        origin: TrialId,
        /// Its sweep.
        of: SweepId,
        /// What trained it.
        program: String,
        /// The copy of the data set that it was trained on.
        fingerprint: String,
        /// What it computed with, where its recipe leaves that open.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        numerics: Option<Numerics>,
    },
    /// An attempt ended in a failure.
    AttemptFailed {
        /// Under which lease.
        lease: Lease,
        /// What kind.
        failure: Failure,
        /// When it is tried again; `None` means that the trial has failed for good.
        retry_at: Option<Timestamp>,
    },
    /// The coordinator took a lease back, or the agent ended it without a fault of the trial.
    LeaseLost {
        /// Which.
        lease: Lease,
        /// Why.
        cause: LossCause,
    },
    /// A trial's backoff is over; it waits again.
    RetryDue {
        /// Which.
        trial: TrialId,
    },
    /// A user cancelled a sweep. Waiting trials end at once, running ones when their agent says so.
    SweepCancelled {
        /// Which.
        sweep: SweepId,
        /// Who asked.
        user: String,
    },
    /// A user cancelled one trial.
    TrialCancelled {
        /// Which.
        trial: TrialId,
        /// Who asked.
        user: String,
    },
    /// Trials of a sweep failed one after the other: no more are started until a user retries it.
    SweepSuspended {
        /// Which sweep.
        sweep: SweepId,
        /// Whose failures were too many.
        trials: Vec<TrialId>,
    },
    /// A user asked to run the failed (and, if said so, the cancelled) trials of a sweep again.
    SweepRetried {
        /// Which.
        sweep: SweepId,
        /// Who asked.
        user: String,
        /// Cancelled trials too.
        cancelled: bool,
    },
    /// A running trial has to give its slot up to a sweep whose owner is below its share. It stops like
    /// a cancelled one, then waits again and goes on from its last checkpoint; nothing is charged to it.
    TrialPreempted {
        /// Which attempt.
        lease: Lease,
        /// Who gets the slot, if nobody else comes before.
        sweep: SweepId,
    },
    /// Early stopping: what is decided about a configuration, all of its seeds together.
    PointJudged {
        /// Of which sweep.
        sweep: SweepId,
        /// The point of its plan.
        point: u32,
        /// What, and why.
        judgement: Judgement,
    },
    /// Model-based search: the next point of a sweep; its trials wait from now on.
    PointProposed {
        /// Of which sweep.
        sweep: SweepId,
        /// Its number: the plan had so many.
        point: u32,
        /// What it is; what is not named stays as in the base.
        settings: Vec<search::Setting>,
        /// From the results of how many points it was chosen; 0 means that it was drawn at random.
        from: u32,
    },
    /// A search found no point that is new and can be tried: there will be no more.
    SearchEnded {
        /// Of which sweep.
        sweep: SweepId,
    },
    /// A running trial has to give its slot up, with the checkpoint to go on from later: it waits at a rung, or its
    /// configuration was stopped. It stops like a cancelled one, and nothing is charged to it.
    TrialHalted {
        /// Which attempt.
        lease: Lease,
        /// The epoch of the checkpoint.
        epoch: u32,
    },
    /// A running trial has to leave its slot, which is drained, given back, or outside of its guest hours. As
    /// with [`Event::TrialPreempted`], nothing is charged to it.
    TrialEvicted {
        /// Which attempt.
        lease: Lease,
        /// Why, for people.
        why: String,
    },
    /// Trials are kept from a slot, or from a whole host.
    SlotHeld {
        /// Whose.
        agent: AgentId,
        /// Which; all if it is absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        slot: Option<u32>,
        /// How, by whom and why.
        hold: Hold,
    },
    /// What was held is open again.
    HoldsLifted {
        /// Whose.
        agent: AgentId,
        /// Which; the host and all of its slots if it is absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        slot: Option<u32>,
        /// Who lifted it.
        user: String,
        /// Only holds of this kind; all if it is absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        kind: Option<HoldKind>,
        /// Only what begins then, if that is said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<Timestamp>,
    },
    /// Processes that are not ours came to a device, others came, or all have been gone for a while.
    DeviceBusy {
        /// Whose.
        agent: AgentId,
        /// The lasting id of the device.
        device: String,
        /// All of them; none: it is free.
        by: Vec<Occupant>,
    },
    /// The guest hours of a host ended, or began.
    GuestHours {
        /// Whose.
        agent: AgentId,
        /// Absent: it is open.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        closed: Option<Closed>,
    },
    /// A coordinator process began to work on the journal, before anything else of it.
    CoordinatorStarted {
        /// Which of all the times this is: what it did is in this journal only if this event is.
        run: Uuid,
        /// Its version.
        build: String,
    },
    /// The end of the journal is taken for lost: nothing is decided from now on.
    RollbackSuspected(Suspicion),
    /// An admin goes on without it.
    RollbackAccepted(Acceptance),
    /// An administrator set shares or quotas.
    SharesSet {
        /// Who.
        user: String,
        /// All of what it is from now on.
        setting: Setting,
    },
}

fn whole() -> u32 {
    DEVICE as u32
}

fn is_whole(share: &u32) -> bool {
    *share == whole()
}

fn default_project() -> String {
    DEFAULT_PROJECT.to_owned()
}

/// A checkpoint in the blob store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// Newest or best.
    pub kind: CheckpointKind,
    /// The epoch it was taken after.
    pub epoch: u32,
    /// Epoch reports of this attempt up to here are contained in it.
    pub seq: u64,
    /// SHA-256 of the file: its name in the blob store.
    pub sha256: String,
    /// Its length.
    pub bytes: u64,
}

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// Decides about a retry.
    pub class: FailureClass,
    /// A stable word for scripts.
    pub reason: String,
    /// For people.
    pub message: String,
}

/// Why a lease ended without a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LossCause {
    /// The agent was silent for longer than the lease time and another host can take over.
    Expired,
    /// The agent came back without this attempt.
    Forgotten,
    /// The trainer left because it was asked to, or because its agent was gone.
    Stopped,
    /// The slot no longer exists.
    SlotGone,
}

/// A shared plan is written as the plan.
pub(crate) mod shared_plan {
    use super::{Arc, Deserialize, Plan, Serialize};

    pub(crate) fn serialize<S: serde::Serializer>(plan: &Arc<Plan>, serializer: S) -> Result<S::Ok, S::Error> {
        plan.as_ref().serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Arc<Plan>, D::Error> {
        Plan::deserialize(deserializer).map(Arc::new)
    }
}

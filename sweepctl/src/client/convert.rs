//! Generated types into plain values. Total: what a newer coordinator adds is passed over, and what
//! an older one leaves out is empty.

use sweep_core::attempt::EpochMetrics;
use sweep_core::cost::EpochCost;
use sweep_core::evaluation::Score;
use sweep_core::num::Num;
use sweep_proto::v1;

use crate::view::machines::{DeviceView, HoldView, OfferView};
use crate::view::{
    AgentView, BoundView, ChangedView, CheckpointView, DatasetView, EpochView, ExtendedView, FailureView, InfoView,
    OriginView, PageView, ReusableView, SlotView, SubmittedView, SweepView, TrialPageView, TrialView,
};

/// An id as text; empty when there is none.
pub(super) fn id(bytes: &[u8]) -> String {
    uuid::Uuid::from_slice(bytes).map_or_else(|_| String::new(), |id| id.simple().to_string())
}

fn filled(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

impl From<v1::InfoReply> for InfoView {
    fn from(reply: v1::InfoReply) -> Self {
        let v1::InfoReply { build, protocol, data_dir, sweeps, agents, now, safe_mode } = reply;
        Self { build, protocol, data_dir, sweeps, agents, now, safe_mode }
    }
}

impl From<v1::SubmitReply> for SubmittedView {
    fn from(reply: v1::SubmitReply) -> Self {
        let v1::SubmitReply { sweep_id, name, existing, trials, reused, reusable } = reply;
        let reusable = reusable.into_iter().map(ReusableView::from).collect();
        Self { sweep: id(&sweep_id), name, existing, trials, reused, reusable }
    }
}

impl ExtendedView {
    /// What was added, or would be.
    pub(super) fn of(reply: v1::ExtendReply, dry_run: bool) -> Self {
        Self {
            name: reply.name,
            trials: reply.trials,
            points: reply.points,
            seeds: reply.seeds,
            dry_run,
            goes_on: reply.goes_on,
            follows_length: reply.follows_length,
            unfinished: reply.unfinished,
            no_shorter: reply.no_shorter,
            reused: reply.reused,
            reusable: reply.reusable.into_iter().map(ReusableView::from).collect(),
        }
    }
}

impl From<v1::Reusable> for ReusableView {
    fn from(from: v1::Reusable) -> Self {
        Self { sweep: from.sweep, trials: from.trials }
    }
}

impl From<v1::ChangeReply> for ChangedView {
    fn from(reply: v1::ChangeReply) -> Self {
        Self { name: reply.name, trials: reply.trials }
    }
}

impl From<v1::SweepSummary> for SweepView {
    fn from(summary: v1::SweepSummary) -> Self {
        Self {
            sweep: id(&summary.sweep_id),
            name: summary.name,
            user: summary.user,
            project: summary.project,
            priority: summary.priority,
            max_parallel: summary.max_parallel,
            status: summary.status,
            submitted: summary.submitted,
            ended: summary.ended,
            trials: summary.trials,
            waiting: summary.waiting,
            running: summary.running,
            backoff: summary.backoff,
            paused: summary.paused,
            stopped: summary.stopped,
            reused: summary.reused,
            probe_steps: summary.probe_steps,
            completed: summary.completed,
            failed: summary.failed,
            cancelled: summary.cancelled,
            best_accuracy: summary.best_accuracy.map(Num),
            best_trial: filled(id(&summary.best_trial_id)),
            eta_seconds: summary.eta_seconds.filter(|eta| eta.is_finite()),
        }
    }
}

impl From<v1::EpochMetrics> for EpochView {
    fn from(metrics: v1::EpochMetrics) -> Self {
        let told = EpochMetrics::from(&metrics);
        let cost = metrics.cost.as_ref().map(EpochCost::from);
        Self {
            epoch: metrics.epoch,
            train_loss: told.train_loss,
            train_accuracy: told.train_accuracy,
            val_loss: told.val_loss,
            val_accuracy: told.val_accuracy,
            lr: told.lr,
            images_per_s: told.images_per_s,
            seconds: told.seconds,
            train_top5: metrics.train_top5.map(Num),
            val_top5: metrics.val_top5.map(Num),
            step_ms: cost.as_ref().map(|cost| cost.step_ms),
            data_wait: cost.as_ref().map(|cost| cost.data_wait),
            peak_memory: cost.as_ref().and_then(|cost| cost.peak_memory),
            energy: cost.as_ref().and_then(|cost| cost.energy),
            numerics: cost.and_then(|cost| cost.numerics),
        }
    }
}

impl From<v1::Checkpoint> for CheckpointView {
    fn from(checkpoint: v1::Checkpoint) -> Self {
        Self { epoch: checkpoint.epoch, sha256: checkpoint.sha256, bytes: checkpoint.bytes }
    }
}

impl From<v1::TrialSummary> for TrialView {
    fn from(trial: v1::TrialSummary) -> Self {
        let slot = (!trial.host.is_empty()).then_some(trial.slot);
        let failure =
            FailureView { class: trial.failure_class, reason: trial.failure_reason, message: trial.failure_message };
        Self {
            trial: id(&trial.trial_id),
            index: trial.index,
            labels: trial.labels,
            seed: trial.seed,
            phase: trial.phase,
            attempt: trial.attempt,
            epoch: trial.epoch,
            epochs: trial.epochs,
            last: trial.last.map(EpochView::from),
            best: trial.best.map(EpochView::from),
            host: filled(trial.host),
            slot,
            failure: (!failure.reason.is_empty() || !failure.class.is_empty()).then_some(failure),
            best_checkpoint: trial.best_checkpoint.map(CheckpointView::from),
            last_checkpoint: trial.last_checkpoint.map(CheckpointView::from),
            weights: filled(trial.weights),
            seconds: if trial.seconds.is_finite() { trial.seconds } else { 0.0 },
            early: trial.early,
            why: (!trial.why.is_empty()).then_some(trial.why),
            test: trial.test.as_ref().map(Score::from),
            test_kept_back: false,
            origin: filled(id(&trial.origin_trial)).map(|from| OriginView { trial: from, sweep: trial.origin_sweep }),
        }
    }
}

impl From<v1::ShowReply> for PageView {
    fn from(reply: v1::ShowReply) -> Self {
        Self {
            summary: SweepView::from(reply.summary.unwrap_or_default()),
            paths: reply.paths,
            notes: reply.notes,
            datasets: reply.datasets.into_iter().map(BoundView::from).collect(),
            waits: reply.waits,
            matching: reply.matching,
            trials: reply.trials.into_iter().map(TrialView::from).collect(),
        }
    }
}

impl From<v1::ShowTrialReply> for TrialPageView {
    fn from(reply: v1::ShowTrialReply) -> Self {
        let recipe = serde_json::from_str(&reply.recipe_json);
        Self {
            sweep: id(&reply.sweep_id),
            sweep_name: reply.sweep_name,
            paths: reply.paths,
            recipe: recipe.unwrap_or(serde_json::Value::String(reply.recipe_json)),
            dataset: reply.dataset.map(BoundView::from),
            trial: TrialView::from(reply.trial.unwrap_or_default()),
            curve: reply.curve.into_iter().map(EpochView::from).collect(),
        }
    }
}

impl From<v1::AgentSummary> for AgentView {
    fn from(agent: v1::AgentSummary) -> Self {
        let seen = |id: &str| agent.devices.iter().find(|seen| seen.id == id);
        let offered = agent.offer.iter().flat_map(|offer| &offer.devices);
        let given = |device: &v1::Device| {
            let slot = |slot: &u32| agent.slots.get(*slot as usize).map_or(0, |slot| slot.share);
            device.slots.iter().map(slot).sum()
        };
        let devices = offered.map(|device| DeviceView::new(device, given(device), seen(&device.id))).collect();
        Self {
            agent: id(&agent.agent_id),
            host: agent.host,
            status: agent.status,
            last_seen: agent.last_seen,
            slots: agent.slots.into_iter().map(SlotView::from).collect(),
            datasets: agent.datasets,
            data: agent.data.into_iter().map(DatasetView::from).collect(),
            notes: agent.notes,
            offer: agent.offer.as_ref().map(OfferView::from).unwrap_or_default(),
            devices,
            holds: agent.holds.into_iter().map(HoldView::from).collect(),
        }
    }
}

impl From<v1::BoundDataset> for BoundView {
    fn from(bound: v1::BoundDataset) -> Self {
        Self { name: bound.name, fingerprint: filled(bound.fingerprint) }
    }
}

impl From<v1::Dataset> for DatasetView {
    fn from(dataset: v1::Dataset) -> Self {
        Self {
            name: dataset.name,
            path: filled(dataset.path),
            layout: filled(dataset.layout),
            classes: dataset.classes,
            train_images: dataset.train_images,
            val_images: dataset.val_images,
            fingerprint: filled(dataset.fingerprint),
            problem: filled(dataset.problem),
        }
    }
}

impl From<v1::SlotSummary> for SlotView {
    fn from(slot: v1::SlotSummary) -> Self {
        let trial = filled(id(&slot.trial_id));
        Self {
            what: slot.what,
            attempt: trial.is_some().then_some(slot.attempt),
            trial,
            sweep: filled(slot.sweep_name),
            since: slot.since,
            share: (slot.share > 0).then_some(slot.share),
            closed: filled(slot.closed),
            why: filled(slot.why),
            until: slot.until,
        }
    }
}

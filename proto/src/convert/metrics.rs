//! Epoch numbers and checkpoints. Doubles cross by their bits, so NaN is what it was.

use sweep_core::attempt::{CheckpointKind, EpochMetrics, Top5};
use sweep_core::cost::{Energy, EpochCost};
use sweep_core::evaluation::Score;
use sweep_core::event::Checkpoint;
use sweep_core::num::Num;

use super::{ConvertError, ConvertReason};
use crate::v1;

impl From<&EpochMetrics> for v1::EpochMetrics {
    fn from(metrics: &EpochMetrics) -> Self {
        Self {
            seq: metrics.seq,
            epoch: metrics.epoch,
            train_loss: metrics.train_loss.0,
            train_accuracy: metrics.train_accuracy.0,
            val_loss: metrics.val_loss.0,
            val_accuracy: metrics.val_accuracy.0,
            lr: metrics.lr.0,
            images_per_s: metrics.images_per_s.0,
            seconds: metrics.seconds.0,
            train_top5: metrics.top5.map(|top5| top5.train.0),
            val_top5: metrics.top5.map(|top5| top5.val.0),
            cost: metrics.cost.as_deref().map(v1::EpochCost::from),
        }
    }
}

impl From<&v1::EpochMetrics> for EpochMetrics {
    fn from(metrics: &v1::EpochMetrics) -> Self {
        Self {
            seq: metrics.seq,
            epoch: metrics.epoch,
            train_loss: Num(metrics.train_loss),
            train_accuracy: Num(metrics.train_accuracy),
            val_loss: Num(metrics.val_loss),
            val_accuracy: Num(metrics.val_accuracy),
            lr: Num(metrics.lr),
            images_per_s: Num(metrics.images_per_s),
            seconds: Num(metrics.seconds),
            top5: metrics
                .train_top5
                .zip(metrics.val_top5)
                .map(|(train, val)| Top5 { train: Num(train), val: Num(val) }),
            cost: metrics.cost.as_ref().map(|cost| Box::new(cost.into())),
        }
    }
}

impl From<&EpochCost> for v1::EpochCost {
    fn from(cost: &EpochCost) -> Self {
        let energy = cost.energy.map(|energy| v1::Energy {
            cpu: energy.cpu.map(|joules| joules.0),
            gpu: energy.gpu.map(|joules| joules.0),
            idle: energy.idle.map(|joules| joules.0),
        });
        let numerics = cost.numerics.clone();
        Self {
            step_ms: cost.step_ms.0,
            data_wait: cost.data_wait.0,
            peak_memory: cost.peak_memory,
            energy,
            numerics,
            device_memory: cost.device_memory,
        }
    }
}

impl From<&v1::EpochCost> for EpochCost {
    fn from(cost: &v1::EpochCost) -> Self {
        let energy = cost.energy.as_ref().map(|energy| Energy {
            cpu: energy.cpu.map(Num),
            gpu: energy.gpu.map(Num),
            idle: energy.idle.map(Num),
        });
        Self {
            step_ms: Num(cost.step_ms),
            data_wait: Num(cost.data_wait),
            peak_memory: cost.peak_memory,
            device_memory: cost.device_memory,
            numerics: cost.numerics.clone(),
            energy,
        }
    }
}

impl From<&Score> for v1::Score {
    fn from(score: &Score) -> Self {
        Self {
            epoch: score.epoch,
            images: score.images,
            loss: score.loss.0,
            accuracy: score.accuracy.0,
            top5: score.top5.map(|top5| top5.0),
        }
    }
}

impl From<&v1::Score> for Score {
    fn from(score: &v1::Score) -> Self {
        Self {
            epoch: score.epoch,
            images: score.images,
            loss: Num(score.loss),
            accuracy: Num(score.accuracy),
            top5: score.top5.map(Num),
        }
    }
}

impl From<CheckpointKind> for v1::CheckpointKind {
    fn from(kind: CheckpointKind) -> Self {
        match kind {
            CheckpointKind::Last => Self::Last,
            CheckpointKind::Best => Self::Best,
        }
    }
}

impl From<&Checkpoint> for v1::Checkpoint {
    fn from(checkpoint: &Checkpoint) -> Self {
        Self {
            kind: v1::CheckpointKind::from(checkpoint.kind).into(),
            epoch: checkpoint.epoch,
            seq: checkpoint.seq,
            sha256: checkpoint.sha256.clone(),
            bytes: checkpoint.bytes,
        }
    }
}

impl TryFrom<&v1::Checkpoint> for Checkpoint {
    type Error = ConvertError;
    fn try_from(checkpoint: &v1::Checkpoint) -> Result<Self, ConvertError> {
        let kind = match checkpoint.kind() {
            v1::CheckpointKind::Last => CheckpointKind::Last,
            v1::CheckpointKind::Best => CheckpointKind::Best,
            v1::CheckpointKind::Unspecified => {
                return Err(ConvertError::new("checkpoint.kind", ConvertReason::UnknownValue));
            }
        };
        let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if checkpoint.sha256.len() != 64 || !checkpoint.sha256.bytes().all(digit) {
            return Err(ConvertError::new("checkpoint.sha256", ConvertReason::NotADigest));
        }
        Ok(Self {
            kind,
            epoch: checkpoint.epoch,
            seq: checkpoint.seq,
            sha256: checkpoint.sha256.clone(),
            bytes: checkpoint.bytes,
        })
    }
}

/// A checkpoint that may be absent.
///
/// # Errors
/// When it is there and wrong.
pub fn checkpoint(checkpoint: Option<&v1::Checkpoint>) -> Result<Option<Checkpoint>, ConvertError> {
    checkpoint.map(Checkpoint::try_from).transpose()
}

//! Epoch numbers and checkpoints. Doubles cross by their bits: NaN is what it was, and so is a negative zero, which a field
//! that is always there would lose.

use sweep_core::attempt::{CheckpointKind, EpochMetrics, Top5};
use sweep_core::cost::{Energy, EpochCost, Part};
use sweep_core::evaluation::Score;
use sweep_core::event::Checkpoint;
use sweep_core::num::Num;

use super::{ConvertError, ConvertReason};
use crate::v1;

fn number(value: Option<f64>) -> Num {
    Num(value.unwrap_or_default())
}

impl From<&EpochMetrics> for v1::EpochMetrics {
    fn from(metrics: &EpochMetrics) -> Self {
        Self {
            seq: metrics.seq,
            epoch: metrics.epoch,
            train_loss: Some(metrics.train_loss.0),
            train_accuracy: Some(metrics.train_accuracy.0),
            val_loss: Some(metrics.val_loss.0),
            val_accuracy: Some(metrics.val_accuracy.0),
            lr: Some(metrics.lr.0),
            images_per_s: Some(metrics.images_per_s.0),
            seconds: Some(metrics.seconds.0),
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
            train_loss: number(metrics.train_loss),
            train_accuracy: number(metrics.train_accuracy),
            val_loss: number(metrics.val_loss),
            val_accuracy: number(metrics.val_accuracy),
            lr: number(metrics.lr),
            images_per_s: number(metrics.images_per_s),
            seconds: number(metrics.seconds),
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
            step_ms: Some(cost.step_ms.0),
            data_wait: Some(cost.data_wait.0),
            peak_memory: cost.peak_memory,
            own_memory: cost.own_memory,
            energy,
            numerics,
            device_memory: cost.device_memory,
            steps: cost.steps,
            part: cost.part.map(|part| v1::EpochPart {
                steps: part.steps,
                of_steps: part.of_steps,
                seconds: Some(part.seconds.0),
                val_images: part.val_images,
                of_val_images: part.of_val_images,
                val_seconds: Some(part.val_seconds.0),
            }),
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
            step_ms: number(cost.step_ms),
            data_wait: number(cost.data_wait),
            peak_memory: cost.peak_memory,
            own_memory: cost.own_memory,
            device_memory: cost.device_memory,
            steps: cost.steps,
            part: cost.part.as_ref().map(|part| Part {
                steps: part.steps,
                of_steps: part.of_steps,
                seconds: number(part.seconds),
                val_images: part.val_images,
                of_val_images: part.of_val_images,
                val_seconds: number(part.val_seconds),
            }),
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
            loss: Some(score.loss.0),
            accuracy: Some(score.accuracy.0),
            top5: score.top5.map(|top5| top5.0),
        }
    }
}

impl From<&v1::Score> for Score {
    fn from(score: &v1::Score) -> Self {
        Self {
            epoch: score.epoch,
            images: score.images,
            loss: number(score.loss),
            accuracy: number(score.accuracy),
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

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    /// Found by `sweep-model 1`: a field that is always there leaves out what equals zero.
    #[test]
    fn every_number_crosses_by_its_bits() {
        for bits in [0.0_f64.to_bits(), (-0.0_f64).to_bits(), 0xfff8_0000_0000_0123, f64::NEG_INFINITY.to_bits()] {
            let metrics = EpochMetrics::uniform(1, 1, Num(f64::from_bits(bits)));
            let wire = v1::EpochMetrics::from(&metrics).encode_to_vec();
            let back = v1::EpochMetrics::decode(wire.as_slice()).unwrap();
            assert_eq!(EpochMetrics::from(&back), metrics);
        }
        assert_eq!(EpochMetrics::from(&v1::EpochMetrics::default()), EpochMetrics::uniform(0, 0, Num(0.0)));
    }
}

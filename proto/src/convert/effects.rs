//! What agents report, and what becomes of it.

use sweep_core::attempt::{EpochMetrics, FailureClass};
use sweep_core::command::{Effect, EffectKind, EffectResult, Ending};
use sweep_core::event::Failure;
use sweep_core::origin::Origin;

use super::{ConvertError, ConvertReason, lease};
use crate::v1;
use crate::v1::effect::What;
use crate::v1::effect_result::Kind;
use crate::v1::ended::How;

impl From<&Effect> for v1::Effect {
    fn from(effect: &Effect) -> Self {
        let what = match &effect.what {
            EffectKind::Metrics(epochs) => {
                What::Metrics(v1::Metrics { epochs: epochs.iter().map(v1::EpochMetrics::from).collect() })
            }
            EffectKind::Chosen(numerics) => What::Chosen((*numerics).into()),
            EffectKind::Started(origin) => What::Started(origin.as_ref().clone().into()),
            EffectKind::Checkpoint(checkpoint) => What::Checkpoint(checkpoint.into()),
            EffectKind::Ended { final_seq, how } => {
                What::Ended(v1::Ended { final_seq: *final_seq, how: Some(how.into()) })
            }
        };
        Self { lease: Some(effect.lease.into()), what: Some(what) }
    }
}

impl TryFrom<&v1::Effect> for Effect {
    type Error = ConvertError;
    fn try_from(effect: &v1::Effect) -> Result<Self, ConvertError> {
        let what = match effect.what.as_ref().ok_or(ConvertError::missing("effect.what"))? {
            What::Metrics(metrics) => EffectKind::Metrics(metrics.epochs.iter().map(EpochMetrics::from).collect()),
            What::Chosen(numerics) => EffectKind::Chosen(numerics.try_into()?),
            What::Started(origin) => EffectKind::Started(Box::new(origin.clone().into())),
            What::Checkpoint(checkpoint) => EffectKind::Checkpoint(checkpoint.try_into()?),
            What::Ended(ended) => {
                let how = ended.how.as_ref().ok_or(ConvertError::missing("ended.how"))?;
                EffectKind::Ended { final_seq: ended.final_seq, how: how.try_into()? }
            }
        };
        Ok(Self { lease: lease(effect.lease.as_ref())?, what })
    }
}

impl From<Origin> for v1::Origin {
    fn from(origin: Origin) -> Self {
        let Origin { build, engine, hardware, parameters, train_images, val_images, classes, data } = origin;
        Self { build, engine, hardware, parameters, train_images, val_images, classes, data }
    }
}

impl From<v1::Origin> for Origin {
    fn from(origin: v1::Origin) -> Self {
        let v1::Origin { build, engine, hardware, parameters, train_images, val_images, classes, data } = origin;
        Self { build, engine, hardware, parameters, train_images, val_images, classes, data }
    }
}

impl From<&Ending> for How {
    fn from(how: &Ending) -> Self {
        match how {
            Ending::Done { early, weights, test } => Self::Done(v1::Done {
                early: *early,
                weights: weights.clone(),
                test: test.as_deref().map(v1::Score::from),
            }),
            Ending::Stopped => Self::Stopped(v1::Stopped {}),
            Ending::Failed(failure) => Self::Failed(v1::Failure {
                class: failure.class.as_str().to_owned(),
                reason: failure.reason.clone(),
                message: failure.message.clone(),
            }),
        }
    }
}

impl TryFrom<&How> for Ending {
    type Error = ConvertError;
    fn try_from(how: &How) -> Result<Self, ConvertError> {
        Ok(match how {
            How::Done(done) => Self::Done {
                early: done.early,
                weights: done.weights.clone(),
                test: done.test.as_ref().map(|score| Box::new(score.into())),
            },
            How::Stopped(_) => Self::Stopped,
            How::Failed(failure) => Self::Failed(Failure {
                class: class(&failure.class)?,
                reason: failure.reason.clone(),
                message: failure.message.clone(),
            }),
        })
    }
}

fn class(word: &str) -> Result<FailureClass, ConvertError> {
    const ALL: [FailureClass; 7] = [
        FailureClass::Recipe,
        FailureClass::Data,
        FailureClass::Diverged,
        FailureClass::OutOfMemory,
        FailureClass::Device,
        FailureClass::Host,
        FailureClass::Crash,
    ];
    let found = ALL.into_iter().find(|class| class.as_str() == word);
    found.ok_or(ConvertError::new("failure.class", ConvertReason::UnknownValue))
}

impl From<EffectResult> for v1::EffectResult {
    fn from(result: EffectResult) -> Self {
        let (kind, acked_seq) = match result {
            EffectResult::Accepted { acked_seq } => (Kind::Accepted, acked_seq),
            EffectResult::Gap { acked_seq } => (Kind::Gap, acked_seq),
            EffectResult::Fenced => (Kind::Fenced, 0),
        };
        Self { kind: kind.into(), acked_seq }
    }
}

impl TryFrom<v1::EffectResult> for EffectResult {
    type Error = ConvertError;
    fn try_from(result: v1::EffectResult) -> Result<Self, ConvertError> {
        let acked_seq = result.acked_seq;
        match result.kind() {
            Kind::Accepted => Ok(Self::Accepted { acked_seq }),
            Kind::Gap => Ok(Self::Gap { acked_seq }),
            Kind::Fenced => Ok(Self::Fenced),
            Kind::Unspecified => Err(ConvertError::new("result.kind", ConvertReason::UnknownValue)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sweep_core::attempt::{CheckpointKind, Top5};
    use sweep_core::cost::{Energy, EpochCost, Part};
    use sweep_core::evaluation::Score;
    use sweep_core::event::Checkpoint;
    use sweep_core::id::{Lease, SweepId, TrialId};
    use sweep_core::num::Num;
    use sweep_core::recipe::{Layout, Numerics, Precision};

    #[test]
    fn every_effect_survives_the_wire_with_the_bits_of_its_numbers() {
        let lease = Lease { trial: TrialId::derive(SweepId::derive("x", ""), "a"), attempt: 1 };
        let odd = Num(f64::from_bits(0xfff8_0000_0000_0123));
        let [train_accuracy, val_accuracy, images_per_s, seconds] = [0.25, 0.5, 100.0, 2.0].map(Num);
        let (train_loss, val_loss, lr) = (odd, Num(f64::INFINITY), Num(-0.0));
        let epochs = vec![EpochMetrics {
            seq: 1,
            epoch: 1,
            train_loss,
            train_accuracy,
            val_loss,
            val_accuracy,
            lr,
            images_per_s,
            seconds,
            top5: Some(Top5 { train: odd, val: val_accuracy }),
            cost: Some(Box::new(EpochCost {
                step_ms: seconds,
                data_wait: odd,
                peak_memory: Some(1 << 40),
                own_memory: Some(1 << 39),
                device_memory: Some(1 << 33),
                steps: Some(1 << 34),
                part: Some(Part {
                    steps: 3,
                    of_steps: 1 << 40,
                    seconds,
                    val_images: 4,
                    of_val_images: 5,
                    val_seconds: odd,
                }),
                numerics: Some("precision bf16, layout contiguous".into()),
                energy: Some(Energy { cpu: Some(seconds), gpu: None, idle: Some(odd) }),
            })),
        }];
        let test = Some(Box::new(Score { epoch: 3, images: 9, loss: odd, accuracy: Num(0.5), top5: Some(Num(0.75)) }));
        let checkpoint = Checkpoint { kind: CheckpointKind::Best, epoch: 1, seq: 1, sha256: "0f".repeat(32), bytes: 7 };
        let failure =
            Failure { class: FailureClass::OutOfMemory, reason: "oom".to_owned(), message: "too much".to_owned() };
        let origin = Origin {
            build: "sweep-trainer 1".to_owned(),
            engine: Some("libtorch 2".to_owned()),
            hardware: None,
            parameters: 1 << 40,
            train_images: 5,
            val_images: 4,
            classes: 3,
            data: "ab".to_owned(),
        };
        let kinds = [
            EffectKind::Started(Box::new(origin)),
            EffectKind::Metrics(epochs),
            EffectKind::Chosen(Numerics { precision: Precision::Bf16, layout: Layout::ChannelsLast }),
            EffectKind::Checkpoint(checkpoint),
            EffectKind::Ended { final_seq: 1, how: Ending::Done { early: true, weights: "ab".to_owned(), test: None } },
            EffectKind::Ended { final_seq: 1, how: Ending::Done { early: false, weights: String::new(), test } },
            EffectKind::Ended { final_seq: 1, how: Ending::Stopped },
            EffectKind::Ended { final_seq: 1, how: Ending::Failed(failure) },
        ];
        for what in kinds {
            let effect = Effect { lease, what };
            assert_eq!(Effect::try_from(&v1::Effect::from(&effect)), Ok(effect));
        }
    }

    #[test]
    fn nothing_is_computed_with_auto() {
        for (precision, layout) in [("auto", "contiguous"), ("bf16", "auto"), ("fp16", "contiguous")] {
            let wrong = v1::Numerics { precision: precision.to_owned(), layout: layout.to_owned() };
            assert!(Numerics::try_from(&wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn an_effect_with_a_hole_is_named() {
        let effect = v1::Effect { lease: None, what: Some(What::Ended(v1::Ended { final_seq: 0, how: None })) };
        assert_eq!(Effect::try_from(&effect).unwrap_err().to_string(), "field `ended.how` is missing");
    }
}

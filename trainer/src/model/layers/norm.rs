//! Batch normalisation.

use tch::{Kind, Tensor};

use super::{Builder, Draw, Fan};
use crate::model::{Mode, Role};

/// Batch normalisation (Ioffe & Szegedy 2015, arXiv:1502.03167). Its parameters stay float whatever
/// the kind of its input. With frozen weights it uses its running statistics in training too.
#[derive(Debug)]
pub(in crate::model) struct BatchNorm {
    weight: Tensor,
    bias: Tensor,
    mean: Tensor,
    variance: Tensor,
    momentum: f64,
    eps: f64,
}

impl BatchNorm {
    /// With PyTorch's defaults.
    pub(in crate::model) fn new(builder: &mut Builder, name: &str, channels: i64) -> Self {
        Self::starting_at(builder, name, channels, 1.0)
    }

    /// With PyTorch's defaults, but weights that start at `gain`.
    pub(in crate::model) fn starting_at(builder: &mut Builder, name: &str, channels: i64, gain: f64) -> Self {
        let options = (Kind::Float, builder.device);
        let fan = Fan { inputs: 1, outputs: 1 };
        let weight = builder.weight(format!("{name}.weight"), &[channels], Draw::Constant(gain), fan);
        let bias = builder.weight(format!("{name}.bias"), &[channels], Draw::Constant(0.0), fan);
        let mean = Tensor::zeros([channels], options);
        let mean = builder.add(format!("{name}.running_mean"), mean, Role::Running);
        let variance = Tensor::ones([channels], options);
        let variance = builder.add(format!("{name}.running_var"), variance, Role::Running);
        let batches = Tensor::zeros([], (Kind::Int64, builder.device));
        let _ = builder.add(format!("{name}.num_batches_tracked"), batches, Role::Batches);
        Self { weight, bias, mean, variance, momentum: 0.1, eps: 1e-5 }
    }

    pub(in crate::model) fn with(self, momentum: f64, eps: f64) -> Self {
        Self { momentum, eps, ..self }
    }

    pub(in crate::model) fn forward(&self, images: &Tensor, mode: &Mode<'_>) -> Tensor {
        images.batch_norm(
            Some(&self.weight),
            Some(&self.bias),
            Some(&self.mean),
            Some(&self.variance),
            // A norm that is not trained is one that stays as it is.
            matches!(mode, Mode::Train { .. }) && self.weight.requires_grad(),
            self.momentum,
            self.eps,
            true,
        )
    }
}

//! The brick of most networks: a convolution, batch norm and, unless it ends a linear bottleneck, an
//! activation.

use sweep_core::recipe::model::Activation;
use tch::Tensor;

use super::{BatchNorm, Builder, Conv, ConvShape, activate};
use crate::model::Mode;

#[derive(Debug)]
pub(in crate::model) struct ConvNorm {
    conv: Conv,
    norm: BatchNorm,
    activation: Option<Activation>,
}

impl ConvNorm {
    /// Names of convolution and norm as given.
    pub(in crate::model) fn named(
        builder: &mut Builder,
        names: [String; 2],
        shape: ConvShape,
        activation: Option<Activation>,
    ) -> Self {
        let [conv, norm] = names;
        let conv = shape.build(builder, &conv);
        Self { conv, norm: BatchNorm::new(builder, &norm, shape.outputs()), activation }
    }

    /// `{name}.0` and `{name}.1`, as in torchvision's `Conv2dNormActivation`.
    pub(in crate::model) fn numbered(
        builder: &mut Builder,
        name: &str,
        shape: ConvShape,
        activation: Option<Activation>,
    ) -> Self {
        Self::named(builder, [format!("{name}.0"), format!("{name}.1")], shape, activation)
    }

    /// With another eps of the norm.
    pub(in crate::model) fn eps(self, eps: f64) -> Self {
        Self { norm: self.norm.with(0.1, eps), ..self }
    }

    /// With momentum 0.01 and eps 0.001 of the norm, if `slow`.
    pub(in crate::model) fn slow(self, slow: bool) -> Self {
        if slow { Self { norm: self.norm.with(0.01, 1e-3), ..self } } else { self }
    }

    pub(in crate::model) fn forward(&self, images: &Tensor, mode: &Mode<'_>) -> Tensor {
        let x = self.norm.forward(&self.conv.forward(images), mode);
        match self.activation {
            Some(function) => activate(function, x),
            None => x,
        }
    }
}

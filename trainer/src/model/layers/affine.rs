//! Layers that are products with a weight: convolutions and linear layers.

use tch::Tensor;

use super::{Builder, Draw, Fan, cast};

/// A 2-d convolution with square kernels.
#[derive(Debug)]
pub(in crate::model) struct Conv {
    weight: Tensor,
    bias: Option<Tensor>,
    stride: i64,
    padding: i64,
    groups: i64,
}

/// What a convolution looks like; made by [`Conv::of`].
#[derive(Clone, Copy, Debug)]
pub(in crate::model) struct Shape {
    from: i64,
    to: i64,
    kernel: i64,
    stride: i64,
    padding: i64,
    groups: i64,
    draw: Draw,
    bias: Option<Draw>,
}

impl Conv {
    /// A convolution of stride 1 that keeps the size of the image, without bias, drawn over the
    /// outputs as torchvision does beside batch norms. The methods of [`Shape`] change that.
    pub(in crate::model) fn of(from: i64, to: i64, kernel: i64) -> Shape {
        let padding = kernel / 2;
        Shape { from, to, kernel, stride: 1, padding, groups: 1, draw: Draw::NormalOut, bias: None }
    }

    pub(in crate::model) fn forward(&self, images: &Tensor) -> Tensor {
        let (stride, padding) = ([self.stride; 2], [self.padding; 2]);
        let bias = self.bias.as_ref().map(|bias| cast(bias, images));
        images.conv2d(&cast(&self.weight, images), bias, stride, padding, [1, 1], self.groups)
    }
}

impl Shape {
    pub(in crate::model) fn stride(self, stride: i64) -> Self {
        Self { stride, ..self }
    }

    pub(in crate::model) fn padding(self, padding: i64) -> Self {
        Self { padding, ..self }
    }

    pub(in crate::model) fn groups(self, groups: i64) -> Self {
        Self { groups, ..self }
    }

    /// With a bias, both drawn as `torch.nn.Conv2d` does.
    pub(in crate::model) fn plain(self) -> Self {
        Self { draw: Draw::UniformIn, bias: Some(Draw::UniformIn), ..self }
    }

    pub(in crate::model) fn drawn(self, draw: Draw) -> Self {
        Self { draw, ..self }
    }

    pub(in crate::model) fn bias(self, draw: Draw) -> Self {
        Self { bias: Some(draw), ..self }
    }

    /// Channels that leave it.
    pub(in crate::model) fn outputs(&self) -> i64 {
        self.to
    }

    pub(in crate::model) fn build(self, builder: &mut Builder, name: &str) -> Conv {
        let area = self.kernel * self.kernel;
        let inputs = self.from / self.groups;
        // As `torch.nn.init` counts them: groups divide the inputs only.
        let fan = Fan { inputs: inputs * area, outputs: self.to * area };
        let shape = [self.to, inputs, self.kernel, self.kernel];
        Conv {
            weight: builder.weight(format!("{name}.weight"), &shape, self.draw, fan),
            bias: self.bias.map(|draw| builder.weight(format!("{name}.bias"), &[self.to], draw, fan)),
            stride: self.stride,
            padding: self.padding,
            groups: self.groups,
        }
    }
}

/// A linear layer with bias.
#[derive(Debug)]
pub(in crate::model) struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    /// As `torch.nn.Linear` draws it.
    pub(in crate::model) fn new(builder: &mut Builder, name: &str, from: i64, to: i64) -> Self {
        Self::drawn(builder, name, [from, to], Draw::UniformIn, Draw::UniformIn)
    }

    /// With `[inputs, outputs]`, and weights and bias drawn as told.
    pub(in crate::model) fn drawn(builder: &mut Builder, name: &str, size: [i64; 2], draw: Draw, bias: Draw) -> Self {
        let [inputs, outputs] = size;
        let fan = Fan { inputs, outputs };
        Self {
            weight: builder.weight(format!("{name}.weight"), &[outputs, inputs], draw, fan),
            bias: builder.weight(format!("{name}.bias"), &[outputs], bias, fan),
        }
    }

    pub(in crate::model) fn forward(&self, values: &Tensor) -> Tensor {
        values.linear(&cast(&self.weight, values), Some(&cast(&self.bias, values)))
    }
}

//! Layers one after the other, named by their place as in `torch.nn.Sequential`.

use sweep_core::recipe::model::Activation;
use tch::Tensor;

use super::Mode;
use super::layers::{BatchNorm, Builder, Conv, ConvShape, Draw, Linear, activate, dropout, max_pool};

#[derive(Debug)]
enum Step {
    Conv(Conv),
    Norm(BatchNorm),
    Activate(Activation),
    MaxPool { kernel: i64, stride: i64 },
    Dropout,
    Linear(Linear),
}

/// Layers one after the other.
#[derive(Debug)]
pub(super) struct Sequence(Vec<Step>);

/// Makes a [`Sequence`]. A layer with weights has the name `{prefix}.{place}`; every layer takes a place.
#[derive(Debug)]
pub(super) struct Chain<'a> {
    builder: &'a mut Builder,
    prefix: &'static str,
    steps: Vec<Step>,
}

impl Sequence {
    pub(super) fn start<'a>(builder: &'a mut Builder, prefix: &'static str) -> Chain<'a> {
        Chain { builder, prefix, steps: Vec::new() }
    }

    pub(super) fn forward(&self, x: &Tensor, mode: &mut Mode<'_>) -> Tensor {
        self.0.iter().fold(x.shallow_clone(), |x, step| match step {
            Step::Conv(conv) => conv.forward(&x),
            Step::Norm(norm) => norm.forward(&x, mode),
            Step::Activate(function) => activate(*function, x),
            Step::MaxPool { kernel, stride } => max_pool(&x, *kernel, *stride, 0),
            Step::Dropout => dropout(x, mode),
            Step::Linear(linear) => linear.forward(&x),
        })
    }
}

impl Chain<'_> {
    fn name(&self) -> String {
        format!("{}.{}", self.prefix, self.steps.len())
    }

    pub(super) fn conv(&mut self, shape: ConvShape) -> &mut Self {
        let name = self.name();
        self.steps.push(Step::Conv(shape.build(self.builder, &name)));
        self
    }

    pub(super) fn norm(&mut self, channels: i64) -> &mut Self {
        let name = self.name();
        self.steps.push(Step::Norm(BatchNorm::new(self.builder, &name, channels)));
        self
    }

    pub(super) fn activate(&mut self, function: Activation) -> &mut Self {
        self.steps.push(Step::Activate(function));
        self
    }

    pub(super) fn max_pool(&mut self, kernel: i64, stride: i64) -> &mut Self {
        self.steps.push(Step::MaxPool { kernel, stride });
        self
    }

    pub(super) fn dropout(&mut self) -> &mut Self {
        self.steps.push(Step::Dropout);
        self
    }

    pub(super) fn linear(&mut self, from: i64, to: i64) -> &mut Self {
        self.drawn_linear(from, to, Draw::UniformIn, Draw::UniformIn)
    }

    pub(super) fn drawn_linear(&mut self, from: i64, to: i64, draw: Draw, bias: Draw) -> &mut Self {
        let name = self.name();
        self.steps.push(Step::Linear(Linear::drawn(self.builder, &name, [from, to], draw, bias)));
        self
    }

    pub(super) fn finish(&mut self) -> Sequence {
        Sequence(std::mem::take(&mut self.steps))
    }
}

//! Study B's network ("Image classification with Imagenette", section II and its appendix): the stages
//! of MobileNetV2, but in every block the sum of a residual bottleneck, an inverted residual and
//! the input itself.
//!
//! What the report says: both ways have the same number of channels inside, six times the
//! input's; down-sampling comes at the start of a block; batch norm follows each convolution, Mish
//! takes the place of ReLU6, there is no dropout. What it leaves open, and how it is read here: the
//! stride is in the first convolution of either way; where the shape changes the input goes through
//! a 1x1 convolution with norm; the sum goes through the activation, as in a ResNet.

use sweep_core::recipe::model::Activation;
use tch::Tensor;

use super::layers::{Builder, Conv, ConvNorm, Linear, activate, dropout};
use super::mobilenet::STAGES;
use super::{Mode, Network, Size};

#[derive(Debug)]
pub(super) struct MergedNet {
    first: ConvNorm,
    blocks: Vec<Block>,
    last: ConvNorm,
    classifier: Linear,
}

#[derive(Debug)]
struct Block {
    residual: Vec<ConvNorm>,
    inverted: Vec<ConvNorm>,
    shortcut: Option<ConvNorm>,
    activation: Activation,
}

impl MergedNet {
    pub(super) fn new(b: &mut Builder, size: Size, function: Activation) -> Self {
        let first = ConvNorm::numbered(b, "features.0", Conv::of(3, 32, 3).stride(2), Some(function));
        let mut blocks = Vec::new();
        let mut from = 32;
        for [expansion, to, count, stride] in STAGES {
            for place in 0..count {
                let stride = if place == 0 { stride } else { 1 };
                let name = format!("features.{}", blocks.len() + 1);
                blocks.push(Block::new(b, &name, [from, to], expansion, stride, function));
                from = to;
            }
        }
        let name = format!("features.{}", blocks.len() + 1);
        let last = ConvNorm::numbered(b, &name, Conv::of(from, 1280, 1), Some(function));
        let classifier = Linear::new(b, "classifier", 1280, size.classes);
        Self { first, blocks, last, classifier }
    }
}

impl Network for MergedNet {
    fn forward(&self, images: &Tensor, mode: &mut Mode<'_>) -> Tensor {
        let mut x = self.first.forward(images, mode);
        for block in &self.blocks {
            x = block.forward(&x, mode);
        }
        let pooled = self.last.forward(&x, mode).adaptive_avg_pool2d([1, 1]).flatten(1, -1);
        self.classifier.forward(&dropout(pooled, mode))
    }
}

impl Block {
    fn new(b: &mut Builder, name: &str, ends: [i64; 2], expansion: i64, stride: i64, function: Activation) -> Self {
        let [from, to] = ends;
        let inner = from * expansion;
        let mut way = |name: &str, groups: i64| {
            let shapes = [
                Conv::of(from, inner, 1).stride(stride),
                Conv::of(inner, inner, 3).groups(groups),
                Conv::of(inner, to, 1),
            ];
            let layers = shapes.into_iter().enumerate().map(|(place, shape)| {
                let function = (place < 2).then_some(function);
                ConvNorm::numbered(b, &format!("{name}.{place}"), shape, function)
            });
            layers.collect()
        };
        let residual = way(&format!("{name}.residual"), 1);
        let inverted = way(&format!("{name}.inverted"), inner);
        let shortcut = (stride != 1 || from != to)
            .then(|| ConvNorm::numbered(b, &format!("{name}.shortcut"), Conv::of(from, to, 1).stride(stride), None));
        Self { residual, inverted, shortcut, activation: function }
    }

    fn forward(&self, x: &Tensor, mode: &Mode<'_>) -> Tensor {
        let way = |layers: &[ConvNorm]| layers.iter().fold(x.shallow_clone(), |x, layer| layer.forward(&x, mode));
        let around = self.shortcut.as_ref().map_or_else(|| x.shallow_clone(), |layer| layer.forward(x, mode));
        activate(self.activation, way(&self.residual) + way(&self.inverted) + around)
    }
}

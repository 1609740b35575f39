//! MobileNetV2 (Sandler, Howard, Zhu, Zhmoginov & Chen 2018, "Inverted residuals and linear
//! bottlenecks", arXiv:1801.04381, table 2) with torchvision's parameter names. Dropout before the
//! class layer.

use sweep_core::recipe::model::Activation;
use tch::Tensor;

use super::layers::{Builder, Conv, ConvNorm, Draw, Linear, dropout};
use super::{Mode, Network, Size};

/// Rows of the paper's table 2: expansion, channels, blocks, stride of the first.
pub(super) const STAGES: [[i64; 4]; 7] =
    [[1, 16, 1, 1], [6, 24, 2, 2], [6, 32, 3, 2], [6, 64, 4, 2], [6, 96, 3, 1], [6, 160, 3, 2], [6, 320, 1, 1]];

#[derive(Debug)]
pub(super) struct MobilenetV2 {
    first: ConvNorm,
    blocks: Vec<Block>,
    last: ConvNorm,
    classifier: Linear,
}

/// Wide inside, narrow at both ends, and linear there.
#[derive(Debug)]
struct Block {
    layers: Vec<ConvNorm>,
    adds: bool,
}

impl MobilenetV2 {
    pub(super) fn new(b: &mut Builder, size: Size, function: Activation) -> Self {
        let first = ConvNorm::numbered(b, "features.0", Conv::of(3, 32, 3).stride(2), Some(function));
        let mut blocks = Vec::new();
        let mut from = 32;
        for [expansion, to, count, stride] in STAGES {
            for place in 0..count {
                let stride = if place == 0 { stride } else { 1 };
                let name = format!("features.{}.conv", blocks.len() + 1);
                blocks.push(Block::new(b, &name, [from, to], expansion, stride, function));
                from = to;
            }
        }
        let name = format!("features.{}", blocks.len() + 1);
        let last = ConvNorm::numbered(b, &name, Conv::of(from, 1280, 1), Some(function));
        let size = [1280, size.classes];
        let classifier = Linear::drawn(b, "classifier.1", size, Draw::Normal(0.01), Draw::Constant(0.0));
        Self { first, blocks, last, classifier }
    }
}

impl Network for MobilenetV2 {
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
        let mut layers = Vec::new();
        if expansion != 1 {
            layers.push(ConvNorm::numbered(b, &format!("{name}.0"), Conv::of(from, inner, 1), Some(function)));
        }
        let depthwise = Conv::of(inner, inner, 3).stride(stride).groups(inner);
        layers.push(ConvNorm::numbered(b, &format!("{name}.{}", layers.len()), depthwise, Some(function)));
        let place = layers.len();
        let names = [format!("{name}.{place}"), format!("{name}.{}", place + 1)];
        layers.push(ConvNorm::named(b, names, Conv::of(inner, to, 1), None));
        Self { layers, adds: stride == 1 && from == to }
    }

    fn forward(&self, x: &Tensor, mode: &Mode<'_>) -> Tensor {
        let out = self.layers.iter().fold(x.shallow_clone(), |out, layer| layer.forward(&out, mode));
        if self.adds { out + x } else { out }
    }
}

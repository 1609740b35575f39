//! MobileNetV2 (Sandler, Howard, Zhu, Zhmoginov & Chen 2018, "Inverted residuals and linear
//! bottlenecks", arXiv:1801.04381, table 2) with torchvision's parameter names. Dropout before the
//! class layer.

use sweep_core::recipe::model::Activation;
use tch::Tensor;

use super::layers::{Builder, Conv, ConvNorm, Draw, Linear};
use super::staged::{self, Row, Staged};
use super::{Mode, Size};

/// Wide inside, narrow at both ends, and linear there.
#[derive(Debug)]
pub(super) struct Block {
    layers: Vec<ConvNorm>,
    adds: bool,
}

pub(super) fn mobilenet_v2(b: &mut Builder, size: Size, function: Activation) -> Staged<Block> {
    let classifier = |b: &mut Builder| {
        Linear::drawn(b, "classifier.1", [1280, size.classes], Draw::Normal(0.01), Draw::Constant(0.0))
    };
    let block = |b: &mut Builder, name: &str, row: Row| Block::new(b, &format!("{name}.conv"), row, function);
    Staged::mobile(b, function, block, classifier)
}

impl Block {
    fn new(b: &mut Builder, name: &str, row: Row, function: Activation) -> Self {
        let Row { ends: [from, to], expansion, stride } = row;
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
}

impl staged::Block for Block {
    fn forward(&self, x: &Tensor, mode: &mut Mode<'_>) -> Tensor {
        let out = self.layers.iter().fold(x.shallow_clone(), |out, layer| layer.forward(&out, mode));
        if self.adds { out + x } else { out }
    }
}

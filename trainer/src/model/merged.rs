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

use super::layers::{Builder, Conv, ConvNorm, Linear, activate};
use super::staged::{self, Row, Staged};
use super::{Mode, Size};

#[derive(Debug)]
pub(super) struct Block {
    residual: Vec<ConvNorm>,
    inverted: Vec<ConvNorm>,
    shortcut: Option<ConvNorm>,
    activation: Activation,
}

pub(super) fn merged_net(b: &mut Builder, size: Size, function: Activation) -> Staged<Block> {
    let block = |b: &mut Builder, name: &str, row: Row| Block::new(b, name, row, function);
    Staged::mobile(b, function, block, |b| Linear::new(b, "classifier", 1280, size.classes))
}

impl Block {
    fn new(b: &mut Builder, name: &str, row: Row, function: Activation) -> Self {
        let Row { ends: [from, to], expansion, stride } = row;
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
}

impl staged::Block for Block {
    fn forward(&self, x: &Tensor, mode: &mut Mode<'_>) -> Tensor {
        let way = |layers: &[ConvNorm]| layers.iter().fold(x.shallow_clone(), |x, layer| layer.forward(&x, mode));
        let around = self.shortcut.as_ref().map_or_else(|| x.shallow_clone(), |layer| layer.forward(x, mode));
        activate(self.activation, way(&self.residual) + way(&self.inverted) + around)
    }
}

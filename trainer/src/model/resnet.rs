//! ResNet-18 (He, Zhang, Ren & Sun 2015, "Deep residual learning for image recognition",
//! arXiv:1512.03385) with torchvision's parameter names. Dropout before `fc`, none in the paper.

use tch::Tensor;

use super::layers::{BatchNorm, Builder, Conv, Linear};
use super::{Mode, dropout};

#[derive(Debug)]
pub(super) struct Resnet18 {
    conv1: Conv,
    bn1: BatchNorm,
    blocks: Vec<Block>,
    fc: Linear,
}

/// Two 3x3 convolutions and a way around them.
#[derive(Debug)]
struct Block {
    conv1: Conv,
    bn1: BatchNorm,
    conv2: Conv,
    bn2: BatchNorm,
    downsample: Option<(Conv, BatchNorm)>,
}

impl Resnet18 {
    pub(super) fn new(builder: &mut Builder, classes: u32) -> Self {
        let conv1 = Conv::residual(builder, "conv1", 3, 64, 7, 2);
        let bn1 = BatchNorm::new(builder, "bn1", 64);
        let mut blocks = Vec::new();
        let mut from = 64;
        for (layer, to) in [(1, 64), (2, 128), (3, 256), (4, 512)] {
            for place in 0..2 {
                let stride = if layer > 1 && place == 0 { 2 } else { 1 };
                let name = format!("layer{layer}.{place}");
                blocks.push(Block::new(builder, &name, from, to, stride));
                from = to;
            }
        }
        let fc = Linear::new(builder, "fc", 512, i64::from(classes));
        Self { conv1, bn1, blocks, fc }
    }

    pub(super) fn forward(&self, images: &Tensor, mode: &mut Mode<'_>) -> Tensor {
        let stem = self.bn1.forward(&self.conv1.forward(images), mode).relu_();
        let mut x = stem.max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false);
        for block in &self.blocks {
            x = block.forward(&x, mode);
        }
        let pooled = x.adaptive_avg_pool2d([1, 1]).flatten(1, -1);
        self.fc.forward(&dropout(pooled, mode))
    }
}

impl Block {
    fn new(builder: &mut Builder, name: &str, from: i64, to: i64, stride: i64) -> Self {
        let at = |part: &str| format!("{name}.{part}");
        Self {
            conv1: Conv::residual(builder, &at("conv1"), from, to, 3, stride),
            bn1: BatchNorm::new(builder, &at("bn1"), to),
            conv2: Conv::residual(builder, &at("conv2"), to, to, 3, 1),
            bn2: BatchNorm::new(builder, &at("bn2"), to),
            downsample: (stride != 1 || from != to).then(|| {
                let conv = Conv::residual(builder, &at("downsample.0"), from, to, 1, stride);
                (conv, BatchNorm::new(builder, &at("downsample.1"), to))
            }),
        }
    }

    fn forward(&self, x: &Tensor, mode: &Mode<'_>) -> Tensor {
        let inner = self.bn1.forward(&self.conv1.forward(x), mode).relu_();
        let mut out = self.bn2.forward(&self.conv2.forward(&inner), mode);
        out += match &self.downsample {
            Some((conv, bn)) => bn.forward(&conv.forward(x), mode),
            None => x.shallow_clone(),
        };
        out.relu_()
    }
}

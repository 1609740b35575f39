//! Pre-activation ResNets (He, Zhang, Ren & Sun 2016, "Identity mappings in deep residual networks",
//! arXiv:1603.05027, figure 4e). A block is norm, activation, convolution, twice; where its shape
//! changes, the way around it is a convolution of what the first activation gives. The stem has
//! its own norm and activation, and one more pair comes before the pooling. Dropout before `fc`,
//! none in the paper.

use sweep_core::recipe::model::{Activation, PreactResnet as Options};
use tch::Tensor;

use super::layers::{BatchNorm, Builder, Conv, Linear, activate, dropout, max_pool};
use super::{Mode, Network, Size};

#[derive(Debug)]
pub(super) struct PreactResnet {
    conv1: Conv,
    bn1: BatchNorm,
    pools: bool,
    blocks: Vec<Block>,
    norm: BatchNorm,
    fc: Linear,
    activation: Activation,
}

#[derive(Debug)]
struct Block {
    bn1: BatchNorm,
    conv1: Conv,
    bn2: BatchNorm,
    conv2: Conv,
    shortcut: Option<Conv>,
    activation: Activation,
}

impl PreactResnet {
    /// With so many blocks in each stage.
    pub(super) fn new(builder: &mut Builder, size: Size, options: &Options, blocks: [usize; 4]) -> Self {
        let activation = options.activation;
        let small = options.stem.is_small(size.side as u32);
        let first = if small { Conv::of(3, 64, 3) } else { Conv::of(3, 64, 7).stride(2) };
        let conv1 = first.build(builder, "conv1");
        let bn1 = BatchNorm::new(builder, "bn1", 64);
        let mut made = Vec::new();
        let mut from = 64;
        for (layer, (to, count)) in [64, 128, 256, 512].into_iter().zip(blocks).enumerate() {
            for place in 0..count {
                let stride = if layer > 0 && place == 0 { 2 } else { 1 };
                let at = |part: &str| format!("layer{}.{place}.{part}", layer + 1);
                made.push(Block {
                    bn1: BatchNorm::new(builder, &at("bn1"), from),
                    conv1: Conv::of(from, to, 3).stride(stride).build(builder, &at("conv1")),
                    bn2: BatchNorm::new(builder, &at("bn2"), to),
                    conv2: Conv::of(to, to, 3).build(builder, &at("conv2")),
                    shortcut: (from != to)
                        .then(|| Conv::of(from, to, 1).stride(stride).build(builder, &at("downsample.0"))),
                    activation,
                });
                from = to;
            }
        }
        let norm = BatchNorm::new(builder, "norm", from);
        let fc = Linear::new(builder, "fc", from, size.classes);
        Self { conv1, bn1, pools: !small, blocks: made, norm, fc, activation }
    }
}

impl Network for PreactResnet {
    fn forward(&self, images: &Tensor, mode: &mut Mode<'_>) -> Tensor {
        let mut x = activate(self.activation, self.bn1.forward(&self.conv1.forward(images), mode));
        if self.pools {
            x = max_pool(&x, 3, 2, 1);
        }
        for block in &self.blocks {
            x = block.forward(&x, mode);
        }
        let x = activate(self.activation, self.norm.forward(&x, mode));
        let pooled = x.adaptive_avg_pool2d([1, 1]).flatten(1, -1);
        self.fc.forward(&dropout(pooled, mode))
    }
}

impl Block {
    fn forward(&self, x: &Tensor, mode: &Mode<'_>) -> Tensor {
        let active = activate(self.activation, self.bn1.forward(x, mode));
        let around = match &self.shortcut {
            Some(conv) => conv.forward(&active),
            None => x.shallow_clone(),
        };
        let inner = activate(self.activation, self.bn2.forward(&self.conv1.forward(&active), mode));
        self.conv2.forward(&inner) + around
    }
}

//! DenseNets with bottlenecks and compression (Huang, Liu, van der Maaten & Weinberger 2016, "Densely
//! connected convolutional networks", arXiv:1608.06993) with torchvision's parameter names. Dropout
//! before `classifier`, none in the paper's networks for ImageNet.

use sweep_core::recipe::model::{Activation, Densenet as Options};
use tch::Tensor;

use super::layers::{BatchNorm, Builder, Conv, ConvShape, Draw, Linear, activate, dropout, max_pool};
use super::{Mode, Network, Size};

/// What tells these networks apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    /// Channels that each layer adds.
    growth: i64,
    /// Channels of the stem.
    stem: i64,
    /// Layers of each block.
    layers: [usize; 4],
}

pub(super) const DENSENET_121: Plan = Plan { growth: 32, stem: 64, layers: [6, 12, 24, 16] };
pub(super) const DENSENET_161: Plan = Plan { growth: 48, stem: 96, layers: [6, 12, 36, 24] };
pub(super) const DENSENET_169: Plan = Plan { growth: 32, stem: 64, layers: [6, 12, 32, 32] };
pub(super) const DENSENET_201: Plan = Plan { growth: 32, stem: 64, layers: [6, 12, 48, 32] };

#[derive(Debug)]
pub(super) struct Densenet {
    conv0: Conv,
    norm0: BatchNorm,
    pools: bool,
    blocks: Vec<Block>,
    norm5: BatchNorm,
    classifier: Linear,
    activation: Activation,
}

/// Layers that see the output of all before them, and what follows on all blocks but the last.
#[derive(Debug)]
struct Block {
    layers: Vec<[Before; 2]>,
    transition: Option<Before>,
}

/// A convolution after norm and activation.
#[derive(Debug)]
struct Before {
    norm: BatchNorm,
    conv: Conv,
    activation: Activation,
}

impl Densenet {
    pub(super) fn new(b: &mut Builder, size: Size, options: &Options, plan: Plan) -> Self {
        let function = options.activation;
        let small = options.stem.is_small(size.side as u32);
        let first = if small { Conv::of(3, plan.stem, 3) } else { Conv::of(3, plan.stem, 7).stride(2) };
        let conv0 = first.drawn(Draw::NormalIn).build(b, "features.conv0");
        let norm0 = BatchNorm::new(b, "features.norm0", plan.stem);
        let mut channels = plan.stem;
        let mut blocks = Vec::new();
        for (place, count) in plan.layers.into_iter().enumerate() {
            let block = format!("features.denseblock{}", place + 1);
            let mut layers = Vec::new();
            for layer in 1..=count {
                let at = |part: &str| format!("{block}.denselayer{layer}.{part}");
                let inner = 4 * plan.growth;
                layers.push([
                    Before::new(b, [at("norm1"), at("conv1")], channels, Conv::of(channels, inner, 1), function),
                    Before::new(b, [at("norm2"), at("conv2")], inner, Conv::of(inner, plan.growth, 3), function),
                ]);
                channels += plan.growth;
            }
            let transition = (place < 3).then(|| {
                let at = |part: &str| format!("features.transition{}.{part}", place + 1);
                let shape = Conv::of(channels, channels / 2, 1);
                Before::new(b, [at("norm"), at("conv")], channels, shape, function)
            });
            if transition.is_some() {
                channels /= 2;
            }
            blocks.push(Block { layers, transition });
        }
        let norm5 = BatchNorm::new(b, "features.norm5", channels);
        let classifier = Linear::drawn(b, "classifier", [channels, size.classes], Draw::UniformIn, Draw::Constant(0.0));
        Self { conv0, norm0, pools: !small, blocks, norm5, classifier, activation: function }
    }
}

impl Network for Densenet {
    fn forward(&self, images: &Tensor, mode: &mut Mode<'_>) -> Tensor {
        let mut x = activate(self.activation, self.norm0.forward(&self.conv0.forward(images), mode));
        if self.pools {
            x = max_pool(&x, 3, 2, 1);
        }
        for block in &self.blocks {
            for [one, two] in &block.layers {
                let new = two.forward(&one.forward(&x, mode), mode);
                x = Tensor::cat(&[x, new], 1);
            }
            if let Some(transition) = &block.transition {
                x = transition.forward(&x, mode).avg_pool2d([2, 2], [2, 2], [0, 0], false, true, None);
            }
        }
        let x = activate(self.activation, self.norm5.forward(&x, mode));
        let pooled = x.adaptive_avg_pool2d([1, 1]).flatten(1, -1);
        self.classifier.forward(&dropout(pooled, mode))
    }
}

impl Before {
    fn new(b: &mut Builder, names: [String; 2], channels: i64, shape: ConvShape, activation: Activation) -> Self {
        let [norm, conv] = names;
        let norm = BatchNorm::new(b, &norm, channels);
        Self { norm, conv: shape.drawn(Draw::NormalIn).build(b, &conv), activation }
    }

    fn forward(&self, x: &Tensor, mode: &Mode<'_>) -> Tensor {
        self.conv.forward(&activate(self.activation, self.norm.forward(x, mode)))
    }
}

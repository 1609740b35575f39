//! GoogLeNet (Szegedy et al. 2014, "Going deeper with convolutions", arXiv:1409.4842) as torchvision has
//! it: with batch norm, 3x3 in place of 5x5 convolutions, and here always without auxiliary classifiers.
//! Dropout before `fc`.

use sweep_core::recipe::model::Activation;
use tch::Tensor;

use super::layers::{Builder, Conv, ConvNorm, ConvShape, Draw, Linear, dropout, max_pool, max_pool_ceil};
use super::{Mode, Network, Size};

#[derive(Debug)]
pub(super) struct Googlenet {
    conv1: ConvNorm,
    conv2: ConvNorm,
    conv3: ConvNorm,
    blocks: Vec<Inception>,
    fc: Linear,
}

/// Four ways through a block, side by side in the output.
#[derive(Debug)]
struct Inception {
    branch1: ConvNorm,
    branch2: [ConvNorm; 2],
    branch3: [ConvNorm; 2],
    branch4: ConvNorm,
    /// Kernel of a pooling after the block.
    pool: Option<i64>,
}

/// Name; channels of branch 1, of branch 2 inside and out, of branch 3 inside and out, of branch 4;
/// pooling after it.
const BLOCKS: [(&str, [i64; 6], Option<i64>); 9] = [
    ("3a", [64, 96, 128, 16, 32, 32], None),
    ("3b", [128, 128, 192, 32, 96, 64], Some(3)),
    ("4a", [192, 96, 208, 16, 48, 64], None),
    ("4b", [160, 112, 224, 24, 64, 64], None),
    ("4c", [128, 128, 256, 24, 64, 64], None),
    ("4d", [112, 144, 288, 32, 64, 64], None),
    ("4e", [256, 160, 320, 32, 128, 128], Some(2)),
    ("5a", [256, 160, 320, 32, 128, 128], None),
    ("5b", [384, 192, 384, 48, 128, 128], None),
];

impl Googlenet {
    pub(super) fn new(b: &mut Builder, size: Size, function: Activation) -> Self {
        let conv1 = layer(b, "conv1", Conv::of(3, 64, 7).stride(2), function);
        let conv2 = layer(b, "conv2", Conv::of(64, 64, 1), function);
        let conv3 = layer(b, "conv3", Conv::of(64, 192, 3), function);
        let mut from = 192;
        let mut blocks = Vec::new();
        for (name, [one, two, two_out, three, three_out, four], pool) in BLOCKS {
            let mut at = |part: &str, from, to, kernel| {
                layer(b, &format!("inception{name}.{part}"), Conv::of(from, to, kernel), function)
            };
            blocks.push(Inception {
                branch1: at("branch1", from, one, 1),
                branch2: [at("branch2.0", from, two, 1), at("branch2.1", two, two_out, 3)],
                branch3: [at("branch3.0", from, three, 1), at("branch3.1", three, three_out, 3)],
                branch4: at("branch4.1", from, four, 1),
                pool,
            });
            from = one + two_out + three_out + four;
        }
        let fc = Linear::drawn(b, "fc", [from, size.classes], DRAW, Draw::UniformIn);
        Self { conv1, conv2, conv3, blocks, fc }
    }
}

/// torchvision cuts this normal distribution off at 200 deviations, which changes nothing.
const DRAW: Draw = Draw::Normal(0.01);

fn layer(b: &mut Builder, name: &str, shape: ConvShape, function: Activation) -> ConvNorm {
    let names = [format!("{name}.conv"), format!("{name}.bn")];
    ConvNorm::named(b, names, shape.drawn(DRAW), Some(function)).eps(1e-3)
}

impl Network for Googlenet {
    fn forward(&self, images: &Tensor, mode: &mut Mode<'_>) -> Tensor {
        let x = max_pool_ceil(&self.conv1.forward(images, mode), 3, 2);
        let x = self.conv3.forward(&self.conv2.forward(&x, mode), mode);
        let mut x = max_pool_ceil(&x, 3, 2);
        for block in &self.blocks {
            x = block.forward(&x, mode);
        }
        let pooled = x.adaptive_avg_pool2d([1, 1]).flatten(1, -1);
        self.fc.forward(&dropout(pooled, mode))
    }
}

impl Inception {
    fn forward(&self, x: &Tensor, mode: &Mode<'_>) -> Tensor {
        let two = |[first, second]: &[ConvNorm; 2]| second.forward(&first.forward(x, mode), mode);
        let branches = [
            self.branch1.forward(x, mode),
            two(&self.branch2),
            two(&self.branch3),
            self.branch4.forward(&max_pool(x, 3, 1, 1), mode),
        ];
        let x = Tensor::cat(&branches, 1);
        self.pool.map_or_else(|| x.shallow_clone(), |kernel| max_pool_ceil(&x, kernel, 2))
    }
}

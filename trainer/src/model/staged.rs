//! The frame that MobileNetV2 and the networks after it share: a convolution, stages of blocks, a
//! convolution, the mean over the image, dropout, the class layer. What a block does is left to each.

use std::fmt;

use sweep_core::recipe::model::Activation;
use tch::Tensor;

use super::layers::{Builder, Conv, ConvNorm, Linear, dropout};
use super::{Mode, Network};

/// One block of a [`Staged`] network.
pub(super) trait Block: fmt::Debug + Send {
    /// `[n, channels, height, width]` in and out.
    fn forward(&self, x: &Tensor, mode: &mut Mode<'_>) -> Tensor;
}

#[derive(Debug)]
pub(super) struct Staged<B> {
    pub(super) first: ConvNorm,
    pub(super) blocks: Vec<B>,
    pub(super) last: ConvNorm,
    pub(super) classifier: Linear,
}

/// What the table of MobileNetV2 says about one block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    /// Channels before and after.
    pub(super) ends: [i64; 2],
    /// Channels inside, in multiples of those before.
    pub(super) expansion: i64,
    pub(super) stride: i64,
}

/// Rows of table 2 of Sandler et al. 2018, arXiv:1801.04381: expansion, channels, blocks, stride of the first.
const MOBILE: [[i64; 4]; 7] =
    [[1, 16, 1, 1], [6, 24, 2, 2], [6, 32, 3, 2], [6, 64, 4, 2], [6, 96, 3, 1], [6, 160, 3, 2], [6, 320, 1, 1]];

impl<B> Staged<B> {
    /// The stages of MobileNetV2. `block` is given the block's name, `features.<n>`; `classifier` takes
    /// 1280 numbers.
    pub(super) fn mobile(
        b: &mut Builder,
        function: Activation,
        mut block: impl FnMut(&mut Builder, &str, Row) -> B,
        classifier: impl FnOnce(&mut Builder) -> Linear,
    ) -> Self {
        let first = ConvNorm::numbered(b, "features.0", Conv::of(3, 32, 3).stride(2), Some(function));
        let mut blocks = Vec::new();
        let mut from = 32;
        for [expansion, to, count, stride] in MOBILE {
            for place in 0..count {
                let stride = if place == 0 { stride } else { 1 };
                let name = format!("features.{}", blocks.len() + 1);
                blocks.push(block(b, &name, Row { ends: [from, to], expansion, stride }));
                from = to;
            }
        }
        let name = format!("features.{}", blocks.len() + 1);
        let last = ConvNorm::numbered(b, &name, Conv::of(from, 1280, 1), Some(function));
        Self { first, blocks, last, classifier: classifier(b) }
    }
}

impl<B: Block> Network for Staged<B> {
    fn forward(&self, images: &Tensor, mode: &mut Mode<'_>) -> Tensor {
        let mut x = self.first.forward(images, mode);
        for block in &self.blocks {
            x = block.forward(&x, mode);
        }
        let pooled = self.last.forward(&x, mode).adaptive_avg_pool2d([1, 1]).flatten(1, -1);
        self.classifier.forward(&dropout(pooled, mode))
    }
}

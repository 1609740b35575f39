//! EfficientNets B0 to B7 (Tan & Le 2019, "Rethinking model scaling for convolutional neural networks",
//! arXiv:1905.11946, table 1; widths and depths as in the authors' code) with torchvision's parameter
//! names: inverted residuals with squeeze and excitation (Hu et al. 2017, arXiv:1709.01507) and
//! stochastic depth (Huang et al. 2016, arXiv:1603.09382). Dropout before the class layer.

use sweep_core::recipe::model::{Activation, Efficientnet as Options};
use tch::Tensor;

use super::layers::{Builder, Conv, ConvNorm, ConvShape, Draw, Linear, activate, drop_rows};
use super::staged::{self, Staged};
use super::{Mode, Size};

/// Rows of the paper's table 1: expansion, kernel, stride of the first block, channels, blocks.
const STAGES: [[i64; 5]; 7] = [
    [1, 3, 1, 16, 1],
    [6, 3, 2, 24, 2],
    [6, 5, 2, 40, 2],
    [6, 3, 2, 80, 3],
    [6, 5, 1, 112, 3],
    [6, 5, 2, 192, 4],
    [6, 3, 1, 320, 1],
];

/// What tells these networks apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    /// Factor of all channels.
    width: f64,
    /// Factor of all numbers of blocks.
    depth: f64,
    /// Norms with momentum 0.01 and eps 0.001 in place of PyTorch's defaults, as torchvision has it from B5 on.
    slow_norms: bool,
}

impl Plan {
    pub(super) const fn new(width: f64, depth: f64) -> Self {
        Self { width, depth, slow_norms: false }
    }

    pub(super) const fn slow_norms(self) -> Self {
        Self { slow_norms: true, ..self }
    }
}

#[derive(Debug)]
pub(super) struct Block {
    expand: Option<ConvNorm>,
    depthwise: ConvNorm,
    squeeze: [Conv; 2],
    project: ConvNorm,
    adds: bool,
    /// How often it is left out in training.
    dropped: f64,
    activation: Activation,
}

/// The multiple of 8 nearest to `channels`, not below 8 nor more than a tenth below `channels`.
fn round(channels: f64) -> i64 {
    let near = ((channels as i64 + 4) / 8 * 8).max(8);
    if (near as f64) < 0.9 * channels { near + 8 } else { near }
}

pub(super) fn efficientnet(b: &mut Builder, size: Size, options: &Options, plan: Plan) -> Staged<Block> {
    let function = options.activation;
    let wide = |channels: i64| round(channels as f64 * plan.width);
    let deep = |blocks: i64| (blocks as f64 * plan.depth).ceil() as i64;
    let total: i64 = STAGES.iter().map(|[.., blocks]| deep(*blocks)).sum();
    let mut from = wide(32);
    let first = ConvNorm::numbered(b, "features.0", Conv::of(3, from, 3).stride(2), Some(function));
    let mut blocks = Vec::new();
    for (stage, [expansion, kernel, stride, to, count]) in STAGES.into_iter().enumerate() {
        let to = wide(to);
        for place in 0..deep(count) {
            let name = format!("features.{}.{place}.block", stage + 1);
            let inner = round((from * expansion) as f64);
            let conv = Conv::of(inner, inner, kernel).stride(if place == 0 { stride } else { 1 }).groups(inner);
            let adds = from == to && (place > 0 || stride == 1);
            let mut block = Block::new(b, &name, [from, inner, to], conv, function, plan.slow_norms);
            block.adds = adds;
            block.dropped = options.stochastic_depth * blocks.len() as f64 / total as f64;
            blocks.push(block);
            from = to;
        }
    }
    let last = ConvNorm::numbered(b, "features.8", Conv::of(from, 4 * from, 1), Some(function));
    let ends = [4 * from, size.classes];
    let classifier = Linear::drawn(b, "classifier.1", ends, Draw::UniformOut, Draw::Constant(0.0));
    let (first, last) = (first.slow(plan.slow_norms), last.slow(plan.slow_norms));
    Staged { first, blocks, last, classifier }
}

impl Block {
    /// `channels`: before, inside, after.
    fn new(
        b: &mut Builder,
        name: &str,
        channels: [i64; 3],
        depthwise: ConvShape,
        function: Activation,
        slow: bool,
    ) -> Self {
        let [from, inner, to] = channels;
        let expand = (inner != from)
            .then(|| ConvNorm::numbered(b, &format!("{name}.0"), Conv::of(from, inner, 1), Some(function)).slow(slow));
        let mut place = i64::from(expand.is_some());
        let mut next = || {
            place += 1;
            format!("{name}.{}", place - 1)
        };
        let depthwise = ConvNorm::numbered(b, &next(), depthwise, Some(function)).slow(slow);
        let (name, narrow) = (next(), (from / 4).max(1));
        let mut gate =
            |part: &str, from, to| Conv::of(from, to, 1).bias(Draw::Constant(0.0)).build(b, &format!("{name}.{part}"));
        let squeeze = [gate("fc1", inner, narrow), gate("fc2", narrow, inner)];
        let project = ConvNorm::numbered(b, &next(), Conv::of(inner, to, 1), None).slow(slow);
        Self { expand, depthwise, squeeze, project, adds: false, dropped: 0.0, activation: function }
    }
}

impl staged::Block for Block {
    fn forward(&self, x: &Tensor, mode: &mut Mode<'_>) -> Tensor {
        let out = match &self.expand {
            Some(expand) => self.depthwise.forward(&expand.forward(x, mode), mode),
            None => self.depthwise.forward(x, mode),
        };
        let [one, two] = &self.squeeze;
        let mean = out.adaptive_avg_pool2d([1, 1]);
        let gate = two.forward(&activate(self.activation, one.forward(&mean))).sigmoid();
        let out = self.project.forward(&(out * gate), mode);
        if self.adds { drop_rows(out, self.dropped, mode) + x } else { out }
    }
}

//! ResNets with torchvision's parameter names (He, Zhang, Ren & Sun 2015, "Deep residual learning for
//! image recognition", arXiv:1512.03385; the stride of a bottleneck in its 3x3 convolution), ResNeXts
//! (Xie et al. 2016, arXiv:1611.05431), Wide ResNets (Zagoruyko & Komodakis 2016, arXiv:1605.07146)
//! and ResNet-Ds (He et al. 2018, arXiv:1812.01187, section 4.2; parameter names as in timm).
//! Dropout before `fc`, none in the papers.

use sweep_core::recipe::model::{Activation, Resnet as Options};
use tch::Tensor;

use super::layers::{BatchNorm, Blur, Builder, Conv, Linear, activate, dropout, max_pool};
use super::{Mode, Network, Size};

/// What tells these networks apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    /// Blocks of each stage.
    blocks: [usize; 4],
    /// Blocks of 1x1, 3x3 and 1x1 convolutions in place of two of 3x3.
    bottleneck: bool,
    groups: i64,
    /// Channels of a group in the first stage's 3x3 convolutions.
    width: i64,
    /// ResNet-D.
    tweaked: bool,
}

impl Plan {
    /// Blocks of two 3x3 convolutions.
    pub(super) const fn basic(blocks: [usize; 4]) -> Self {
        Self { blocks, bottleneck: false, groups: 1, width: 64, tweaked: false }
    }

    /// Bottlenecks whose 3x3 convolutions have `groups` of `width` channels in the first stage.
    pub(super) const fn bottleneck(blocks: [usize; 4], groups: i64, width: i64) -> Self {
        Self { blocks, bottleneck: true, groups, width, tweaked: false }
    }

    /// The ResNet-D of the same size.
    pub(super) const fn tweaked(self) -> Self {
        Self { tweaked: true, ..self }
    }
}

#[derive(Debug)]
pub(super) struct Resnet {
    stem: Vec<(Conv, BatchNorm)>,
    pool: Option<Option<Blur>>,
    blocks: Vec<Block>,
    fc: Linear,
    activation: Activation,
}

/// Convolutions and a way around them.
#[derive(Debug)]
struct Block {
    layers: Vec<(Conv, BatchNorm)>,
    /// Halves what comes out of the layer with this index.
    blur: Option<(usize, Blur)>,
    shortcut: Option<Shortcut>,
    activation: Activation,
}

#[derive(Debug)]
struct Shortcut {
    halve: Halve,
    conv: Conv,
    norm: BatchNorm,
}

/// How the way around a block gets smaller before its convolution.
#[derive(Debug)]
enum Halve {
    /// Not at all, or in the convolution.
    No,
    Average,
    Blur(Blur),
}

impl Resnet {
    pub(super) fn new(builder: &mut Builder, size: Size, options: &Options, plan: Plan) -> Self {
        let small = options.stem.is_small(size.side as u32);
        let mut blocks = Vec::new();
        let stem = stem(builder, plan.tweaked, small);
        let blur = |builder: &Builder| options.blur_pool.then(|| Blur::new(64, builder.device()));
        let pool = (!small).then(|| blur(builder));
        let mut from = 64;
        for (layer, (planes, count)) in [64, 128, 256, 512].into_iter().zip(plan.blocks).enumerate() {
            for place in 0..count {
                let stride = if layer > 0 && place == 0 { 2 } else { 1 };
                let name = format!("layer{}.{place}", layer + 1);
                let (block, to) = Block::new(builder, &name, from, planes, stride, options, plan);
                blocks.push(block);
                from = to;
            }
        }
        let fc = Linear::new(builder, "fc", from, size.classes);
        Self { stem, pool, blocks, fc, activation: options.activation }
    }
}

/// `conv1` and `bn1`; in a ResNet-D `conv1` is three convolutions with norms between them.
fn stem(builder: &mut Builder, deep: bool, small: bool) -> Vec<(Conv, BatchNorm)> {
    let stride = if small { 1 } else { 2 };
    let mut layer = |conv: &str, norm: &str, from: i64, to: i64, kernel: i64, stride: i64| {
        let conv = Conv::of(from, to, kernel).stride(stride).build(builder, conv);
        (conv, BatchNorm::new(builder, norm, to))
    };
    match (deep, small) {
        (true, _) => vec![
            layer("conv1.0", "conv1.1", 3, 32, 3, stride),
            layer("conv1.3", "conv1.4", 32, 32, 3, 1),
            layer("conv1.6", "bn1", 32, 64, 3, 1),
        ],
        (false, true) => vec![layer("conv1", "bn1", 3, 64, 3, 1)],
        (false, false) => vec![layer("conv1", "bn1", 3, 64, 7, 2)],
    }
}

impl Network for Resnet {
    fn forward(&self, images: &Tensor, mode: &mut Mode<'_>) -> Tensor {
        let mut x = images.shallow_clone();
        for (conv, norm) in &self.stem {
            x = activate(self.activation, norm.forward(&conv.forward(&x), mode));
        }
        x = match &self.pool {
            None => x,
            Some(None) => max_pool(&x, 3, 2, 1),
            Some(Some(blur)) => blur.forward(&max_pool(&x, 3, 1, 1)),
        };
        for block in &self.blocks {
            x = block.forward(&x, mode);
        }
        let pooled = x.adaptive_avg_pool2d([1, 1]).flatten(1, -1);
        self.fc.forward(&dropout(pooled, mode))
    }
}

impl Block {
    /// A block and how many channels leave it.
    fn new(
        builder: &mut Builder,
        name: &str,
        from: i64,
        planes: i64,
        stride: i64,
        options: &Options,
        plan: Plan,
    ) -> (Self, i64) {
        let device = builder.device();
        let blurs = options.blur_pool && stride != 1;
        let step = if blurs { 1 } else { stride };
        let inner = planes * plan.width / 64 * plan.groups;
        let (to, shapes) = if plan.bottleneck {
            let middle = Conv::of(inner, inner, 3).stride(step).groups(plan.groups);
            (
                planes * 4,
                vec![(Conv::of(from, inner, 1), inner), (middle, inner), (Conv::of(inner, planes * 4, 1), planes * 4)],
            )
        } else {
            (planes, vec![(Conv::of(from, planes, 3).stride(step), planes), (Conv::of(planes, planes, 3), planes)])
        };
        let last = shapes.len() - 1;
        let layers = (shapes.into_iter().enumerate())
            .map(|(place, (shape, channels))| {
                let conv = shape.build(builder, &format!("{name}.conv{}", place + 1));
                let gain = if place == last && options.zero_init_residual { 0.0 } else { 1.0 };
                (conv, BatchNorm::starting_at(builder, &format!("{name}.bn{}", place + 1), channels, gain))
            })
            .collect();
        // After the convolution that would have had the stride.
        let blur = blurs.then(|| (last - 1, Blur::new(inner, device)));
        let shortcut = (stride != 1 || from != to).then(|| {
            let (halve, step) = match (stride != 1, plan.tweaked, blurs) {
                (true, true, _) => (Halve::Average, 1),
                (true, false, true) => (Halve::Blur(Blur::new(from, device)), 1),
                _ => (Halve::No, stride),
            };
            let first = if plan.tweaked { 1 } else { 0 };
            let conv = Conv::of(from, to, 1).stride(step).build(builder, &format!("{name}.downsample.{first}"));
            let norm = BatchNorm::new(builder, &format!("{name}.downsample.{}", first + 1), to);
            Shortcut { halve, conv, norm }
        });
        (Self { layers, blur, shortcut, activation: options.activation }, to)
    }

    fn forward(&self, x: &Tensor, mode: &Mode<'_>) -> Tensor {
        let mut out = x.shallow_clone();
        for (place, (conv, norm)) in self.layers.iter().enumerate() {
            out = norm.forward(&conv.forward(&out), mode);
            if place + 1 < self.layers.len() {
                out = activate(self.activation, out);
            }
            if let Some((_, blur)) = self.blur.as_ref().filter(|(after, _)| *after == place) {
                out = blur.forward(&out);
            }
        }
        out += match &self.shortcut {
            Some(shortcut) => shortcut.forward(x, mode),
            None => x.shallow_clone(),
        };
        activate(self.activation, out)
    }
}

impl Shortcut {
    fn forward(&self, x: &Tensor, mode: &Mode<'_>) -> Tensor {
        let halved = match &self.halve {
            Halve::No => x.shallow_clone(),
            Halve::Average => x.avg_pool2d([2, 2], [2, 2], [0, 0], true, false, None),
            Halve::Blur(blur) => blur.forward(x),
        };
        self.norm.forward(&self.conv.forward(&halved), mode)
    }
}

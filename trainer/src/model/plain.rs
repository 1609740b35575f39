//! Networks that are nothing but layers in a row: VGG (Simonyan & Zisserman 2014, arXiv:1409.1556) and
//! AlexNet (Krizhevsky 2014, "One weird trick", arXiv:1404.5997) with torchvision's parameter names; M1 and
//! M4 (J. Ting, "Using convolutional neural network for the Tiny ImageNet challenge", as study D prints
//! them; convolutions keep the size); the multi-layer perceptron.

use sweep_core::recipe::model::{Activation, Alexnet, Mlp};
use tch::Tensor;

use super::layers::{Builder, Conv, Draw};
use super::sequence::{Chain, Sequence};
use super::{Mode, Network, Size};

/// Convolutions, pooling to a fixed side, linear layers.
#[derive(Debug)]
pub(super) struct Plain {
    features: Sequence,
    /// Side of what enters the linear layers; as it comes if there is none.
    side: Option<i64>,
    classifier: Sequence,
}

impl Network for Plain {
    fn forward(&self, images: &Tensor, mode: &mut Mode<'_>) -> Tensor {
        let mut x = self.features.forward(images, mode);
        if let Some(side) = self.side {
            x = x.adaptive_avg_pool2d([side, side]);
        }
        self.classifier.forward(&x.flatten(1, -1), mode)
    }
}

/// Channels of VGG's convolutions; 0 is a pooling.
pub(super) const VGG_11: &[i64] = &[64, 0, 128, 0, 256, 256, 0, 512, 512, 0, 512, 512, 0];
pub(super) const VGG_13: &[i64] = &[64, 64, 0, 128, 128, 0, 256, 256, 0, 512, 512, 0, 512, 512, 0];
pub(super) const VGG_16: &[i64] = &[64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0];
pub(super) const VGG_19: &[i64] =
    &[64, 64, 0, 128, 128, 0, 256, 256, 256, 256, 0, 512, 512, 512, 512, 0, 512, 512, 512, 512, 0];

impl Plain {
    /// VGG. Dropout after the first two linear layers.
    pub(super) fn vgg(b: &mut Builder, size: Size, function: Activation, plan: &[i64], norms: bool) -> Self {
        let mut chain = Sequence::start(b, "features");
        let mut from = 3;
        for &to in plan {
            if to == 0 {
                chain.max_pool(2, 2);
                continue;
            }
            chain.conv(Conv::of(from, to, 3).bias(Draw::Constant(0.0)));
            if norms {
                chain.norm(to);
            }
            chain.activate(function);
            from = to;
        }
        let features = chain.finish();
        let mut chain = Sequence::start(b, "classifier");
        let (normal, zero) = (Draw::Normal(0.01), Draw::Constant(0.0));
        chain.drawn_linear(512 * 7 * 7, 4096, normal, zero).activate(function).dropout();
        chain.drawn_linear(4096, 4096, normal, zero).activate(function).dropout();
        let classifier = chain.drawn_linear(4096, size.classes, normal, zero).finish();
        Self { features, side: Some(7), classifier }
    }

    /// AlexNet. Dropout before the first two linear layers.
    pub(super) fn alexnet(b: &mut Builder, size: Size, options: &Alexnet) -> Self {
        let function = options.activation;
        let mut chain = Sequence::start(b, "features");
        chain.conv(Conv::of(3, 64, 11).stride(4).padding(2).plain()).activate(function).max_pool(3, 2);
        chain.conv(Conv::of(64, 192, 5).plain()).activate(function).max_pool(3, 2);
        for (from, to) in [(192, 384), (384, 256), (256, 256)] {
            chain.conv(Conv::of(from, to, 3).plain()).activate(function);
        }
        let features = chain.max_pool(3, 2).finish();
        let mut chain = Sequence::start(b, "classifier");
        chain.dropout().linear(256 * 6 * 6, 4096).activate(function);
        chain.dropout().linear(4096, 4096).activate(function);
        if options.extra_layer {
            chain.linear(4096, 1000).linear(1000, size.classes);
        } else {
            chain.linear(4096, size.classes);
        }
        let classifier = chain.finish();
        Self { features, side: Some(6), classifier }
    }

    /// M1: one convolution before each of the three poolings.
    pub(super) fn m1(b: &mut Builder, size: Size, function: Activation) -> Self {
        Self::ting(b, size, function, &[(5, 16), (0, 0), (3, 16), (0, 0), (3, 32), (0, 0)])
    }

    /// M4: two convolutions before each of the three poolings.
    pub(super) fn m4(b: &mut Builder, size: Size, function: Activation) -> Self {
        let layers = [(5, 32), (5, 32), (0, 0), (3, 64), (3, 64), (0, 0), (3, 64), (3, 128), (0, 0)];
        Self::ting(b, size, function, &layers)
    }

    /// Convolutions given as (kernel, channels), (0, 0) being a pooling, then two linear layers with
    /// dropout between them, none in the paper.
    fn ting(b: &mut Builder, size: Size, function: Activation, layers: &[(i64, i64)]) -> Self {
        let mut chain = Sequence::start(b, "features");
        let (mut from, mut side) = (3, size.side);
        for &(kernel, to) in layers {
            if kernel == 0 {
                chain.max_pool(2, 2);
                side /= 2;
            } else {
                chain.conv(Conv::of(from, to, kernel).plain()).activate(function);
                from = to;
            }
        }
        let features = chain.finish();
        let mut chain = Sequence::start(b, "classifier");
        chain.linear(from * side * side, 256).activate(function).dropout();
        let classifier = chain.linear(256, size.classes).finish();
        Self { features, side: None, classifier }
    }

    /// All pixels in one vector, hidden layers, then dropout and the last linear layer.
    pub(super) fn mlp(b: &mut Builder, size: Size, options: &Mlp) -> Self {
        let features = Sequence::start(b, "features").finish();
        let mut chain: Chain<'_> = Sequence::start(b, "layers");
        let mut from = 3 * size.side * size.side;
        for &to in &options.hidden {
            chain.linear(from, i64::from(to)).activate(options.activation);
            from = i64::from(to);
        }
        let classifier = chain.dropout().linear(from, size.classes).finish();
        Self { features, side: None, classifier }
    }
}

//! Networks. Each file builds one family from named tensors with PyTorch's names, shapes and initial
//! distributions, so that checkpoints load into PyTorch unchanged. Adding one: a variant in
//! `core::recipe::Model`, a file here, an arm in `build`.

mod cifar_cnn;
mod densenet;
mod efficientnet;
mod googlenet;
pub mod layers;
mod merged;
mod mobilenet;
mod plain;
mod preact;
mod resnet;
pub mod script;
mod sequence;
mod staged;
mod transfer;

use std::fmt;

use sweep_core::recipe;
use tch::{Device, Tensor};

use crate::seed::Stream;
use cifar_cnn::CifarCnn;
use densenet::{DENSENET_121, DENSENET_161, DENSENET_169, DENSENET_201, Densenet};
use efficientnet::efficientnet;
use googlenet::Googlenet;
use layers::Builder;
use merged::merged_net;
use mobilenet::mobilenet_v2;
use plain::{Plain, VGG_11, VGG_13, VGG_16, VGG_19};
use preact::PreactResnet;
use resnet::{Plan, Resnet};

/// One tensor of a network.
#[derive(Debug)]
pub struct Named {
    /// PyTorch's name.
    pub name: String,
    /// Shares its storage with the layer that uses it.
    pub tensor: Tensor,
    /// What it is.
    pub role: Role,
}

/// What a tensor of a network is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Trained.
    Weight,
    /// A weight that is left as it is.
    Frozen,
    /// A running mean or variance.
    Running,
    /// `num_batches_tracked`, int64: equals the number of training batches seen.
    Batches,
    /// The count of a norm that takes no part in training.
    Still,
}

/// How a network is applied.
#[derive(Debug)]
pub enum Mode<'a> {
    /// Batch statistics, and dropout with numbers from the stream.
    Train {
        /// Probability of zeroing an activation.
        dropout: f64,
        /// Numbers for this step.
        random: &'a mut Stream,
    },
    /// Running statistics, no dropout.
    Eval,
}

/// Layers put together.
trait Network: fmt::Debug + Send {
    /// Logits `[n, classes]` of images `[n, 3, size, size]`.
    fn forward(&self, images: &Tensor, mode: &mut Mode<'_>) -> Tensor;
}

/// What a network is made for.
#[derive(Clone, Copy, Debug)]
struct Size {
    classes: i64,
    /// Side of the images, pixels.
    side: i64,
}

/// A network and its tensors.
#[derive(Debug)]
pub struct Model {
    net: Box<dyn Network>,
    tensors: Vec<Named>,
}

/// A tensor that does not fit the network.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Misfit {
    /// The network has it, the source does not.
    #[error("tensor {0:?} is missing")]
    Missing(String),
    /// A pattern of `freeze.names` that no weight has.
    #[error("freeze.names: no weight is called {0:?}")]
    NothingFrozen(String),
    /// Nothing is left to train.
    #[error("freeze: no weight is left to train")]
    AllFrozen,
    /// Shape or type differ.
    #[error("tensor {name:?} is {found}, the network needs {wanted}")]
    Shape {
        /// Which.
        name: String,
        /// Shape and type that came.
        found: String,
        /// Shape and type of the network.
        wanted: String,
    },
}

/// The network of a recipe; the compiler asks for every one that a recipe can name.
fn build(model: &recipe::Model, b: &mut Builder, size: Size) -> Box<dyn Network> {
    use recipe::Model as M;
    const BASIC_18: Plan = Plan::basic([2, 2, 2, 2]);
    const BASIC_34: Plan = Plan::basic([3, 4, 6, 3]);
    const fn bottleneck_50(groups: i64, width: i64) -> Plan {
        Plan::bottleneck([3, 4, 6, 3], groups, width)
    }
    const fn bottleneck_101(groups: i64, width: i64) -> Plan {
        Plan::bottleneck([3, 4, 23, 3], groups, width)
    }
    const BOTTLENECK_152: Plan = Plan::bottleneck([3, 8, 36, 3], 1, 64);
    let mut resnet = |options, plan| -> Box<dyn Network> { Box::new(Resnet::new(b, size, options, plan)) };
    match model {
        M::Resnet18(o) => resnet(o, BASIC_18),
        M::Resnet34(o) => resnet(o, BASIC_34),
        M::Resnet50(o) => resnet(o, bottleneck_50(1, 64)),
        M::Resnet101(o) => resnet(o, bottleneck_101(1, 64)),
        M::Resnet152(o) => resnet(o, BOTTLENECK_152),
        M::Resnext50(o) => resnet(o, bottleneck_50(32, 4)),
        M::Resnext101(o) => resnet(o, bottleneck_101(32, 8)),
        M::WideResnet50(o) => resnet(o, bottleneck_50(1, 128)),
        M::WideResnet101(o) => resnet(o, bottleneck_101(1, 128)),
        M::Resnet18D(o) => resnet(o, BASIC_18.tweaked()),
        M::Resnet34D(o) => resnet(o, BASIC_34.tweaked()),
        M::Resnet50D(o) => resnet(o, bottleneck_50(1, 64).tweaked()),
        M::Resnet101D(o) => resnet(o, bottleneck_101(1, 64).tweaked()),
        M::Resnet152D(o) => resnet(o, BOTTLENECK_152.tweaked()),
        M::PreactResnet18(o) => Box::new(PreactResnet::new(b, size, o, [2, 2, 2, 2])),
        M::PreactResnet34(o) => Box::new(PreactResnet::new(b, size, o, [3, 4, 6, 3])),
        M::Vgg11(o) => Box::new(Plain::vgg(b, size, o.activation, VGG_11, false)),
        M::Vgg13(o) => Box::new(Plain::vgg(b, size, o.activation, VGG_13, false)),
        M::Vgg16(o) => Box::new(Plain::vgg(b, size, o.activation, VGG_16, false)),
        M::Vgg19(o) => Box::new(Plain::vgg(b, size, o.activation, VGG_19, false)),
        M::Vgg11Bn(o) => Box::new(Plain::vgg(b, size, o.activation, VGG_11, true)),
        M::Vgg13Bn(o) => Box::new(Plain::vgg(b, size, o.activation, VGG_13, true)),
        M::Vgg16Bn(o) => Box::new(Plain::vgg(b, size, o.activation, VGG_16, true)),
        M::Vgg19Bn(o) => Box::new(Plain::vgg(b, size, o.activation, VGG_19, true)),
        M::Alexnet(o) => Box::new(Plain::alexnet(b, size, o)),
        M::Googlenet(o) => Box::new(Googlenet::new(b, size, o.activation)),
        M::Densenet121(o) => Box::new(Densenet::new(b, size, o, DENSENET_121)),
        M::Densenet161(o) => Box::new(Densenet::new(b, size, o, DENSENET_161)),
        M::Densenet169(o) => Box::new(Densenet::new(b, size, o, DENSENET_169)),
        M::Densenet201(o) => Box::new(Densenet::new(b, size, o, DENSENET_201)),
        M::MobilenetV2(o) => Box::new(mobilenet_v2(b, size, o.activation)),
        M::EfficientnetB0(o) => Box::new(efficientnet(b, size, o, efficientnet::Plan::new(1.0, 1.0))),
        M::EfficientnetB1(o) => Box::new(efficientnet(b, size, o, efficientnet::Plan::new(1.0, 1.1))),
        M::EfficientnetB2(o) => Box::new(efficientnet(b, size, o, efficientnet::Plan::new(1.1, 1.2))),
        M::EfficientnetB3(o) => Box::new(efficientnet(b, size, o, efficientnet::Plan::new(1.2, 1.4))),
        M::EfficientnetB4(o) => Box::new(efficientnet(b, size, o, efficientnet::Plan::new(1.4, 1.8))),
        M::EfficientnetB5(o) => Box::new(efficientnet(b, size, o, efficientnet::Plan::new(1.6, 2.2).slow_norms())),
        M::EfficientnetB6(o) => Box::new(efficientnet(b, size, o, efficientnet::Plan::new(1.8, 2.6).slow_norms())),
        M::EfficientnetB7(o) => Box::new(efficientnet(b, size, o, efficientnet::Plan::new(2.0, 3.1).slow_norms())),
        M::MergedNet(o) => Box::new(merged_net(b, size, o.activation)),
        M::CifarCnn(o) => Box::new(CifarCnn::new(b, size, o)),
        M::M1(o) => Box::new(Plain::m1(b, size, o.activation)),
        M::M4(o) => Box::new(Plain::m4(b, size, o.activation)),
        M::Mlp(o) => Box::new(Plain::mlp(b, size, o)),
        M::Torchscript(_) => unreachable!("a module is made from its file"),
    }
}

impl Model {
    /// Builds `model` for `classes` and square images of `image_size`, with weights drawn from `seed`.
    /// They depend on the seed and on nothing else in a recipe. Without a seed they are zero: for a
    /// network whose state is loaded next.
    ///
    /// # Panics
    /// For `torchscript`, which [`script::Script::model`] makes.
    pub fn new(model: &recipe::Model, classes: u32, image_size: u32, seed: Option<u64>, device: Device) -> Self {
        let mut builder = Builder::new(seed, device);
        let size = Size { classes: i64::from(classes), side: i64::from(image_size) };
        let net = build(model, &mut builder, size);
        Self { net, tensors: builder.finish() }
    }

    /// Logits `[n, classes]` of images `[n, 3, size, size]`.
    pub fn forward(&self, images: &Tensor, mode: &mut Mode<'_>) -> Tensor {
        self.net.forward(images, mode)
    }

    /// All tensors, in a fixed order.
    pub fn tensors(&self) -> &[Named] {
        &self.tensors
    }

    /// The trained tensors, in a fixed order.
    pub fn weights(&self) -> impl Iterator<Item = &Named> {
        (self.tensors.iter()).filter(|named| named.role == Role::Weight)
    }

    /// Number of values in weights, frozen ones included.
    pub fn parameters(&self) -> u64 {
        let weights = self.tensors.iter().filter(|named| matches!(named.role, Role::Weight | Role::Frozen));
        weights.map(|named| named.tensor.numel() as u64).sum()
    }

    /// Writes the count of training batches into every `num_batches_tracked`. They are all equal,
    /// so they are only brought up to date when the state is looked at.
    pub fn set_batches(&mut self, batches: u64) {
        let _guard = tch::no_grad_guard();
        for named in &mut self.tensors {
            if named.role == Role::Batches {
                let _ = named.tensor.fill_(batches as i64);
            }
        }
    }

    /// A copy of every tensor, in the order of [`Self::tensors`].
    pub fn snapshot(&self) -> Vec<Tensor> {
        let _guard = tch::no_grad_guard();
        (self.tensors.iter()).map(|named| named.tensor.detach().copy()).collect()
    }

    /// Overwrites every tensor with what `find` has under its name.
    pub fn load<'a>(&mut self, mut find: impl FnMut(&str) -> Option<&'a Tensor>) -> Result<(), Misfit> {
        let _guard = tch::no_grad_guard();
        for named in &mut self.tensors {
            let found = find(&named.name).ok_or_else(|| Misfit::Missing(named.name.clone()))?;
            check_shape(&named.name, &named.tensor, found)?;
            named.tensor.copy_(found);
        }
        Ok(())
    }
}

/// Whether `found` can stand in for `wanted`.
pub(crate) fn check_shape(name: &str, wanted: &Tensor, found: &Tensor) -> Result<(), Misfit> {
    let about = |tensor: &Tensor| format!("{:?} {:?}", tensor.kind(), tensor.size());
    if wanted.size() != found.size() || wanted.kind() != found.kind() {
        return Err(Misfit::Shape { name: name.to_owned(), found: about(found), wanted: about(wanted) });
    }
    Ok(())
}
